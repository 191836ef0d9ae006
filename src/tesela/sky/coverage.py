"""Whether reference stars and matches are everywhere where the frame shows stars.

A polynomial that is held by stars on one side of a frame may be anything on the other. Each half,
quarter strip and quadrant is asked: of n stars, a share as large as that of the detections there is
expected; finding fewer than a tenth of it must not be explicable by chance.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binom

from tesela.errors import QualityError

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]

_LEAST_SHARE = 0.1  # of what is expected
_MAX_CHANCE = 1e-6
_STRIPS = (0.25, 0.5)


def require(detections: Floats, reference: Floats, matched: Floats) -> None:
    """Refuse a solution whose stars leave out a part of the frame.

    Parameters
    ----------
    detections, reference, matched : (n, 2) float64
        Places in the frame, 0 to 1 from edge to edge in x and y, of the detections, of all
        reference stars, inside the frame or not, and of the matched stars.

    Raises
    ------
    QualityError
        It names the part, and whether the catalogue or the solution lacks it.
    """
    inside = reference[((reference >= 0) & (reference <= 1)).all(axis=1)]
    for part, of_detections, of_reference, of_matched in zip(
        (name for name, _ in _parts(detections)),
        *([keep for _, keep in _parts(points)] for points in (detections, inside, matched)),
    ):
        share = float(of_detections.mean()) if len(of_detections) else 0.0
        if _lacks(of_reference, share):
            raise _refused(part, "reference stars", of_reference, share)
        if _lacks(of_matched, share):
            raise _refused(part, "matched stars", of_matched, share)


def _parts(points: Floats) -> Iterator[tuple[str, Flags]]:
    """Parts of the frame by name, and who is in them."""
    x, y = points.T
    for width in _STRIPS:
        share = "half" if width == 0.5 else "quarter"
        yield f"left {share}", x < width
        yield f"right {share}", x > 1 - width
        yield f"lower {share}", y < width
        yield f"upper {share}", y > 1 - width
    for side, left in (("left", x < 0.5), ("right", x >= 0.5)):
        yield f"lower {side} quadrant", left & (y < 0.5)
        yield f"upper {side} quadrant", left & (y >= 0.5)


def _lacks(there: Flags, share: float) -> bool:
    """Fewer than a tenth of the share, with certainty."""
    if not len(there):
        return False
    return bool(binom.cdf(there.sum(), len(there), _LEAST_SHARE * share) < _MAX_CHANCE) or bool(
        there.sum() < _LEAST_SHARE * share * len(there)
        and binom.cdf(there.sum(), len(there), share) < _MAX_CHANCE
    )


def _refused(part: str, what: str, there: Flags, share: float) -> QualityError:
    lack = "the catalogue does not cover it" if what.startswith("ref") else "it does not hold there"
    return QualityError(
        "astrometric solution",
        found=f"{there.sum()} of {len(there)} {what} in the {part} of the frame, where "
        f"{share:.0%} of the detections are: {lack}",
        expected="stars of the solution all over the frame",
        do="check the reference catalogue's coverage, and the frame for a part without sky",
    )
