"""`survey.toml`: what is observed, and how it is to be made. It is the same at every site."""

from __future__ import annotations

import datetime as dt
import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tesela.config.toml import build, load_toml
from tesela.errors import ConfigError


@dataclass(frozen=True)
class Reference:
    """How a band is found in the reference catalogue."""

    mag: str = ""
    """Magnitude column; empty if `transform` makes it."""
    err: str = ""
    """Column of the magnitude's error; 0.01 mag is taken if none is named."""
    transform: str = ""
    """Named transformation of `bands.transform`, e.g. `lupton2005_V`."""
    columns: dict[str, str] = field(default_factory=dict)
    """Columns for the transformation: its input name -> the catalogue's column."""
    colour: tuple[str, ...] = ()
    """Two columns whose difference is the colour of the colour term."""
    colour_pivot: float = 0.0
    """Colour at which the zero point holds."""
    colour_coefficient: float | str | None = None
    """A number, "fit", or nothing for no colour term."""
    mag_limits: tuple[float, float] = (0.0, 40.0)
    """Brightest and faintest reference star of a zero point."""
    clear_zeropoint_mag: float | None = None
    """Zero point for 1 electron a second of a clear night at airmass 1, from which the transparency
    is told; none is told without it."""
    extinction_mag: float = 0.0
    """Extinction of a clear night, mag an airmass."""


@dataclass(frozen=True)
class Filter:
    """A band of the survey: what headers call it, and its magnitudes in the reference."""

    names: tuple[str, ...] = ()
    """Other spellings found in headers."""
    serials: tuple[str, ...] = ()
    """Physical filters accepted in this band; empty accepts any."""
    reference: Reference = field(default_factory=Reference)
    """Where its magnitudes are in the reference catalogue."""


@dataclass(frozen=True)
class Intervention:
    """Something that was done to telescope or camera: masters do not hold across it."""

    at: str
    """Evening date (`2016-05-26`: before the noon of that day it was as before), or an instant in
    UTC (`2016-05-26T10:30:00`)."""
    what: str
    """Baffle work, warm-up, mirrors cleaned."""
    kinds: tuple[str, ...] = ("FLAT", "DOMEFLAT", "ILLUMINATION", "FRINGE", "PATTERN")
    """Kinds of masters that are no longer right."""
    cameras: tuple[str, ...] = ()
    """Cameras concerned; empty: all."""


@dataclass(frozen=True)
class SkyFrames:
    """Science frames from which a kind of master is built: each is reduced a first time for it."""

    bands: tuple[str, ...] = ()
    """Bands in which it is built; empty: in none."""
    objects: tuple[str, ...] = ("*",)
    """Patterns of the OBJECT of the frames taken."""
    most: int = 40
    """Frames of a period that are used at the most, spread in time; as many as wanted, or more."""


@dataclass(frozen=True)
class Calibration:
    """Masters: how many frames, how often, how long they hold, how far one may reach.

    Tables by kind of master replace the defaults of the kinds they name.
    """

    required: tuple[str, ...] = ("BIAS", "FLAT")
    """Kinds without which no frame is reduced; it waits for them. Without a bias or a flat in the
    list, of frames that come corrected, an image that has none goes without, with a warning; other
    masters need a bias, and those that are not made are best named in `unused`."""
    unused: tuple[str, ...] = ()
    """Kinds that are neither made nor applied."""
    minimum: dict[str, int] = field(default_factory=dict)
    """Fewest frames of a master; with fewer it is not made. 1 by default."""
    wanted: dict[str, int] = field(default_factory=dict)
    """Frames of a good master, at least `minimum`; with fewer it is made with a warning, and again
    as more come."""
    cadence_days: dict[str, float] = field(default_factory=dict)
    """One master is made of all frames of such a period: a whole number of days."""
    validity_days: dict[str, float] = field(default_factory=dict)
    """A master holds this long from the noon before its period, a day at the least."""
    fallback_days: dict[str, float] = field(default_factory=dict)
    """A frame outside every validity takes the nearest master within so many days."""
    interventions: tuple[Intervention, ...] = ()
    """The survey's calendar of what ends the validity of masters and makes new ones due."""
    fringe: SkyFrames = field(default_factory=SkyFrames)
    """Frames of FRINGE masters."""
    pattern: SkyFrames = field(default_factory=SkyFrames)
    """Frames of PATTERN masters."""
    illumination: SkyFrames = field(default_factory=SkyFrames)
    """Frames of ILLUMINATION masters: dithered exposures rich in stars."""
    certify: bool = True
    """Certify a master that passes its gates; otherwise it stays proposed."""


@dataclass(frozen=True)
class Flow:
    """How work is scheduled on this site."""

    workers: int = 0
    """Processes; 0 takes one a core."""
    cores: int = 1
    """Cores that share the reduction of a frame: two nearly halve its time and not its cost. One is
    best where frames are many."""
    quiet_s: float = 0.0
    """A tile is left alone this long after the last frame that touched it, unless it is complete; a
    master after the last of its frames."""
    complete: dict[str, int] = field(default_factory=dict)
    """Good frames of a tile with which its coadd is complete, by band; `tesela plan --planned`
    tells it tile by tile."""
    confirm_above: int = 100
    """Above this number of targets, consequences want --yes."""
    archive: str = "copy"
    """"copy" raw frames into the site, or "reference" them where they lie."""
    margin_arcmin: float = 2.0
    """Pointing error allowed when frames are assigned to tiles before they are solved."""


@dataclass(frozen=True)
class Override:
    """Settings of a step that are others for some frames, laid over `[steps.NAME]`.

    What names more of camera, project and observation type wins, and of two that name as many the
    later one. Settings that none of them names stay as they are.
    """

    step: str
    """`reduce`, `master` or `quicklook`."""
    settings: dict[str, Any]
    """The settings that differ, as `[steps.NAME]` would have them."""
    camera: str = ""
    """Of this camera alone; empty: of any."""
    project: str = ""
    """Of frames of this project alone; empty: of any. Not for `master`."""
    obstype: str = ""
    """bias, dark, flat or science: of such frames, or of masters made from them; empty: of any."""


@dataclass(frozen=True)
class Project:
    """A programme: the survey, or observations in open time."""

    coadd: bool = True
    """Its frames go into the survey's coadds; otherwise they are reduced and left at that."""


@dataclass(frozen=True)
class Survey:
    """The contents of `survey.toml`."""

    name: str
    cameras: tuple[str, ...]
    """Cameras whose frames are taken."""
    filters: dict[str, Filter]
    """Bands by name."""
    grid: dict[str, Any]
    """Sky grid; read by `sky.tiles`."""
    refcat: str = ""
    """Name of the reference catalogue, see `tesela refcat add`."""
    detection_band: str = ""
    """Band in which the sources of the dual catalogue are found; empty: `rSDSS` if there is such a
    filter, else the first."""
    project: str = "survey"
    """Programme of frames whose header names none."""
    projects: dict[str, Project] = field(default_factory=dict)
    """Programmes that are not as the survey itself, by the name that headers have."""
    calibration: Calibration = field(default_factory=Calibration)
    """Masters."""
    flow: Flow = field(default_factory=Flow)
    """Scheduling."""
    steps: dict[str, dict[str, Any]] = field(default_factory=dict)
    """Settings of the steps, read by the stages that own them."""
    overrides: tuple[Override, ...] = ()
    """Settings that are others for a camera, project or observation type."""
    monitors: dict[str, Any] = field(default_factory=dict)
    """When the monitors of the detectors raise something, read by `quality`."""

    @property
    def detects_in(self) -> str:
        """The detection band."""
        usual = "rSDSS" if "rSDSS" in self.filters else next(iter(self.filters), "")
        return self.detection_band or usual

    def band_of(self, name: str) -> str | None:
        """The band that a header calls `name`, or None."""
        wanted = name.strip().casefold()
        for band, flt in self.filters.items():
            if wanted in (band.casefold(), *(n.casefold() for n in flt.names)):
                return band
        return None


def load_survey(path: Path) -> Survey:
    """Read and validate a survey.toml."""
    survey = build(Survey, load_toml(path), path.name)
    if not survey.filters:
        raise ConfigError(path.name, found="no filters", expected="a table [filters.NAME] a band")
    for band, filter_ in survey.filters.items():
        if "." in band or "/" in band:
            raise ConfigError(path.name, found=f"band {band!r}", expected="no '.' or '/' in it")
        _check_reference(filter_.reference, f"{path.name}.filters.{band}.reference")
    if survey.detects_in not in survey.filters:
        raise ConfigError(
            f"{path.name}.detection_band",
            found=repr(survey.detection_band),
            expected=f"one of {', '.join(survey.filters)}",
        )
    _check_numbers(survey, path.name)
    _check_complete(survey, path.name)
    if survey.flow.archive not in ("copy", "reference"):
        raise ConfigError(
            f"{path.name}.flow.archive",
            found=repr(survey.flow.archive),
            expected='"copy" or "reference"',
        )
    return survey


def _check_reference(reference: Reference, where: str) -> None:
    """Refuse what contradicts itself; the names of transformations are not known here."""
    if reference.mag and reference.transform:
        raise ConfigError(
            where,
            found=f"mag = {reference.mag!r} and transform = {reference.transform!r}",
            expected="one of them",
        )
    if bool(reference.transform) != bool(reference.columns):
        raise ConfigError(
            where,
            found="transform without columns"
            if reference.transform
            else "columns and no transform",
            expected='both, such as transform = "lupton2005_V", columns = { g = "g", r = "r" }',
        )
    if len(reference.colour) not in (0, 2):
        raise ConfigError(
            f"{where}.colour",
            found=f"{len(reference.colour)} columns",
            expected="two, whose difference is the colour",
        )
    coefficient = reference.colour_coefficient
    known = coefficient == "fit" or (isinstance(coefficient, float) and math.isfinite(coefficient))
    if coefficient is not None and not known:
        raise ConfigError(
            f"{where}.colour_coefficient", found=repr(coefficient), expected='a number or "fit"'
        )
    if coefficient is not None and not reference.colour:
        raise ConfigError(
            f"{where}.colour", found="none", expected="two columns for the colour coefficient"
        )
    low, high = reference.mag_limits
    if not low < high:
        raise ConfigError(
            f"{where}.mag_limits", found=f"{low:g}, {high:g}", expected="the brighter limit first"
        )


def _check_complete(survey: Survey, where: str) -> None:
    for band, frames in survey.flow.complete.items():
        if band not in survey.filters or frames < 1:
            raise ConfigError(
                f"{where}.flow.complete.{band}",
                found=f"{frames}",
                expected=f"at least one frame, of one of {', '.join(survey.filters)}",
            )


def _check_numbers(survey: Survey, where: str) -> None:
    flow = survey.flow
    at_least_zero = {
        "workers": flow.workers,
        "quiet_s": flow.quiet_s,
        "confirm_above": flow.confirm_above,
        "margin_arcmin": flow.margin_arcmin,
    }
    for name, value in at_least_zero.items():
        if not 0 <= value < math.inf:
            raise ConfigError(
                f"{where}.flow.{name}", found=f"{value:g}", expected="zero or a positive number"
            )
    for name in ("cadence_days", "validity_days", "fallback_days", "minimum", "wanted"):
        for kind, value in getattr(survey.calibration, name).items():
            if not 0 < value < math.inf:
                raise ConfigError(
                    f"{where}.calibration.{name}.{kind}",
                    found=f"{value:g}",
                    expected="a positive number",
                )
    for kind, days in survey.calibration.cadence_days.items():
        if days < 1.0 or not days.is_integer():
            raise ConfigError(
                f"{where}.calibration.cadence_days.{kind}",
                found=f"{days:g}",
                expected="a whole number of days, at least 1",
            )
    for name in ("illumination", "fringe", "pattern"):
        most = getattr(survey.calibration, name).most
        if most < 1:
            raise ConfigError(
                f"{where}.calibration.{name}.most", found=f"{most}", expected="at least 1"
            )
    for i, intervention in enumerate(survey.calibration.interventions):
        try:
            dt.datetime.fromisoformat(intervention.at)
        except ValueError:
            raise ConfigError(
                f"{where}.calibration.interventions[{i}].at",
                found=repr(intervention.at),
                expected="a date like 2016-05-26 or an instant like 2016-05-26T10:30:00",
            ) from None
