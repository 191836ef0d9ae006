"""Values of amplifiers by night, as tables of numbers."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from tesela.quality.limits import Array


class Point(Protocol):
    """One quantity of one amplifier in one night, as the ledger gives it."""

    @property
    def night(self) -> str:
        """'2017-07-03'."""

    @property
    def amp(self) -> int:
        """The amplifier's id, or `WHOLE_CCD`."""

    @property
    def metric(self) -> str:
        """A name in `QUANTITIES`."""

    @property
    def value(self) -> float:
        """NaN where it could not be measured."""

    @property
    def error(self) -> float:
        """NaN where none is stated."""

    @property
    def level(self) -> int:
        """QUIET, WARNING or ALARM, as it was judged."""

    @property
    def reason(self) -> str:
        """Of the level."""


@dataclass(frozen=True)
class Series:
    """One quantity: nights down, amplifiers across, both in order."""

    nights: tuple[str, ...]
    amps: tuple[int, ...]
    values: Array
    """(nights, amps); NaN where there is none."""
    errors: Array
    levels: NDArray[np.int64]
    """-1 where there is no row."""


def tabulate(points: Iterable[Point], amps: Iterable[int] = ()) -> Series:
    """Put the rows of one quantity in a table; of two for one place the last one stands.

    Parameters
    ----------
    points : iterable of Point
        Of one detector, quantity, filter and source.
    amps : iterable of int
        Amplifiers that are to have a column in any case.
    """
    rows = list(points)
    nights = sorted({row.night for row in rows})
    columns = sorted({row.amp for row in rows} | set(amps))
    shape = (len(nights), len(columns))
    values, errors = np.full(shape, np.nan), np.full(shape, np.nan)
    levels = np.full(shape, -1)
    down = {night: i for i, night in enumerate(nights)}
    across = {amp: i for i, amp in enumerate(columns)}
    for row in rows:
        place = down[row.night], across[row.amp]
        levels[place] = row.level
        # An infinite value is no measurement either.
        values[place] = row.value if np.isfinite(row.value) else np.nan
        errors[place] = row.error if np.isfinite(row.error) else np.nan
    return Series(tuple(nights), tuple(columns), values, errors, levels)
