"""What is known of a raw frame before any pixel is judged."""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

MJD_UNIX_EPOCH = 40587.0


@dataclass(frozen=True)
class FrameFacts:
    """A raw frame as ingest describes it. Times are MJD (UTC), angles degrees (ICRS)."""

    name: str
    path: str
    sha256: str
    """Of the whole file."""
    data_sha256: str
    """Of the pixels alone."""
    telescope: str
    camera: str
    ccd: str
    band: str
    """Empty for frames that no filter concerns."""
    filter_serial: str
    obstype: str
    """bias, dark, flat or science."""
    flat_kind: str
    """sky or dome for a flat, else empty."""
    readout_mode: str
    mjd_start: float
    exptime_s: float
    ra_deg: float | None
    dec_deg: float | None
    airmass: float | None
    object: str
    project: str
    night: str
    """Evening date at the telescope, `2017-07-03`."""
    nx: int
    ny: int
    footprint: tuple[tuple[float, float], ...] | None
    """Corners (ra, dec) by the pointing, None for calibration frames."""
    exposure: str = ""
    """Name that the frames read at once share; empty: the frame's own, it was read alone."""
    ccds: tuple[str, ...] = ()
    """CCDs that an exposure of its camera has; empty: not known."""

    @property
    def mjd_mid(self) -> float:
        """Middle of the exposure."""
        return self.mjd_start + self.exptime_s / 2 / 86400

    def as_dict(self) -> dict[str, Any]:
        """Plain values, for the ledger and for workers."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> FrameFacts:
        """The inverse of `as_dict`, also after a journey through JSON."""
        corners = values.get("footprint")
        fixed = {
            **values,
            "footprint": None if corners is None else tuple((c[0], c[1]) for c in corners),
            "ccds": tuple(values.get("ccds", ())),
        }
        return cls(**fixed)


def mjd_of(moment: dt.datetime) -> float:
    """MJD of a UTC time without or with a zone."""
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=dt.UTC)
    return moment.timestamp() / 86400 + MJD_UNIX_EPOCH


def night_of(mjd: float, longitude_deg: float) -> str:
    """Evening date of the observing night: it changes at noon of the local mean sun."""
    local = mjd + longitude_deg / 360 - 0.5
    return (dt.date(1858, 11, 17) + dt.timedelta(days=math.floor(local))).isoformat()


def night_span(night: str, longitude_deg: float) -> tuple[float, float]:
    """MJD of the two local noons that bound a night, half-open."""
    day = (dt.date.fromisoformat(night) - dt.date(1858, 11, 17)).days
    begin = day + 0.5 - longitude_deg / 360
    return begin, begin + 1.0
