"""The quick look tells of any frame what can be told, and why not the rest."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy import ndimage

from tesela.products.starlist import QUICKLOOK
from tesela.stages import reduce
from tesela.stages.reduce.quick_judge import transparency

from . import drawn
from .drawn import Exposure, reduced

SETTINGS, QUICK = reduce.ReduceSettings(), reduce.QuickSettings()
OF_SKY = ("fwhm_arcsec", "ellipticity", "zeropoint_mag", "transparency")


def looked(
    exposure: Exposure | None = None,
    *,
    obstype: str = "science",
    usual_mag: float | None = None,
    **changes: object,
) -> reduce.QuickOutputs:
    """Look at a drawn exposure without any master; `changes` replace parts of the inputs."""
    inputs = (exposure or Exposure()).inputs()
    plain = reduce.approximate({}, drawn.camera(), "frame")
    inputs = replace(inputs, calset=plain, facts=replace(inputs.facts, obstype=obstype))
    return reduce.look(replace(inputs, **changes), SETTINGS, QUICK, usual_mag)  # type: ignore[arg-type]


def test_a_sound_frame_passes_with_the_numbers_of_its_reduction() -> None:
    quick, full = looked(usual_mag=drawn.ZEROPOINT_MAG), reduced()
    assert quick.rejections == quick.warnings == []
    assert quick.metrics["zeropoint_mag"] == pytest.approx(drawn.ZEROPOINT_MAG, abs=0.01)
    assert quick.metrics["transparency"] == pytest.approx(1, abs=0.01)
    assert quick.metrics["fwhm_arcsec"] == pytest.approx(full.metrics["fwhm_arcsec"], rel=0.01)
    assert quick.metrics["ellipticity"] == pytest.approx(full.metrics["ellipticity"], abs=0.005)
    assert quick.metrics["sky_e"] == pytest.approx(full.metrics["sky_e"], rel=0.01)
    assert quick.metrics["level_adu"] == pytest.approx(drawn.SKY_E / drawn.GAIN, rel=0.02)
    assert quick.metrics["readnoise_e"] == pytest.approx(drawn.NOISE_E, rel=0.05)


def test_it_leaves_out_what_takes_long() -> None:
    quick = looked()
    assert not {"trails", "fringe", "pattern"} & set(quick.operations)
    assert {"overscan", "flat", "sky", "psf", "astrometry", "zero point"} <= set(quick.operations)
    assert max(quick.picture.shape) <= 640
    assert all(image.shape == mask.shape for image, mask in quick.preview.values())
    assert quick.wcs["CTYPE1"].startswith("RA---")


def test_few_of_the_brightest_are_kept() -> None:
    inputs = Exposure().inputs()
    made = reduce.look(inputs, SETTINGS, replace(QUICK, max_stars=40))
    assert {k: v.dtype.name for k, v in made.stars.items()} == {
        name: column.dtype for name, column in QUICKLOOK.items()
    }
    flux = made.stars["flux_auto"]
    assert len(flux) == 40
    assert np.all(np.diff(flux) <= 0)
    assert made.metrics["n_sources"] > 100


def test_masters_change_what_they_should() -> None:
    def shade(image: np.ndarray) -> None:
        image[:, :160] *= 0.8
        image[:, 160:] *= 1.2

    flat = drawn.perfect("FLAT")
    shade(flat.image)
    calset = reduce.approximate({"FLAT": flat}, drawn.camera(), "frame")
    assert calset.flat_kind == "FLAT"
    assert not calset.bias.any()

    def step_mag(**changes: object) -> float:
        """How much brighter stars are to the right."""
        found = looked(Exposure(spoil=shade), **changes).stars
        known = (found["i_ref"] >= 0) & (found["flags"] == 0)
        known &= found["flux_psf"] > 30000  # the step of the sky is nothing to these
        zero = drawn.stars().mag[found["i_ref"]] + 2.5 * np.log10(np.abs(found["flux_psf"]))
        right = found["x"] > 160
        return float(np.median(zero[known & right]) - np.median(zero[known & ~right]))

    assert step_mag() == pytest.approx(2.5 * np.log10(1.5), abs=0.06)
    assert step_mag(calset=calset) == pytest.approx(0, abs=0.02)
    assert reduce.approximate({}, drawn.camera(), "frame").flat_kind == "none"


def test_a_reduction_without_bias_and_flat_says_so_and_loses_nothing_else() -> None:
    given = {"DARK": replace(drawn.perfect("BIAS"), kind="DARK")}
    with_flat = {**given, "FLAT": drawn.perfect("FLAT")}
    for masters, lacking in ((given, ("BIAS", "FLAT")), (with_flat, ("BIAS",))):
        calset = reduce.approximate(masters, drawn.camera(), "frame", "reduced")
        assert calset.lacking == lacking
        assert calset.dark.size
    inputs = replace(Exposure().inputs(), calset=calset)
    made = reduce.reduce(inputs, SETTINGS)
    assert made.rejections == []
    cards = {key: value for key, value, _ in made.image.cards}
    sources = {
        value: cards.get(key.replace("NAME", "SOURCE"))
        for key, value in cards.items()
        if key.endswith(" NAME")
    }
    assert (sources["bias"], sources["flat"], sources["dark"]) == ("none", "FLAT", "DARK")


def test_the_crosstalk_of_the_camera_is_left_in() -> None:
    unit = drawn.camera(crosstalk=((0.0, 1e-3), (1e-3, 0.0)))
    assert not reduce.approximate({}, unit, "frame").crosstalk.size


def nothing_but_sky(image: np.ndarray) -> None:
    image[:] = drawn.SKY_E


def line(image: np.ndarray) -> None:
    image[:] = ndimage.uniform_filter1d(image, 25, axis=1, mode="nearest")


def test_clouds_leave_the_sky_and_a_reason() -> None:
    found = looked(Exposure(spoil=nothing_but_sky), usual_mag=22.0)
    assert found.metrics["sky_e"] == pytest.approx(drawn.SKY_E, rel=0.02)
    assert all(found.metrics[name] is None for name in OF_SKY)
    assert found.rejections
    assert found.picture.any()


def test_cosmic_rays_that_outnumber_the_stars_are_not_the_seeing(rng: np.random.Generator) -> None:
    def hit(image: np.ndarray) -> None:
        for x, y in rng.integers(3, 316, (500, 2)):
            image[y : y + 3, x : x + 2] += 4000 * rng.uniform(0.8, 1.2, (3, 2))

    seeing = [looked(Exposure(spoil=spoil)).metrics["fwhm_arcsec"] for spoil in (None, hit)]
    assert seeing[1] == pytest.approx(seeing[0], rel=0.03)


def test_trailed_stars_are_told_by_their_shape() -> None:
    found = looked(Exposure(spoil=line))
    assert found.metrics["ellipticity"] > 0.5
    assert any("trailed" in reason for reason in found.rejections)


def test_a_saturated_frame_is_not_taken_apart() -> None:
    found = looked(pixels=np.full((320, 344), 65535, np.uint16))
    assert found.metrics["fraction_saturated"] == 1
    assert any("100 % of the pixels are saturated" in reason for reason in found.rejections)
    assert all(found.metrics[name] is None for name in OF_SKY)
    assert found.preview == {}


@pytest.mark.parametrize("value", [0, 1, 1000, 59000])
def test_a_frame_of_one_value_raises_nothing(value: int) -> None:
    found = looked(pixels=np.full((320, 344), value, np.uint16))
    assert found.rejections
    assert all(found.metrics[name] is None for name in OF_SKY)


def test_noise_alone_raises_nothing(rng: np.random.Generator) -> None:
    found = looked(pixels=rng.integers(0, 65535, (320, 344)).astype(np.uint16))
    assert found.rejections


def test_a_field_without_reference_stars_passes_without_a_zero_point() -> None:
    for changes in ({"refcat": {}}, {"refcat": {"ra": np.zeros(3), "dec": np.zeros(3)}}):
        found = looked(**changes)
        assert found.rejections == []
        assert found.metrics["zeropoint_mag"] is None
        assert found.metrics["fwhm_arcsec"] is not None
        assert found.wcs == {}
        assert "no reference stars" in found.warnings[0]


def test_a_field_that_is_another_than_the_header_says_does_not_pass() -> None:
    inputs = Exposure().inputs()
    wrong = replace(inputs.facts, ra_deg=drawn.POINTING[0] + 0.1)
    found = looked(facts=wrong)
    assert found.rejections
    assert found.metrics["zeropoint_mag"] is None
    assert found.metrics["fwhm_arcsec"] is not None


def test_little_light_does_not_pass() -> None:
    found = looked(Exposure(zeropoint_mag=20.5), usual_mag=drawn.ZEROPOINT_MAG)
    assert found.metrics["transparency"] == pytest.approx(0.25, abs=0.02)
    assert any("clouds: 25 %" in reason for reason in found.rejections)
    assert transparency(None, 22.0) is transparency(22.0, None) is None


@pytest.mark.parametrize("obstype", ["bias", "dark", "flat"])
def test_of_other_frames_level_noise_and_saturation_are_told(obstype: str) -> None:
    found = looked(obstype=obstype)
    assert found.metrics["level_adu"] == pytest.approx(drawn.SKY_E / drawn.GAIN, rel=0.02)
    assert len(found.metrics["amp_noise_adu"]) == 2
    assert "fwhm_arcsec" not in found.metrics
    assert (found.stars, found.wcs, found.preview) == ({}, {}, {})
    assert np.median(found.picture) > 60, "its shades are for the light itself"
    assert bool(found.rejections) is (obstype == "flat"), "133 ADU are no flat"


def test_a_dead_amplifier_is_told() -> None:
    pixels = Exposure().raw()
    pixels[:, :160] = 1000
    found = looked(pixels=pixels, obstype="bias")
    assert found.warnings == ["no noise in amplifier 1: it is dead or was not read"]
    assert found.rejections == []


def test_pixels_without_a_number_raise_nothing() -> None:
    pixels = Exposure().raw().astype(np.float32)
    pixels[40:60, 30:50] = np.nan
    pixels[100, 100] = np.inf
    found = looked(pixels=pixels)
    assert found.rejections == []
    assert found.metrics["level_adu"] == pytest.approx(drawn.SKY_E / drawn.GAIN, rel=0.02)
    assert found.metrics["zeropoint_mag"] == pytest.approx(drawn.ZEROPOINT_MAG, abs=0.02)


def test_what_a_clear_night_is_the_survey_says_first() -> None:
    inputs = Exposure().inputs()
    said = replace(inputs.reference, clear_zeropoint_mag=drawn.ZEROPOINT_MAG + 1)
    found = looked(reference=said, usual_mag=drawn.ZEROPOINT_MAG)
    assert found.metrics["transparency"] == pytest.approx(0.4, abs=0.02)


def test_threads_change_nothing() -> None:
    one, two = looked(), looked(threads=2)
    assert one.metrics == two.metrics
    assert all(np.array_equal(one.stars[name], two.stars[name]) for name in one.stars)


def test_a_limit_on_the_seeing_is_the_observers_own() -> None:
    inputs = Exposure().inputs()
    limited = replace(QUICK, max_fwhm_arcsec=1.0)
    found = reduce.look(inputs, SETTINGS, limited)
    assert any(reason.startswith("seeing 1.") for reason in found.rejections)
