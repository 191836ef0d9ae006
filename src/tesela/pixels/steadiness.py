"""Whether a bright streak has the same brightness all along, whatever lies on it and beside it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

PIECE_PX = 12
MIN_SHARE = 0.25
FEWEST_PIECES = 6
BRIGHT_SHARE = 0.4
LEAST_STEADY = 0.8
LEAST_KEPT = 0.5
LEAST_SIGMA = 0.7


@dataclass(frozen=True)
class Steadiness:
    """How a streak's light is spread over short pieces of it.

    Attributes
    ----------
    brightness : float
        Median over the pieces of their excess over their sides, in noises of a pixel.
    steady : float
        Share of the pieces with at least `BRIGHT_SHARE` of that, one not counted: the fewer there
        are, the less may be missing.
    kept : float
        Brightness of the third of the pieces farthest from the brightest over that of the
        nearest: 1 for a trail, near 0 for the spikes of a star or a galaxy seen edge-on.
    """

    brightness: float
    steady: float
    kept: float

    @property
    def of_trail(self) -> bool:
        """Whether this is what a trail brighter than the noise looks like."""
        return (
            self.brightness >= LEAST_SIGMA
            and self.steady >= LEAST_STEADY
            and self.kept >= LEAST_KEPT
        )


def steadiness(
    light: np.ndarray, good: np.ndarray, core: np.ndarray, sides: np.ndarray
) -> Steadiness | None:
    """Measure the pieces of a streak by medians, which a star on or beside it does not move.

    Parameters
    ----------
    light : (n_t, n_u) float32
        The image along and across the streak, in noises, not clipped.
    good : (n_t, n_u) bool, True = use
    core, sides : (n_u,) bool
        Columns of the streak and of its surroundings.

    Returns
    -------
    Steadiness, or None where fewer than six pieces of 12 px have data
    """
    n_pieces = len(light) // PIECE_PX
    pieces = []
    for piece in range(n_pieces):
        rows = slice(piece * PIECE_PX, (piece + 1) * PIECE_PX)
        middles = []
        for columns in (core, sides):
            used = light[rows, columns][good[rows, columns]]
            if used.size > MIN_SHARE * PIECE_PX * np.count_nonzero(columns):
                middles.append(float(np.median(used)))
        if len(middles) == 2:
            pieces.append(middles[0] - middles[1])
    if len(pieces) < FEWEST_PIECES:
        return None
    excess = np.array(pieces)
    brightness = float(np.median(excess))
    n_bright = int(np.count_nonzero(excess >= BRIGHT_SHARE * brightness))
    from_peak = np.argsort(np.abs(np.arange(excess.size) - int(excess.argmax())), kind="stable")
    third = excess.size // 3
    near, far = np.median(excess[from_peak[:third]]), np.median(excess[from_peak[-third:]])
    return Steadiness(
        brightness=brightness,
        steady=(n_bright - 1) / excess.size if brightness > 0 else 0.0,
        kept=float(far / near) if near > 0 else 0.0,
    )
