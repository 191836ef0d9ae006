"""Masters of fringes and patterns: from many fields, relative to the sky, with their reasons."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from functools import cache

import numpy as np
import pytest

import skies
from tesela.errors import QualityError
from tesela.products.images import Master, card_dict
from tesela.products.maskbit import MaskBit
from tesela.stages import masters
from tesela.stages.masters.inputs import Detrended, ImageInputs
from tesela.stages.masters.settings import PatternSettings

from . import drawn

SIZE, AMPLITUDE = 512, 0.03
CAMERA = drawn.camera(SIZE)
TRUTH = AMPLITUDE * skies.fringes(SIZE)
SETTINGS = PatternSettings()
APART_DEG = 0.2


@cache
def night() -> tuple[skies.Sky, ...]:
    return tuple(skies.dithered(TRUTH, 12, seed=1))


def detrended(sky: skies.Sky, k: int, n_fields: int = 4) -> Detrended:
    pointing = (150.0, 20.0 + APART_DEG * (k % n_fields))
    mask = np.where(sky.objects, np.uint8(MaskBit.OBJECT), np.uint8(0))
    facts = drawn.facts(f"s{k}", pointing=pointing, size=SIZE)
    return Detrended(facts, sky.image, mask, {"SKYLEVEL": sky.level_e}, {})


def images(n_fields: int = 4, n: int = 12) -> list[Detrended]:
    return [detrended(sky, k, n_fields) for k, sky in enumerate(night()[:n])]


def inputs(frames: Sequence[Detrended], **more: object) -> ImageInputs:
    return ImageInputs("FRINGE.test", CAMERA, images=frames, **more)  # type: ignore[arg-type]


def fringe(frames: Sequence[Detrended], settings=SETTINGS, **more) -> masters.MasterOutputs:
    return masters.build_fringe(inputs(frames, **more), settings)


@pytest.fixture(scope="module")
def made() -> masters.MasterOutputs:
    return fringe(images(), wanted=10, minimum=3)


def test_fringes_come_back_relative_to_the_sky(made):
    drawn_amplitude = np.median([sky.amplitude for sky in night()])
    residual = made.master.image - TRUTH * drawn_amplitude
    assert np.std(residual) < 0.1 * np.std(TRUTH)  # rms over rms: a peak is 1.4 times that
    assert np.std(residual) < 0.003
    assert made.passed, made.reasons
    assert not made.rejected
    assert made.warnings == []
    assert (made.metrics["n_combined"], made.metrics["n_fields"]) == (12, 4)
    assert card_dict(made.master.cards)["MSTKIND"] == "FRINGE"
    assert made.master.image.dtype == np.float32
    assert not made.master.mask.any()


def test_the_same_frames_give_the_same_bytes(made):
    again = fringe(images(), wanted=10, minimum=3)
    assert again.master.data_hash() == made.master.data_hash()
    assert again.pages == made.pages


def test_each_amplifier_has_an_amplitude_for_the_monitors(made):
    assert [(value.amp, value.metric, value.n) for value in made.monitored] == [
        (amp.id, "fringe", 12) for amp in CAMERA.amplifiers
    ]
    for value, amp in zip(made.monitored, CAMERA.amplifiers):
        truth = np.ptp(np.percentile(TRUTH[amp.dest.slices], (5, 95))) / 2
        assert value.value == pytest.approx(truth, rel=0.12)
        assert 0 < value.error < 0.05 * value.value


def test_a_pattern_is_no_fringe_to_the_monitors():
    other = masters.build_pattern(inputs(images()), SETTINGS)
    assert other.monitored == []
    assert other.master.kind == card_dict(other.master.cards)["MSTKIND"] == "PATTERN"


def test_every_plot_has_its_data_beside_it(made):
    names = {name.rsplit(".", 1)[0] for name in made.pages}
    assert names == {"pattern", "example", "amplitudes", "amplifiers"}
    for name in names:
        assert made.pages[f"{name}.png"].startswith(b"\x89PNG")
        assert json.loads(made.pages[f"{name}.json"])
    listed = json.loads(made.pages["amplitudes.json"])["frames"]
    assert [frame["name"] for frame in listed] == [f"s{k}" for k in range(12)]
    example = json.loads(made.pages["example.json"])
    assert example["rms_after"] < 0.6 * example["rms_before"]


def test_frames_of_one_field_are_refused():
    with pytest.raises(QualityError, match=r"12 usable frames of 1 field; expected 3 fields 2 arc"):
        fringe(images(n_fields=1))


def test_the_distance_of_two_fields_is_a_setting():
    wide = replace(SETTINGS, field_separation_arcmin=20.0)
    with pytest.raises(QualityError, match=r"of 2 fields; expected 3 fields 20 arcmin apart"):
        fringe(images(), wide)


def test_a_field_with_most_of_the_frames_is_cut_to_half():
    frames = [
        replace(image, facts=replace(image.facts, dec_deg=20.0 + APART_DEG * max(0, k - 8)))
        for k, image in enumerate(images())
    ]
    found = fringe(frames)
    assert list(found.rejected) == [f"s{k}" for k in range(3, 9)]
    assert "one of 9 frames of its field, 3 are of others" in found.rejected["s3"]
    assert found.metrics["n_combined"] == 6


def without_fringes(fields: Sequence[int]) -> list[Detrended]:
    """Frame k is of field `fields[k]`; those of fields below zero show no fringes."""
    bare = skies.dithered(0 * TRUTH, len(fields), seed=7)
    return [
        replace(
            detrended(bare[k] if field < 0 else night()[k], k),
            facts=drawn.facts(f"s{k}", pointing=(150.0, 20.0 + APART_DEG * abs(field)), size=SIZE),
        )
        for k, field in enumerate(fields)
    ]


def test_fields_that_the_solver_leaves_out_do_not_count():
    """Three fields, of which one shows no fringes: two are left, as if it never had been there."""
    with pytest.raises(QualityError, match=r"8 usable frames of 2 fields, rejected: .*amplitude"):
        fringe(without_fringes([1, 2, -3] * 4))


def test_a_field_that_has_most_frames_once_others_are_left_out_is_cut():
    found = fringe(without_fringes([1] * 6 + [2, -2, -2] + [3] * 3))
    assert {f"s{k}" for k in (7, 8)} <= set(found.rejected)
    assert [found.rejected[f"s{k}"].split(":")[0] for k in (4, 5)] == [
        "one of 6 frames of its field, 4 are of others"
    ] * 2
    assert (found.metrics["n_combined"], found.metrics["n_fields"]) == (8, 3)


def test_too_few_frames_are_refused_and_fewer_than_wanted_are_a_warning():
    with pytest.raises(QualityError, match=r"6 usable fringe frames.*at least 8.*FRINGE"):
        fringe(images(n=6), minimum=8)
    assert fringe(images(n=6), wanted=15).warnings == ["only 6 frames combined where 15 are wanted"]


def test_a_night_with_nothing_valid_is_refused():
    with pytest.raises(QualityError, match="0 usable fringe frames"):
        fringe([])


def test_frames_that_are_not_fit_are_left_out_with_their_reasons():
    frames = images()
    clean = fringe(frames[5:])
    y = np.mgrid[0:SIZE, 0:SIZE][0] / SIZE
    frames[0].facts = replace(frames[0].facts, exptime_s=5.0)
    frames[1].facts = replace(frames[1].facts, ra_deg=None)
    frames[2].mask = np.full((SIZE, SIZE), MaskBit.OBJECT, np.uint8)
    frames[3].image = (frames[3].image + 3000 * y).astype(np.float32)
    frames[4].image = (0.03 * frames[4].image).astype(np.float32)
    found = fringe(frames)
    said = [found.rejected[f"s{k}"] for k in range(5)]
    assert len(found.rejected) == 5
    assert "5 s, under 20 s" in said[0]
    assert "no pointing" in said[1]
    assert "0% of the CCD free" in said[2]
    assert "the moon?" in said[3]
    assert "electrons, outside 100 to" in said[4]
    assert found.master.data_hash() == clean.master.data_hash()


def test_masked_pixels_change_nothing():
    frames = images()
    spoiled = [
        replace(f, image=np.where(f.mask > 0, np.float32(1e6), f.image).astype(np.float32))
        for f in frames
    ]
    assert fringe(spoiled).master.data_hash() == fringe(frames).master.data_hash()


def test_places_without_data_are_holes_and_a_gate():
    frames = images()
    for image in frames:
        image.mask[100:240, 200:340] |= np.uint8(MaskBit.BAD)
    found = fringe(frames)
    hole = found.master.mask[100:240, 200:340]
    assert np.all(hole == MaskBit.HOLE)
    assert np.all(found.master.image[100:240, 200:340] == 0)
    assert np.count_nonzero(found.master.mask) == hole.size
    assert not found.passed
    assert "7.5% of the CCD without data" in found.reasons[0]


def test_the_illumination_is_applied_to_the_frames():
    """A frame is multiplied by 10^(+0.4 f): what f dims on the right is put back there."""
    side = np.linspace(-0.3, 0.3, 33)
    node_map = np.broadcast_to(side[None, :], (33, 33)).copy()
    dim = 10 ** (-0.4 * np.linspace(-0.3, 0.3, SIZE))[None, :]
    tilted = [replace(f, image=(f.image * dim).astype(np.float32)) for f in images()]
    master = Master(
        "ILLUMINATION",
        np.empty((0, 0), np.float32),
        np.empty((0, 0), np.uint8),
        arrays={"map": node_map},
    )
    with pytest.raises(QualityError, match="the moon"):
        fringe(tilted, minimum=1)
    found = fringe(tilted, masters={"ILLUMINATION": master}, minimum=1)
    assert np.std(found.master.image - fringe(images()).master.image) < 0.0005
    assert found.operations[0].name == "illumination"


def test_skies_without_fringes_do_not_pass():
    flat = skies.dithered(0 * TRUTH, 9, seed=4)
    found = fringe([detrended(sky, k) for k, sky in enumerate(flat)])
    assert not found.passed
    assert "one half of the fields shows the fringe of the other by" in found.reasons[0]
    assert np.std(found.master.image) < 0.001


def test_a_predecessor_agrees_or_stops_the_certificate(made):
    again = fringe(images(), previous=made.master)
    assert again.passed
    assert again.metrics["correlation"] == pytest.approx(1, abs=0.01)
    assert again.metrics["ratio_previous"] == pytest.approx(1, abs=0.01)
    mirrored = Master("FRINGE", made.master.image[:, ::-1].copy(), made.master.mask)
    other = fringe(images(), previous=mirrored)
    assert not other.passed
    assert "with the previous master, 0.8 needed" in other.reasons[0]


def test_objects_of_one_field_are_not_in_the_pattern():
    """The wings of a galaxy that no mask covers: three frames of twelve show it."""
    frames = images()
    y, x = np.mgrid[0:SIZE, 0:SIZE]
    wing = 200 * np.exp(-np.hypot(x - 300, y - 200) / 25)
    for image in frames[::4]:
        image.image = (image.image + wing).astype(np.float32)
    there = np.s_[180:220, 280:320]
    harm = np.abs(fringe(frames).master.image - fringe(images()).master.image)[there]
    assert harm.max() < 0.25 * AMPLITUDE
