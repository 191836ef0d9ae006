"""Which exposures are flats, and of those that are not: why."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tesela.errors import QualityError
from tesela.pixels import flatcheck, framestats, mode
from tesela.stages.masters.calibrate import Levelled, Measured
from tesela.stages.masters.settings import FlatSettings

_FEWEST_TO_JUDGE = 3  # of two that differ nobody knows which is wrong
_ALWAYS_FORGIVEN = 10  # sources, however small the detector


@dataclass(frozen=True)
class FlatSeen:
    """What a flat shows before it is combined. Electrons."""

    mode: float
    """0 where there is nothing to measure."""
    levels: NDArray[np.float64]
    """(n_amp,): medians."""
    cells: NDArray[np.float32]
    """(my, mx): light on large scales."""
    n_sources: int
    n_pixels: int


def look(image: NDArray[np.float32], plane: Levelled, bad: NDArray[np.bool_]) -> FlatSeen:
    """Measure a levelled exposure in electrons."""
    found = flatcheck.cells(image, bad)
    try:
        level = mode.mode(framestats.sample(image), mask=framestats.sample(bad))
    except QualityError:
        level = 0.0
    return FlatSeen(
        level,
        framestats.medians(image, plane.camera.sections("dest"), bad),
        found.level,
        flatcheck.count_sources(image, found),
        image.size,
    )


def unfit(frames: list[Measured[FlatSeen]], settings: FlatSettings) -> dict[str, str]:
    """Exposures that are no flats, with the reason: each by itself, then beside the others."""
    rejected = {}
    for frame in frames:
        reason = (
            _saturated(frame, settings)
            or _level(frame, settings)
            or _shutter(frame, settings)
            or _stars(frame, settings)
        )
        if reason:
            rejected[frame.name] = reason
    left = [frame for frame in frames if frame.name not in rejected]
    return rejected | _strange_light(left, settings)


def _saturated(frame: Measured[FlatSeen], settings: FlatSettings) -> str:
    if frame.saturated <= settings.saturated:
        return ""
    low, high = settings.level_adu
    return (
        f"{100 * frame.saturated:.1f} % of the pixels saturated, "
        f"level {_adu(frame):.0f} ADU ({low:.0f} to {high:.0f} wanted)"
    )


def _level(frame: Measured[FlatSeen], settings: FlatSettings) -> str:
    low, high = settings.level_adu
    level = _adu(frame)
    if low <= level <= high:
        return ""
    noise = float(np.median(frame.plane.readnoise_adu))
    dark = ": no light, the shutter did not open" if level < 5 * noise else ""
    return f"level {level:.0f} ADU outside {low:.0f} to {high:.0f}{dark}"


def _adu(frame: Measured[FlatSeen]) -> float:
    return frame.seen.mode / float(np.median(frame.plane.camera.values("gain_e_per_adu")))


def _shutter(frame: Measured[FlatSeen], settings: FlatSettings) -> str:
    dim = flatcheck.dim_fraction(frame.seen.cells)
    if dim <= settings.dim:
        return ""
    return f"{100 * dim:.0f} % of the CCD gets less than half the light: shutter or vignetting"


def _stars(frame: Measured[FlatSeen], settings: FlatSettings) -> str:
    seen = frame.seen
    forgiven = max(_ALWAYS_FORGIVEN, settings.stars_per_mpix * seen.n_pixels / 1e6)
    if seen.n_sources <= forgiven:
        return ""
    return f"{seen.n_sources} compact sources, {forgiven:.0f} allowed: stars"


def _strange_light(frames: list[Measured[FlatSeen]], settings: FlatSettings) -> dict[str, str]:
    if len(frames) < _FEWEST_TO_JUDGE:
        return {}
    scaled = np.array([frame.seen.cells / frame.seen.mode for frame in frames])
    typical = np.median(scaled, axis=0)
    rejected = {}
    for frame, own in zip(frames, scaled):
        away = flatcheck.departure(own, typical)
        if not away <= settings.shape:
            rejected[frame.name] = (
                f"light on large scales differs from the other flats' by {100 * away:.1f} %: "
                "shutter pattern, clouds or stray light"
            )
    return rejected


def apart(kept: list[Measured[FlatSeen]], settings: FlatSettings) -> list[str]:
    """How the only two flats disagree: neither is refused, and no certificate is given."""
    if len(kept) != 2:
        return []
    one, other = (frame.seen.cells / frame.seen.mode for frame in kept)
    away = flatcheck.departure(one, other)
    if away <= settings.shape:
        return []
    return [
        f"the only two flats disagree: their light on large scales differs by {100 * away:.1f} %, "
        f"{100 * settings.shape:g} % allowed; take more"
    ]
