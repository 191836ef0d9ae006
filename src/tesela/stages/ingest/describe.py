"""From a raw file to the facts that the ledger keeps; or one sentence why not.

Nothing is guessed: a card that is missing, unreadable or contradicted by another refuses the
frame, because a wrong calibration costs more than a frame that waits for a person.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tesela.cameras import Camera
from tesela.cameras.camera import ImageType
from tesela.config import Survey
from tesela.errors import BadInput
from tesela.pixels import rawpicture
from tesela.products import files, paths, rawfile
from tesela.products.frame import FrameFacts, mjd_of, night_of
from tesela.sky import epoch
from tesela.sky.nominal import nominal

Header = Mapping[str, Any]
_SAFE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,99}")
_FIRST_YEAR, _LAST_YEAR = 1980, 2100
"""There were no CCD frames before, and a later clock is wrong."""
_CLOCK_TOLERANCE_S = 60.0


@dataclass(frozen=True)
class Described:
    """What is known of a raw frame once its file was read."""

    facts: FrameFacts
    picture: NDArray[np.uint8]
    """(h, w, 3) small grey picture, first row at the top."""


def describe(path: Path, survey: Survey, cameras: Sequence[Camera]) -> Described:
    """The facts of a raw frame, and a small picture of it: its pixels are read but once.

    Raises `BadInput` with one sentence that names the file, what was found, what was expected
    and what to do.
    """
    where = path.name
    name = rawfile.frame_name(path)
    if not _SAFE_NAME.fullmatch(name):
        raise BadInput(
            repr(where),
            found="a name with characters that are not safe",
            expected="letters, digits, '.', '_', '+', '-'",
            do="rename the file",
        )

    def judge(header: Header, shape: tuple[int, int]) -> None:
        _check_size(shape, _camera(header, cameras, where), where)

    header, pixels = rawfile.read(path, judge)
    camera = _camera(header, cameras, where)
    ccd = _ccd(header, camera, where)
    camera = camera.for_ccd(ccd)
    camera.with_header(header, where)
    kind = _image_type(header, camera, where)
    exptime_s = _exposure_time(header, camera, kind, where)
    mjd_start = _start(header, camera, where)
    is_filtered = kind.obstype in ("flat", "science")
    band, serial = _filter(header, camera, survey, where) if is_filtered else ("", "-")
    pointing = _pointing(header, camera, mjd_start, where) if kind.obstype == "science" else None
    facts = FrameFacts(
        name=name,
        path=str(path),
        sha256=files.sha256_of(path),
        data_sha256=hashlib.sha256(pixels.tobytes()).hexdigest(),
        telescope=camera.telescope,
        camera=camera.name,
        ccd=ccd,
        band=band,
        filter_serial=serial,
        obstype=kind.obstype,
        flat_kind=kind.flat_kind,
        readout_mode=_text(header, camera.header.readout_mode)
        or camera.defaults.get("readout_mode", "-"),
        mjd_start=mjd_start,
        exptime_s=exptime_s,
        ra_deg=pointing[0] if pointing else None,
        dec_deg=pointing[1] if pointing else None,
        airmass=_number(header, camera.header.airmass, where, required=False),
        object=_text(header, camera.header.object),
        project=_text(header, camera.header.project) or survey.project,
        night=night_of(mjd_start, camera.longitude_deg),
        nx=camera.nx,
        ny=camera.ny,
        footprint=_footprint(pointing, camera) if pointing else None,
        exposure=_exposure(header, camera, name, ccd, where),
        ccds=camera.ccds,
    )
    return Described(facts, _picture(pixels, camera))


def _picture(pixels: NDArray[np.uint16], camera: Camera) -> NDArray[np.uint8]:
    return rawpicture.render(
        pixels,
        camera.sections("data"),
        camera.sections("dest"),
        camera.sections("overscan"),
        camera.shape,
        max_px=paths.RAW_PICTURE_PX,
    )


def _first(header: Header, names: Sequence[str]) -> tuple[str, Any]:
    for name in names:
        value = header.get(name.upper())
        if value is not None and str(value).strip() != "":
            return name, value
    return (names[0] if names else ""), None


def _text(header: Header, names: Sequence[str]) -> str:
    _, value = _first(header, names)
    return "" if value is None else str(value).strip()


def _number(
    header: Header, names: Sequence[str], where: str, *, required: bool = True
) -> float | None:
    name, value = _first(header, names)
    if value is None:
        if not required:
            return None
        raise BadInput(
            where, found=f"no card {name}", expected="a number", do="complete the header"
        )
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = math.nan
    if not math.isfinite(number):
        raise BadInput(
            where, found=f"{name} = {value!r}", expected="a number", do="correct the header"
        )
    return number


def _camera(header: Header, cameras: Sequence[Camera], where: str) -> Camera:
    for camera in cameras:
        if _text(header, camera.header.instrument) in camera.instruments:
            return camera
    card = cameras[0].header.instrument if cameras else ("INSTRUME",)
    name, value = _first(header, card)
    known = ", ".join(i for camera in cameras for i in camera.instruments)
    raise BadInput(
        where,
        found=f"no card {name}" if value is None else f"{name} = {value!r}, an unknown camera",
        expected=f"{name} = {known}",
        do="name the camera in survey.toml or keep the file out of this survey",
    )


def _check_size(shape: tuple[int, ...], camera: Camera, where: str) -> None:
    if shape != (camera.raw_ny, camera.raw_nx):
        raise BadInput(
            where,
            found=f"{shape[1]}x{shape[0]} pixels",
            expected=f"{camera.raw_nx}x{camera.raw_ny} for {camera.name}",
            do="windowed or binned read-outs need a camera description of their own",
        )


def _image_type(header: Header, camera: Camera, where: str) -> ImageType:
    name, value = _first(header, camera.header.imagetype)
    kind = camera.imagetypes.get(str(value).strip().upper()) if value is not None else None
    if kind is None:
        raise BadInput(
            where,
            found=f"no card {name}" if value is None else f"{name} = {value!r}",
            expected=f"one of {', '.join(camera.imagetypes)}",
            do="correct the header or add the word to the camera's [imagetypes]",
        )
    card, category = _first(header, camera.header.category)
    if category is not None and kind.category and str(category).strip() != kind.category:
        raise BadInput(
            where,
            found=f"{name} = {value!r} but {card} = {category!r}",
            expected=f"{card} = {kind.category!r} with that type",
            do="find out what was exposed and correct the header",
        )
    return kind


def _exposure_time(header: Header, camera: Camera, kind: ImageType, where: str) -> float:
    exptime = _number(header, camera.header.exptime, where)
    name, _ = _first(header, camera.header.exptime)
    if exptime is None or exptime < 0:
        raise BadInput(
            where, found=f"{name} = {exptime}", expected="seconds >= 0", do="correct the header"
        )
    if (kind.obstype == "bias") != (exptime == 0):
        raise BadInput(
            where,
            found=f"a {kind.obstype} frame with {name} = {exptime:g}",
            expected="0 s for a bias, more for anything else",
            do="find out what was exposed and correct the header",
        )
    return exptime


def _start(header: Header, camera: Camera, where: str) -> float:
    name, value = _first(header, camera.header.date)
    if value is None:
        raise BadInput(
            where, found=f"no card {name}", expected="UTC of the start", do="complete the header"
        )
    try:
        moment = dt.datetime.fromisoformat(str(value).strip().rstrip("Z"))
    except ValueError:
        moment = None
    if moment is None or "T" not in str(value):
        raise BadInput(
            where,
            found=f"{name} = {value!r}",
            expected="a date and time like 2017-07-03T21:30:00",
            do="correct the header",
        )
    if not _FIRST_YEAR <= moment.year < _LAST_YEAR:
        raise BadInput(
            where,
            found=f"{name} = {value!r}",
            expected=f"a year from {_FIRST_YEAR} to {_LAST_YEAR - 1}",
            do="find out when it was exposed and correct the header",
        )
    mjd = mjd_of(moment)
    stated = _number(header, camera.header.mjd, where, required=False)
    if stated is not None and abs(stated - mjd) * 86400 > _CLOCK_TOLERANCE_S:
        other, _ = _first(header, camera.header.mjd)
        raise BadInput(
            where,
            found=f"{name} = {value} but {other} = {stated}",
            expected=f"the same instant within {_CLOCK_TOLERANCE_S:.0f} s",
            do="find out which clock is right and correct the header",
        )
    return mjd


def _filter(header: Header, camera: Camera, survey: Survey, where: str) -> tuple[str, str]:
    name, value = _first(header, camera.header.filter)
    band = survey.band_of(str(value)) if value is not None else None
    if band is None:
        raise BadInput(
            where,
            found=f"no card {name}" if value is None else f"unknown filter {name} = {value!r}",
            expected=f"one of {', '.join(survey.filters)}",
            do="correct the header or add the filter to survey.toml",
        )
    serial = _text(header, camera.header.serial) or camera.defaults.get("serial", "-")
    accepted = survey.filters[band].serials
    if accepted and serial not in accepted:
        raise BadInput(
            where,
            found=f"filter serial {serial!r} in band {band}",
            expected=f"one of {', '.join(accepted)}",
            do="add the serial to survey.toml if the filter was exchanged",
        )
    return band, serial


def _pointing(header: Header, camera: Camera, mjd: float, where: str) -> tuple[float, float]:
    ra = _angle(header, camera.header.ra, where, hours=True)
    dec = _angle(header, camera.header.dec, where, hours=False)
    if not (0 <= ra < 360 and -90 <= dec <= 90):
        raise BadInput(
            where,
            found=f"RA = {ra}, Dec = {dec} degrees",
            expected="0 <= RA < 360 and -90 <= Dec <= 90",
            do="correct the header",
        )
    if camera.equinox == "ICRS":
        return ra, dec
    year = 2000 + (mjd - 51544.5) / 365.25 if camera.equinox == "date" else float(camera.equinox)
    ra_icrs, dec_icrs = epoch.precess_to_icrs(ra, dec, year)
    return float(ra_icrs), float(dec_icrs)


def _angle(header: Header, names: Sequence[str], where: str, *, hours: bool) -> float:
    name, value = _first(header, names)
    if isinstance(value, str) and ":" in value:
        try:
            parts = [float(p) for p in value.strip().lstrip("+-").split(":")]
        except ValueError:
            parts = []
        if len(parts) in (2, 3) and all(0 <= p < 60 for p in parts[1:]):
            degrees = sum(p / 60**i for i, p in enumerate(parts)) * (15 if hours else 1)
            return -degrees if value.strip().startswith("-") else degrees
        raise BadInput(
            where, found=f"{name} = {value!r}", expected="an angle", do="correct the header"
        )
    number = _number(header, names, where)
    return math.nan if number is None else number


def _ccd(header: Header, camera: Camera, where: str) -> str:
    ccd = _text(header, camera.header.ccd) or camera.defaults.get("ccd", "")
    if ccd not in camera.ccds:
        raise BadInput(
            where,
            found=f"CCD {ccd!r}",
            expected=f"one of {', '.join(camera.ccds)} for {camera.name}",
            do="correct the header or the camera's description",
        )
    return ccd


def _exposure(header: Header, camera: Camera, name: str, ccd: str, where: str) -> str:
    """What the frames read at once are called together: by a card, else by their names."""
    card, value = _first(header, camera.header.exposure)
    if value is None and len(camera.ccds) == 1:
        return name
    stated = "" if value is None else str(value).strip()
    exposure = stated or name.removesuffix(f"-{ccd}")
    if exposure == name or not _SAFE_NAME.fullmatch(exposure):
        raise BadInput(
            where,
            found=f"{card} = {stated!r}" if stated else f"a name that does not end with -{ccd}",
            expected="the name of its exposure in letters, digits, '.', '_', '+', '-'"
            if stated
            else f"{name}-{ccd}, or a card that names the exposure: {camera.name} has"
            f" {len(camera.ccds)} CCDs",
            do="correct the header" if stated else "rename the file",
        )
    return exposure


def _footprint(pointing: tuple[float, float], camera: Camera) -> tuple[tuple[float, float], ...]:
    guess = nominal(
        *pointing, camera.pixel_scale_arcsec, camera.cd_signs, camera.shape, camera.offset_arcmin
    )
    return tuple((float(ra), float(dec)) for ra, dec in zip(*guess.footprint()))
