"""An amplifier that is broken, in whatever way, is left out and named, and spoils nothing else."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from numpy.typing import NDArray

from tesela.errors import QualityError
from tesela.products.maskbit import MaskBit
from tesela.stages import reduce
from tesela.stages.reduce import detector, gates, sky
from tesela.stages.reduce.frame import Frame

from . import drawn
from .drawn import Exposure

SETTINGS = reduce.ReduceSettings()
UNIT = drawn.camera()
Floats = NDArray[np.float64]
Change = Callable[[Floats], None]


def data(amp: int) -> tuple[slice, slice]:
    return UNIT.amplifiers[amp].data.slices


def strip(amp: int) -> tuple[slice, slice]:
    section = UNIT.amplifiers[amp].overscan
    assert section is not None
    return section.slices


def dead_output(raw: Floats) -> None:
    """The level and the noise of a bias, where the sky should be."""
    rng = np.random.default_rng(8)
    raw[data(1)] = rng.normal(drawn.LEVEL_ADU, drawn.NOISE_E / drawn.GAIN, raw[data(1)].shape)


def raised(raw: Floats) -> None:
    raw[data(1)] += 400


def halved(raw: Floats) -> None:
    raw[data(1)] /= 2
    raw[strip(1)] /= 2


def negated(raw: Floats) -> None:
    raw[data(1)] = 2 * drawn.LEVEL_ADU - raw[data(1)]


def zero_overscan(raw: Floats) -> None:
    raw[strip(1)] = 0


def full_overscan(raw: Floats) -> None:
    raw[strip(1)] = 65535


def no_overscan(raw: Floats) -> None:
    raw[strip(1)] = np.nan


def no_data(raw: Floats) -> None:
    raw[data(1)] = np.nan


BROKEN: dict[Change, str] = {
    dead_output: "200 e- below its neighbours",
    raised: "600 e- above its neighbours",
    halved: "100 e- below its neighbours",
    negated: "400 e- below its neighbours",
    zero_overscan: "the overscan is 0 ADU everywhere",
    full_overscan: "the overscan is saturated, 65535 ADU",
    no_overscan: "the overscan has no number",
    no_data: "no pixel has a number",
}


def inputs_with(change: Change, exposure: Exposure | None = None) -> reduce.ReduceInputs:
    """A raw frame of integers, or of floats where a number is missing."""
    inputs = (exposure or Exposure()).inputs()
    raw = inputs.pixels.astype(np.float64)
    change(raw)
    whole = np.isfinite(raw).all()
    pixels = np.clip(np.rint(raw), 0, 65535).astype(np.uint16) if whole else raw.astype(np.float32)
    return replace(inputs, pixels=pixels)


def as_read(change: Change, exposure: Exposure | None = None) -> Frame:
    """As far as the flat."""
    return detector.remove_signature(inputs_with(change, exposure))


def nothing(raw: Floats) -> None:
    """A sound frame."""


@cache
def sound() -> reduce.ReduceOutputs:
    return reduce.reduce(inputs_with(nothing), SETTINGS)


def number_in(sentence: str) -> float:
    return next(float(word) for word in sentence.split() if word.lstrip("-").isdigit())


@pytest.mark.parametrize("change", BROKEN, ids=lambda change: change.__name__)
def test_it_is_masked_as_a_whole_and_named(change: Change) -> None:
    frame = as_read(change)
    left, right = (amp.dest.slices for amp in UNIT.amplifiers)
    assert frame.has(MaskBit.BAD)[right].all()
    assert not frame.has(MaskBit.BAD)[left].any()
    assert frame.metrics["n_dead_amplifiers"] == 1
    (said,) = frame.warnings
    found, wanted = said.removeprefix("amplifier 2 is dead: "), BROKEN[change]
    assert found != said
    if "neighbours" in wanted:
        assert number_in(found) == pytest.approx(number_in(wanted), abs=8)
        assert wanted.split(" ", 1)[1] in found
        assert "under a sky of" in found
    else:
        assert found == wanted


@pytest.mark.parametrize("change", [dead_output, full_overscan, no_overscan])
def test_the_other_is_calibrated_as_if_alone(change: Change) -> None:
    made = reduce.reduce(inputs_with(change), SETTINGS)
    left, right = (amp.dest.slices for amp in UNIT.amplifiers)
    assert made.metrics["zeropoint_mag"] == pytest.approx(drawn.ZEROPOINT_MAG, abs=0.02)
    assert made.metrics["sky_e"] == pytest.approx(sound().metrics["sky_e"], rel=0.02)
    assert made.metrics["noise_over_expected"] == pytest.approx(1, abs=0.05)
    assert (made.image.image[right] == 0).all()
    both = [np.median(one.image.image[left]) for one in (made, sound())]
    assert both[0] == pytest.approx(both[1], abs=2)
    assert any("of the pixels are bad" in reason for reason in made.rejections)


@pytest.mark.parametrize("change", [dead_output, zero_overscan, no_overscan, halved])
def test_the_quick_look_tells_it_too(change: Change) -> None:
    made = reduce.look(inputs_with(change), SETTINGS, reduce.QuickSettings())
    assert any(said.startswith("amplifier 2 is dead: ") for said in made.warnings)
    assert any("of the pixels are bad" in reason for reason in made.rejections)


def test_an_overscan_without_numbers_is_told_of_a_bias_too() -> None:
    inputs = inputs_with(no_overscan)
    inputs = replace(inputs, facts=replace(inputs.facts, obstype="bias"))
    made = reduce.look(inputs, SETTINGS, reduce.QuickSettings())
    assert "amplifier 2 is dead: the overscan has no number" in made.warnings


@pytest.mark.parametrize(
    ("value", "said"),
    [(np.nan, "the overscan has no number"), (65535, "saturated, 65535"), (0, "0 ADU everywhere")],
)
def test_no_overscan_at_all_refuses_the_frame_with_that_reason(value: float, said: str) -> None:
    def everywhere(raw: Floats) -> None:
        raw[strip(0)] = raw[strip(1)] = value

    with pytest.raises(QualityError, match=f"2 of 2 amplifiers dead: .*{said}"):
        reduce.reduce(inputs_with(everywhere), SETTINGS)
    seen = reduce.look(inputs_with(everywhere), SETTINGS, reduce.QuickSettings())
    assert any(said in reason for reason in seen.rejections)


def test_light_in_rows_of_the_overscan_is_warned_of_and_leaves_the_level() -> None:
    def shine(raw: Floats) -> None:
        raw[strip(1)][100:200] += 1000

    frame, plain = as_read(shine), as_read(nothing)
    (said,) = frame.warnings
    assert said.startswith("overscan of amplifier 2 has light in 100 rows")
    assert frame.dead == []
    assert np.abs(np.median(frame.image - plain.image, axis=1)).max() < drawn.NOISE_E


def test_counts_on_another_scale_are_not_used() -> None:
    def tenfold(raw: Floats) -> None:
        raw *= 10

    made = reduce.reduce(inputs_with(tenfold), SETTINGS)
    ratio = made.metrics["noise_over_expected"]
    assert ratio > SETTINGS.gates.max_noise_ratio
    said = f"the noise is {ratio:.2f} of what light and read-out explain"
    assert any(said in reason for reason in made.rejections)
    seen = reduce.look(inputs_with(tenfold), SETTINGS, reduce.QuickSettings())
    assert any("of what light and read-out explain" in reason for reason in seen.rejections)


@pytest.mark.parametrize(
    ("ratio", "passes"), [(0.4, False), (0.6, True), (1.9, True), (2.1, False)]
)
def test_the_gate_of_the_noise_has_both_ends(ratio: float, passes: bool) -> None:
    frame = as_read(nothing)
    sky.find_objects(frame, SETTINGS.sky)
    sky.subtract(frame, SETTINGS.sky)
    frame.metrics.update(ellipticity=0.0, noise_over_expected=ratio)
    assert (gates.judge(frame, SETTINGS.gates) == []) == passes


def test_a_dark_sky_with_steps_of_a_few_electrons_keeps_its_amplifiers() -> None:
    def weak_flat(image: Floats) -> None:
        image -= drawn.SKY_E - 10
        image[:, : drawn.SIZE // 2] += 4

    assert as_read(nothing, Exposure(spoil=weak_flat)).dead == []


def test_a_galaxy_over_one_amplifier_is_no_fault() -> None:
    def galaxy(image: Floats) -> None:
        y, x = np.mgrid[: drawn.SIZE, : drawn.SIZE]
        image += 3000 * np.exp(-np.hypot(x - 60, y - 160) / 40)

    frame = as_read(nothing, Exposure(spoil=galaxy))
    assert frame.dead == [] and frame.warnings == []
