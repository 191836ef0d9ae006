"""What the masters' builders can be told: a table for each kind."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class BiasSettings:
    """Combining biases."""

    clip_sigma: float = 3.0
    """A value further than this from the median of its pixel is left out."""
    level_tolerance_adu: float = 50.0
    """A bias with an amplifier further than this from that amplifier's median is rejected."""
    hot_sigma: float = 8.0
    """A pixel this far above its amplifier's median is bad."""
    compare_sigma: float = 6.0
    """A new master agrees with its predecessor if this many sigma ..."""
    compare_fraction: float = 0.95
    """... hold for this fraction of the pixels (the rule of BANZAI, LCO)."""


@dataclass(frozen=True)
class DarkSettings:
    """Combining darks."""


@dataclass(frozen=True)
class FlatSettings:
    """Combining flats of the sky or the dome."""

    clip_sigma: float = 3.0
    """A value further than this from the median of its pixel is left out."""
    level_adu: tuple[float, float] = (5000.0, 50000.0)
    """Flats outside this range of levels are rejected, with the reason."""
    low: float = 0.92
    """A pixel below this times its surroundings is bad (cold)."""
    high: float = 1.08
    """And one above this times its surroundings (hot)."""
    neighbourhood_px: int = 21
    """Side of the cells whose level is the surroundings."""
    change: float = 0.01
    """A flat agrees if its ratio to the predecessor scatters by less than this."""


@dataclass(frozen=True)
class BadPixelSettings:
    """Joining what biases, darks and flats say of pixels."""


@dataclass(frozen=True)
class LinearitySettings:
    """The response of the amplifiers against level, from exposure ramps."""


@dataclass(frozen=True)
class CrosstalkSettings:
    """Ghosts of bright sources in other amplifiers."""


@dataclass(frozen=True)
class IlluminationSettings:
    """The surface of the illumination correction."""


@dataclass(frozen=True)
class PatternSettings:
    """Fringes and fixed patterns of the sky."""


@dataclass(frozen=True)
class StabilitySettings:
    """When the pages of a flat call its change an alert."""


@dataclass(frozen=True)
class MastersSettings:
    """Settings of the step `master`."""

    bias: BiasSettings = field(default_factory=BiasSettings)
    dark: DarkSettings = field(default_factory=DarkSettings)
    flat: FlatSettings = field(default_factory=FlatSettings)
    badpixel: BadPixelSettings = field(default_factory=BadPixelSettings)
    linearity: LinearitySettings = field(default_factory=LinearitySettings)
    crosstalk: CrosstalkSettings = field(default_factory=CrosstalkSettings)
    illumination: IlluminationSettings = field(default_factory=IlluminationSettings)
    fringe: PatternSettings = field(default_factory=PatternSettings)
    pattern: PatternSettings = field(default_factory=PatternSettings)
    stability: StabilitySettings = field(default_factory=StabilitySettings)
