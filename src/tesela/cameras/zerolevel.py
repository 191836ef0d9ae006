"""What the zero level of a frame was taken from, said as headers of products say it."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from tesela.cameras.amplifiers import Amplifier
from tesela.cameras.camera import Camera
from tesela.products.images import Operation

ROWS = "clipped mean of rows, smoothed"
"""The amplifier has an overscan beside its data."""
ONE_LEVEL = "one level, of rows above or below the data"
"""It has none but a parallel one."""
NOTHING = "none"
"""It has neither: the level is that of the master bias."""
_SEVERAL = {ROWS: "rows", ONE_LEVEL: "one_level", NOTHING: "none"}


def method(amplifier: Amplifier) -> str:
    """How the zero level of this amplifier is told."""
    if amplifier.overscan:
        return ROWS
    return ONE_LEVEL if amplifier.parallel else NOTHING


def operation(camera: Camera, level_adu: NDArray[np.floating[Any]]) -> Operation:
    """The subtraction of the overscan, with the median of the levels that were subtracted.

    Where amplifiers differ in how it was done, their numbers are listed by method.

    Parameters
    ----------
    level_adu : (n_amp,) ADU
        Typical level of each amplifier; one without a strip has no part in the median.
    """
    by_method: dict[str, list[int]] = {}
    for amplifier in camera.amplifiers:
        by_method.setdefault(method(amplifier), []).append(amplifier.id)
    told = [method(amplifier) != NOTHING for amplifier in camera.amplifiers]
    if not any(told):
        return Operation("overscan", {"source": "none"})
    parameters: dict[str, Any] = {"method": "; ".join(by_method)}
    if len(by_method) > 1:
        parameters |= {_SEVERAL[name]: numbers for name, numbers in by_method.items()}
    parameters["level_adu"] = round(float(np.median(level_adu[told])), 3)
    return Operation("overscan", parameters)
