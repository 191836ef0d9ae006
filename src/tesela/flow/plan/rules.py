"""What the planner must know of the survey."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from tesela.config import Calibration, Survey
from tesela.ledger.keys import MasterKey, clean
from tesela.products.frame import night_span
from tesela.products.masterkind import KINDS
from tesela.products.validity import Validity

Corners = Sequence[tuple[float, float]]
TilesTouching = Callable[[Corners, float], list[str]]
"""(corners as (ra, dec) in degrees, margin in degrees) -> names of tiles."""

STEPS = {
    "master": "master",
    "reduced": "reduce",
    "coadd": "coadd",
    "catalogue": "catalog",
    "dual": "dual",
    "zeropoints": "calibrate",
    "valueadded": "valueadded",
    "science": "load",
}
"""The step that makes each kind of product."""

REQUIRED_MASTERS = ("BIAS", "FLAT")
"""Kinds of masters that a reduced image needs, in the order of their use."""


@dataclass(frozen=True)
class Rules:
    """The survey's rules of planning."""

    calibration: Calibration
    tiles_touching: TilesTouching
    refcat: str = ""
    """Name of the reference catalogue; empty if reduction needs none."""
    quiet_s: float = 0.0
    margin_deg: float = 0.0
    longitude_deg: Mapping[str, float] = field(default_factory=dict)
    """East longitude of each camera's site: nights change at its noon."""
    profile: str = "reduced"
    detection_band: str = ""
    """Band in which the sources of the dual catalogue are found."""

    @classmethod
    def of(
        cls, survey: Survey, tiles_touching: TilesTouching, longitude_deg: Mapping[str, float]
    ) -> Rules:
        """Take them from the survey's settings."""
        return cls(
            calibration=survey.calibration,
            tiles_touching=tiles_touching,
            refcat=survey.refcat,
            quiet_s=survey.flow.quiet_s,
            margin_deg=survey.flow.margin_arcmin / 60.0,
            longitude_deg={clean(name): value for name, value in longitude_deg.items()},
            detection_band=survey.detects_in,
        )

    def minimum(self, master_kind: str) -> int:
        """Fewest frames a master is made from."""
        return self.calibration.minimum.get(master_kind, 1)

    def fallback_days(self, master_kind: str) -> float:
        """How far from its interval a master may be used."""
        return self.calibration.fallback_days.get(master_kind, KINDS[master_kind].fallback_days)

    def validity(self, key: MasterKey) -> Validity:
        """When a master holds if no other begins before its end: from noon, at least one night."""
        begin, end = night_span(key.night, self.longitude_deg.get(key.configuration.camera, 0.0))
        kind = KINDS[key.master_kind]
        days = self.calibration.validity_days.get(kind.name, kind.validity_days)
        return Validity(begin, max(end, begin + days))

    def middle(self, key: MasterKey) -> float:
        """MJD of the middle of a master's night."""
        return self.validity(key).begin + 0.5
