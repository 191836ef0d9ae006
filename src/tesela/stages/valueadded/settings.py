"""What the value-added step takes, gives and can be told."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

from tesela.errors import ConfigError
from tesela.products.catalogue import Catalogue
from tesela.stages.valueadded.photoz_settings import PhotozSettings


@dataclass(frozen=True)
class StarGalaxySettings:
    """The probability to be point-like."""

    step_mag: float = 1.0
    """Stars and galaxies are modelled at magnitudes this far apart."""
    max_error_mag: float = 0.05
    """Sources whose concentration is better known than this show where the stars are."""
    ridge_mag: float = 0.2
    """How far the stars' concentration may vary over a tile."""
    neighbours: int = 15
    """Stars whose median is the concentration of a star at a place."""
    min_stars: int = 30
    """With fewer such sources one concentration holds for the tile, and less surely."""

    def __post_init__(self) -> None:
        limits = {
            "step_mag": (0.1, 10.0),
            "max_error_mag": (0.001, 1.0),
            "ridge_mag": (0.01, 1.0),
            "neighbours": (2, self.min_stars),
            "min_stars": (2, math.inf),
        }
        for name, (low, high) in limits.items():
            value = getattr(self, name)
            if not low <= value <= high:
                raise ConfigError(
                    f"stargalaxy.{name}", found=f"{value:g}", expected=f"{low:g} to {high:g}"
                )


@dataclass(frozen=True)
class ValueaddedSettings:
    """Settings of the step `valueadded`."""

    stargalaxy: StarGalaxySettings = field(default_factory=StarGalaxySettings)
    photoz: PhotozSettings = field(default_factory=PhotozSettings)


@dataclass
class ValueaddedInputs:
    """The dual catalogue of a tile and its photometric solution."""

    dual: Catalogue
    zeropoints: Catalogue


@dataclass
class ValueaddedOutputs:
    """The catalogue (`valueadded`), rows as in the dual one, and what was measured on the way."""

    catalogue: Catalogue
    metrics: dict[str, Any]
    warnings: list[str] = field(default_factory=list)
