"""What the planner must know of the survey."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase

from tesela.cameras import Camera
from tesela.config import Calibration, SkyFrames, Survey
from tesela.flow.plan.calendar import Calendar
from tesela.ledger.keys import NO_FILTER, Configuration, MasterKey, clean
from tesela.products import masterkind
from tesela.products.masterkind import FULL, KINDS
from tesela.products.validity import Validity

Corners = Sequence[tuple[float, float]]
TilesTouching = Callable[[Corners, float], list[str]]
"""(corners as (ra, dec) in degrees, margin in degrees) -> names of tiles."""

STEPS = {
    "master": "master",
    "detrended": "detrend",
    "reduced": "reduce",
    "coadd": "coadd",
    "catalogue": "catalog",
    "dual": "dual",
    "zeropoints": "calibrate",
    "valueadded": "valueadded",
    "science": "load",
}
"""The step that makes each kind of product."""


@dataclass(frozen=True)
class Need:
    """A kind of master that an image or master is corrected with."""

    master_kind: str
    is_required: bool
    """It waits for one; otherwise it does without where there is none."""


@dataclass(frozen=True)
class Rules:
    """The survey's rules of planning."""

    calibration: Calibration
    tiles_touching: TilesTouching
    refcat: str = ""
    """Name of the reference catalogue; empty if reduction needs none."""
    quiet_s: float = 0.0
    complete: Mapping[str, int] = field(default_factory=dict)
    """Good frames with which a coadd is complete, by band; where a tile has no plan of its own."""
    uncoadded: frozenset[str] = frozenset()
    """Projects whose frames go into no coadd."""
    margin_deg: float = 0.0
    longitude_deg: Mapping[str, float] = field(default_factory=dict)
    """East longitude of each camera's site: nights change at its noon."""
    amplifiers: Mapping[str, int] = field(default_factory=dict)
    """Outputs of each camera that are read in step: one alone has no crosstalk."""
    bands: tuple[str, ...] = ()
    """Bands of the survey."""
    detection_band: str = ""
    """Band in which the sources of the dual catalogue are found."""

    @classmethod
    def of(
        cls,
        survey: Survey,
        tiles_touching: TilesTouching,
        cameras: Sequence[Camera],
    ) -> Rules:
        """Take them from the survey's settings and its cameras."""
        return cls(
            calibration=survey.calibration,
            tiles_touching=tiles_touching,
            refcat=survey.refcat,
            quiet_s=survey.flow.quiet_s,
            complete=survey.flow.complete,
            uncoadded=frozenset(n for n, one in survey.projects.items() if not one.coadd),
            margin_deg=survey.flow.margin_arcmin / 60.0,
            longitude_deg={clean(one.name): one.longitude_deg for one in cameras},
            amplifiers={clean(one.name): _in_step(one) for one in cameras},
            bands=tuple(survey.filters),
            detection_band=survey.detects_in,
        )

    @property
    def calendar(self) -> Calendar:
        """Periods, validities and epochs."""
        return Calendar(self.calibration, self.longitude_deg)

    def tiles_of(self, project: str, corners: Corners, margin_deg: float) -> list[str]:
        """Tiles that a frame goes into: none, of a project that is not coadded."""
        return [] if project in self.uncoadded else self.tiles_touching(corners, margin_deg)

    def minimum(self, master_kind: str) -> int:
        """Fewest frames a master is made from."""
        return self.calibration.minimum.get(master_kind, 1)

    def wanted(self, master_kind: str) -> int:
        """Frames of a good master."""
        return self.calibration.wanted.get(master_kind, KINDS[master_kind].wanted)

    def fallback_days(self, master_kind: str) -> float:
        """How far from its interval a master may be used."""
        return self.calibration.fallback_days.get(master_kind, KINDS[master_kind].fallback_days)

    def validity(self, key: MasterKey) -> Validity:
        """When a master holds if no other begins before its end."""
        return self.calendar.validity(key)

    def middle(self, key: MasterKey) -> float:
        """MJD of the middle of a master's first night."""
        return self.validity(key).begin + 0.5

    def band_of(self, configuration: Configuration) -> str:
        """The band of a physical filter; '' where no filter matters."""
        if configuration.filter == NO_FILTER:
            return ""
        of_survey = [b for b in self.bands if configuration.filter.startswith(f"{clean(b)}_")]
        return max(of_survey, key=len, default=configuration.filter.partition("_")[0])

    def is_made(self, master_kind: str, configuration: Configuration) -> bool:
        """Whether the survey has masters of a kind for a camera and band."""
        if master_kind in self.calibration.unused:
            return False
        if master_kind == "CROSSTALK":
            return self.amplifiers.get(configuration.camera, 1) > 1
        chosen = self.sky_frames(master_kind)
        return chosen is None or self.band_of(configuration) in chosen.bands

    def sky_frames(self, master_kind: str) -> SkyFrames | None:
        """From which science frames a kind is built; None for kinds that need no such choice."""
        return {
            "ILLUMINATION": self.calibration.illumination,
            "FRINGE": self.calibration.fringe,
            "PATTERN": self.calibration.pattern,
        }.get(master_kind)

    def takes(self, master_kind: str, configuration: Configuration, obj: str) -> bool:
        """Whether a science frame of an object may be in a master of this kind."""
        chosen = self.sky_frames(master_kind)
        return (
            chosen is not None
            and self.is_made(master_kind, configuration)
            and any(fnmatchcase(obj, pattern) for pattern in chosen.objects)
        )

    def needs(self, master_kind: str, configuration: Configuration) -> tuple[Need, ...]:
        """Masters that the frames of a master are corrected with before they are combined."""
        return self._needs(KINDS[master_kind].needs, configuration)

    def corrections(self, profile: str, configuration: Configuration) -> tuple[Need, ...]:
        """Masters that the images of a profile are corrected with."""
        return self._needs(masterkind.of_profile(profile), configuration)

    def _needs(self, kinds: Sequence[str], configuration: Configuration) -> tuple[Need, ...]:
        required = self.calibration.required
        return tuple(
            Need(name, name in required) for name in kinds if self.is_made(name, configuration)
        )


def _in_step(camera: Camera) -> int:
    """Amplifiers of a camera whose pixels are read at the same moments: 0 where they are of several
    sizes, and nobody can tell which pixel hears which."""
    x0, x1, y0, y1 = camera.sections("dest").T
    return len(camera.amplifiers) if len(set(zip(x1 - x0, y1 - y0))) == 1 else 0


PROFILE_OF = {"reduced": FULL, "detrended": masterkind.DETRENDED}
"""Kinds of images that are made from one raw frame, and their profile of the reduction."""
