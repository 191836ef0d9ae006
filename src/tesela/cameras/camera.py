"""A camera: its detector's geometry, amplifiers and the cards of its headers."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tesela import config
from tesela.errors import BadInput, ConfigError

_SECTION = re.compile(r"^\s*\[\s*(\d+)\s*:\s*(\d+)\s*,\s*(\d+)\s*:\s*(\d+)\s*\]\s*$")


@dataclass(frozen=True)
class Section:
    """A rectangle of pixels, 0-based and half-open (FITS sections are 1-based and closed)."""

    x0: int
    x1: int
    y0: int
    y1: int

    @classmethod
    def parse(cls, text: str, where: str = "section") -> Section:
        """Read `[x1:x2,y1:y2]` as FITS headers write it."""
        match = _SECTION.match(str(text))
        if match is None:
            raise ConfigError(where, found=repr(text), expected="[x1:x2,y1:y2]")
        x1, x2, y1, y2 = (int(group) for group in match.groups())
        if x1 < 1 or y1 < 1 or x2 < x1 or y2 < y1:
            raise ConfigError(where, found=repr(text), expected="1 <= x1 <= x2, 1 <= y1 <= y2")
        return cls(x1 - 1, x2, y1 - 1, y2)

    @property
    def shape(self) -> tuple[int, int]:
        """(ny, nx)."""
        return self.y1 - self.y0, self.x1 - self.x0

    @property
    def slices(self) -> tuple[slice, slice]:
        """Index of an image array."""
        return slice(self.y0, self.y1), slice(self.x0, self.x1)

    def fits(self) -> str:
        """As FITS headers write it."""
        return f"[{self.x0 + 1}:{self.x1},{self.y0 + 1}:{self.y1}]"


@dataclass(frozen=True)
class Amplifier:
    """One output of a detector and the part of the raw frame that it fills."""

    id: int
    data: Section
    dest: Section
    """Where the data go in the trimmed image."""
    gain_e_per_adu: float
    readnoise_e: float
    saturation_adu: float
    overscan: Section | None = None
    prescan: Section | None = None
    parallel: Section | None = None
    flip_x: bool = False
    """The amplifier reads from high x to low x."""
    flip_y: bool = False


@dataclass(frozen=True)
class HeaderCards:
    """The names of the cards that describe a frame, each a list of names tried in order."""

    filter: tuple[str, ...] = ("FILTER",)
    imagetype: tuple[str, ...] = ("IMAGETYP",)
    exptime: tuple[str, ...] = ("EXPTIME",)
    date: tuple[str, ...] = ("DATE-OBS",)
    mjd: tuple[str, ...] = ("MJD-OBS",)
    ra: tuple[str, ...] = ("RA",)
    dec: tuple[str, ...] = ("DEC",)
    airmass: tuple[str, ...] = ("AIRMASS",)
    object: tuple[str, ...] = ("OBJECT",)
    instrument: tuple[str, ...] = ("INSTRUME",)
    telescope: tuple[str, ...] = ("TELESCOP",)
    serial: tuple[str, ...] = ()
    readout_mode: tuple[str, ...] = ()
    ccd: tuple[str, ...] = ()
    project: tuple[str, ...] = ("PROJECT",)
    temperature: tuple[str, ...] = ("CCD-TEMP",)
    """Of the CCD, degrees Celsius."""
    category: tuple[str, ...] = ()
    """A second statement of what the frame is; must agree with the image type."""
    amplifiers: str = ""
    """Prefix of the HIERARCH blocks of the outputs, e.g. `OAJ DET OUT`."""


@dataclass(frozen=True)
class ImageType:
    """What an image type card's value means."""

    obstype: str
    flat_kind: str = ""
    category: str = ""


@dataclass(frozen=True)
class Camera:
    """A camera as its TOML describes it.

    `cd_signs` is the nominal CD matrix in units of the pixel scale: rows are (east, north),
    columns are (x, y); [[-1, 0], [0, 1]] has north up and east left.
    """

    name: str
    telescope: str
    telescope_code: str
    instrument: str
    raw_nx: int
    raw_ny: int
    nx: int
    ny: int
    pixel_scale_arcsec: float
    cd_signs: tuple[tuple[float, float], tuple[float, float]]
    ccds: tuple[str, ...]
    amplifiers: tuple[Amplifier, ...]
    header: HeaderCards = field(default_factory=HeaderCards)
    imagetypes: dict[str, ImageType] = field(default_factory=dict)
    instruments: tuple[str, ...] = ()
    """Values of the instrument card that mean this camera."""
    equinox: str = "ICRS"
    """"ICRS", a year, or "date": the equinox of the pointing cards, whatever EQUINOX says."""
    defaults: dict[str, str] = field(default_factory=dict)
    """Facts that no card tells: serial, readout_mode, ccd."""
    longitude_deg: float = 0.0
    latitude_deg: float | None = None
    """None: no refraction that depends on colour is fitted."""
    crosstalk: tuple[tuple[float, ...], ...] = ()
    """Matrix C[victim][aggressor]; empty if not known."""

    @property
    def shape(self) -> tuple[int, int]:
        """(ny, nx) of the trimmed image."""
        return self.ny, self.nx

    def sections(self, name: str) -> NDArray[np.int64]:
        """(n_amp, 4) array of x0, x1, y0, y1 of `data`, `dest`, `overscan`, ...

        An amplifier without that section has zero width.
        """
        rows = []
        for amp in self.amplifiers:
            s = getattr(amp, name)
            rows.append((s.x0, s.x1, s.y0, s.y1) if s else (0, 0, amp.data.y0, amp.data.y1))
        return np.array(rows, dtype=np.int64)

    def values(self, name: str) -> NDArray[np.float32]:
        """(n_amp,) array of a number of the amplifiers."""
        return np.array([getattr(amp, name) for amp in self.amplifiers], dtype=np.float32)

    def with_header(self, header: Mapping[str, Any], where: str) -> Camera:
        """This camera with the amplifiers that the frame's own cards describe, where present.

        Raises `BadInput` if the cards contradict the size of the frame or of the detector.
        """
        if not self.header.amplifiers:
            return self
        amps = tuple(self._amplifier(amp, header, where) for amp in self.amplifiers)
        camera = replace(self, amplifiers=amps)
        camera.check(where, BadInput)
        return camera

    def _amplifier(self, amp: Amplifier, header: Mapping[str, Any], where: str) -> Amplifier:
        prefix = f"{self.header.amplifiers}{amp.id} "
        new: dict[str, Any] = {}
        for card, attribute in _AMPLIFIER_CARDS.items():
            value = header.get(prefix + card)
            if value is None:
                continue
            try:
                is_section = attribute in _SECTION_FIELDS
                new[attribute] = Section.parse(value) if is_section else float(value)
            except (ConfigError, ValueError, TypeError):
                raise BadInput(
                    where,
                    found=f"{prefix}{card} = {value!r}",
                    expected="[x1:x2,y1:y2]" if attribute in _SECTION_FIELDS else "a number",
                    do="correct the card or remove it, then the camera's own geometry is used",
                ) from None
        return replace(amp, **new)

    def check(self, where: str, error: type[ConfigError] | type[BadInput] = ConfigError) -> None:
        """Refuse geometry that does not tile the image exactly or leaves the raw frame."""
        if abs(np.linalg.det(np.array(self.cd_signs))) < _LEAST_AREA:
            raise error(
                where,
                found=f"cd_signs = {[list(row) for row in self.cd_signs]}",
                expected="two directions on the sky, such as [[-1, 0], [0, 1]]",
                do="correct the camera's description",
            )
        unknown = {kind.obstype for kind in self.imagetypes.values()} - _OBSTYPES
        if unknown:
            raise error(
                where,
                found=f"obstype {', '.join(sorted(unknown))}",
                expected=f"one of {', '.join(sorted(_OBSTYPES))}",
                do="correct [imagetypes] of the camera's description",
            )
        covered = np.zeros(self.shape, dtype=np.uint8)
        for amp in self.amplifiers:
            for name in ("data", *_SECTION_FIELDS[1:]):
                section = getattr(amp, name)
                if section and (section.x1 > self.raw_nx or section.y1 > self.raw_ny):
                    raise error(
                        where,
                        found=f"amplifier {amp.id} {name} {section.fits()}",
                        expected=f"a section of a {self.raw_nx}x{self.raw_ny} frame",
                        do="compare the cards with the camera's description",
                    )
            if amp.data.shape != amp.dest.shape:
                raise error(
                    where,
                    found=f"amplifier {amp.id}: {amp.data.fits()} goes to {amp.dest.fits()}",
                    expected="sections of one size",
                    do="compare the cards with the camera's description",
                )
            if amp.overscan and (amp.overscan.y0, amp.overscan.y1) != (amp.data.y0, amp.data.y1):
                raise error(
                    where,
                    found=f"amplifier {amp.id} overscan {amp.overscan.fits()}",
                    expected=f"the rows of its data {amp.data.fits()}",
                    do="compare the cards with the camera's description",
                )
            if not amp.gain_e_per_adu > 0 or not amp.readnoise_e > 0:
                raise error(
                    where,
                    found=f"amplifier {amp.id}: gain {amp.gain_e_per_adu}, "
                    f"read noise {amp.readnoise_e}",
                    expected="positive numbers",
                    do="correct the cards GAIN and RON",
                )
            covered[amp.dest.slices] += 1
        if not np.all(covered == 1):
            raise error(
                where,
                found=f"amplifiers fill {np.count_nonzero(covered == 1)} of {covered.size} pixels",
                expected="each pixel of the image filled once",
                do="compare the cards with the camera's description",
            )


_OBSTYPES = {"bias", "dark", "flat", "science"}
_LEAST_AREA = 0.1
_SECTION_FIELDS = ("data", "overscan", "prescan", "parallel")
_AMPLIFIER_CARDS = {
    "IMSC": "data",
    "PRSCX": "prescan",
    "OVSCX": "overscan",
    "OVSCY": "parallel",
    "GAIN": "gain_e_per_adu",
    "RON": "readnoise_e",
    "SATUR": "saturation_adu",
}


def _parse(table: dict[str, Any], where: str) -> Camera:
    amplifiers = []
    for row in table.get("amplifiers", []):
        fields = dict(row)
        for name in ("data", "dest", "overscan", "prescan", "parallel"):
            if name in fields:
                s = Section.parse(fields[name], f"{where}: amplifier {fields.get('id')} {name}")
                fields[name] = {"x0": s.x0, "x1": s.x1, "y0": s.y0, "y1": s.y1}
        amplifiers.append(fields)
    camera = config.build(Camera, {**table, "amplifiers": amplifiers}, where)
    camera.check(where)
    return camera


def _folder() -> Path:
    return Path(str(resources.files("tesela.cameras") / "data"))


def names() -> tuple[str, ...]:
    """The cameras that ship with the package."""
    return tuple(sorted(path.stem for path in _folder().glob("*.toml")))


@cache
def load(name: str, folder: Path | None = None) -> Camera:
    """A camera by name: from `folder` (a site's own cameras) if it is there, else from the package.

    Raises `ConfigError` if there is none of that name or its description is wrong.
    """
    for place in (folder, _folder()):
        if place is not None and (place / f"{name}.toml").is_file():
            path = place / f"{name}.toml"
            return _named(_parse(config.load_toml(path), path.name), path)
    raise ConfigError(
        f"camera {name!r}",
        found="no description of it",
        expected=f"one of {', '.join(names())}, or {name}.toml in the site's folder cameras/",
    )


def _named(camera: Camera, path: Path) -> Camera:
    """Frames know their camera by its name, and find it again by the name of its file."""
    if camera.name != path.stem:
        raise ConfigError(
            path.name,
            found=f"name = {camera.name!r}",
            expected=f"name = {path.stem!r}, as the file is called",
            do="give the file and the camera one name",
        )
    return camera
