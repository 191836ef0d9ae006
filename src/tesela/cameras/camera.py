"""A camera: the geometry of its detectors, and the cards of its headers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tesela import config
from tesela.cameras import checks
from tesela.cameras.amplifiers import Amplifier, Section
from tesela.cameras.detectors import CdSigns, Detector, check_places, turned
from tesela.errors import BadInput, ConfigError
from tesela.products.rawparts import Reading


@dataclass(frozen=True)
class HeaderCards:
    """The names of the cards that describe a frame, each a list of names tried in order."""

    filter: tuple[str, ...] = ("FILTER",)
    imagetype: tuple[str, ...] = ("IMAGETYP",)
    exptime: tuple[str, ...] = ("EXPTIME",)
    """Seconds."""
    date: tuple[str, ...] = ("DATE-OBS",)
    """UTC of the start."""
    time: tuple[str, ...] = ("UT", "UTC", "UTSTART", "TIME-OBS")
    """UTC of the start, `21:30:00`, looked at where the card of the date has no time of day."""
    mjd: tuple[str, ...] = ("MJD-OBS",)
    """MJD (UTC) of the start: must agree with the date; alone where there is no card of it."""
    jd: tuple[str, ...] = ()
    """Julian date (UTC) of the start, where there is neither."""
    ra: tuple[str, ...] = ("RA",)
    dec: tuple[str, ...] = ("DEC",)
    airmass: tuple[str, ...] = ("AIRMASS",)
    object: tuple[str, ...] = ("OBJECT",)
    instrument: tuple[str, ...] = ("INSTRUME",)
    telescope: tuple[str, ...] = ("TELESCOP",)
    serial: tuple[str, ...] = ()
    readout_mode: tuple[str, ...] = ()
    ccd: tuple[str, ...] = ()
    exposure: tuple[str, ...] = ()
    """Name that the frames read at once share; without such a card it is the frame's name without
    the CCD at its end."""
    project: tuple[str, ...] = ("PROJECT",)
    temperature: tuple[str, ...] = ("CCD-TEMP",)
    """Of the CCD, degrees Celsius."""
    gain: tuple[str, ...] = ()
    """Electrons per ADU, in place of the description's; `{id}` is the amplifier's."""
    readnoise: tuple[str, ...] = ()
    """Electrons, likewise."""
    saturation: tuple[str, ...] = ()
    """ADU, likewise."""
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
    """As the ledger names it."""
    telescope_code: str
    """Short, for names of files."""
    instrument: str
    """As products name it."""
    raw_nx: int
    """Columns of a raw frame, strips included."""
    raw_ny: int
    """Rows of a raw frame."""
    nx: int
    """Columns of the trimmed image."""
    ny: int
    """Rows of the trimmed image."""
    pixel_scale_arcsec: float
    """Side of a pixel on the sky."""
    cd_signs: CdSigns
    """Which way the pixel axes go on the sky."""
    ccds: tuple[str, ...]
    """Its CCDs, as `[header] ccd` or `[defaults] ccd` names them."""
    amplifiers: tuple[Amplifier, ...]
    amplifiers_of: str = ""
    """Another camera whose `[[amplifiers]]` these are, instead of a list here."""
    detectors: tuple[Detector, ...] = ()
    """Where each of several CCDs lies; one alone is centred on the pointing."""
    offset_arcmin: tuple[float, float] = (0.0, 0.0)
    """From the pointing to the centre of the CCD, [east, north]; of `for_ccd` that of its CCD."""
    header: HeaderCards = field(default_factory=HeaderCards)
    imagetypes: dict[str, ImageType] = field(default_factory=dict)
    """By the value of the image type card, in any case; `*` stands for any letters."""
    instruments: tuple[str, ...] = ()
    """Values of the instrument card that mean this camera."""
    equinox: str = "ICRS"
    """"ICRS", a year, or "date": the equinox of the pointing cards, whatever EQUINOX says."""
    ra_unit: str = "deg"
    """Of right ascensions: "deg" for numbers in degrees and sexagesimal text in hours, "hours" for
    both in hours, "dms" for both in degrees."""
    float_pixels: bool = False
    """Raw frames may be of floats, NaN where they have no number, or of integers beyond 16 bits."""
    images: int = 1
    """Images of one size in a file, one an output, that make a raw frame side by side in x."""
    open_filters: tuple[str, ...] = ()
    """What the cards of several filter wheels say of an empty place: the next card is asked."""
    bias_exptime_s: float = 0.0
    """Longest exposure of a bias, where the camera has none of 0 s."""
    defaults: dict[str, str] = field(default_factory=dict)
    """Facts that no card tells: serial, readout_mode, ccd."""
    longitude_deg: float = 0.0
    """East positive; decides which night a frame belongs to."""
    latitude_deg: float | None = None
    """None: no refraction that depends on colour is fitted."""
    crosstalk: tuple[tuple[float, ...], ...] = ()
    """Matrix C[victim][aggressor]; empty if not known."""

    @property
    def shape(self) -> tuple[int, int]:
        """(ny, nx) of the trimmed image."""
        return self.ny, self.nx

    @property
    def ra_degrees(self) -> dict[str, int]:
        """Degrees in a unit of a right ascension: `of_number`, or `sexagesimal`."""
        return checks.RA_UNITS[self.ra_unit]

    @property
    def reading(self) -> Reading:
        """How its files are read."""
        return Reading(self.float_pixels, self.images)

    @property
    def file_shape(self) -> tuple[int, int]:
        """(ny, nx) of each image in a file."""
        return self.raw_ny, self.raw_nx // self.images

    def sections(self, name: str) -> NDArray[np.int64]:
        """(n_amp, 4) array of x0, x1, y0, y1 of `data`, `dest`, `overscan`, ...

        An amplifier without that section has zero width.
        """
        rows = []
        for amp in self.amplifiers:
            s = getattr(amp, name)
            rows.append((s.x0, s.x1, s.y0, s.y1) if s else (0, 0, amp.data.y0, amp.data.y1))
        return np.array(rows, dtype=np.int64)

    def read_sections(self) -> NDArray[np.int64]:
        """(n, 4) array of x0, x1, y0, y1 of all that is read of a raw frame."""
        return np.concatenate([self.sections(name) for name in _SECTION_FIELDS])

    def values(self, name: str) -> NDArray[np.float32]:
        """(n_amp,) array of a number of the amplifiers."""
        return np.array([getattr(amp, name) for amp in self.amplifiers], dtype=np.float32)

    def image_type(self, word: str) -> ImageType | None:
        """What a value of the image type card means: an exact word, else the first pattern."""
        wanted = word.strip().upper()
        if wanted in self.imagetypes:
            return self.imagetypes[wanted]
        fits = (kind for word, kind in self.imagetypes.items() if fnmatchcase(wanted, word))
        return next(fits, None)

    def for_ccd(self, ccd: str) -> Camera:
        """This camera as one of its CCDs has it: place, orientation, outputs, filter."""
        its = next((detector for detector in self.detectors if detector.ccd == ccd), None)
        if its is None:
            return self
        return replace(
            self,
            detectors=(),
            offset_arcmin=its.offset_arcmin,
            cd_signs=turned(self.cd_signs, its.rotation_deg),
            amplifiers=its.outputs(self.amplifiers),
            defaults={**self.defaults, "serial": its.serial} if its.serial else self.defaults,
        )

    def with_header(self, header: Mapping[str, Any], where: str) -> Camera:
        """This camera with the amplifiers that the frame's own cards describe, where present.

        Raises `BadInput` if the cards contradict the size of the frame or of the detector.
        """
        if not (self.header.amplifiers or any(self._number_cards().values())):
            return self
        amps = tuple(self._amplifier(amp, header, where) for amp in self.amplifiers)
        camera = replace(self, amplifiers=amps)
        camera.check(where, BadInput)
        return camera

    def _amplifier(self, amp: Amplifier, header: Mapping[str, Any], where: str) -> Amplifier:
        new: dict[str, Any] = {}
        for card, attribute in self._cards_of(amp):
            value = header.get(card.upper())
            if value is None or attribute in new:
                continue
            is_section = attribute in _SECTION_FIELDS
            try:
                new[attribute] = Section.parse(value) if is_section else float(value)
            except (ConfigError, ValueError, TypeError):
                raise BadInput(
                    where,
                    found=f"{card} = {value!r}",
                    expected="[x1:x2,y1:y2]" if is_section else "a number",
                    do="correct the card or remove it, then the camera's own geometry is used",
                ) from None
        return replace(amp, **new)

    def _number_cards(self) -> dict[str, tuple[str, ...]]:
        """Cards of the outputs' numbers, by attribute."""
        return {
            "gain_e_per_adu": self.header.gain,
            "readnoise_e": self.header.readnoise,
            "saturation_adu": self.header.saturation,
        }

    def _cards_of(self, amp: Amplifier) -> Iterator[tuple[str, str]]:
        """Cards that may describe an amplifier and what each says; the first that is there wins."""
        if self.header.amplifiers:
            for card, attribute in _AMPLIFIER_CARDS.items():
                yield f"{self.header.amplifiers}{amp.id} {card}", attribute
        for attribute, cards in self._number_cards().items():
            for card in cards:
                yield card.replace("{id}", str(amp.id)), attribute

    def check(self, where: str, error: type[ConfigError] | type[BadInput] = ConfigError) -> None:
        """Refuse a description that contradicts itself, by raising `error`."""
        checks.check(self, where, error)


_SECTION_FIELDS = ("data", *checks.STRIPS)
_AMPLIFIER_CARDS = {
    "IMSC": "data",
    "PRSCX": "prescan",
    "OVSCX": "overscan",
    "OVSCY": "parallel",
    "GAIN": "gain_e_per_adu",
    "RON": "readnoise_e",
    "SATUR": "saturation_adu",
}


def _parse(table: dict[str, Any], where: str, folder: Path | None) -> Camera:
    rows = _amplifier_rows(table, where, folder)
    detectors = [
        {**row, "amplifiers": _amplifiers(row.get("amplifiers", []), f"{where}: {row.get('ccd')}")}
        for row in table.get("detectors", [])
    ]
    wanted = {
        **table,
        "amplifiers": _amplifiers(rows, where),
        "detectors": detectors,
        **_as_headers_have_them(table),
    }
    camera = config.build(Camera, wanted, where)
    camera.check(where)
    check_places(camera.ccds, camera.detectors, where)
    for detector in camera.detectors:
        camera.for_ccd(detector.ccd).check(f"{where}: detector {detector.ccd}")
    return camera


def _as_headers_have_them(table: dict[str, Any]) -> dict[str, Any]:
    """Image types in capitals, names of cards without HIERARCH: as they are looked up."""
    found: dict[str, Any] = {}
    if isinstance(kinds := table.get("imagetypes"), dict):
        found["imagetypes"] = {word.strip().upper(): kind for word, kind in kinds.items()}
    if isinstance(cards := table.get("header"), dict):
        found["header"] = {
            key: [_bare(name) for name in names] if isinstance(names, list) else _bare(names)
            for key, names in cards.items()
        }
    return found


def _bare(name: Any) -> Any:
    if not isinstance(name, str):
        return name
    words = name.split(" ")
    return " ".join(words[1:] if words[0].upper() == "HIERARCH" else words)


def _amplifier_rows(table: dict[str, Any], where: str, folder: Path | None) -> list[dict[str, Any]]:
    """The camera's own `[[amplifiers]]`, or those that it says are like its own."""
    other = table.get("amplifiers_of", "")
    if not other:
        return list(table.get("amplifiers", []))
    if "amplifiers" in table:
        raise ConfigError(where, found="amplifiers_of and [[amplifiers]]", expected="one of them")
    rows = config.load_toml(_path(str(other), folder)).get("amplifiers")
    if not rows:
        raise ConfigError(
            f"{where}.amplifiers_of",
            found=f"{other!r}, which lists none",
            expected="a camera with [[amplifiers]] of its own",
        )
    return list(rows)


def _amplifiers(rows: list[dict[str, Any]], where: str) -> list[dict[str, Any]]:
    """Tables of amplifiers with their sections as numbers."""
    amplifiers = []
    for row in rows:
        fields = dict(row)
        for name in ("data", "dest", "overscan", "prescan", "parallel"):
            if name in fields:
                s = Section.parse(fields[name], f"{where}: amplifier {fields.get('id')} {name}")
                fields[name] = {"x0": s.x0, "x1": s.x1, "y0": s.y0, "y1": s.y1}
        amplifiers.append(fields)
    return amplifiers


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
    path = _path(name, folder)
    return _named(_parse(config.load_toml(path), path.name, folder), path)


def _path(name: str, folder: Path | None) -> Path:
    for place in (folder, _folder()):
        if place is not None and (place / f"{name}.toml").is_file():
            return place / f"{name}.toml"
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
