"""A perfect master scores perfectly, and each fault shows in its own row at its own size."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest

from tesela.products.images import Master
from tesela.products.maskbit import MaskBit
from tesela.score import masters
from tesela.score.rows import Row
from tesela.simulate import campaign, detector, flats, readout, schedule, structure
from tesela.simulate.detector import LINEAR_ADU
from tesela.simulate.settings import NightSettings

FIRST, _, LAST = campaign.calibration()
UNIT = detector.build(FIRST)
NY, NX = UNIT.camera.shape
CLEAN = np.zeros((NY, NX), np.uint8)
NODES = 65


@pytest.fixture(scope="module")
def truth(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The part of a campaign's truth that is read."""
    folder = tmp_path_factory.mktemp("truth")
    content = {"nights": [{"settings": asdict(night)} for night in (FIRST, LAST)]}
    (folder / "night.json").write_text(json.dumps(content))
    return folder


def score(truth: Path, folder: Path, master: Master, *, night: str = "20170703") -> dict[str, Row]:
    """Rows of one master by metric."""
    through = "-" if master.kind in ("BIAS", "CROSSTALK", "LINEARITY", "BADPIXEL") else "zSDSS_Z"
    key = f"{master.kind}.JAST80.mini80.01.{through}.SLOW.{night}"
    path = folder / f"{key}.fits"
    master.cards.append(("MSTKIND", master.kind, ""))
    master.write(path)
    return {row.metric: row for row in masters.evaluate({key: path}, truth)}


def numbers(kind: str, **arrays: np.ndarray) -> Master:
    return Master(kind, np.empty((0, 0), np.float32), np.empty((0, 0), np.uint8), [], arrays)


def test_a_bias_is_judged_by_profiles_and_blocks(truth: Path, tmp_path: Path) -> None:
    perfect = structure.bias_image(FIRST)
    rows = score(truth, tmp_path, Master("BIAS", perfect, CLEAN.copy(), [("NCOMBINE", 30, "")]))
    assert all(row.passed and row.value < 1e-3 for row in rows.values())
    shifted = perfect + np.float32(1.0)  # one ADU everywhere
    (tmp_path / "shifted").mkdir()
    cards = [("NCOMBINE", 30, "")]
    rows = score(truth, tmp_path / "shifted", Master("BIAS", shifted, CLEAN.copy(), cards))
    assert all(row.value == pytest.approx(0.95, abs=0.05) for row in rows.values())
    assert not any(row.passed for row in rows.values())


def test_a_bias_of_few_frames_is_shown_and_not_judged(truth: Path, tmp_path: Path) -> None:
    few = Master("BIAS", structure.bias_image(FIRST), CLEAN.copy(), [("NCOMBINE", 8, "")])
    assert all(row.passed is None for row in score(truth, tmp_path, few).values())


def test_bad_pixels_do_not_count_against_a_bias(truth: Path, tmp_path: Path) -> None:
    image, mask = structure.bias_image(FIRST).copy(), CLEAN.copy()
    image[100:130, 200] += 1000.0
    mask[100:130, 200] = MaskBit.BAD
    rows = score(truth, tmp_path, Master("BIAS", image, mask, [("NCOMBINE", 30, "")]))
    assert all(row.passed for row in rows.values())


@pytest.mark.parametrize(("factor", "passed"), [(1.0, True), (1.3, False)])
@pytest.mark.parametrize("claimed", [1e-4, 0.1])
def test_a_flat_is_judged_by_the_photons_that_were_simulated(
    truth: Path,
    tmp_path: Path,
    rng: np.random.Generator,
    factor: float,
    passed: bool,
    claimed: float,
) -> None:
    """Whatever the master says of its own noise."""
    levels = [
        flats.level_e(e, FIRST)
        for e in schedule.plan(FIRST)
        if e.kind == "flat" and e.band == "zSDSS"
    ]
    assert len(levels) == FIRST.n_flat
    light = (detector.response(FIRST, "zSDSS") * detector.stray_light(FIRST, "zSDSS")).astype(float)
    noise = rng.standard_normal(light.shape) / np.sqrt(np.sum(levels) * light)
    image = (perfect_flat() * (1 + factor * noise)).astype(np.float32)
    flat = Master("FLAT", image, CLEAN.copy(), [("MSTNOISE", claimed, "")])
    row = score(truth, tmp_path, flat)["flat, noise over that of its photons"]
    assert row.value == pytest.approx(factor, abs=0.03)
    assert row.passed is passed


def test_what_could_not_be_measured_is_the_worst() -> None:
    rows = [
        Row("m", "", value, float("nan"), 1, "", 1.0, comparison)
        for comparison in ("<=", ">=")
        for value in (0.5, float("nan"), 2.0)
    ]
    for of_one in (rows[:3], rows[3:], rows[2::-1]):
        assert np.isnan(masters._worst(of_one).value)


def perfect_flat() -> np.ndarray:
    """A flat of epoch 0: response, stray light, areas of the pixels, crosstalk, errors of gains."""
    true = np.array(detector.response(FIRST, "zSDSS"))
    true *= detector.stray_light(FIRST, "zSDSS") * detector.pixel_area(FIRST)
    true = readout.with_crosstalk(true, UNIT)
    for k, amp in enumerate(UNIT.camera.amplifiers):
        true[amp.dest.slices] *= np.float32(UNIT.header_gain[k] / UNIT.gain[k])
    return true / np.float32(np.median(true))


@pytest.mark.parametrize(
    ("sign", "of", "passed"), [(1.0, FIRST, True), (-1.0, FIRST, False), (1.0, LAST, False)]
)
def test_an_illumination_needs_the_right_sign_and_epoch(
    truth: Path, tmp_path: Path, sign: float, of: NightSettings, passed: bool
) -> None:
    true = detector.illumination_mag(of, "zSDSS")
    y, x = (np.rint(np.linspace(0, n - 1, NODES)).astype(int) for n in (NY, NX))
    paths = {}
    for master in (
        numbers("ILLUMINATION", map=sign * true[np.ix_(y, x)]),
        Master("FLAT", perfect_flat(), CLEAN.copy(), [("MSTNOISE", 0.002, "")]),
    ):
        key = f"{master.kind}.JAST80.mini80.01.zSDSS_Z.SLOW.20170703"
        paths[key] = tmp_path / f"{key}.fits"
        master.write(paths[key])
    row = next(r for r in masters.evaluate(paths, truth) if r.metric == "illumination")
    assert row.passed is passed
    assert (row.value < 0.5) is passed


def test_crosstalk_is_judged_coefficient_by_coefficient(truth: Path, tmp_path: Path) -> None:
    off = UNIT.crosstalk + 3e-5 * (1 - np.eye(len(UNIT.crosstalk)))
    (row,) = score(truth, tmp_path, numbers("CROSSTALK", matrix=off)).values()
    assert row.value == pytest.approx(3.0)
    assert not row.passed


def test_linearity_without_a_correction_has_the_slope_of_the_detector(
    truth: Path, tmp_path: Path
) -> None:
    nothing = np.zeros((len(UNIT.nonlinearity), 2))
    pivot = np.array([LINEAR_ADU])
    none = numbers("LINEARITY", coefficients=nothing, pivot_adu=pivot)
    (row,) = score(truth, tmp_path, none).values()
    assert row.value > 2 and not row.passed
    (tmp_path / "right").mkdir()
    right = numbers("LINEARITY", coefficients=UNIT.nonlinearity.copy(), pivot_adu=pivot)
    (row,) = score(truth, tmp_path / "right", right).values()
    assert row.passed  # right to first order


def test_bad_pixels_are_counted_found_and_invented(truth: Path, tmp_path: Path) -> None:
    mask = CLEAN.copy()
    mask[UNIT.hot_y, UNIT.hot_x] = MaskBit.BAD
    mask[UNIT.cold_y, UNIT.cold_x] = MaskBit.BAD
    missing = Master("BADPIXEL", np.empty((0, 0), np.float32), mask)
    rows = score(truth, tmp_path, missing)
    assert not rows["bad pixels found"].passed  # the columns
    for column in UNIT.bad_columns:
        mask[column.y0 : column.y1, column.x] = MaskBit.BAD
    (tmp_path / "all").mkdir()
    rows = score(truth, tmp_path / "all", Master("BADPIXEL", np.empty((0, 0), np.float32), mask))
    assert rows["bad pixels found"].value == 1.0
    assert rows["bad pixels invented"].value == 0.0


def test_weak_defects_may_be_marked_or_not_and_sound_pixels_may_not(
    truth: Path, tmp_path: Path
) -> None:
    bad, weak = CLEAN.copy(), CLEAN.copy()
    hot = np.zeros((NY, NX))
    np.add.at(hot, (UNIT.hot_y, UNIT.hot_x), UNIT.hot_e_per_s)
    limit = np.zeros((NY, NX))
    for k, amp in enumerate(UNIT.camera.amplifiers):
        limit[amp.dest.slices] = 5 * UNIT.readnoise_e[k] / 60
    bad[hot > limit] = MaskBit.BAD
    dim = UNIT.cold_response > 0.9
    bad[UNIT.cold_y[~dim], UNIT.cold_x[~dim]] = MaskBit.BAD
    for column in UNIT.bad_columns:
        bad[column.y0 : column.y1, column.x] = MaskBit.BAD
    weak[(hot > 0) & (hot <= limit)] = MaskBit.BAD
    weak[UNIT.cold_y[dim], UNIT.cold_x[dim]] = MaskBit.BAD
    assert np.count_nonzero(weak & ~bad) > 10
    sound = np.argwhere((bad | weak) == 0)[::20]
    for name, mask, invented in (
        ("bad", bad, 0.0), ("both", bad | weak, 0.0), ("more", bad.copy(), 0.05),
    ):  # fmt: skip
        if invented:
            mask[sound[:, 0], sound[:, 1]] = MaskBit.BAD
        (tmp_path / name).mkdir()
        master = Master("BADPIXEL", np.empty((0, 0), np.float32), mask)
        rows = score(truth, tmp_path / name, master)
        assert rows["bad pixels found"].value == 1.0
        assert rows["bad pixels invented"].value == pytest.approx(invented, abs=1e-3)
