"""Tilt, curvature and structure of the sky."""

from __future__ import annotations

import numpy as np
import pytest

from tesela.pixels import skyshape


def test_tilt_and_quadrupole_of_a_known_sky() -> None:
    y, x = np.mgrid[-1:1:9j, -1:1:9j]
    mesh = (200 * (1 + 0.03 * x + 0.04 * y + 0.02 * (x * x - 0.2))).astype(np.float32)
    shape = skyshape.of_mesh(mesh)
    assert shape.tilt == pytest.approx(0.10, rel=0.03)
    assert shape.tilt_deg == pytest.approx(np.degrees(np.arctan2(4, 3)), abs=1.0)
    assert shape.quadrupole == pytest.approx(0.02, rel=0.03)
    assert skyshape.of_mesh(np.full((2, 2), 5.0, np.float32)).tilt == 0.0


def test_noise_falls_with_the_scale_and_structure_does_not() -> None:
    rng = np.random.default_rng(9)
    image = rng.normal(0.0, 1.0, (576, 576)).astype(np.float32)
    hidden = np.zeros(image.shape, bool)
    quiet = skyshape.left(image, hidden)
    assert quiet[8] == pytest.approx(1 / 8, rel=0.05)
    assert quiet[32] == pytest.approx(1 / 32, rel=0.2)
    waves = 0.2 * np.sin(np.arange(576) / 50.0)[:, None]
    wavy = skyshape.left((image + waves).astype(np.float32), hidden)
    assert wavy[32] > 4 * quiet[32]
    hidden[:, :400] = True
    assert np.isfinite(skyshape.left(image, hidden)[8])
    assert np.isnan(skyshape.left(image, np.ones(image.shape, bool))[8])
