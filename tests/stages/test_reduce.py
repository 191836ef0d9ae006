"""The reduction of a drawn frame gives back what was drawn."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tesela.cameras import zerolevel
from tesela.config import Reference
from tesela.errors import QualityError, TeselaError
from tesela.pixels import background
from tesela.products.images import card_dict
from tesela.products.maskbit import UNUSABLE, MaskBit
from tesela.products.starlist import SOURCES
from tesela.sky import match
from tesela.sky.wcs import Wcs
from tesela.stages import reduce
from tesela.stages.reduce.finish import assemble
from tesela.stages.reduce.frame import Frame

from . import drawn
from .drawn import Exposure, reduced

ORDER = [
    "overscan", "bias", "linearity", "gain", "dark", "saturation", "crosstalk", "flat",
    "illumination", "provisional sky", "fringe", "pattern", "bad pixels", "sky", "cosmic rays",
    "trails", "detection", "psf", "psf photometry", "astrometry", "zero point",
]  # fmt: skip


@pytest.fixture(scope="module")
def plain() -> reduce.ReduceOutputs:
    return reduced()


def detector(image_adu: np.ndarray) -> np.ndarray:
    """The data sections of a raw frame, where they belong."""
    unit = drawn.camera()
    out = np.empty(unit.shape)
    for amp in unit.amplifiers:
        out[amp.dest.slices] = image_adu[amp.data.slices]
    return out


def test_operations_are_recorded_in_the_order_in_which_they_are_done(
    plain: reduce.ReduceOutputs,
) -> None:
    cards = card_dict(plain.image.cards)
    names = [cards[f"TSL OP{n} NAME"] for n in range(1, len(ORDER) + 1)]
    assert names == ORDER
    assert f"TSL OP{len(ORDER) + 1} NAME" not in cards
    assert cards["TSL OP1 METHOD"] == zerolevel.ROWS
    assert cards["TSL OP1 LEVEL_ADU"] == pytest.approx(drawn.LEVEL_ADU, abs=0.5)
    assert cards["TSL OP15 SIGCLIP"] == reduce.ReduceSettings().cosmics.sigclip


def test_zero_point_and_positions_are_those_that_were_drawn(plain: reduce.ReduceOutputs) -> None:
    cards = card_dict(plain.image.cards)
    assert cards["MAGZP"] == pytest.approx(drawn.ZEROPOINT_MAG, abs=0.01)
    assert plain.metrics["zeropoint_err_mag"] < 0.005
    found, truth = plain.image.sources, drawn.stars()
    i, j, _ = match.nearest(found["ra"], found["dec"], truth.ra, truth.dec, 1.0)
    assert len(i) > 110
    mag = cards["MAGZP"] - 2.5 * np.log10(found["flux_psf"][i] / drawn.EXPTIME_S)
    assert abs(np.median(mag - truth.mag[j])) < 0.01
    solved = Wcs.from_cards(cards, plain.image.image.shape)
    x, y = solved.sky_to_pix(truth.ra, truth.dec)
    true_x, true_y = drawn.wcs().sky_to_pix(truth.ra, truth.dec)
    assert np.sqrt(np.mean((x - true_x) ** 2 + (y - true_y) ** 2)) < 0.06
    assert plain.metrics["fwhm_px"] == pytest.approx(3.0, rel=0.1)


def test_the_star_list_is_the_described_one(plain: reduce.ReduceOutputs) -> None:
    table = plain.image.sources
    made = {k: (v.dtype.name, v[0].size) for k, v in table.items()}
    assert made == {name: (c.dtype, c.length) for name, c in SOURCES.items()}
    width = dict(zip(plain.image.apertures_arcsec, table["flux_aper"].T))
    assert plain.image.apertures_arcsec[-1] == reduce.ReduceSettings().photometry.aperture_arcsec
    assert len(plain.image.apertures_arcsec) == table["flux_aper"].shape[1]
    bright = table["flux_psf"] > 30 * table["flux_psf_err"]
    grown = [np.median(width[arcsec][bright]) for arcsec in sorted(width)]
    assert (np.diff(grown) > 0).all()


def test_sky_and_image_together_are_the_unsubtracted_frame(plain: reduce.ReduceOutputs) -> None:
    image = plain.image
    mesh_px = card_dict(image.cards)["SKYMESH"]
    sky = background.from_mesh(image.sky_mesh[0], image.image.shape, mesh_px)
    frame = (detector(Exposure().raw().astype(float)) - drawn.LEVEL_ADU) * drawn.GAIN
    difference = image.image + sky - frame
    # What is left is the noise of the overscan's level, the same along a row.
    assert abs(difference.mean()) < 0.3
    assert difference.std() < 2.0
    assert np.median(sky) == pytest.approx(drawn.SKY_E, abs=2.0)


def test_light_everywhere_moves_the_sky_and_nothing_else(plain: reduce.ReduceOutputs) -> None:
    inputs = Exposure().inputs()
    unit, brighter = drawn.camera(), inputs.pixels.copy()
    for amp in unit.amplifiers:
        brighter[amp.data.slices] += 100
    moved = reduced(pixels=brighter)
    assert moved.metrics["sky_e"] - plain.metrics["sky_e"] == pytest.approx(150, abs=0.05)
    assert np.abs(moved.image.image - plain.image.image).max() < 0.2
    assert moved.metrics["zeropoint_mag"] == pytest.approx(
        plain.metrics["zeropoint_mag"], abs=0.005
    )


def test_the_electronic_level_does_not_matter(plain: reduce.ReduceOutputs) -> None:
    moved = reduced(pixels=Exposure().inputs().pixels + np.uint16(250))
    np.testing.assert_allclose(moved.image.image, plain.image.image, atol=0.05)
    np.testing.assert_array_equal(moved.image.mask, plain.image.mask)
    assert moved.metrics["overscan_level_adu"] - plain.metrics["overscan_level_adu"] == (
        pytest.approx(250, abs=0.01)
    )


def test_an_image_is_not_assembled_before_its_sky_is_known() -> None:
    nothing = np.ones((8, 8), np.float32)
    frame = Frame(nothing, nothing.astype(np.uint8), nothing, nothing)
    with pytest.raises(TeselaError, match="no sky model yet"):
        assemble(frame, None, None, None, Exposure().inputs(), None)  # type: ignore[arg-type]


def test_same_input_same_bytes(plain: reduce.ReduceOutputs) -> None:
    assert reduced().image.data_hash() == plain.image.data_hash()


def trail(image: np.ndarray, peak_e: float) -> None:
    """Draw a satellite of 7 pixels' width across the whole frame."""
    y, x = np.mgrid[0 : drawn.SIZE, 0 : drawn.SIZE]
    away = (y - 190 - x / 8) / np.hypot(1, 1 / 8)
    image += peak_e * np.exp(-0.5 * (away / 3) ** 2)


def spoil(image: np.ndarray) -> None:
    """Draw a cosmic ray, a trail, and a star far above saturation."""
    image[101, 60:64] += 4000.0
    trail(image, 20.0)
    drawn.moffat(image, np.array([250.0]), np.array([60.0]), np.array([3e6]), 3.0)


def along_the_trail(mask: np.ndarray) -> float:
    """Fraction of the trail's axis that carries the code."""
    x = np.arange(drawn.SIZE)
    return float(np.mean((mask[190 + x // 8, x] & MaskBit.TRAIL) > 0))


def test_mask_codes_are_set_where_something_is_wrong() -> None:
    bias = drawn.perfect("BIAS")
    bias.mask[:, 77] = MaskBit.BAD
    made = reduced(Exposure(spoil=spoil), masters={"BIAS": bias, "FLAT": drawn.perfect("FLAT")})
    mask = made.image.mask
    assert (mask[:, 77] & MaskBit.BAD).all()
    assert np.count_nonzero(mask & MaskBit.BAD) == drawn.SIZE
    assert (mask[101, 60:64] & MaskBit.COSMIC_RAY).all()
    assert mask[60, 250] & MaskBit.SATURATED
    assert not (mask[:, :200] & MaskBit.SATURATED).any()
    assert along_the_trail(mask) > 0.95
    assert made.metrics["n_trails"] == 1
    y, x = np.mgrid[0 : drawn.SIZE, 0 : drawn.SIZE]
    far = np.abs(y - 190 - x / 8) > 18
    assert not (mask[far] & MaskBit.TRAIL).any()
    assert made.metrics["zeropoint_mag"] == pytest.approx(drawn.ZEROPOINT_MAG, abs=0.015)


def test_a_bright_trail_among_many_stars_is_found() -> None:
    made = reduced(Exposure(spoil=lambda image: trail(image, 120.0)))
    assert along_the_trail(made.image.mask) > 0.95


def test_stars_are_not_taken_for_cosmic_rays(plain: reduce.ReduceOutputs) -> None:
    truth = drawn.stars()
    x, y = (np.rint(v).astype(int) for v in drawn.wcs().sky_to_pix(truth.ra, truth.dec))
    assert not (plain.image.mask[y, x] & MaskBit.COSMIC_RAY).any()
    assert (plain.image.mask[y, x] & MaskBit.OBJECT).all()
    assert np.mean((plain.image.mask & MaskBit.COSMIC_RAY) > 0) < 1e-4


def test_the_picture_colours_defects_and_leaves_sources_grey(plain: reduce.ReduceOutputs) -> None:
    mask = plain.image.mask[::-1]
    assert plain.picture.shape == (*mask.shape, 3), "small enough to be shown pixel by pixel"
    coloured = np.ptp(plain.picture.astype(int), axis=2) > 0
    assert (mask == MaskBit.OBJECT).any()
    assert not coloured[(mask & UNUSABLE) == 0].any()
    assert coloured[(mask & UNUSABLE) != 0].mean() > 0.9


def test_flat_and_gain_error_cancel(plain: reduce.ReduceOutputs) -> None:
    """A half that sees 3 % less light, with a flat that knows it."""

    def dim(image: np.ndarray) -> None:
        image[:, : drawn.SIZE // 2] *= 0.97

    flat = drawn.perfect("FLAT")
    flat.image[:, : drawn.SIZE // 2] = 0.97
    masters = {"BIAS": drawn.perfect("BIAS"), "FLAT": flat}
    made = reduced(Exposure(spoil=dim), masters)
    left, right = made.image.sky_mesh[0][:, :2], made.image.sky_mesh[0][:, -2:]
    assert left.mean() == pytest.approx(right.mean(), rel=0.005)
    assert made.metrics["zeropoint_mag"] == pytest.approx(plain.metrics["zeropoint_mag"], abs=0.005)


def test_variance_is_that_of_the_noise(plain: reduce.ReduceOutputs) -> None:
    empty = plain.image.mask == 0
    expected = drawn.SKY_E + drawn.NOISE_E**2 + drawn.GAIN**2 / 12
    assert np.median(plain.image.variance[empty]) == pytest.approx(expected, rel=0.03)
    core = empty & (np.abs(plain.image.image) < 40)
    assert np.var(plain.image.image[core]) == pytest.approx(expected, rel=0.08)


def test_colour_term_is_fitted() -> None:
    reference = Reference(
        mag="mag",
        err="err",
        colour=("blue", "mag"),
        colour_pivot=0.8,
        colour_coefficient="fit",
    )
    made = reduced(refcat=drawn.stars().refcat(colour_term=0.08), reference=reference)
    cards = card_dict(made.image.cards)
    assert cards["COLCOEF"] == pytest.approx(0.08, abs=0.01)
    assert cards["COLPIVOT"] == 0.8
    assert cards["MAGZP"] == pytest.approx(drawn.ZEROPOINT_MAG, abs=0.01)


def test_crosstalk_of_the_camera_is_removed() -> None:
    strength = 0.004
    half = drawn.SIZE // 2
    star = np.array([250.0]), np.array([150.0]), np.array([8e5])

    def ghost(image: np.ndarray) -> None:
        drawn.moffat(image, *star, 3.0)
        # Both halves are read from their outer edges inwards, at the same time.
        image[:, :half] += strength * image[:, half:][:, ::-1]

    exposure = Exposure(spoil=ghost)
    matrix = ((0.0, strength), (0.0, 0.0))
    x = drawn.SIZE - 1 - 250
    region = slice(147, 154), slice(x - 3, x + 4)
    before = reduced(exposure).image.image[region].sum()
    after = reduced(exposure, camera=drawn.camera(crosstalk=matrix)).image.image[region].sum()
    base = reduced().image.image[region].sum()
    assert before - base > 1500
    assert abs(after - base) < 0.15 * (before - base)


@pytest.mark.parametrize(
    ("case", "sentence"),
    [
        ("dark", "stars for the PSF: 0 suitable among 0 objects; hardly a star shows: clouds"),
        ("elsewhere", "no reference star within"),
        ("white", "saturated"),
    ],
)
def test_what_cannot_be_calibrated_says_why(case: str, sentence: str) -> None:
    inputs = Exposure().inputs()
    if case == "dark":
        inputs = replace(inputs, pixels=drawn.raw(np.full((drawn.SIZE,) * 2, 200.0), 5))
    elif case == "elsewhere":
        inputs = replace(inputs, refcat={"ra": np.array([10.0]), "dec": np.array([-30.0])})
    else:
        pixels = inputs.pixels.copy()
        pixels[:200] = 65535
        inputs = replace(inputs, pixels=pixels)
    with pytest.raises(QualityError, match=sentence):
        reduce.reduce(inputs, reduce.ReduceSettings())


def test_what_is_not_wanted_is_left_out_and_recorded() -> None:
    settings = reduce.ReduceSettings()
    settings = replace(
        settings,
        cosmics=replace(settings.cosmics, enabled=False),
        trails=replace(settings.trails, enabled=False),
    )
    made = reduce.reduce(Exposure().inputs(), settings)
    assert not (made.image.mask & (MaskBit.COSMIC_RAY | MaskBit.TRAIL)).any()
    cards = card_dict(made.image.cards)
    names = {cards[f"TSL OP{n} NAME"]: n for n in range(1, 30) if f"TSL OP{n} NAME" in cards}
    for name in ("cosmic rays", "trails"):
        assert cards[f"TSL OP{names[name]} ENABLED"] is False
    assert made.metrics["zeropoint_mag"] == pytest.approx(drawn.ZEROPOINT_MAG, abs=0.02)
