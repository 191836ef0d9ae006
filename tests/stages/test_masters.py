"""Masters: known levels come back, bad frames are left out with their reason, gates are numbers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from tesela.cameras import zerolevel
from tesela.errors import QualityError
from tesela.products.images import Master
from tesela.products.maskbit import MaskBit
from tesela.stages import masters

from . import drawn

SIZE = 96
CAMERA = drawn.camera(SIZE)
SETTINGS = masters.MastersSettings()


def bias_frames(n: int, pattern: np.ndarray | float = 0.0, seed: int = 0) -> list[np.ndarray]:
    """Unexposed frames on which every pixel keeps its own offset (electrons)."""
    dark = np.zeros((SIZE, SIZE))
    frames = [drawn.raw(dark, seed + i, CAMERA).astype(float) for i in range(n)]
    for frame in frames:
        for amp in CAMERA.amplifiers:
            offset = np.broadcast_to(pattern, (SIZE, SIZE))[amp.dest.slices]
            frame[amp.data.slices] += offset / drawn.GAIN
    return [np.rint(frame).astype(np.uint16) for frame in frames]


def flat_frames(n: int, light: np.ndarray | float = 30000.0, seed: int = 0) -> list[np.ndarray]:
    """Exposures of an even source."""
    scene = np.broadcast_to(np.asarray(light, float), (SIZE, SIZE))
    return [drawn.raw(scene, seed + i, CAMERA) for i in range(n)]


def inputs(kind: str, frames: Sequence[np.ndarray], **more: object) -> masters.RawInputs:
    facts = [drawn.facts(f"{kind}{i}", kind, size=SIZE) for i in range(len(frames))]
    return masters.RawInputs(
        f"{kind.upper()}.test",
        CAMERA,
        facts=facts,
        headers=[{}] * len(frames),
        pixels=frames,
        **more,  # type: ignore[arg-type]
    )


def bias(frames: Sequence[np.ndarray], **more: object) -> masters.MasterOutputs:
    return masters.build_bias(inputs("bias", frames, **more), SETTINGS.bias)


def flat(frames: Sequence[np.ndarray], **more: object) -> masters.MasterOutputs:
    more = {"masters": {"BIAS": drawn.perfect("BIAS", SIZE)}, **more}
    return masters.build_flat(inputs("flat", frames, **more), SETTINGS.flat)


def test_bias_gives_back_a_pattern_and_the_read_noise() -> None:
    pattern = 30.0 * np.sin(np.arange(SIZE) / 15.0)[None, :] * np.ones((SIZE, 1))
    made = bias(bias_frames(9, pattern))
    error = made.master.image - pattern / drawn.GAIN
    sigma = drawn.NOISE_E / drawn.GAIN
    assert abs(np.median(error)) < 0.1
    assert np.std(error) < 1.5 * sigma / 3
    assert made.metrics["readnoise_adu"] == pytest.approx(sigma, rel=0.1)
    assert made.metrics["n_combined"] == 9


def test_what_was_done_with_the_overscan_is_what_the_camera_has() -> None:
    frames = bias_frames(3)
    (done, *_), (of_flat, *_) = bias(frames).operations, flat(flat_frames(3)).operations
    assert done.parameters["method"] == of_flat.parameters["method"] == zerolevel.ROWS
    assert done.parameters["level_adu"] == pytest.approx(drawn.LEVEL_ADU, abs=0.5)
    assert of_flat.parameters["level_adu"] == pytest.approx(drawn.LEVEL_ADU, abs=0.5)
    amplifiers = tuple(
        replace(amp, overscan=None, parallel=amp.overscan) for amp in CAMERA.amplifiers
    )
    of_rows = replace(inputs("bias", frames), camera=replace(CAMERA, amplifiers=amplifiers))
    done = masters.build_bias(of_rows, SETTINGS.bias).operations[0]
    assert done.parameters["method"] == zerolevel.ONE_LEVEL
    assert done.parameters["level_adu"] == pytest.approx(drawn.LEVEL_ADU, abs=0.5)


def test_bias_marks_a_hot_pixel_and_no_other() -> None:
    pattern = np.zeros((SIZE, SIZE))
    pattern[20, 30] = 500.0
    mask = bias(bias_frames(9, pattern)).master.mask
    assert mask[20, 30] == MaskBit.BAD
    assert np.count_nonzero(mask) == 1


def test_bias_leaves_a_cosmic_ray_out() -> None:
    frames = bias_frames(7)
    frames[3][50, 40:43] += 5000
    made = bias(frames)
    assert np.abs(made.master.image[50, 40:43]).max() < 5
    assert not made.master.mask[50, 40:43].any()


def test_a_deviating_bias_is_rejected_with_its_reason() -> None:
    frames = [*bias_frames(4), *bias_frames(1, 300.0, seed=50)]
    made = bias(frames)
    assert list(made.rejected) == ["bias4"]
    assert "level 200" in made.rejected["bias4"]
    assert "from the median of all" in made.rejected["bias4"]
    clean = bias(frames[:4])
    assert made.master.data_hash() == clean.master.data_hash()


def test_one_deviating_amplifier_rejects_the_frame_and_is_named() -> None:
    """Two that cancel in the median of the whole frame are seen too."""
    step = np.where(np.arange(SIZE) < SIZE // 2, 0.0, 90.0)[None, :]
    opposite = np.where(np.arange(SIZE) < SIZE // 2, -90.0, 88.0)[None, :]
    frames = [*bias_frames(4), *bias_frames(1, step, 50), *bias_frames(1, opposite, 60)]
    made = bias(frames)
    assert set(made.rejected) == {"bias4", "bias5"}
    assert made.rejected["bias4"].startswith("level 60.")
    assert " ADU in amplifier 2, +" in made.rejected["bias4"]
    assert " ADU in amplifier 1, -" in made.rejected["bias5"]
    assert made.master.data_hash() == bias(frames[:4]).master.data_hash()


def test_amplifiers_may_have_levels_of_their_own() -> None:
    step = np.where(np.arange(SIZE) < SIZE // 2, 0.0, 300.0)[None, :]
    assert bias(bias_frames(4, step)).rejected == {}


def test_too_few_biases_are_a_quality_error_that_says_what_to_do() -> None:
    frames = [*bias_frames(2), *bias_frames(1, 300.0, seed=50)]
    with pytest.raises(
        QualityError, match=r"rejected: bias2 \([^{}]+\); expected at least 3.*BIAS"
    ):
        bias(frames, minimum=3)


@pytest.mark.parametrize("n, frames", [(1, "1 frame"), (2, "2 frames")])
def test_one_or_two_frames_are_a_warning(n: int, frames: str) -> None:
    said = f"only {frames} combined where 10 are wanted"
    made = bias(bias_frames(n), wanted=10)
    assert made.warnings == [said]
    assert made.passed
    made = flat(flat_frames(n), wanted=10)
    assert made.warnings == [said]
    assert made.passed


def test_bias_is_compared_with_its_predecessor() -> None:
    first = bias(bias_frames(5)).master
    same = bias(bias_frames(5, seed=100), previous=first)
    assert same.passed
    assert same.metrics["fraction_within"] > 0.999
    moved = bias(bias_frames(5, 40.0 * np.eye(SIZE).cumsum(axis=1), seed=100), previous=first)
    assert not moved.passed
    assert "% of the pixels within 6 sigma of the previous master, 95 % needed" in moved.reasons[0]


def response() -> np.ndarray:
    """Vignetting and one number for each amplifier's wrong gain."""
    y, x = np.mgrid[0:SIZE, 0:SIZE] / SIZE - 0.5
    shape = 1 - 0.2 * (x**2 + y**2)
    return shape * np.where(np.arange(SIZE) < SIZE // 2, 1.02, 0.98)[None, :]


def test_flat_is_the_response_normalised_by_one_number() -> None:
    made = flat(flat_frames(5, 30000 * response()))
    expected = response() / np.median(response())
    assert np.median(made.master.image) == pytest.approx(1, abs=1e-4)
    assert np.std(made.master.image - expected) < 1.5 / np.sqrt(5 * 30000)
    # The step between the amplifiers is a property of the detector: it stays.
    left, right = np.hsplit(made.master.image, 2)
    assert np.median(left[:, -8:]) / np.median(right[:, :8]) == pytest.approx(
        1.02 / 0.98, abs=0.002
    )


def test_flat_of_a_flat_is_one() -> None:
    first = flat(flat_frames(5, 30000 * response())).master.image
    again = flat(flat_frames(5, 30000 * response(), seed=70)).master.image
    ratio = again / first
    assert np.median(ratio) == pytest.approx(1, abs=3e-4)
    assert np.std(ratio) < 1.5 * np.sqrt(2 / (5 * 30000))


def test_flats_of_any_level_weigh_by_their_light_and_stray_levels_are_rejected() -> None:
    frames = [
        *flat_frames(3),
        *flat_frames(1, 3000.0, seed=5),
        *flat_frames(1, 89000.0, seed=6),
    ]
    made = flat(frames)
    assert set(made.rejected) == {"flat3", "flat4"}
    assert "outside 5000 to 50000" in made.rejected["flat3"]
    assert made.master.data_hash() == flat(frames[:3]).master.data_hash()
    with pytest.raises(QualityError, match=r"rejected: flat3 \(.*\), flat4 \(.*\); expected.*FLAT"):
        flat(frames, minimum=4)


def test_flat_without_a_bias_is_refused() -> None:
    with pytest.raises(QualityError, match="no master bias"):
        flat(flat_frames(3), masters={})


def test_cold_pixels_are_bad_and_vignetting_is_not() -> None:
    light = 30000 * response()
    light[40, 60] *= 0.5
    light[70:73, 10] *= 0.8
    mask = flat(flat_frames(5, light)).master.mask
    assert mask[40, 60] == MaskBit.BAD
    assert (mask[70:73, 10] == MaskBit.BAD).all()
    assert np.count_nonzero(mask) == 4


def test_flat_is_compared_with_its_predecessor() -> None:
    first: Master = flat(flat_frames(5)).master
    assert flat(flat_frames(5, seed=9), previous=first).passed
    tilt = 30000 * (1 + 0.1 * np.linspace(-1, 1, SIZE))[None, :] * np.ones((SIZE, 1))
    changed = flat(flat_frames(5, tilt), previous=first)
    assert not changed.passed
    assert "scatter of the ratio to the previous master differs by" in changed.reasons[0]


def test_same_frames_same_bytes_in_any_order() -> None:
    frames = bias_frames(5)
    assert bias(frames).master.data_hash() == bias(frames[::-1]).master.data_hash()
