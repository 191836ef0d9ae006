"""Settings of the photometric redshifts."""

from __future__ import annotations

import math
from dataclasses import dataclass

from tesela.errors import ConfigError


@dataclass(frozen=True)
class PhotozSettings:
    """How redshifts are estimated. Defaults were tuned on simulated galaxies (benchmarks)."""

    z_max: float = 1.2
    """Largest redshift."""
    z_step: float = 0.004
    """Width of a cell in ln(1 + z)."""
    min_bands: int = 5
    """Fewest usable bands, of known curve, for an estimate."""
    floor: float = 0.03
    """Error added to every flux in quadrature, as a fraction of it: no template is right."""
    floor_blue: float = 0.06
    """The same, in bands whose pivot is below `blue_limit_nm`."""
    blue_limit_nm: float = 400.0
    """Where templates become worse."""
    odds_half_width: float = 0.03
    """Odds are the probability within this times 1 + z of the mode."""
    dust_ebv_mag: tuple[float, ...] = (0.0, 0.1, 0.2, 0.3, 0.4)
    """Dust of star-forming templates, E(B-V) in Calzetti's law."""
    line_strength: tuple[float, ...] = (0.0, 1.0, 2.5)
    """Emission lines of star-forming templates, in units of those expected of their colour."""

    def __post_init__(self) -> None:
        def refuse(name: str, expected: str) -> None:
            raise ConfigError(f"photoz.{name}", found=repr(getattr(self, name)), expected=expected)

        if not 0.05 <= self.z_max <= 2.0:
            refuse("z_max", "0.05 to 2.0")
        if not 0.001 <= self.z_step <= 0.02:
            refuse("z_step", "0.001 to 0.02")
        if self.min_bands < 2:
            refuse("min_bands", "2 or more")
        for name in ("floor", "floor_blue", "odds_half_width"):
            if not 0 < getattr(self, name) < 1:
                refuse(name, "between 0 and 1")
        for name, most in (("dust_ebv_mag", 2.0), ("line_strength", 20.0)):
            values = getattr(self, name)
            if not values or not all(0 <= v <= most and math.isfinite(v) for v in values):
                refuse(name, f"one or more numbers from 0 to {most:g}")
