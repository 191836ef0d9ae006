"""One planned frame, and where the sky stands while it is taken."""

from __future__ import annotations

import datetime as dt
import math
from dataclasses import dataclass

LATITUDE_DEG = 40.0420


@dataclass(frozen=True)
class Exposure:
    """One planned frame."""

    name: str
    kind: str
    """bias, dark, flat (of the sky), dome or science."""
    band: str
    start: dt.datetime
    exptime_s: float
    object: str
    ra_deg: float
    dec_deg: float
    """Where the telescope is told to point."""
    header_exptime_s: float = -1.0
    """What the header states, if that is wrong."""
    ccd: str = "01"
    """The CCD whose frame it is."""
    shared: str = ""
    """Name that the frames read at once have in common; empty if it is the frame's own."""
    is_displaced: bool = False
    """Stars of one place are displaced by a smooth bump."""

    @property
    def read_with(self) -> str:
        """What sky and telescope do is drawn for: the frames that are read together."""
        return self.shared or self.name

    @property
    def stated_exptime_s(self) -> float:
        """Exposure time of the header."""
        return self.exptime_s if self.header_exptime_s < 0 else self.header_exptime_s

    @property
    def mjd(self) -> float:
        """MJD of the start, UTC."""
        return self.start.timestamp() / 86400 + 40587.0

    @property
    def mid_year(self) -> float:
        """Julian year of the middle."""
        return 2000.0 + (self.mjd + self.exptime_s / 172800 - 51544.5) / 365.25

    @property
    def night(self) -> str:
        """Date of the evening, YYYYMMDD."""
        return (self.start - dt.timedelta(hours=12)).strftime("%Y%m%d")

    def hour_angle_rad(self, longitude_deg: float) -> float:
        """Hour angle of the pointing at the middle, from the mean sidereal time."""
        days = self.mjd + self.exptime_s / 172800 - 51544.5
        sidereal = 280.46061837 + 360.98564736629 * days + longitude_deg
        return math.radians(sidereal - self.ra_deg)

    def airmass(self, longitude_deg: float) -> float:
        """Airmass at the middle (Pickering 2002), at an altitude of 10 degrees or more."""
        altitude = math.degrees(math.asin(max(self._sine_of_altitude(longitude_deg), 0.17)))
        return 1.0 / math.sin(math.radians(altitude + 244.0 / (165.0 + 47.0 * altitude**1.1)))

    def zenith(self, longitude_deg: float) -> tuple[float, float, float]:
        """Direction to the zenith (east, north), and the tangent of the distance to it."""
        hour, lat = self.hour_angle_rad(longitude_deg), math.radians(LATITUDE_DEG)
        dec = math.radians(self.dec_deg)
        # West of the meridian the zenith lies to the east.
        angle = math.atan2(
            math.sin(hour), math.tan(lat) * math.cos(dec) - math.sin(dec) * math.cos(hour)
        )
        sine = max(self._sine_of_altitude(longitude_deg), 0.17)
        return math.sin(angle), math.cos(angle), math.sqrt(1 - sine * sine) / sine

    def _sine_of_altitude(self, longitude_deg: float) -> float:
        hour = self.hour_angle_rad(longitude_deg)
        lat, dec = math.radians(LATITUDE_DEG), math.radians(self.dec_deg)
        return math.sin(lat) * math.sin(dec) + math.cos(lat) * math.cos(dec) * math.cos(hour)
