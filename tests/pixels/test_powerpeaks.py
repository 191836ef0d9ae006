"""Waves along the read-out stand out of the spectrum; noise and masks do not."""

from __future__ import annotations

import numpy as np
import pytest

from tesela.pixels import powerpeaks

DEST = [[0, 512, 0, 400], [512, 1024, 0, 400]]


def noise() -> np.ndarray:
    return np.random.default_rng(4).normal(0.0, 5.0, (400, 1024)).astype(np.float32)


def test_a_wave_of_random_phase_is_found_in_its_amplifier() -> None:
    image = noise()
    rng = np.random.default_rng(5)
    x = np.arange(512)
    phase = rng.uniform(0, 2 * np.pi, (400, 1))
    image[:, 512:] += (0.8 * np.sin(2 * np.pi * x / 16 + phase)).astype(np.float32)
    calm, wave = powerpeaks.along_rows(image, np.zeros(image.shape, bool), DEST)
    assert calm < 1.6
    assert wave == pytest.approx(1 + 512 * 0.8**2 / (4 * 25), rel=0.25)


def test_masked_pixels_make_no_peak_and_too_few_say_nothing() -> None:
    image, hidden = noise(), np.zeros((400, 1024), bool)
    image[:, 100:110], hidden[:, 100:110] = 1e5, True
    hidden[:, 512:] = True
    first, second = powerpeaks.along_rows(image, hidden, DEST)
    assert first < 1.7
    assert np.isnan(second)


def test_profiles() -> None:
    values = np.random.default_rng(6).normal(0.0, 1.0, 2000)
    values[7] = np.nan
    quiet = powerpeaks.of_profile(values)
    assert 4 < quiet < 14
    wave = values + 0.3 * np.sin(np.arange(2000) / 5)
    assert powerpeaks.of_profile(wave) > 3 * quiet
    assert np.isnan(powerpeaks.of_profile(np.full(5, np.nan)))
