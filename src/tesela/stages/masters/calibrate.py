"""The first steps that every raw frame shares before it is combined."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from tesela.cameras import Camera
from tesela.pixels import detrend, overscan

NOTHING = np.empty((0, 0), np.float32)


def level_and_trim(
    raw: NDArray[np.uint16],
    header: dict[str, Any],
    camera: Camera,
    where: str,
    *,
    bias: NDArray[np.float32] = NOTHING,
    in_electrons: bool,
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Remove the electronic zero of each amplifier, and the bias if given, and trim.

    Returns the (ny, nx) image, in electrons or ADU, and the (n_amp,) read noise in ADU (from the
    overscan, or the camera's own where there is none).
    """
    camera = camera.with_header(header, where)
    data, dest = camera.sections("data"), camera.sections("dest")
    strip = overscan.measure(raw, camera.sections("overscan"), data)
    gain = camera.values("gain_e_per_adu")
    unit = gain if in_electrons else np.ones_like(gain)
    image = detrend.apply(raw, data, dest, strip.level, unit, bias, NOTHING, _empty(camera))
    nominal_adu = camera.values("readnoise_e") / gain
    return image, np.where(np.isfinite(strip.noise_adu), strip.noise_adu, nominal_adu)


def _empty(camera: Camera) -> NDArray[np.float32]:
    return np.zeros(camera.shape, np.float32)
