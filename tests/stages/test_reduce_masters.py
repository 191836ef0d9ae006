"""Each master undoes what the drawn detector did, and says so in the header."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from tesela.errors import BadInput
from tesela.products.images import Master, card_dict
from tesela.products.maskbit import MaskBit
from tesela.sky import match
from tesela.stages import reduce
from tesela.stages.reduce.settings import SkySettings

from . import drawn
from .drawn import Exposure, reduced

NOTHING = np.empty((0, 0), np.float32)
NO_MASK = np.empty((0, 0), np.uint8)
Y, X = np.mgrid[0 : drawn.SIZE, 0 : drawn.SIZE]
SKY_E = 1500.0
WAVES = (np.sin(2 * np.pi * (X + 0.4 * Y) / 42.0) * 0.04).astype(np.float32)


def with_masters(*masters: Master) -> dict[str, Master]:
    """A perfect bias and flat, and these."""
    plain = {kind: drawn.perfect(kind) for kind in ("BIAS", "FLAT")}
    return plain | {master.kind: master for master in masters}


def numbers(kind: str, **arrays: object) -> Master:
    """A master without planes."""
    return Master(kind, NOTHING, NO_MASK, [], {k: np.array(v) for k, v in arrays.items()})


def plane(kind: str, image: NDArray[np.float32], mask: NDArray[np.uint8] = NO_MASK) -> Master:
    return Master(kind, image.astype(np.float32), mask)


def operation(made: reduce.ReduceOutputs, name: str) -> dict[str, object]:
    """The parameters with which an operation is in the header."""
    cards = card_dict(made.image.cards)
    n = next(n for n in range(1, 99) if cards[f"TSL OP{n} NAME"] == name)
    prefix = f"TSL OP{n} "
    return {k.removeprefix(prefix): v for k, v in cards.items() if k.startswith(prefix)}


@pytest.fixture(scope="module")
def plain() -> reduce.ReduceOutputs:
    return reduced()


def residuals(made: reduce.ReduceOutputs) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Column and measured minus true magnitude of the bright stars."""
    found, truth = made.image.sources, drawn.stars()
    i, j, _ = match.nearest(found["ra"], found["dec"], truth.ra, truth.dec, 1.0)
    bright = (found["flux_psf"][i] > 200 * found["flux_psf_err"][i]) & (found["flags"][i] == 0)
    i, j = i[bright], j[bright]
    return found["x"][i], -2.5 * np.log10(found["flux_psf"][i]) - truth.mag[j]


def tilt(made: reduce.ReduceOutputs) -> float:
    """Slope of the residuals along x, mag from side to side."""
    x, away = residuals(made)
    return float(np.polyfit(x / drawn.SIZE, away, 1)[0])


def test_a_one_sided_illumination_is_taken_out_of_the_photometry() -> None:
    """The right side looks 0.12 mag too faint: f = instrumental - true grows to the right."""
    f = 0.12 * (X / (drawn.SIZE - 1) - 0.5)
    nodes = np.tile(0.12 * (np.linspace(0, 1, 9) - 0.5), (9, 1))

    def dim(image: np.ndarray) -> None:
        image *= 10 ** (-0.4 * f)

    # The sky is tilted as well: its model must be able to follow.
    settings = reduce.ReduceSettings(sky=SkySettings(mesh_px=64))
    inputs = Exposure(spoil=dim).inputs()
    assert tilt(reduce.reduce(inputs, settings)) == pytest.approx(0.12, abs=0.01)
    lit = with_masters(numbers("ILLUMINATION", map=nodes))
    made = reduce.reduce(replace(inputs, calset=drawn.calset(lit)), settings)
    assert tilt(made) == pytest.approx(0.0, abs=0.01)
    done = operation(made, "illumination")
    assert done["SOURCE"] == "ILLUMINATION" and done["MAP"] == "instrumental - true, mag"
    assert done["PEAK_TO_PEAK_MAG"] == pytest.approx(0.12)


def test_variance_follows_the_square_of_the_illumination(plain: reduce.ReduceOutputs) -> None:
    f = 0.5 * (X / (drawn.SIZE - 1) - 0.5)
    nodes = np.tile(0.5 * (np.linspace(0, 1, 9) - 0.5), (9, 1))
    masters = with_masters(numbers("ILLUMINATION", map=nodes))
    settings = reduce.ReduceSettings(sky=SkySettings(mesh_px=40))
    made = reduce.reduce(replace(Exposure().inputs(), calset=drawn.calset(masters)), settings)
    free = (made.image.mask == 0) & (plain.image.mask == 0)
    ratio = made.image.variance / plain.image.variance / 10 ** (0.8 * f)
    for side in (X < 60, X > drawn.SIZE - 60):
        assert np.median(ratio[free & side]) == pytest.approx(1, abs=0.02)


def curve(adu: NDArray[np.float64], c: tuple[float, ...]) -> NDArray[np.float64]:
    return adu * (1 + sum(ck * (adu / 60000) ** (k + 1) for k, ck in enumerate(c)))


def test_non_linearity_is_undone_amplifier_by_amplifier(plain: reduce.ReduceOutputs) -> None:
    coefficients = ((0.04, -0.01), (-0.03, 0.005))
    pixels, grid = Exposure().raw(), np.linspace(-200, 66000, 5000)
    for amp, c in zip(drawn.camera().amplifiers, coefficients):
        true_adu = pixels[amp.data.slices] - drawn.LEVEL_ADU
        seen = np.interp(true_adu, curve(grid, c), grid)
        pixels[amp.data.slices] = np.rint(seen + drawn.LEVEL_ADU)
    line = numbers("LINEARITY", coefficients=coefficients, pivot_adu=[60000.0])
    bent = reduced(pixels=pixels)
    made = reduced(pixels=pixels, masters=with_masters(line))
    assert np.abs(bent.image.image - plain.image.image).max() > 20
    # What is left is the rounding of the bent pixels to whole ADU.
    assert np.abs(made.image.image - plain.image.image).max() < drawn.GAIN
    assert operation(made, "linearity") == {
        "NAME": "linearity", "SOURCE": "LINEARITY", "DEGREE": 2, "PIVOT_ADU": 60000.0,
    }  # fmt: skip


def test_dark_current_is_taken_off_and_its_noise_is_kept(plain: reduce.ReduceOutputs) -> None:
    glow_adu = np.rint(np.exp(-X / 60.0) * 60)
    pixels = Exposure().raw()
    for amp in drawn.camera().amplifiers:
        pixels[amp.data.slices] += glow_adu[amp.dest.slices].astype(np.uint16)
    dark = plane("DARK", glow_adu * drawn.GAIN / drawn.EXPTIME_S)
    made = reduced(pixels=pixels, masters=with_masters(dark))
    np.testing.assert_allclose(made.image.image, plain.image.image, atol=0.05)
    extra = made.image.variance - plain.image.variance
    # But for pixels at the limit of detection, which count as a source in one of the two alone.
    right = np.isclose(extra, glow_adu * drawn.GAIN, atol=0.3, rtol=1e-3)
    assert right.mean() > 0.99
    assert operation(made, "dark")["EXPTIME_S"] == drawn.EXPTIME_S


def test_the_measured_crosstalk_goes_before_the_cameras() -> None:
    matrix, wrong = ((0.0, 0.004), (0.001, 0.0)), ((0.0, 0.1), (0.1, 0.0))
    by_camera = reduced(camera=drawn.camera(crosstalk=matrix))
    by_master = reduced(
        camera=drawn.camera(crosstalk=wrong),
        masters=with_masters(numbers("CROSSTALK", matrix=matrix)),
    )
    np.testing.assert_array_equal(by_master.image.image, by_camera.image.image)
    assert operation(by_camera, "crosstalk")["MATRIX"] == "of the camera"
    assert operation(by_master, "crosstalk")["MATRIX"] == "of the master"


def test_ghosts_are_taken_off_before_the_response() -> None:
    """A victim behind a response of a half holds the whole ghost."""
    strength, half = 0.004, drawn.SIZE // 2
    response = drawn.perfect("FLAT")
    response.image[:, :half] = 0.5

    def ghost(image: np.ndarray) -> None:
        drawn.moffat(image, np.array([250.0]), np.array([150.0]), np.array([8e5]), 3.0)
        image[:, :half] *= 0.5
        image[:, :half] += strength * image[:, half:][:, ::-1]

    masters = with_masters(response, numbers("CROSSTALK", matrix=((0, strength), (0, 0))))
    made = reduced(Exposure(spoil=ghost), masters=masters)
    clean = reduced(Exposure(), masters=with_masters())
    x = drawn.SIZE - 1 - 250
    region = slice(147, 154), slice(x - 3, x + 4)
    left = made.image.image[region].sum() - clean.image.image[region].sum()
    assert abs(left) < 0.15 * strength * 8e5 / 0.5


UNEQUAL = np.array([[0.0, 0.02], [0.002, 0.0]])


def hear(image: np.ndarray) -> None:
    """Each side hears the other, read at the same moment; the left one ten times as much."""
    half = drawn.SIZE // 2
    left, right = image[:, :half].copy(), image[:, half:].copy()
    image[:, :half] += UNEQUAL[0, 1] * right[:, ::-1]
    image[:, half:] += UNEQUAL[1, 0] * left[:, ::-1]


def heard_flat(response: NDArray[np.float64]) -> Master:
    """A flat lights both sides, so that each is in the other's; one number normalises it."""
    flat = response.copy()
    hear(flat)
    return plane("FLAT", (flat / np.median(flat)).astype(np.float32))


@pytest.mark.parametrize("source", ["master", "camera"])
def test_unequal_crosstalk_leaves_no_step_between_amplifiers(source: str) -> None:
    """The ghosts in the flat go as those in the frame do: sky and stars agree on both sides."""
    response = 1 + 0.05 * np.cos(3 * X / drawn.SIZE) * np.sin(2 * Y / drawn.SIZE)

    def spoil(image: np.ndarray) -> None:
        image += SKY_E - drawn.SKY_E
        image *= response
        hear(image)

    masters = with_masters(heard_flat(response))
    camera = drawn.camera(crosstalk=tuple(map(tuple, UNEQUAL)))
    if source == "master":
        masters |= with_masters(masters["FLAT"], numbers("CROSSTALK", matrix=UNEQUAL))
        camera = drawn.camera()
    inputs = replace(
        Exposure(spoil=spoil).inputs(), calset=drawn.calset(masters, camera), camera=camera
    )
    detrended = reduce.detrend(inputs, reduce.ReduceSettings()).image
    free, half = detrended.mask == 0, drawn.SIZE // 2
    left, right = (
        np.mean(side[ok])
        for side, ok in (
            (detrended.image[:, :half], free[:, :half]),
            (detrended.image[:, half:], free[:, half:]),
        )
    )
    assert left / right == pytest.approx(1, abs=5e-4)
    assert left == pytest.approx(SKY_E * np.median(response), rel=3e-3)  # wings of stars
    made = reduce.reduce(inputs, reduce.ReduceSettings())
    assert operation(made, "flat")["CROSSTALK_REMOVED"] is True
    x, away = residuals(made)
    step = np.median(away[x < half]) - np.median(away[x >= half])
    assert step == pytest.approx(0, abs=0.004)


def test_a_hole_in_the_flat_does_not_spread_to_what_hears_it() -> None:
    flat = heard_flat(np.ones((drawn.SIZE, drawn.SIZE)))
    flat.image[50, 40] = np.nan
    masters = with_masters(flat, numbers("CROSSTALK", matrix=UNEQUAL))
    made = reduced(Exposure(spoil=hear), masters=masters)
    assert np.isfinite(made.image.image).all() and np.isfinite(made.image.variance).all()
    bad = (made.image.mask & MaskBit.BAD) > 0
    assert np.argwhere(bad).tolist() == [[50, 40]]


def fringed(scale: float) -> Exposure:
    def light(image: np.ndarray) -> None:
        image += SKY_E - drawn.SKY_E + SKY_E * scale * WAVES

    return Exposure(spoil=light)


def strength(image: NDArray[np.float32], mask: NDArray[np.uint8]) -> float:
    """Amplitude of the waves in the pixels that show sky, relative to them."""
    free = (mask & ~np.uint8(MaskBit.HOLE)) == 0
    values, waves = image[free].astype(float), WAVES[free].astype(float)
    keep = np.abs(values - np.median(values)) < 5 * np.std(values)
    return float(np.polyfit(waves[keep], values[keep], 1)[0] / SKY_E)


def test_fringes_are_removed_to_a_tenth_and_their_holes_flagged() -> None:
    holes = np.zeros(WAVES.shape, np.uint8)
    holes[200:204, 100:104] = MaskBit.HOLE
    fringe = plane("FRINGE", WAVES, holes)
    before = reduced(fringed(0.8)).image
    made = reduced(fringed(0.8), masters=with_masters(fringe))
    assert strength(before.image, before.mask) == pytest.approx(0.8, abs=0.1)
    assert abs(strength(made.image.image, made.image.mask)) < 0.08
    assert made.metrics["fringe_scale"] == pytest.approx(0.8, abs=0.08)
    assert 0 < made.metrics["fringe_scale_err"] < 0.1
    np.testing.assert_array_equal((made.image.mask & MaskBit.HOLE) > 0, holes > 0)
    done = operation(made, "fringe")
    assert done["SUBTRACTED"] and done["SCALE"] == pytest.approx(made.metrics["fringe_scale"])


def test_a_pattern_that_does_not_show_is_left_alone(plain: reduce.ReduceOutputs) -> None:
    holes = np.full(WAVES.shape, MaskBit.HOLE, np.uint8)
    holes[:, 20:] = 0
    made = reduced(masters=with_masters(plane("PATTERN", WAVES, holes)))
    np.testing.assert_array_equal(made.image.image, plain.image.image)
    assert not (made.image.mask & MaskBit.HOLE).any()
    assert operation(made, "pattern")["SUBTRACTED"] is False
    assert abs(made.metrics["pattern_scale"]) < 4 * made.metrics["pattern_scale_err"]


def test_bad_pixels_of_all_masters_are_joined_and_filled() -> None:
    masks = {kind: np.zeros(WAVES.shape, np.uint8) for kind in ("BIAS", "FLAT", "BADPIXEL")}
    for column, mask in zip((40, 41, 90), masks.values()):
        mask[:, column] = MaskBit.BAD
    pixels = Exposure().raw()
    pixels[:, 90] = 60001
    masters = with_masters(Master("BADPIXEL", NOTHING, masks["BADPIXEL"]))
    for kind in ("BIAS", "FLAT"):
        masters[kind].mask = masks[kind]
    masters["FLAT"].image[10, 10] = 0.0
    made = reduced(pixels=pixels, masters=masters)
    bad = (made.image.mask & MaskBit.BAD) > 0
    assert set(np.flatnonzero(bad.all(axis=0))) == {40, 41, 90}
    assert bad[10, 10], "a response of nothing is no response"
    assert np.count_nonzero(bad) == 3 * drawn.SIZE + 1
    assert np.isfinite(made.image.image).all() and np.isfinite(made.image.variance).all()
    assert np.abs(np.median(made.image.image[:, 90])) < 10


def test_what_there_is_no_master_of_is_recorded_as_none(plain: reduce.ReduceOutputs) -> None:
    for name in ("linearity", "dark", "illumination", "fringe", "pattern"):
        assert operation(plain, name) == {"NAME": name, "SOURCE": "none"}
    assert operation(plain, "crosstalk")["MATRIX"] == "none known"


def test_a_dome_flat_may_stand_in_and_says_so() -> None:
    masters = with_masters() | {"FLAT": drawn.perfect("DOMEFLAT")}
    assert operation(reduced(masters=masters), "flat")["SOURCE"] == "DOMEFLAT"


SMALL = np.ones((8, 8), np.float32)
WRONG = {
    "BIAS": (plane("BIAS", SMALL), r"BIAS of frame: image of shape \(8, 8\)"),
    "FLAT": (plane("FLAT", SMALL), "FLAT of frame: image of shape"),
    "DARK": (plane("DARK", SMALL), "DARK of frame: image of shape"),
    "FRINGE": (plane("FRINGE", SMALL), "FRINGE of frame: image of shape"),
    "PATTERN": (plane("PATTERN", NOTHING), "PATTERN of frame: image of shape"),
    "BADPIXEL": (
        Master("BADPIXEL", NOTHING, SMALL.astype(np.uint8)),
        "BADPIXEL of frame: mask of shape",
    ),
    "LINEARITY": (
        numbers("LINEARITY", coefficients=np.zeros((16, 2)), pivot_adu=[6e4]),
        r"coefficients of shape \(16, 2\).*expected coefficients of shape \(2, any\)",
    ),
    "CROSSTALK": (numbers("CROSSTALK", matrix=np.zeros((16, 16))), r"expected matrix of shape"),
    "ILLUMINATION": (numbers("ILLUMINATION", map=[[0.0, np.nan]]), "2, .* 1 finite|all finite"),
}


@pytest.mark.parametrize("kind", WRONG)
def test_masters_of_another_camera_are_refused(kind: str) -> None:
    master, sentence = WRONG[kind]
    with pytest.raises(BadInput, match=sentence):
        reduced(masters=with_masters(master))


def test_missing_and_mistaken_masters_are_refused() -> None:
    with pytest.raises(BadInput, match="no master FLAT"):
        reduced(masters={"BIAS": drawn.perfect("BIAS")})
    with pytest.raises(BadInput, match="a master of kind 'BIAS'; expected FLAT"):
        reduced(masters=with_masters() | {"FLAT": drawn.perfect("BIAS")})
    with pytest.raises(BadInput, match="no array 'map'"):
        reduced(masters=with_masters(numbers("ILLUMINATION", error=[[0.0]])))
