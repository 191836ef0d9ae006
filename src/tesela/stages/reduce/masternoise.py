"""The noise that masters put into every frame they correct."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tesela.products.images import Master, card_dict

_CLIPPING = 1.025
"""Variance of a mean of 4 to 30 frames clipped at three sigma, over that of a plain one."""


@dataclass(frozen=True)
class MasterNoise:
    """Of a pixel, as the masters state it; 0 where one does not say how many frames it is of.

    Pixels do not share it, frames do: it belongs to the variance of a single frame, and a mean of
    frames of the same masters keeps it whole where they lie pixel on pixel. Only dithers average
    it.
    """

    bias_share: float = 0.0
    """Variance of the bias over that of one read-out of the same amplifier."""
    dark_e_per_s: float = 0.0
    """The dark is taken as of another bias than the frame's: it serves for weeks."""
    flat: float = 0.0
    """Relative noise where the response is 1."""

    @classmethod
    def of(cls, masters: Mapping[str, Master]) -> MasterNoise:
        """From the cards of the masters, by kind."""
        n_bias = _stated(masters, "BIAS", "NCOMBINE")
        return cls(
            bias_share=(_CLIPPING if n_bias > 2 else 1.0) / n_bias if n_bias else 0.0,
            dark_e_per_s=_stated(masters, "DARK", "MSTNOISE"),
            flat=_stated(masters, "FLAT", "MSTNOISE"),
        )

    def readout_e(self, readnoise_e: NDArray[np.float32], exptime_s: float) -> NDArray[np.float64]:
        """(n_amp,) electrons: read noise, with that of the bias and the dark subtracted."""
        squared = np.square(readnoise_e, dtype=np.float64) * (1 + self.bias_share)
        return np.sqrt(squared + (self.dark_e_per_s * exptime_s) ** 2)


def _stated(masters: Mapping[str, Master], kind: str, key: str) -> float:
    """A positive number that a master says of itself, else 0."""
    value = card_dict(masters[kind].cards).get(key) if kind in masters else None
    known = isinstance(value, int | float) and math.isfinite(value) and value > 0
    return float(value) if known else 0.0  # type: ignore[arg-type]
