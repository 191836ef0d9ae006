"""Frames that something happened to: refused or put aside with a reason, never silently wrong."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.ndimage import convolve1d

from tesela.errors import QualityError
from tesela.products.maskbit import MaskBit
from tesela.stages import reduce

from . import drawn
from .drawn import Exposure, reduced

SETTINGS = reduce.ReduceSettings()


def inputs_of(exposure: Exposure, change: object = None) -> reduce.ReduceInputs:
    inputs = exposure.inputs()
    if callable(change):
        pixels = inputs.pixels.copy()
        change(pixels)
        inputs = replace(inputs, pixels=pixels)
    return inputs


def test_a_sound_frame_passes() -> None:
    made = reduced()
    assert made.rejections == []
    assert made.metrics["n_dead_amplifiers"] == 0
    assert made.metrics["sky_dim_fraction"] == 0.0


def test_a_dead_amplifier_is_masked_named_and_the_rest_calibrated() -> None:
    amp = drawn.camera().amplifiers[0]

    def kill(pixels: np.ndarray) -> None:
        pixels[amp.data.slices] = 0
        assert amp.overscan is not None
        pixels[amp.overscan.slices] = 0

    made = reduce.reduce(inputs_of(Exposure(), kill), SETTINGS)
    plain = reduced()
    assert "amplifier 1 is dead: every pixel is 0 ADU" in made.warnings
    assert (made.image.mask[amp.dest.slices] & MaskBit.BAD).all()
    assert (made.image.image[amp.dest.slices] == 0).all()
    assert made.metrics["zeropoint_mag"] == pytest.approx(plain.metrics["zeropoint_mag"], abs=0.02)
    assert any("of the pixels are bad" in reason for reason in made.rejections)
    alive = drawn.camera().amplifiers[1].dest.slices
    both = [np.median(one.image.image[alive]) for one in (made, plain)]
    assert both[0] == pytest.approx(both[1], abs=2.0)


def test_all_amplifiers_dead_is_a_quality_error() -> None:
    def kill(pixels: np.ndarray) -> None:
        pixels[:] = 7

    with pytest.raises(QualityError, match="2 of 2 amplifiers dead"):
        reduce.reduce(inputs_of(Exposure(), kill), SETTINGS)


def trail(px: int) -> Exposure:
    """The telescope moved along the rows while the shutter was open."""

    def draw(image: np.ndarray) -> None:
        image[:] = convolve1d(image, np.full(px, 1 / px), axis=1, mode="reflect")

    return Exposure(spoil=draw)


def test_a_trailed_exposure_is_refused_by_its_name() -> None:
    with pytest.raises(QualityError, match=r"bright sources drawn out .* trailed"):
        reduce.reduce(trail(15).inputs(), SETTINGS)


def test_a_slightly_trailed_exposure_is_kept_and_not_used_or_refused() -> None:
    made = reduce.reduce(trail(5).inputs(), SETTINGS)
    assert made.metrics["ellipticity"] > 0.2
    assert made.metrics["ellipticity_coherence"] > 0.9
    if made.metrics["ellipticity"] > SETTINGS.gates.max_ellipticity:
        assert any("stars are elongated" in reason for reason in made.rejections)


def test_a_dome_in_the_way_is_said() -> None:
    def vignette(image: np.ndarray) -> None:
        image[: drawn.SIZE // 3] *= 0.2

    made = reduce.reduce(Exposure(spoil=vignette).inputs(), SETTINGS)
    assert any("dome or shutter in the way" in reason for reason in made.rejections)


def test_a_dome_that_leaves_too_few_stars_is_said() -> None:
    def vignette(image: np.ndarray) -> None:
        image[:140] *= 0.01
        image[140:] = drawn.SKY_E  # and what it leaves has no stars

    with pytest.raises(QualityError, match="dome or shutter in the way"):
        reduce.reduce(Exposure(spoil=vignette).inputs(), SETTINGS)


def test_a_gradient_of_the_sky_is_followed_on_a_small_ccd() -> None:
    steps = np.linspace(-0.3, 0.3, drawn.SIZE)

    def tilt(image: np.ndarray) -> None:
        image += drawn.SKY_E * steps[:, None]

    made = reduce.reduce(Exposure(spoil=tilt).inputs(), SETTINGS)
    assert made.metrics["zeropoint_mag"] == pytest.approx(drawn.ZEROPOINT_MAG, abs=0.01)
    assert made.rejections == []


def test_clouds_are_no_traceback() -> None:
    with pytest.raises(QualityError, match="clouds"):
        reduced(Exposure(zeropoint_mag=drawn.ZEROPOINT_MAG - 9.0))


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("kind", ["BIAS", "FLAT"])
def test_pixels_of_masters_that_are_no_numbers_are_bad(kind: str, value: float) -> None:
    masters = {name: drawn.perfect(name) for name in ("BIAS", "FLAT")}
    masters[kind].image[40:44, 50:60] = value
    made = reduced(masters=masters)
    assert (made.image.mask[40:44, 50:60] & MaskBit.BAD).all()
    assert np.isfinite(made.image.image).all() and np.isfinite(made.image.variance).all()
    assert made.metrics["zeropoint_mag"] == pytest.approx(drawn.ZEROPOINT_MAG, abs=0.02)


@pytest.mark.parametrize(("ra", "dec"), [(1.0, 0.0), (0.0, -1.0)])
def test_a_pointing_that_is_wrong_by_a_degree_gives_no_wcs(ra: float, dec: float) -> None:
    inputs = Exposure().inputs()
    there = replace(
        inputs.facts, ra_deg=drawn.POINTING[0] + ra / 0.6, dec_deg=drawn.POINTING[1] + dec
    )
    with pytest.raises(QualityError):
        reduce.reduce(replace(inputs, facts=there), SETTINGS)


def test_stars_of_another_field_give_no_wcs() -> None:
    inputs = Exposure().inputs()
    rng = np.random.default_rng(3)
    n = len(inputs.refcat["ra"])
    other = {
        **inputs.refcat,
        "ra": drawn.POINTING[0] + rng.uniform(-0.1, 0.1, n),
        "dec": drawn.POINTING[1] + rng.uniform(-0.1, 0.1, n),
    }
    with pytest.raises(QualityError):
        reduce.reduce(replace(inputs, refcat=other), SETTINGS)


def test_transparency_is_told_against_a_clear_night() -> None:
    inputs = Exposure(zeropoint_mag=drawn.ZEROPOINT_MAG - 0.5).inputs()
    assert reduce.reduce(inputs, SETTINGS).metrics["transparency"] is None
    reference = replace(
        inputs.reference, clear_zeropoint_mag=drawn.ZEROPOINT_MAG + 0.2, extinction_mag=0.4
    )
    facts = replace(inputs.facts, airmass=1.5)
    inputs = replace(inputs, reference=reference, facts=facts)
    settings = replace(SETTINGS, gates=replace(SETTINGS.gates, min_transparency=0.7))
    made = reduce.reduce(inputs, settings)
    assert made.metrics["transparency"] == pytest.approx(10 ** (-0.4 * 0.5), rel=0.02)
    assert made.rejections == ["clouds let 63 % of the light through"]


def test_a_zero_point_whose_stars_disagree_is_not_used() -> None:
    inputs = Exposure().inputs()
    mixed = np.random.default_rng(8).permutation(inputs.refcat["mag"])
    made = reduce.reduce(replace(inputs, refcat={**inputs.refcat, "mag": mixed}), SETTINGS)
    assert any("stars of the zero point scatter by" in reason for reason in made.rejections)


def test_a_zero_point_that_changes_over_the_field_is_not_used() -> None:
    """The sky is as bright everywhere, the stars are not: a cloud on one side."""
    fading = np.linspace(1.0, 0.7, drawn.SIZE)

    def cloud(image: np.ndarray) -> None:
        image[:] = (image - drawn.SKY_E) * fading + drawn.SKY_E

    made = reduce.reduce(Exposure(spoil=cloud).inputs(), SETTINGS)
    assert any("changes by 0.3" in reason for reason in made.rejections)


def test_a_colour_term_of_another_filter_is_not_used() -> None:
    inputs = Exposure().inputs()
    known = drawn.stars().refcat(colour_term=0.8)
    reference = replace(
        inputs.reference, colour=("blue", "mag"), colour_pivot=0.8, colour_coefficient="fit"
    )
    made = reduce.reduce(replace(inputs, refcat=known, reference=reference), SETTINGS)
    assert any("colour term of +0.8" in reason for reason in made.rejections)
    stated = replace(reference, colour_coefficient=0.8)
    made = reduce.reduce(replace(inputs, refcat=known, reference=stated), SETTINGS)
    assert not any("colour term" in reason for reason in made.rejections), "the survey says so"


def test_faint_stars_do_not_make_a_zero_point_wrong() -> None:
    """A short exposure of a sound frame: its stars scatter by what their errors say."""
    for seed in range(4):
        made = reduced(Exposure(seed=seed, zeropoint_mag=drawn.ZEROPOINT_MAG - 3.0))
        assert made.metrics["zeropoint_scatter_mag"] == pytest.approx(
            made.metrics["zeropoint_expected_scatter_mag"], rel=0.4
        )
        assert made.rejections == []
