"""The CCDs of a camera that has many: where each lies on the sky, and in what it differs."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from tesela.cameras.amplifiers import Amplifier
from tesela.errors import ConfigError

CdSigns = tuple[tuple[float, float], tuple[float, float]]


@dataclass(frozen=True)
class Detector:
    """One CCD of a camera: its place in the focal plane, as it is seen on the sky."""

    ccd: str
    """As the card of the CCD names it, one of `ccds`."""
    offset_arcmin: tuple[float, float]
    """From the pointing to the centre of the CCD, in the tangent plane: [east, north]."""
    rotation_deg: float = 0.0
    """How far it is turned against `cd_signs`, on the sky from north through east."""
    amplifiers: tuple[Amplifier, ...] = ()
    """Its own outputs, if they are not those of the camera."""
    gain_e_per_adu: float | None = None
    """Of all its outputs, in place of theirs."""
    readnoise_e: float | None = None
    """Of all its outputs, in place of theirs."""
    serial: str = ""
    """Physical filter in front of it, where no card tells."""

    def outputs(self, common: tuple[Amplifier, ...]) -> tuple[Amplifier, ...]:
        """Its amplifiers, where `common` are those of the camera."""
        gain, noise = self.gain_e_per_adu, self.readnoise_e
        return tuple(
            replace(
                amp,
                gain_e_per_adu=amp.gain_e_per_adu if gain is None else gain,
                readnoise_e=amp.readnoise_e if noise is None else noise,
            )
            for amp in self.amplifiers or common
        )


def turned(cd_signs: CdSigns, rotation_deg: float) -> CdSigns:
    """Directions (east, north) of the pixel axes, turned from north through east."""
    cos, sin = math.cos(math.radians(rotation_deg)), math.sin(math.radians(rotation_deg))
    (ex, ey), (nx, ny) = cd_signs
    return (
        (ex * cos + nx * sin, ey * cos + ny * sin),
        (nx * cos - ex * sin, ny * cos - ey * sin),
    )


def check_places(ccds: Sequence[str], detectors: Sequence[Detector], where: str) -> None:
    """Refuse a camera of several CCDs of which one has no place, or two.

    Raises `ConfigError`.
    """
    named = sorted(detector.ccd for detector in detectors)
    if (len(ccds) > 1 or detectors) and named != sorted(ccds):
        raise ConfigError(
            where,
            found=f"[[detectors]] of {', '.join(named) or 'no CCD'}",
            expected=f"one each of {', '.join(ccds)}, as `ccds` has them",
            do="correct the camera's description",
        )
