"""Made-up nights of a camera of 16 amplifiers, quiet or not."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, replace

import numpy as np

from tesela.products.monitor import WHOLE_CCD

AMPS = tuple(range(1, 17))
LEVELS = {
    "bias_level": (1000.0, 2.0, 0.02),
    "readnoise": (3.43, 0.05, 0.03),
    "gain": (0.95, 0.0019, 0.0019),
    "dark": (1e-3, 3e-4, float("nan")),
    "flat_level": (2e4, 3e3, 5.0),
    "flat_ratio": (1.0, 0.0012, 0.0010),
    "crosstalk": (1e-4, 8e-6, 8e-6),
    "fringe": (0.05, 0.004, 0.003),
    "temperature": (-110.0, 0.1, float("nan")),
}
"""Level, scatter and stated error of each quantity. That of the flats changes with the exposure;
half of the scatters are larger than what is stated."""


@dataclass(frozen=True)
class Row:
    night: str
    amp: int
    metric: str
    value: float
    error: float
    level: int = 0
    reason: str = ""


def night_names(n: int) -> list[str]:
    first = dt.date(2017, 1, 15)
    return [str(first + dt.timedelta(days=i)) for i in range(n)]


def quarter(seed: int = 1, n_nights: int = 90, metrics: tuple[str, ...] = ()) -> list[Row]:
    """Every quantity of every amplifier in every night, quiet."""
    rng = np.random.default_rng(seed)
    rows = []
    for metric in metrics or LEVELS:
        level, scatter, error = LEVELS[metric]
        amps = (WHOLE_CCD,) if metric == "temperature" else AMPS
        own = np.zeros(len(amps)) if metric == "flat_ratio" else rng.normal(0, 0.02, len(amps))
        for night in night_names(n_nights):
            values = level * (1 + own) + rng.normal(0.0, scatter, len(amps))
            rows += [Row(night, a, metric, float(v), error) for a, v in zip(amps, values)]
    return rows


def changed(rows: list[Row], metric: str, amp: int, factors: dict[str, float]) -> list[Row]:
    """The same with one amplifier's values multiplied, night by night."""
    return [
        replace(row, value=row.value * factors.get(row.night, 1.0))
        if (row.metric, row.amp) == (metric, amp)
        else row
        for row in rows
    ]
