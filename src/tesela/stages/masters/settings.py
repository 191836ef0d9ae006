"""What the masters' builders take, give and can be told."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tesela.cameras import Camera
from tesela.products.frame import FrameFacts
from tesela.products.images import Master, Operation


@dataclass(frozen=True)
class MastersSettings:
    """Settings of the step `master`."""

    clip_sigma: float = 3.0
    """A value further than this from the median of its pixel is left out."""
    hot_sigma: float = 8.0
    """A bias pixel this far above its amplifier's median is bad."""
    flat_low: float = 0.92
    """A flat pixel below this times its surroundings is bad (cold)."""
    flat_high: float = 1.08
    """And one above this times its surroundings (hot)."""
    flat_neighbourhood_px: int = 21
    """Side of the cells whose level is the surroundings."""
    flat_level_adu: tuple[float, float] = (5000.0, 50000.0)
    """Flats outside this range of levels are rejected, with the reason."""
    bias_level_tolerance_adu: float = 50.0
    """A bias with an amplifier further than this from that amplifier's median is rejected."""
    compare_sigma: float = 6.0
    """A new master agrees with its predecessor if this many sigma ..."""
    compare_fraction: float = 0.95
    """... hold for this fraction of the pixels (the rule of BANZAI, LCO)."""
    flat_change: float = 0.01
    """A flat agrees if its ratio to the predecessor scatters by less than this."""


@dataclass
class MasterInputs:
    """Raw frames of one configuration, already chosen, and what they need."""

    key: str
    facts: Sequence[FrameFacts]
    headers: Sequence[dict[str, Any]]
    pixels: Sequence[NDArray[np.uint16]]
    camera: Camera
    bias: Master | None = None
    """For flats."""
    previous: Master | None = None
    """The predecessor, to compare with: evidence, not input."""
    wanted: int = 1
    minimum: int = 1


@dataclass
class MasterOutputs:
    """The master, its gates and what was seen on the way."""

    master: Master
    passed: bool
    """Whether the gates let it be certified without a person."""
    reasons: list[str]
    """Why a gate did not pass."""
    warnings: list[str] = field(default_factory=list)
    rejected: dict[str, str] = field(default_factory=dict)
    """Frames left out, with the reason."""
    metrics: dict[str, Any] = field(default_factory=dict)
    operations: list[Operation] = field(default_factory=list)
