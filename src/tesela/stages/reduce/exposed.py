"""What can be told of any frame before it is corrected: level, noise and saturation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tesela.pixels import framestats, overscan
from tesela.stages.reduce import detector
from tesela.stages.reduce.settings import ReduceInputs

_ROWS = 256
_DEAD = 0.1
"""An amplifier with less than this part of the usual noise sees nothing."""


@dataclass(frozen=True)
class Exposed:
    """Of each amplifier, (n_amp,), as it was read out."""

    level_adu: NDArray[np.float64]
    """Median above the overscan."""
    noise_adu: NDArray[np.float64]
    """Of a pixel, from the differences of neighbours."""
    readnoise_e: NDArray[np.float64]
    """Of a pixel of the overscan; NaN without one."""
    zero_adu: NDArray[np.float64]
    """Median of the overscan; 0 without one."""
    fraction_saturated: float

    @property
    def dead(self) -> list[int]:
        """Amplifiers, counted from 1, that show no noise where the others do."""
        usual = float(np.median(self.noise_adu))
        return [int(k) + 1 for k in np.flatnonzero(self.noise_adu < _DEAD * usual)]

    def metrics(self) -> dict[str, Any]:
        """The numbers for the ledger."""
        return {
            "level_adu": float(np.median(self.level_adu)),
            "noise_adu": float(np.median(self.noise_adu)),
            "overscan_level_adu": float(np.median(self.zero_adu)),
            "readnoise_e": float(np.median(self.readnoise_e)),
            "fraction_saturated": self.fraction_saturated,
            "amp_level_adu": [round(float(v), 2) for v in self.level_adu],
            "amp_noise_adu": [round(float(v), 3) for v in self.noise_adu],
            "amp_readnoise_e": [round(float(v), 3) for v in self.readnoise_e],
        }


def measure(inputs: ReduceInputs) -> Exposed:
    """Look at the amplifiers of a raw frame, from a part of their rows; saturation at all."""
    inputs, _ = detector.without_holes(inputs)
    camera, raw = inputs.camera, inputs.pixels
    data = camera.sections("data")
    strip = overscan.measure(
        raw, camera.sections("overscan"), data, parallel=camera.sections("parallel")
    )
    zero = np.median(strip.level, axis=1).astype(np.float64)
    saturated = 0
    for (x0, x1, y0, y1), limit in zip(data, camera.values("saturation_adu")):
        saturated += int(np.count_nonzero(raw[y0:y1, x0:x1] >= limit))
    # Every so many rows: neighbours in a row stay neighbours, which the noise is told from.
    step = max(1, camera.raw_ny // (_ROWS * 4))
    rows = np.ascontiguousarray(raw[::step], np.float32)
    boxes = np.array([[x0, x1, -(-y0 // step), -(-y1 // step)] for x0, x1, y0, y1 in data])
    return Exposed(
        level_adu=framestats.medians(rows, boxes) - zero,
        noise_adu=framestats.noises(rows, boxes),
        readnoise_e=(strip.noise_adu * camera.values("gain_e_per_adu")).astype(np.float64),
        zero_adu=zero,
        fraction_saturated=saturated / (camera.nx * camera.ny),
    )
