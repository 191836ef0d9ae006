"""Stability of flats: a drift of gain and a grain of dust raise alarms, quiet flats raise none."""

from __future__ import annotations

import io
import json
from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from astropy.io import fits
from matplotlib.figure import Figure

from tesela import cameras
from tesela.errors import QualityError
from tesela.products.images import Master
from tesela.products.maskbit import MaskBit
from tesela.stages.masters.pages import stability as page
from tesela.stages.masters.settings import StabilitySettings
from tesela.stages.masters.stability import ALARM, QUIET, WARNING, Stability, stability

CAMERA = cameras.load("mini80")
SETTINGS = StabilitySettings()
NOISE = 1 / np.sqrt(5 * 25000)
"""Of a flat of five frames of 25 000 electrons."""


@cache
def response() -> np.ndarray:
    """Vignetting, pixel response and a dust ring that always was there."""
    rng = np.random.default_rng(1)
    y, x = np.mgrid[: CAMERA.ny, : CAMERA.nx]
    shape = 1 - 0.1 * (((y - 577) / 577) ** 2 + ((x - 576) / 576) ** 2) / 2
    plane = shape * (1 + 0.006 * rng.standard_normal(CAMERA.shape))
    return donut(plane, 300, 500, 40, 0.02)


def donut(plane: np.ndarray, cx: float, cy: float, outer: float, depth: float) -> np.ndarray:
    """The shadow of a grain far from the focus: a ring with soft edges."""
    y, x = np.mgrid[: CAMERA.ny, : CAMERA.nx]
    r = np.hypot(y - cy, x - cx)
    with np.errstate(over="ignore"):
        ring = 1 / (1 + np.exp((r - outer) / 1.5)) - 1 / (1 + np.exp((r - 0.4 * outer) / 1.5))
    return plane * (1 - depth * ring)


def flat(seed: int, change: np.ndarray | float = 1.0) -> Master:
    """A master flat with photon noise, normalised by its median."""
    rng = np.random.default_rng(seed)
    image = response() * change
    image = image + NOISE * np.sqrt(image) * rng.standard_normal(CAMERA.shape)
    image = (image / np.median(image)).astype(np.float32)
    cards = [("MSTKIND", "FLAT", ""), ("NCOMBINE", 5, ""), ("MSTNOISE", float(NOISE), "")]
    mask = np.zeros(CAMERA.shape, np.uint8)
    mask[200:800, 700] = MaskBit.BAD
    image[200:800, 700] *= 0.5
    return Master("FLAT", image, mask, cards)  # type: ignore[arg-type]


def found(change: np.ndarray | float = 1.0, seed: int = 2) -> Stability:
    return stability(flat(seed, change), flat(1), CAMERA, SETTINGS)


def gain(amp: int, factor: float) -> np.ndarray:
    plane = np.ones(CAMERA.shape)
    plane[CAMERA.amplifiers[amp - 1].dest.slices] /= factor  # fewer ADU for the same electrons
    return plane


@pytest.mark.parametrize("seed", range(2, 12))
def test_an_unchanged_flat_is_quiet(seed: int) -> None:
    quiet = found(1 + 0.002 * np.linspace(-1, 1, CAMERA.nx)[None, :], seed)  # the sky's gradient
    assert (quiet.alert, quiet.says) == (QUIET, ())
    assert quiet.dust == ()
    assert quiet.scatter == pytest.approx(quiet.expected_scatter, rel=0.1)


@pytest.mark.parametrize("factor", [1.01, 0.99])
def test_a_gain_that_drifts_by_one_percent_is_an_alarm_that_names_the_amplifier(
    factor: float,
) -> None:
    drifted = found(gain(6, factor))
    assert drifted.alert == ALARM
    assert len(drifted.says) == 1
    assert drifted.says[0].startswith("amplifier 6 changed by")
    assert drifted.amp_ratio[5] == pytest.approx(1 / factor, abs=4e-4)
    others = np.delete(drifted.amp_ratio, 5)
    assert np.abs(others - 1).max() < 3e-4
    values = {v.amp: v for v in drifted.monitored()}
    assert values[6].metric == "flat_ratio"
    assert abs(values[6].value - 1 / factor) < 10 * values[6].error
    assert values[6].n == 5


@pytest.mark.parametrize("amp", [1, 4, 9, 16])
def test_a_gradient_of_the_sky_neither_hides_nor_feigns_a_drift(amp: int) -> None:
    y, x = np.mgrid[: CAMERA.ny, : CAMERA.nx]
    gradient = 1 + 0.007 * (x / CAMERA.nx - 0.5) - 0.005 * (y / CAMERA.ny - 0.5)
    assert found(gradient).alert == QUIET
    drifted = found(gradient * gain(amp, 1.01))
    assert drifted.alert == ALARM
    assert [says.split(" changed")[0] for says in drifted.says] == [f"amplifier {amp}"]
    assert drifted.tilt == pytest.approx((0.007, -0.005), abs=1e-3)


@pytest.mark.parametrize(("slope", "alert"), [(0.01, QUIET), (0.02, WARNING), (0.03, ALARM)])
@pytest.mark.parametrize("axis", [0, 1])
def test_a_tilt_has_limits_of_its_own(slope: float, alert: int, axis: int) -> None:
    y, x = np.mgrid[: CAMERA.ny, : CAMERA.nx]
    tilted = found(1 + slope * ((x / CAMERA.nx, y / CAMERA.ny)[axis] - 0.5))
    assert tilted.alert == alert
    assert tilted.tilt[axis] == pytest.approx(slope, abs=5e-4)
    assert tilted.step == (0, 0)
    assert [says.split(" by ")[0] for says in tilted.says] == ["the light is tilted"] * (alert > 0)


@pytest.mark.parametrize(("axis", "half"), [(0, "right"), (1, "upper")])
@pytest.mark.parametrize("slope", [0.0, 0.006])
@pytest.mark.parametrize("factor", [1.01, 0.99])
def test_a_half_of_the_detector_that_drifts_is_no_tilt(
    axis: int, half: str, slope: float, factor: float
) -> None:
    """As behind a read-out board, on whatever gradient the sky has that evening."""
    place = np.indices(CAMERA.shape)[1 - axis] / CAMERA.shape[1 - axis] - 0.5
    drifted = found(np.where(place > 0, factor, 1.0) * (1 + slope * place))
    assert drifted.alert == ALARM
    assert drifted.step[axis] == pytest.approx(factor - 1, abs=5e-4)
    assert drifted.step[1 - axis] == 0
    assert drifted.tilt[axis] == pytest.approx(slope, abs=5e-4)
    assert len(drifted.says) == 1
    assert drifted.says[0].startswith(f"the {half} half of the CCD changed by ")
    moved = np.array([v.value for v in drifted.monitored() if v.metric == "flat_ratio"])
    assert np.abs(moved - 1) == pytest.approx(np.full(16, 0.005), abs=5e-4)


def test_a_drifting_amplifier_shows_beside_a_half_that_drifts() -> None:
    upper = np.where(np.arange(CAMERA.ny) > CAMERA.ny / 2, 1.01, 1.0)[:, None]
    drifted = found(upper * gain(3, 1.01))
    assert [says.split(" changed")[0] for says in drifted.says] == [
        "amplifier 3",
        "the upper half of the CCD",
    ]


def test_half_a_percent_and_more_is_a_warning() -> None:
    assert found(gain(3, 1.007)).alert == WARNING
    assert found(gain(3, 1.003)).alert == QUIET


@pytest.mark.parametrize(
    ("outer", "depth"),
    [(18, 0.005), (45, 0.005), (18, 0.02), (45, 0.02), (30, 0.01), (70, 0.005), (70, 0.02)],
)
@pytest.mark.parametrize("place", [(620.0, 310.0), (140.0, 577.0)])
def test_a_grain_of_dust_is_an_alarm_that_says_where(
    outer: float, depth: float, place: tuple[float, float]
) -> None:
    dusty = found(donut(np.ones(CAMERA.shape), *place, outer, depth))
    assert dusty.alert == ALARM
    assert len(dusty.dust) == 1
    grain = dusty.dust[0]
    assert np.hypot(grain.x - place[0], grain.y - place[1]) < 5
    assert grain.diameter_px == pytest.approx(2 * outer, rel=0.25)
    assert grain.depth == pytest.approx(depth, rel=0.25)
    assert dusty.says[0].startswith("new dust at x = ")
    followed = [v.value for v in dusty.monitored() if v.metric == "flat_dust"]
    assert followed == [pytest.approx(depth, rel=0.25)]


def test_dust_that_left_is_told_from_dust_that_came() -> None:
    gone = found(1 / donut(np.ones(CAMERA.shape), 620, 310, 30, 0.01))
    assert gone.alert == ALARM
    assert gone.dust[0].depth == pytest.approx(-0.01, rel=0.25)
    assert "dust went away" in gone.says[0]


def test_a_bad_column_and_single_pixels_are_no_dust() -> None:
    spoilt = np.ones(CAMERA.shape)
    spoilt[100:400, 350] = 0.9
    spoilt[600, 200:203] = 1.5
    assert found(spoilt).dust == ()


def test_illumination_that_changes_with_the_radius_shows() -> None:
    y, x = np.mgrid[: CAMERA.ny, : CAMERA.nx]
    r2 = ((y - 577) ** 2 + (x - 576) ** 2) / (577**2 + 576**2)
    swollen = found(1 + 0.02 * r2)
    assert swollen.alert == ALARM
    assert any("illumination changed with the radius" in says for says in swollen.says)
    assert np.all(np.diff(swollen.radial_ratio) > 0)


def test_masked_pixels_change_nothing() -> None:
    spoilt = flat(2)
    spoilt.image[200:800, 700] = 77.0
    clean = stability(flat(2), flat(1), CAMERA, SETTINGS)
    again = stability(spoilt, flat(1), CAMERA, SETTINGS)
    assert np.array_equal(clean.amp_ratio, again.amp_ratio)
    assert np.array_equal(clean.histogram, again.histogram)


def test_flats_that_do_not_fit_are_refused() -> None:
    small = Master("FLAT", np.ones((8, 8), np.float32), np.zeros((8, 8), np.uint8))
    with pytest.raises(QualityError, match=r"shapes \(8, 8\) and"):
        stability(small, flat(1), CAMERA, SETTINGS)
    blind = flat(2)
    blind.mask[:] = MaskBit.BAD
    with pytest.raises(QualityError, match="no pixel good in both"):
        stability(blind, flat(1), CAMERA, SETTINGS)


def test_the_page_holds_picture_numbers_and_ratio() -> None:
    dusty = found(donut(gain(6, 1.01), 620, 310, 30, 0.01))
    pages = page.draw(dusty, CAMERA, SETTINGS)
    assert set(pages) == {"ratio.png", "ratio.json", "ratio.fits"}
    numbers = json.loads(pages["ratio.json"])
    assert numbers["alert"] == "alarm"
    assert len(numbers["says"]) == 2
    assert len(numbers["amplifiers"]) == 16
    assert numbers["dust"][0]["diameter_px"] > 0
    with fits.open(io.BytesIO(pages["ratio.fits"])) as hdus:
        assert np.array_equal(hdus[0].data, dusty.ratio, equal_nan=True)
        assert hdus[0].header["BINNING"] == dusty.bin_px
    assert page.draw(dusty, CAMERA, SETTINGS) == pages


def test_amplifiers_are_dots_with_errors_between_the_lines_of_the_limits() -> None:
    quiet = replace(found(), amp_error=np.full(16, 0.02))
    axes = Figure().subplots()
    page._amplifiers(axes, quiet, SETTINGS)
    (dots,) = axes.containers
    np.testing.assert_allclose(dots[0].get_ydata(), 100 * (quiet.amp_ratio - 1))
    heights = {float(line.get_ydata()[0]) for line in axes.lines if line.get_linestyle() == "-"}
    limits = (SETTINGS.warn, SETTINGS.alarm)
    assert heights >= {100 * sign * each for sign in (-1, 1) for each in limits}
    low, high = axes.get_ylim()
    assert low < 100 * np.min(quiet.amp_ratio - 1 - 0.02)
    assert high > 100 * np.max(quiet.amp_ratio - 1 + 0.02)
