"""Amplifiers that do not see the sky of the others are told, and the sky itself is not blamed."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from tesela.pixels import ampsky

SIDE, HIGH, READOUT_E = 150, 200, 4.0
DEST = np.array(
    [
        [i * SIDE, (i + 1) * SIDE, j * HIGH, (j + 1) * HIGH]
        for j in range(2)
        for i in range(4)
    ]
)  # fmt: skip
SHAPE = (2 * HIGH, 4 * SIDE)
Floats = NDArray[np.float64]


def exposed(light_e: Floats | float, seed: int = 5) -> NDArray[np.float32]:
    """Photons and read-out, electrons."""
    rng = np.random.default_rng(seed)
    seen = np.broadcast_to(np.asarray(light_e, float), SHAPE)
    return (rng.poisson(seen) + rng.normal(0, READOUT_E, SHAPE)).astype(np.float32)


def of(amp: int) -> tuple[slice, slice]:
    x0, x1, y0, y1 = DEST[amp]
    return slice(y0, y1), slice(x0, x1)


def compared(image: NDArray[np.float32], n: int = len(DEST)) -> ampsky.AmpSky:
    return ampsky.compare(image, np.zeros(SHAPE, bool), DEST[:n], READOUT_E)


def blamed(seen: ampsky.AmpSky) -> list[int]:
    return np.flatnonzero(seen.apart | seen.noisy).tolist()


@pytest.mark.parametrize("sky_e", [0.0, 10.0, 300.0, 20000.0])
def test_sound_amplifiers_have_no_offset_and_the_noise_of_their_level(sky_e: float) -> None:
    seen = compared(exposed(sky_e))
    assert blamed(seen) == []
    error = np.sqrt(sky_e + READOUT_E**2)
    # A step is known to 0.05 of the noise of a pixel here.
    np.testing.assert_allclose(seen.offset_e, 0, atol=0.25 * error)
    np.testing.assert_allclose(seen.noise_e, error, rtol=0.03)
    np.testing.assert_allclose(seen.expected_e, error, rtol=0.03)


@pytest.mark.parametrize("amp", [0, 2, 7])
@pytest.mark.parametrize("offset_e", [-300.0, -45.0, 45.0, 5000.0])
def test_the_one_that_is_apart_is_found_with_its_offset(amp: int, offset_e: float) -> None:
    image = exposed(300.0)
    image[of(amp)] += offset_e
    seen = compared(image)
    assert np.flatnonzero(seen.apart).tolist() == [amp]
    assert seen.offset_e[amp] == pytest.approx(offset_e, abs=4.5)
    assert seen.sky_e == pytest.approx(300, abs=2)


def test_several_are_found_where_most_are_sound() -> None:
    image = exposed(300.0)
    for amp, offset_e in ((0, -300.0), (1, -300.0), (6, 800.0)):
        image[of(amp)] += offset_e
    assert blamed(compared(image)) == [0, 1, 6]


@pytest.mark.parametrize("scale", [0.2, 3.5])
def test_a_noise_that_is_not_of_the_level_is_told(scale: float) -> None:
    image = exposed(300.0)
    level = np.float32(300.0)
    image[of(3)] = level + (image[of(3)] - level) * scale
    seen = compared(image)
    assert np.flatnonzero(seen.noisy).tolist() == [3]
    assert not seen.apart.any()


@pytest.mark.parametrize("broken", [0, 1])
@pytest.mark.parametrize(
    ("scale", "offset_e"), [(0.27, -297.0), (1.0, 900.0), (0.5, 0.0), (-1.0, 0.0)],
    ids=["dead", "raised", "halved", "negated"],
)  # fmt: skip
def test_of_two_the_broken_one_is_blamed(broken: int, scale: float, offset_e: float) -> None:
    image = exposed(300.0)
    if scale == 0.27:  # nothing but read-out
        image[of(broken)] = np.random.default_rng(1).normal(0, READOUT_E, (HIGH, SIDE))
    else:
        image[of(broken)] = image[of(broken)] * scale + offset_e
    seen = compared(image, 2)
    assert np.flatnonzero(seen.apart).tolist() == [broken]


def nebula() -> Floats:
    """Brighter than the sky by ten, over the whole of an amplifier and beyond its borders."""
    y, x = np.mgrid[: SHAPE[0], : SHAPE[1]]
    return np.asarray(3000 * np.exp(-0.5 * ((x - 225) ** 2 + (y - 100) ** 2) / 90**2))


def vignetting() -> Floats:
    y, x = np.mgrid[-1 : 1 : SHAPE[0] * 1j, -1 : 1 : SHAPE[1] * 1j]
    return np.asarray(-90 * (x * x + y * y) + 100 * x)


def shadow() -> Floats:
    """The edge of a dome across the amplifiers."""
    y = np.arange(SHAPE[0])[:, None]
    return np.asarray(-280 / (1 + np.exp((y - 120) / 8.0)) + np.zeros(SHAPE))


def star() -> Floats:
    """With its halo, a few pixels from a border."""
    y, x = np.mgrid[: SHAPE[0], : SHAPE[1]]
    return np.asarray(4e5 * (1 + ((x - 160) ** 2 + (y - 90) ** 2) / 9) ** -1.5)


@pytest.mark.parametrize("light", [nebula, vignetting, shadow, star])
def test_light_that_crosses_borders_is_no_fault(light) -> None:  # type: ignore[no-untyped-def]
    assert blamed(compared(exposed(300.0 + light()))) == []


def test_small_steps_of_a_dark_sky_are_forgiven() -> None:
    image = exposed(10.0)
    for amp in range(len(DEST)):
        image[of(amp)] += 4 * (-1) ** amp
    assert blamed(compared(image)) == []


def test_what_is_hidden_is_not_judged_nor_does_it_judge() -> None:
    image, hidden = exposed(300.0), np.zeros(SHAPE, bool)
    for amp in (1, 5):
        image[of(amp)], hidden[of(amp)] = np.nan, True
    seen = ampsky.compare(image, hidden, DEST, READOUT_E)
    assert blamed(seen) == []
    assert np.isnan(seen.level_e[[1, 5]]).all()
    assert np.isfinite(seen.offset_e[[2, 3, 6, 7]]).all()
    image[of(3)] -= 300
    assert blamed(ampsky.compare(image, hidden, DEST, READOUT_E)) == [3]


def test_one_amplifier_is_compared_with_nothing() -> None:
    assert blamed(compared(exposed(300.0), 1)) == []


def test_fringes_are_no_noise() -> None:
    error = np.sqrt(300 + READOUT_E**2)
    y, x = np.mgrid[: SHAPE[0], : SHAPE[1]]
    image = exposed(300.0) + np.float32(3 * error) * np.sin(2 * np.pi * (x + 0.5 * y) / 60)
    assert image[of(0)].std() > 2 * error
    found = ampsky.noises(image, np.zeros(SHAPE, bool), DEST)
    np.testing.assert_allclose(found, error, rtol=0.05)
