"""From a raw file to the facts that the ledger keeps; or one sentence why not.

Nothing is guessed: a card that is missing, unreadable or contradicted by another refuses the
frame, because a wrong calibration costs more than a frame that waits for a person.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
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
from tesela.products.frame import FrameFacts, night_of
from tesela.products.rawparts import Reading
from tesela.products.rawrows import Pixels
from tesela.sky import epoch
from tesela.sky.nominal import nominal
from tesela.stages.ingest.cards import Header, angle, first, number, reading, text
from tesela.stages.ingest.starts import start

_SAFE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,99}")


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

    chosen: list[Camera] = []

    def judge(header: Header, shape: tuple[int, int]) -> Reading:
        camera = camera_of(header, shape, cameras, where)
        check_size(shape, camera, where)
        chosen.append(camera)
        return camera.reading

    header, pixels = rawfile.read(path, judge)
    camera = chosen[0]
    ccd = ccd_of(header, camera, where)
    camera = camera.for_ccd(ccd)
    camera.with_header(header, where)
    kind = image_type_of(header, camera, where)
    exptime_s = exposure_time_of(header, camera, kind, where)
    mjd_start = start(header, camera, where)
    is_filtered = kind.obstype in ("flat", "science")
    band, serial = filter_of(header, camera, survey, where) if is_filtered else ("", "-")
    pointing = pointing_of(header, camera, mjd_start, where) if kind.obstype == "science" else None
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
        readout_mode=text(header, camera.header.readout_mode)
        or camera.defaults.get("readout_mode", "-"),
        mjd_start=mjd_start,
        exptime_s=exptime_s,
        ra_deg=pointing[0] if pointing else None,
        dec_deg=pointing[1] if pointing else None,
        airmass=number(header, camera.header.airmass, where, required=False),
        object=text(header, camera.header.object),
        project=text(header, camera.header.project) or survey.project,
        night=night_of(mjd_start, camera.longitude_deg),
        nx=camera.nx,
        ny=camera.ny,
        footprint=_footprint(pointing, camera) if pointing else None,
        exposure=_exposure(header, camera, name, ccd, where),
        ccds=camera.ccds,
    )
    return Described(facts, _picture(pixels, camera, kind))


def _picture(pixels: Pixels, camera: Camera, kind: ImageType) -> NDArray[np.uint8]:
    return rawpicture.render(
        pixels,
        camera.sections("data"),
        camera.sections("dest"),
        camera.sections("overscan"),
        camera.shape,
        parallel=camera.sections("parallel"),
        max_px=paths.RAW_PICTURE_PX,
        of_sky=kind.obstype == "science",
    )


def camera_of(
    header: Header, shape: tuple[int, ...], cameras: Sequence[Camera], where: str
) -> Camera:
    """The camera that the instrument card names.

    Of several descriptions, as of its read-outs with and without binning, the one of the frame's
    size. Raises `BadInput` if there is none.
    """
    named = [
        camera for camera in cameras if text(header, camera.header.instrument) in camera.instruments
    ]
    if named:
        fits = (one for one in named if one.file_shape == shape)
        return next(fits, named[0])
    card = cameras[0].header.instrument if cameras else ("INSTRUME",)
    name, value = first(header, card)
    known = ", ".join(i for camera in cameras for i in camera.instruments)
    raise BadInput(
        where,
        found=f"no card {name}" if value is None else f"{name} = {value!r}, an unknown camera",
        expected=f"{name} = {known}",
        do="name the camera in survey.toml, or this value among the `instruments` of its "
        "description, or keep the file out of this survey",
    )


def check_size(shape: tuple[int, ...], camera: Camera, where: str) -> None:
    ny, nx = camera.file_shape
    if shape != (ny, nx):
        raise BadInput(
            where,
            found=f"{shape[1]}x{shape[0]} pixels",
            expected=f"{nx}x{ny} for {camera.name}",
            do=_about_size(shape, camera),
        )


def _about_size(shape: tuple[int, ...], camera: Camera) -> str:
    for factor in (2, 3, 4):
        if (shape[0] * factor, shape[1] * factor) == camera.file_shape:
            return (
                f"this may be a frame binned {factor} x {factor}: describe that read-out in a TOML"
                f" of its own, with pixels {factor} times as large, and name it in survey.toml too"
            )
    return "windowed or binned read-outs need a camera description of their own"


def image_type_of(header: Header, camera: Camera, where: str) -> ImageType:
    name, value = first(header, camera.header.imagetype)
    kind = camera.image_type(str(value)) if value is not None else None
    if kind is None:
        raise BadInput(
            where,
            found=f"no card {name}" if value is None else f"{name} = {value!r}",
            expected=f"one of {', '.join(camera.imagetypes)}",
            do="correct the header or add the word to the camera's [imagetypes]",
        )
    card, category = first(header, camera.header.category)
    if category is not None and kind.category and str(category).strip() != kind.category:
        raise BadInput(
            where,
            found=f"{name} = {value!r} but {card} = {category!r}",
            expected=f"{card} = {kind.category!r} with that type",
            do="find out what was exposed and correct the header",
        )
    return kind


def exposure_time_of(header: Header, camera: Camera, kind: ImageType, where: str) -> float:
    exptime = number(header, camera.header.exptime, where)
    name, _ = first(header, camera.header.exptime)
    if exptime is None or exptime < 0:
        raise BadInput(
            where, found=f"{name} = {exptime}", expected="seconds >= 0", do="correct the header"
        )
    is_bias = kind.obstype == "bias"
    if (exptime > camera.bias_exptime_s) if is_bias else exptime == 0:
        raise BadInput(
            where,
            found=f"a {kind.obstype} frame with {name} = {exptime:g}",
            expected=f"{camera.bias_exptime_s:g} s for a bias, more for anything else",
            do="find out what was exposed and correct the header; a camera whose shortest exposure"
            " is longer has bias_exptime_s in its description",
        )
    return exptime


def filter_card(header: Header, camera: Camera) -> tuple[str, Any]:
    """The card that names the filter, of several wheels that of the first that is not empty."""
    is_open = {word.casefold() for word in camera.open_filters}
    for name in camera.header.filter:
        found = first(header, [name])
        if found[1] is not None and str(found[1]).strip().casefold() not in is_open:
            return found
    return first(header, camera.header.filter)


def filter_of(header: Header, camera: Camera, survey: Survey, where: str) -> tuple[str, str]:
    name, value = filter_card(header, camera)
    band = survey.band_of(str(value)) if value is not None else None
    if band is None:
        raise BadInput(
            where,
            found=f"no card {name}" if value is None else f"unknown filter {name} = {value!r}",
            expected=f"one of {', '.join(survey.filters)}",
            do="correct the header or add the filter to survey.toml",
        )
    serial = text(header, camera.header.serial) or camera.defaults.get("serial", "-")
    accepted = survey.filters[band].serials
    if accepted and serial not in accepted:
        raise BadInput(
            where,
            found=f"filter serial {serial!r} in band {band}",
            expected=f"one of {', '.join(accepted)}",
            do="add the serial to survey.toml if the filter was exchanged",
        )
    return band, serial


def pointing_of(header: Header, camera: Camera, mjd: float, where: str) -> tuple[float, float]:
    units = camera.ra_degrees
    ra = angle(header, camera.header.ra, where, **units)
    dec = angle(header, camera.header.dec, where, sexagesimal=1, of_number=1)
    if not (0 <= ra < 360 and -90 <= dec <= 90):
        raise BadInput(
            where,
            found=f"RA = {ra}, Dec = {dec} degrees",
            expected="0 <= RA < 360 and -90 <= Dec <= 90",
            do=f"correct the header, or ra_unit of the camera's description: "
            f"{reading(header, camera.header.ra, **units)}",
        )
    if camera.equinox == "ICRS":
        return ra, dec
    year = 2000 + (mjd - 51544.5) / 365.25 if camera.equinox == "date" else float(camera.equinox)
    ra_icrs, dec_icrs = epoch.precess_to_icrs(ra, dec, year)
    return float(ra_icrs), float(dec_icrs)


def ccd_of(header: Header, camera: Camera, where: str) -> str:
    ccd = text(header, camera.header.ccd) or camera.defaults.get("ccd", "")
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
    card, value = first(header, camera.header.exposure)
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
