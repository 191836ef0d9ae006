"""When an exposure began, by whichever of its cards tell it."""

from __future__ import annotations

import datetime as dt
import math
import re
from collections.abc import Mapping
from typing import Any

from tesela.cameras import Camera
from tesela.errors import BadInput
from tesela.products.frame import mjd_of
from tesela.stages.ingest.cards import first, number

_FIRST_YEAR, _LAST_YEAR = 1980, 2100
"""There were no CCD frames before, and a later clock is wrong."""
_CLOCK_TOLERANCE_S = 60.0
_OLD_DATE = re.compile(r"(\d\d)/(\d\d)/(\d\d)")
_MJD_OF_JD = 2400000.5


def start(header: Mapping[str, Any], camera: Camera, where: str) -> float:
    """MJD (UTC) of the start: of the date and time, else of the MJD or the Julian date.

    Raises `BadInput` if no card tells it, or two contradict each other.
    """
    cards = camera.header
    name, value = first(header, cards.date)
    other, stated = _stated(header, camera, where)
    if value is None:
        if stated is None:
            raise BadInput(
                where,
                found=f"no card {name}",
                expected="UTC of the start",
                do="complete the header, or name the card of the date, the MJD or the Julian date"
                " in the camera's [header]",
            )
        if stated == math.floor(stated):  # of the day alone, as some write it
            raise BadInput(
                where,
                found=f"no card {name}, and {other} = {stated} is a day without its time",
                expected="UTC of the start",
                do="complete the header",
            )
        _check_year(_year(stated), f"{other} = {stated}", where)
        return stated
    moment = _moment(header, camera, value)
    if moment is None:
        raise BadInput(
            where,
            found=f"{name} = {value!r}",
            expected="a date and time like 2017-07-03T21:30:00",
            do=f"correct the header, or name the card of the time ({', '.join(cards.time)} are "
            "looked at) in the camera's [header]",
        )
    _check_year(moment.year, f"{name} = {value!r}", where)
    mjd = mjd_of(moment)
    if stated is not None and abs(stated - mjd) * 86400 > _CLOCK_TOLERANCE_S:
        raise BadInput(
            where,
            found=f"{name} = {value} but {other} = {stated}",
            expected=f"the same instant within {_CLOCK_TOLERANCE_S:.0f} s",
            do="find out which clock is right and correct the header; if the card means something "
            "else, take it out of the camera's [header]",
        )
    return mjd


def _stated(header: Mapping[str, Any], camera: Camera, where: str) -> tuple[str, float | None]:
    """The start as a number of days, MJD, with the name of its card."""
    if camera.header.mjd:
        stated = number(header, camera.header.mjd, where, required=False)
        if stated is not None:
            return first(header, camera.header.mjd)[0], stated
    if camera.header.jd:
        stated = number(header, camera.header.jd, where, required=False)
        if stated is not None:
            return first(header, camera.header.jd)[0], stated - _MJD_OF_JD
    return "", None


def _check_year(year: int, found: str, where: str) -> None:
    if not _FIRST_YEAR <= year < _LAST_YEAR:
        raise BadInput(
            where,
            found=found,
            expected=f"a year from {_FIRST_YEAR} to {_LAST_YEAR - 1}",
            do="find out when it was exposed and correct the header",
        )


def _year(mjd: float) -> int:
    """0 for what no calendar has."""
    try:
        return (dt.date(1858, 11, 17) + dt.timedelta(days=math.floor(mjd))).year
    except OverflowError:
        return 0


def _moment(header: Mapping[str, Any], camera: Camera, value: Any) -> dt.datetime | None:
    text = str(value).strip().rstrip("Z").replace(" ", "T")
    if old := _OLD_DATE.fullmatch(text):  # before the year 2000 days came first
        day, month, year = old.groups()
        text = f"19{year}-{month}-{day}"
    if "T" not in text:
        _, time = first(header, camera.header.time)
        if time is None:
            return None
        text = f"{text}T{_clock(time)}"
    try:
        return dt.datetime.fromisoformat(text)
    except ValueError:
        return None


def _clock(time: Any) -> str:
    """A time of day as `hh:mm:ss.ffffff`; hours may be a number."""
    if isinstance(time, (int, float)) and not isinstance(time, bool) and 0 <= time < 24:
        seconds = dt.timedelta(hours=time)
        return (dt.datetime.min + seconds).time().isoformat("microseconds")
    parts = str(time).strip().rstrip("Z").split(":")
    return ":".join([*(part.strip().zfill(2) for part in parts[:-1]), _seconds(parts[-1])])


def _seconds(text: str) -> str:
    whole, dot, fraction = text.strip().partition(".")
    return whole.zfill(2) + dot + fraction if fraction else whole.zfill(2)
