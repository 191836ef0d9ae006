"""The variance of a frame is what its pixels scatter by, the noise of its masters included."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from tesela.config import Reference
from tesela.products.images import Master
from tesela.stages import masters, reduce
from tesela.stages.reduce import detector, sky
from tesela.stages.reduce.frame import Frame, needed
from tesela.stages.reduce.settings import SkySettings

from . import drawn

SIZE, FRAMES = 512, 8
CAMERA = drawn.camera(SIZE)
SETTINGS = masters.MastersSettings()
DARK_S = 100.0


def built(kind: str, light_e: float, n: int, **more: Master) -> Master:
    """A master of `n` drawn frames of even light."""
    scene = np.full((SIZE, SIZE), light_e)
    facts = [drawn.facts(f"{kind}{i}", kind.lower(), size=SIZE) for i in range(n)]
    if kind == "DARK":
        facts = [replace(each, exptime_s=DARK_S) for each in facts]
    frames = [drawn.raw(scene, 1000 * n + i, CAMERA) for i in range(n)]
    given = masters.RawInputs(
        f"{kind}.test", CAMERA, facts=facts, headers=[{}] * n, pixels=frames, masters=more
    )
    build, settings = {
        "BIAS": (masters.build_bias, SETTINGS.bias),
        "DARK": (masters.build_dark, SETTINGS.dark),
        "FLAT": (masters.build_flat, SETTINGS.flat),
    }[kind]
    return build(given, settings).master  # type: ignore[operator]


def frames(sky_e: float, used: dict[str, Master]) -> list[Frame]:
    """Frames of an even sky, with their variance."""
    calset, settings = drawn.calset(used, CAMERA), SkySettings(mesh_px=SIZE)
    made = []
    for seed in range(FRAMES):
        given = reduce.ReduceInputs(
            drawn.facts("frame", size=SIZE), {},
            drawn.raw(np.full((SIZE, SIZE), sky_e), seed, CAMERA), CAMERA, calset,
            drawn.stars().refcat(), Reference(mag="mag", err="err"),
        )  # fmt: skip
        frame = detector.remove_signature(given)
        sky.find_objects(frame, settings)
        sky.subtract(frame, settings)
        detector.measure_noise(frame, given)
        made.append(frame)
    return made


def scatter(made: list[Frame]) -> float:
    """Mean variance over the pixels of each frame."""
    return float(np.mean([frame.image.var(dtype=np.float64) for frame in made]))


def stated(made: list[Frame]) -> float:
    return float(np.mean([needed(frame.variance, "variance").mean() for frame in made]))


@pytest.mark.parametrize("sky_e", [10.0, 1000.0])
@pytest.mark.parametrize("n", [1, 4, 16])
def test_a_bias_of_few_frames_is_in_the_variance(n: int, sky_e: float) -> None:
    used = {"BIAS": built("BIAS", 0.0, n), "FLAT": drawn.perfect("FLAT", SIZE)}
    made = frames(sky_e, used)
    assert stated(made) == pytest.approx(scatter(made), rel=0.02)


def test_a_dark_of_few_frames_is_in_the_variance() -> None:
    bias = drawn.perfect("BIAS", SIZE)
    dark = built("DARK", 0.0, 3, BIAS=bias)
    made = frames(10.0, {"BIAS": bias, "FLAT": drawn.perfect("FLAT", SIZE), "DARK": dark})
    assert stated(made) == pytest.approx(scatter(made), rel=0.02)


@pytest.mark.parametrize("light_e", [0.0, 6000.0], ids=["sky", "sky and a source"])
def test_a_flat_of_few_photons_is_in_the_variance(light_e: float) -> None:
    bias = drawn.perfect("BIAS", SIZE)
    used = {"BIAS": bias, "FLAT": built("FLAT", 20000.0, 3, BIAS=bias)}
    made = frames(6000.0 + light_e, used)
    if light_e:
        made = [_as_a_source(frame, light_e) for frame in made]
    assert stated(made) == pytest.approx(scatter(made), rel=0.02)


def _as_a_source(frame: Frame, light_e: float) -> Frame:
    """The same frame, a part of its light being that of a source that covers it."""
    model = needed(frame.sky, "sky model")
    lower: NDArray[np.float32] = model.mesh_level - np.float32(light_e)
    frame.sky = replace(model, mesh_level=lower)
    frame.image += np.float32(light_e)
    frame.objects = np.ones(frame.image.shape, bool)
    given = reduce.ReduceInputs(
        drawn.facts("frame", size=SIZE), {}, np.zeros((1, 1), np.float32), CAMERA, frame.calset,
        {}, Reference(mag="mag", err="err"),
    )  # fmt: skip
    detector.measure_noise(frame, given)
    frame.add_light_of_sources()
    return frame


def test_masters_that_say_nothing_of_their_frames_add_no_noise() -> None:
    unsaid = {kind: drawn.perfect(kind, SIZE) for kind in ("BIAS", "FLAT")}
    known = drawn.perfect("BIAS", SIZE)
    known.cards = [("NCOMBINE", 4, "")]
    plain, noisier = (stated(frames(10.0, m)) for m in (unsaid, {**unsaid, "BIAS": known}))
    assert noisier - plain == pytest.approx(drawn.NOISE_E**2 / 4, rel=0.05)
