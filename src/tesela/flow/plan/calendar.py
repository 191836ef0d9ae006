"""The calendar of calibrations: periods for which masters are due, and what ends their validity.

Everything is counted in local noons, where nights change. An intervention lies between two nights.
"""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from tesela.config import Calibration, Intervention
from tesela.ledger.keys import MasterKey, clean
from tesela.products.frame import mjd_of, night_of, night_span
from tesela.products.masterkind import KINDS
from tesela.products.validity import Validity


@dataclass(frozen=True)
class Period:
    """Nights whose frames make one master: [first, end), evening dates."""

    first: str
    end: str


@dataclass(frozen=True)
class Calendar:
    """Periods, validities and epochs of all kinds of masters."""

    calibration: Calibration = field(default_factory=Calibration)
    longitude_deg: Mapping[str, float] = field(default_factory=dict)
    """East longitude of each camera's site."""

    def noon(self, camera: str, night: str) -> float:
        """MJD of the noon before a night."""
        return night_span(night, self.longitude_deg.get(camera, 0.0))[0]

    def interventions(self, master_kind: str, camera: str) -> list[tuple[float, Intervention]]:
        """(MJD of the noon from which all is new, what was done), in order of time."""
        concerned = [
            (self.noon_of(one, camera), one)
            for one in self.calibration.interventions
            if master_kind in one.kinds and (not one.cameras or camera in map(clean, one.cameras))
        ]
        return sorted(concerned, key=lambda pair: pair[0])

    def noon_of(self, one: Intervention, camera: str) -> float:
        """MJD of the noon from which all is new."""
        moment = dt.datetime.fromisoformat(one.at)
        if len(one.at) == len("2016-05-26"):
            return self.noon(camera, one.at)
        night = night_of(mjd_of(moment), self.longitude_deg.get(camera, 0.0))
        begin = self.noon(camera, night)
        return begin if begin >= mjd_of(moment) else begin + 1.0

    def crossed(self, master_kind: str, camera: str, one: float, other: float) -> str:
        """What was done between two instants, '' if nothing that concerns the kind."""
        low, high = sorted((one, other))
        found = self.interventions(master_kind, camera)
        return ", ".join(f"{what.what} of {what.at}" for at, what in found if low < at <= high)

    def epoch(self, master_kind: str, camera: str, mjd: float) -> tuple[float, float]:
        """[begin, end) of the time around an instant in which nothing was done."""
        moments = [at for at, _ in self.interventions(master_kind, camera)]
        begin = max((at for at in moments if at <= mjd), default=-math.inf)
        return begin, min((at for at in moments if at > mjd), default=math.inf)

    def period(self, master_kind: str, camera: str, night: str) -> Period:
        """The period of a night: by the cadence of its kind, cut by interventions."""
        days = self.calibration.cadence_days.get(master_kind, KINDS[master_kind].cadence_days)
        length = max(1, round(days))
        day = (dt.date.fromisoformat(night) - _DAY_ZERO).days
        first = day // length * length
        end = first + length
        noon = self.noon(camera, night)
        begin, finish = self.epoch(master_kind, camera, noon)
        if math.isfinite(begin):
            first = max(first, day - round(noon - begin))
        if math.isfinite(finish):
            end = min(end, day + round(finish - noon))
        return Period(_night(first), _night(end))

    def next_night(self, night: str) -> str:
        """The evening date that follows."""
        return (dt.date.fromisoformat(night) + dt.timedelta(days=1)).isoformat()

    def validity(self, key: MasterKey) -> Validity:
        """When a master holds if no other begins before its end: from the noon before its period,
        at least one night, and never across an intervention."""
        kind = KINDS[key.master_kind]
        camera = key.configuration.camera
        begin = self.noon(camera, key.night)
        days = self.calibration.validity_days.get(kind.name, kind.validity_days)
        _, finish = self.epoch(kind.name, camera, begin)
        return Validity(begin, min(begin + max(days, 1.0), finish))


_DAY_ZERO = dt.date(1858, 11, 17)


def _night(day: int) -> str:
    return (_DAY_ZERO + dt.timedelta(days=day)).isoformat()
