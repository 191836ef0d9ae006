"""Cosmic rays and trails: how much of the true ones is flagged, and what is flagged without cause.

Pixels that are saturated or defective anyway are left out of both sides.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from tesela.errors import ProductError
from tesela.products.maskbit import UNUSABLE, MaskBit
from tesela.score.rows import Row
from tesela.score.statistics import bootstrap, mean, ratio
from tesela.simulate.truth import FrameTruth

DEPOSIT_SIGMA = 5.0
TRAIL_REACH_SIGMA = 6.0
TRAIL_MARGIN_PX = 10.0
FALSE_TRAIL_PX = 100
_NEITHER = int(MaskBit.BAD | MaskBit.SATURATED)


@dataclass(frozen=True)
class Counts:
    """Pixels of one frame, and rays: groups of pixels that touch.

    `any` counts what is flagged by whatever code makes a pixel unusable.
    """

    usable: int
    cosmic_true: int
    cosmic_found: int
    cosmic_any: int
    cosmic_false: int
    rays_true: int
    rays_found: int
    trail_true: int
    trail_found: int
    trail_any: int
    trail_false: int


def count(mask: NDArray[np.uint8], variance: NDArray[np.float32], facts: FrameTruth) -> Counts:
    """Compare the mask of a reduced frame with the truth.

    Parameters
    ----------
    mask : (ny, nx) uint8
        Codes of `MaskBit`.
    variance : (ny, nx) float32
        Electrons squared; decides which deposits stand out of the noise.
    facts : FrameTruth
    """
    if mask.shape != facts.shape:
        raise ProductError(
            f"mask of a {facts.band} frame",
            found=f"shape {mask.shape}",
            expected=f"{facts.shape} as its truth has",
        )
    usable = (mask & _NEITHER) == 0
    excluded = ~usable
    excluded.ravel()[facts.saturated_index] = True
    flat_mask, flat_out = mask.ravel(), excluded.ravel()
    strong = facts.cosmic_e > DEPOSIT_SIGMA * np.sqrt(variance.ravel()[facts.cosmic_index])
    cosmic_index = _kept(facts.cosmic_index[strong], flat_out)
    cosmic = flat_mask[cosmic_index]
    ray = _rays(facts)[cosmic_index]
    trail = flat_mask[_kept(facts.trail_index, flat_out)]
    return Counts(
        usable=int(np.count_nonzero(usable)),
        cosmic_true=cosmic.size,
        cosmic_found=_number(cosmic, MaskBit.COSMIC_RAY),
        cosmic_any=_number(cosmic, UNUSABLE),
        rays_true=np.unique(ray).size,
        rays_found=np.unique(ray[(cosmic & MaskBit.COSMIC_RAY) > 0]).size,
        cosmic_false=_false_cosmics(mask, excluded, facts),
        trail_true=trail.size,
        trail_found=_number(trail, MaskBit.TRAIL),
        trail_any=_number(trail, UNUSABLE),
        trail_false=_false_trails(mask, excluded, facts),
    )


def _kept(index: NDArray[np.int32], excluded: NDArray[np.bool_]) -> NDArray[np.int32]:
    return index[~excluded[index]]


def _number(codes: NDArray[np.uint8], wanted: int) -> int:
    return int(np.count_nonzero(codes & np.uint8(wanted)))


def _rays(facts: FrameTruth) -> NDArray[np.int32]:
    """Flat image of labels: pixels hit that touch, also by corners, are one ray."""
    labels, _ = ndimage.label(facts.mask("cosmic"), np.ones((3, 3), bool))
    return labels.ravel()


def _false_cosmics(mask: NDArray[np.uint8], excluded: NDArray[np.bool_], facts: FrameTruth) -> int:
    """Flagged pixels without any true deposit within one pixel."""
    near = ndimage.binary_dilation(facts.mask("cosmic"), np.ones((3, 3), bool))
    return int(np.count_nonzero(((mask & MaskBit.COSMIC_RAY) > 0) & ~near & ~excluded))


def _false_trails(mask: NDArray[np.uint8], excluded: NDArray[np.bool_], facts: FrameTruth) -> int:
    """Flagged pixels farther from the true streak than its light and a margin for growing."""
    y, x = np.nonzero(((mask & MaskBit.TRAIL) > 0) & ~excluded)
    if not facts.trail.size:
        return len(x)
    x0, y0, x1, y1, sigma_px, _ = facts.trail
    length = np.hypot(x1 - x0, y1 - y0)
    dx, dy = (x1 - x0) / length, (y1 - y0) / length
    along = (x - x0) * dx + (y - y0) * dy
    beyond = np.maximum(np.maximum(-along, along - length), 0)
    across = (y - y0) * dx - (x - x0) * dy
    reach = TRAIL_REACH_SIGMA * sigma_px + TRAIL_MARGIN_PX
    return int(np.count_nonzero(np.hypot(across, beyond) > reach))


def rows(frames: Sequence[Counts]) -> list[Row]:
    """Fractions over all frames; errors by resampling the frames."""
    with_trail = [c for c in frames if c.trail_true]
    half = sum(2 * c.trail_found >= c.trail_true for c in with_trail)
    return [
        _fraction("cosmic-ray pixels flagged", frames, "cosmic_found", "cosmic_true"),
        _fraction("cosmic rays with a flagged pixel", frames, "rays_found", "rays_true"),
        _fraction("cosmic-ray pixels unusable", frames, "cosmic_any", "cosmic_true"),
        _density("false cosmic-ray pixels", frames, "cosmic_false"),
        _fraction("trail pixels flagged", with_trail, "trail_found", "trail_true",
                  f"{half} of {len(with_trail)} trails flagged over half"),
        _fraction("trail pixels unusable", with_trail, "trail_any", "trail_true"),
        _density("false trail pixels", frames, "trail_false"),
        _invented(frames),
    ]  # fmt: skip


def _fraction(metric: str, frames: Sequence[Counts], top: str, bottom: str, note: str = "") -> Row:
    sample = _columns(frames, top, bottom)
    n = int(sample[:, 1].sum())
    return Row(metric, "", ratio(sample), bootstrap(sample, ratio), n, "", note=note)


def _invented(frames: Sequence[Counts]) -> Row:
    sample = np.array([c.trail_false > FALSE_TRAIL_PX for c in frames], dtype=np.float64)
    return Row(
        "frames with an invented trail", "", mean(sample), bootstrap(sample, mean), len(sample), "",
        note=f"{sample.sum():.0f} frames with over {FALSE_TRAIL_PX} px",
    )  # fmt: skip


def _density(metric: str, frames: Sequence[Counts], top: str) -> Row:
    sample = _columns(frames, top, "usable")
    sample[:, 1] /= 1e6
    n = int(sample[:, 0].sum())
    return Row(metric, "", ratio(sample), bootstrap(sample, ratio), n, "1/Mpix")


def _columns(frames: Sequence[Counts], *names: str) -> NDArray[np.float64]:
    values = [[getattr(c, name) for name in names] for c in frames]
    return np.array(values, dtype=np.float64).reshape(-1, len(names))
