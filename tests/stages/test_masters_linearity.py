"""Linearity masters: the response drawn comes back from a ramp; what is no ramp is refused."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from tesela.errors import BadInput, QualityError
from tesela.pixels import linearity as curves
from tesela.stages.masters import RawInputs, build_flat
from tesela.stages.masters.inputs import MasterOutputs
from tesela.stages.masters.linearity import build_linearity
from tesela.stages.masters.settings import FlatSettings, LinearitySettings

from . import drawn

SIZE = 96
CAMERA = drawn.camera(SIZE)
SETTINGS = LinearitySettings()
TIMES = np.repeat(np.geomspace(1.5, 56.0, 9), 2)
RATE_ADU = 1000.0
A = (0.012, -0.008)
"""Of the two amplifiers: recorded = true (1 - a true / 60000)."""


def frame(exptime_s: float, seed: int, lamp: float = 1.0) -> np.ndarray:
    """A raw dome flat: photons, the bend of each amplifier, read noise, level."""
    rng = np.random.default_rng(seed)
    out = rng.normal(drawn.LEVEL_ADU, drawn.NOISE_E / drawn.GAIN, (CAMERA.raw_ny, CAMERA.raw_nx))
    expected = np.full((SIZE, SIZE // 2), exptime_s * lamp * RATE_ADU * drawn.GAIN)
    for amp, a in zip(CAMERA.amplifiers, A):
        true = rng.poisson(expected) / drawn.GAIN
        out[amp.data.slices] += true * (1 - a * true / 60000)
    return np.clip(np.rint(out), 0, 65535).astype(np.uint16)


def inputs(times=TIMES, key: str = "LINEARITY.test", **more: object) -> RawInputs:
    lamp = 1 + np.random.default_rng(3).normal(0, 1e-3, len(times))
    facts = [
        replace(
            drawn.facts(f"ramp{i:02d}", "flat", size=SIZE), exptime_s=float(t), flat_kind="dome"
        )
        for i, t in enumerate(times)
    ]
    given = {
        "masters": {"BIAS": drawn.perfect("BIAS", SIZE)},
        "facts": facts,
        "headers": [{}] * len(facts),
        "pixels": [frame(t, i, lamp[i]) for i, t in enumerate(times)],
        **more,
    }
    return RawInputs(key, CAMERA, **given)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def made() -> MasterOutputs:
    return build_linearity(inputs(), SETTINGS)


def slopes(made: MasterOutputs) -> np.ndarray:
    """What the correction leaves of the drawn bend, mmag a magnitude."""
    true = np.repeat(np.geomspace(2000, 58000, 30)[:, None], 2, axis=1)
    x = true * (1 - np.array(A) * true / 60000)
    arrays = made.master.arrays
    c, pivot = arrays["coefficients"][None], float(arrays["pivot_adu"][0])
    return curves.slope_mmag(true, np.log(x * curves.factor(x, c, pivot) / true), 0, 1e6)


def test_the_slope_left_is_below_two_millimagnitudes(made: MasterOutputs) -> None:
    assert made.passed, made.reasons
    assert made.rejected == {}
    assert made.metrics["slope_before_mmag"] > 2.5
    assert np.abs(slopes(made)).max() < 2
    assert made.master.arrays["error"].shape == (2, 2)
    assert made.master.image.size == 0


def test_the_gain_is_monitored(made: MasterOutputs) -> None:
    assert [v.amp for v in made.monitored] == [1, 2]
    for value in made.monitored:
        assert value.metric == "gain"
        assert value.value == pytest.approx(drawn.GAIN, abs=4 * value.error)
        assert value.error < 0.03


def test_pages_hold_a_plot_and_its_numbers(made: MasterOutputs) -> None:
    assert set(made.pages) == {"linearity.png", "linearity.json"}
    assert made.pages["linearity.png"].startswith(b"\x89PNG")
    numbers = json.loads(made.pages["linearity.json"])
    assert np.shape(numbers["residual_after_mmag"]) == (18, 2)


def test_a_master_written_is_the_same_when_read(made: MasterOutputs, tmp_path) -> None:
    made.master.write(tmp_path / "m.fits")
    again = type(made.master).read(tmp_path / "m.fits")
    assert again.data_hash() == made.master.data_hash()
    assert again.kind == "LINEARITY"


def test_order_of_the_frames_does_not_matter(made: MasterOutputs) -> None:
    given = inputs()
    turned = replace(
        given, facts=given.facts[::-1], headers=given.headers[::-1], pixels=given.pixels[::-1]
    )
    again = build_linearity(turned, SETTINGS)
    assert again.master.data_hash() == made.master.data_hash()
    assert again.pages == made.pages


def test_saturated_empty_and_foreign_frames_are_rejected(made: MasterOutputs) -> None:
    given = inputs([*TIMES, 80.0, 0.1, 5.0, 5.0, 7.0])
    facts, pixels = list(given.facts), list(given.pixels)
    facts[20] = replace(facts[20], readout_mode="FAST")
    pixels[21] = frame(0.0, 90)  # the shutter stayed closed
    pixels[22] = frame(7.0, 91, lamp=1.06)
    found = build_linearity(replace(given, facts=facts, pixels=pixels), SETTINGS)
    assert set(found.rejected) == {"ramp18", "ramp19", "ramp20", "ramp21", "ramp22"}
    assert "saturated" in found.rejected["ramp18"]
    assert "at least 500 wanted" in found.rejected["ramp19"]
    assert found.rejected["ramp20"] == "read-out mode FAST where most have -"
    assert "at least 500 wanted" in found.rejected["ramp21"]
    assert "light +" in found.rejected["ramp22"]
    assert np.abs(slopes(found)).max() < 2


class Damaged:
    """A file of which the pixels cannot be read."""

    def __init__(self, frame: np.ndarray) -> None:
        self.shape = frame.shape

    def __getitem__(self, rows: slice) -> np.ndarray:
        raise BadInput("a file", found="data contradict DATASUM", expected="a sound file")


def test_the_level_that_was_subtracted_is_told(made: MasterOutputs) -> None:
    assert made.operations[0].parameters["level_adu"] == pytest.approx(drawn.LEVEL_ADU, abs=0.5)


def test_a_damaged_file_is_one_frame_less() -> None:
    given = inputs()
    pixels = [Damaged(p) if i == 4 else p for i, p in enumerate(given.pixels)]
    found = build_linearity(replace(given, pixels=pixels), SETTINGS)
    assert found.rejected == {"ramp04": "data contradict DATASUM"}
    assert found.metrics["n_combined"] == len(TIMES) - 1


def test_flats_are_told_by_how_much_the_variance_falls_short(made: MasterOutputs) -> None:
    arrays = made.master.arrays
    assert arrays["shortfall"].shape == arrays["shortfall_error"].shape == (2,)
    assert np.all(np.abs(arrays["shortfall"]) < 4 * arrays["shortfall_error"])  # drawn without
    frames = [frame(20.0, 200 + i) for i in range(6)]
    facts = [drawn.facts(f"flat{i}", "flat", size=SIZE) for i in range(6)]
    given = inputs(facts=facts, headers=[{}] * 6, pixels=frames, key="FLAT.test")
    gains = {}
    for short in (0.0, 5e-6):
        linear = replace(made.master)
        linear.arrays = {
            **arrays, "shortfall": np.full(2, short), "shortfall_error": np.full(2, 1e-8)
        }  # fmt: skip
        bent = replace(given, masters={**given.masters, "LINEARITY": linear})
        values = build_flat(bent, FlatSettings()).monitored
        gains[short] = np.array([v.value for v in values if v.metric == "gain"])
    # 20 000 ADU: a tenth of the variance is missing, the gain of zero level is a tenth lower.
    assert gains[5e-6] / gains[0.0] == pytest.approx(0.9, abs=0.002)


def test_what_is_no_ramp_is_refused() -> None:
    with pytest.raises(QualityError, match=r"no exposure ramp: 1 exposure times"):
        build_linearity(inputs([10.0] * 8), SETTINGS)
    with pytest.raises(QualityError, match=r"levels within a factor 3\.\d"):
        build_linearity(inputs(np.repeat(np.geomspace(5, 16, 7), 2)), SETTINGS)
    with pytest.raises(QualityError, match="0 usable linearity frames"):
        build_linearity(inputs([80.0] * 4, minimum=5), SETTINGS)
    with pytest.raises(QualityError, match="no master bias"):
        build_linearity(inputs(masters={}), SETTINGS)


def test_gates_compare_with_the_predecessor(made: MasterOutputs) -> None:
    same = build_linearity(inputs(previous=made.master), SETTINGS)
    assert same.passed
    assert same.metrics["change"] == 0
    other = replace(made.master)
    other.arrays = {**made.master.arrays, "coefficients": made.master.arrays["coefficients"] + 0.01}
    changed = build_linearity(inputs(previous=other), SETTINGS)
    assert not changed.passed
    assert "change against the previous master" in changed.reasons[0]


def test_few_frames_are_a_warning() -> None:
    made = build_linearity(inputs(wanted=40), SETTINGS)
    assert made.warnings == ["only 18 frames combined where 40 are wanted"]
