"""The frame on its way through the reduction: pixels, mask and what was done to them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from tesela.errors import TeselaError
from tesela.pixels.background import Background
from tesela.products import maskbit
from tesela.products.images import Operation
from tesela.products.maskbit import MaskBit

T = TypeVar("T")


def needed(value: T | None, what: str) -> T:
    """What an earlier step of the recipe must have left; its absence is a mistake of ours."""
    if value is None:
        raise TeselaError("reduction", found=f"no {what} yet", expected="the recipe's order")
    return value


@dataclass
class Frame:
    """Arrays are (ny, nx); electrons.

    `flat` is the response by which the image was divided, illumination included. `readnoise_e` is
    the noise of each pixel without light, of read-out and dark current, divided by its response.
    `sky` is the level that was subtracted, of `sky_model`; None before that.
    """

    image: NDArray[np.float32]
    mask: NDArray[np.uint8]
    flat: NDArray[np.float32]
    readnoise_e: NDArray[np.float32]
    operations: list[Operation] = field(default_factory=list)
    metrics: dict[str, Any] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)
    provisional_sky_e: float | None = None
    sky: NDArray[np.float32] | None = None
    sky_model: Background | None = None
    sky_mesh: NDArray[np.float32] | None = None
    objects: NDArray[np.bool_] | None = None
    fwhm_px: float = 3.0

    @property
    def unusable(self) -> NDArray[np.bool_]:
        """True where a pixel carries no measurement of the sky."""
        return (self.mask & maskbit.UNUSABLE) > 0

    def set(self, bit: MaskBit, where: NDArray[np.bool_]) -> int:
        """Set a code and return the number of pixels that have it now."""
        self.mask[where] |= np.uint8(bit)
        return int(np.count_nonzero(self.mask & np.uint8(bit)))

    def did(self, name: str, **parameters: Any) -> None:
        """Record an operation."""
        self.operations.append(Operation(name, parameters))

    def sky_variance(self) -> NDArray[np.float32]:
        """Variance without the photons of sources, electrons squared."""
        sky = self.sky if self.sky is not None else np.zeros_like(self.image)
        variance = np.maximum(sky, 0) / self.flat + self.readnoise_e**2
        return variance.astype(np.float32, copy=False)

    def variance(self) -> NDArray[np.float32]:
        """Variance with the photons of detected sources.

        Where nothing is detected the counts are not used: noise that sets its own weight would
        bias every weighted mean downwards.
        """
        variance = self.sky_variance()
        if self.objects is not None:
            photons = np.where(self.objects, np.maximum(self.image, 0), 0) / self.flat
            variance += photons.astype(np.float32)
        return variance
