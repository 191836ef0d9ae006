"""The frame on its way through the reduction: pixels, mask and what was done to them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from tesela.errors import TeselaError
from tesela.pixels import variance
from tesela.pixels.background import Background
from tesela.products import maskbit
from tesela.products.images import Operation
from tesela.products.maskbit import MaskBit
from tesela.stages.reduce.calset import Calset

T = TypeVar("T")


def needed(value: T | None, what: str) -> T:
    """What an earlier step of the recipe must have left; its absence is a mistake of ours."""
    if value is None:
        raise TeselaError("reduction", found=f"no {what} yet", expected="the recipe's order")
    return value


@dataclass
class Frame:
    """Arrays are (ny, nx); electrons.

    `readnoise_e` is (n_amp,), that of each amplifier. `sky` is the model of what was subtracted;
    None before that. `dead` are the places of amplifiers that gave nothing. `variance` is without
    the light of sources until they are detected.
    """

    image: NDArray[np.float32]
    mask: NDArray[np.uint8]
    calset: Calset
    readnoise_e: NDArray[np.float32]
    threads: int = 1
    operations: list[Operation] = field(default_factory=list)
    metrics: dict[str, Any] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)
    provisional_sky_e: float | None = None
    sky: Background | None = None
    sky_mesh: NDArray[np.float32] | None = None
    variance: NDArray[np.float32] | None = None
    objects: NDArray[np.bool_] | None = None
    dead: list[tuple[slice, slice]] = field(default_factory=list)
    fwhm_px: float = 3.0

    @property
    def unusable(self) -> NDArray[np.bool_]:
        """True where a pixel carries no measurement of the sky."""
        return self.has(maskbit.UNUSABLE)

    def has(self, codes: int) -> NDArray[np.bool_]:
        """True where a pixel has any of the codes."""
        return (self.mask & np.uint8(codes)).astype(np.bool_)

    def set(self, bit: MaskBit, where: NDArray[np.bool_]) -> int:
        """Set a code and return the number of pixels that have it now."""
        code = np.uint8(bit)
        np.bitwise_or(self.mask, where.view(np.uint8) * code, out=self.mask)
        return int(np.count_nonzero(self.mask & code))

    def did(self, name: str, **parameters: Any) -> None:
        """Record an operation."""
        self.operations.append(Operation(name, parameters))

    def add_light_of_sources(self) -> None:
        """Let the variance have the photons of what was detected, and the flat's noise in it."""
        variance.add_sources(
            needed(self.variance, "variance"),
            self.image,
            needed(self.objects, "object mask"),
            self.calset.response,
            sky_e=float(np.median(needed(self.sky, "sky model").mesh_level)),
            flat_noise=self.calset.noise.flat,
            threads=self.threads,
        )
