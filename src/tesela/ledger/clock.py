"""The administrative clock: MJD, UTC."""

from __future__ import annotations

import datetime as dt
import time

UNIX_EPOCH_MJD = 40587.0
SECONDS_A_DAY = 86400.0


def now_mjd() -> float:
    """Return the present as MJD, UTC (days)."""
    return UNIX_EPOCH_MJD + time.time() / SECONDS_A_DAY


def iso(mjd: float) -> str:
    """Return an MJD as '2017-07-03T21:30:00Z' (whole seconds)."""
    moment = dt.datetime.fromtimestamp((mjd - UNIX_EPOCH_MJD) * SECONDS_A_DAY, tz=dt.UTC)
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def to_unix(mjd: float) -> float:
    """Return an MJD as seconds since 1970."""
    return (mjd - UNIX_EPOCH_MJD) * SECONDS_A_DAY
