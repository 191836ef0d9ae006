"""Amplifiers of different gain, level and response meet without a step; their noise is known."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
from numpy.typing import NDArray

from tesela.cameras import Amplifier, Camera, Section
from tesela.config import Reference
from tesela.products.images import Master
from tesela.stages import reduce
from tesela.stages.reduce import detector, sky
from tesela.stages.reduce.frame import Frame
from tesela.stages.reduce.settings import SkySettings

from . import drawn

SIZE, STRIP, FRAMES = 512, 48, 4
HALF = SIZE // 2
TRUE_GAIN = (1.50, 1.38)
READNOISE_E = (3.4, 5.0)
LEVEL_ADU = (1000.0, 1730.0)
RESPONSE = (1.0, 0.96)
Floats = NDArray[np.float64]


def camera(gains: tuple[float, float]) -> Camera:
    """Two amplifiers side by side, strips in the middle; the gains as the tables have them."""
    amps = []
    for n in range(2):
        x = n * (HALF + STRIP)
        data, strip = (x, x + HALF) if n == 0 else (x + STRIP, x)
        amps.append(
            Amplifier(
                n + 1,
                Section(data, data + HALF, 0, SIZE),
                Section(n * HALF, (n + 1) * HALF, 0, SIZE),
                gains[n],
                READNOISE_E[n],
                60000.0,
                overscan=Section(strip, strip + STRIP, 0, SIZE),
                flip_x=n == 1,
            )
        )
    return Camera(
        "drawn", "none", "drw", "none", SIZE + 2 * STRIP, SIZE, SIZE, SIZE, drawn.SCALE_ARCSEC,
        drawn.SIGNS, ("01",), tuple(amps),
    )  # fmt: skip


@cache
def response() -> Floats:
    """A step between the amplifiers, vignetting and the pixels' own response."""
    rng = np.random.default_rng(2)
    y, x = np.mgrid[-1 : 1 : SIZE * 1j, -1 : 1 : SIZE * 1j]
    plane = (1 - 0.05 * (x * x + y * y)) * rng.normal(1, 0.006, (SIZE, SIZE))
    plane[:, :HALF] *= RESPONSE[0]
    plane[:, HALF:] *= RESPONSE[1]
    return plane


@cache
def structure() -> Floats:
    """What a bias has beyond the level of its overscan, ADU: a ramp, and columns."""
    rng = np.random.default_rng(3)
    ramp = np.linspace(0, 1.5, SIZE)[:, None] + np.linspace(0.4, 0, SIZE)
    return ramp + rng.normal(0, 0.3, SIZE)


def raw(light_e: Floats | float, rng: np.random.Generator) -> Floats:
    """ADU of an exposure: response, photons, gain, structure, level that drifts, read-out."""
    seen = np.broadcast_to(np.asarray(light_e, float), (SIZE, SIZE)) * response()
    electrons = rng.poisson(seen)
    out = np.empty((SIZE, SIZE + 2 * STRIP))
    for n, amp in enumerate(camera(TRUE_GAIN).amplifiers):
        part = out[:, n * (HALF + STRIP) : (n + 1) * (HALF + STRIP)]
        drift = 3.0 * np.sin(np.linspace(0, 2 + n, SIZE) + rng.uniform(0, 6))[:, None]
        noise = rng.normal(0, READNOISE_E[n] / TRUE_GAIN[n], part.shape)
        part[...] = LEVEL_ADU[n] + drift + noise
        out[amp.data.slices] += electrons[amp.dest.slices] / TRUE_GAIN[n]
        out[amp.data.slices] += structure()[amp.dest.slices]
    return out


def levelled(adu: Floats) -> Floats:
    """The data sections, each row less its overscan."""
    out = np.empty((SIZE, SIZE))
    for amp in camera(TRUE_GAIN).amplifiers:
        assert amp.overscan is not None
        level = adu[amp.overscan.slices].mean(axis=1, keepdims=True)
        out[amp.dest.slices] = adu[amp.data.slices] - level
    return out


@cache
def means_adu() -> tuple[Floats, Floats]:
    """Of many drawn bias frames and flats."""
    rng = np.random.default_rng(7)
    bias = np.mean([levelled(np.rint(raw(0.0, rng))) for _ in range(50)], axis=0)
    flat = np.mean([levelled(np.rint(raw(25000.0, rng))) for _ in range(10)], axis=0)
    return bias, flat - bias


def masters(gains: tuple[float, float]) -> dict[str, Master]:
    """Bias and flat, with the gains as the tables have them."""
    nothing = np.zeros((SIZE, SIZE), np.uint8)
    bias, counts = means_adu()
    flat = counts.copy()
    flat[:, :HALF] *= gains[0]
    flat[:, HALF:] *= gains[1]
    flat /= np.median(flat)
    return {
        "BIAS": Master("BIAS", bias.astype(np.float32), nothing),
        "FLAT": Master("FLAT", flat.astype(np.float32), nothing),
    }


def inputs(sky_e: float, gains: tuple[float, float], seed: int) -> reduce.ReduceInputs:
    adu = np.clip(np.rint(raw(sky_e, np.random.default_rng(seed))), 0, 65535).astype(np.uint16)
    unit = camera(gains)
    return reduce.ReduceInputs(
        drawn.facts("frame", size=SIZE), {}, adu, unit,
        drawn.calset(masters(gains), unit), drawn.stars().refcat(),
        Reference(mag="mag", err="err"),
    )  # fmt: skip


def flattened(sky_e: float, gains: tuple[float, float]) -> list[Frame]:
    return [detector.remove_signature(inputs(sky_e, gains, 100 + k)) for k in range(FRAMES)]


@pytest.mark.parametrize("sky_e", [10.0, 1000.0])
@pytest.mark.parametrize("wrong", [1.0, 1.02], ids=["gains known", "a gain wrong by 2 %"])
def test_no_step_between_amplifiers(sky_e: float, wrong: float) -> None:
    gains = (TRUE_GAIN[0], TRUE_GAIN[1] * wrong)
    frames = flattened(sky_e, gains)
    steps = [f.image[:, HALF:].mean() - f.image[:, :HALF].mean() for f in frames]
    assert abs(np.mean(steps)) < max(0.0005 * sky_e, 0.1)
    level = np.mean([f.image.mean() for f in frames])
    assert level == pytest.approx(sky_e, rel=0.06)


@pytest.mark.parametrize("sky_e", [10.0, 1000.0])
def test_the_edge_between_amplifiers_is_no_step_either(sky_e: float) -> None:
    frames = flattened(sky_e, TRUE_GAIN)
    edge = np.mean([f.image[:, HALF : HALF + 32].mean() for f in frames])
    edge -= np.mean([f.image[:, HALF - 32 : HALF].mean() for f in frames])
    error = np.sqrt(2 * (sky_e + 25) / (FRAMES * 32 * SIZE))
    assert abs(edge) < max(0.0005 * sky_e, 0.1) + 2 * error


@pytest.mark.parametrize("sky_e", [10.0, 1000.0])
def test_the_noise_of_each_amplifier_is_known_to_two_per_cent(sky_e: float) -> None:
    given = inputs(sky_e, TRUE_GAIN, 55)
    frame = detector.remove_signature(given)
    settings = SkySettings(mesh_px=256)
    sky.find_objects(frame, settings)
    sky.subtract(frame, settings)
    detector.measure_noise(frame, given)
    assert frame.variance is not None
    for part in (np.s_[:, :HALF], np.s_[:, HALF:]):
        measured = float(frame.image[part].std())
        expected = float(np.sqrt(frame.variance[part].mean()))
        assert measured == pytest.approx(expected, rel=0.02)
