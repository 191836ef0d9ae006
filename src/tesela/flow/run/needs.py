"""What each step declares to need: time and memory for each million pixels, measured."""

from __future__ import annotations

import contextlib
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tesela import cameras
from tesela.config import Survey
from tesela.errors import ConfigError
from tesela.sky.tiles import TileGrid

_PROGRAM_MB: Final = 300.0
"""A worker with its libraries and compiled kernels."""
_FULL_MPIX: Final = 85.1


@dataclass(frozen=True)
class Need:
    """Of one task, on one core."""

    seconds_per_mpix: float
    mb_per_mpix: float
    of_tile: bool = False
    """Its pixels are those of a tile, not of a frame."""
    shared: bool = False
    """Several threads may share it."""


NEEDS: Final = {
    "master": Need(0.6, 40.0),
    "detrend": Need(0.25, 33.0, shared=True),
    "reduce": Need(0.25, 33.0, shared=True),
    "coadd": Need(1.5, 78.0, of_tile=True),
    "catalog": Need(3.0, 78.0, of_tile=True),
    "dual": Need(0.3, 60.0, of_tile=True),
    "calibrate": Need(0.05, 2.0, of_tile=True),
    "valueadded": Need(0.1, 5.0, of_tile=True),
    "load": Need(0.05, 2.0, of_tile=True),
}
"""Measured on full-size frames of T80Cam: `docs/benchmarks.md`. Of steps that nobody measured at
that size, `dual` and after, an estimate."""


def memory_mb(need: Need, survey: Survey, folder: Path | None = None) -> float:
    """Memory of a task on the largest camera of the survey, or on a tile of its grid.

    `folder` holds the site's own cameras; one that is in none counts as a full-size one.
    """
    mpix = _tile_mpix(survey) if need.of_tile else _frame_mpix(survey, folder)
    return _PROGRAM_MB + need.mb_per_mpix * mpix


def _frame_mpix(survey: Survey, folder: Path | None) -> float:
    sizes = []
    for name in survey.cameras:
        with contextlib.suppress(ConfigError):
            sizes.append(math.prod(cameras.load(name, folder).shape) / 1e6)
    return max(sizes, default=_FULL_MPIX)


def _tile_mpix(survey: Survey) -> float:
    with contextlib.suppress(ConfigError):
        return math.prod(TileGrid.from_settings(survey.grid).shape) / 1e6
    return _FULL_MPIX
