"""What the calibration takes, gives and can be told."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from tesela.config import Reference
from tesela.errors import ConfigError
from tesela.products.catalogue import Catalogue, Table


@dataclass(frozen=True)
class CalibrateSettings:
    """Settings of the step `calibrate`."""

    match_radius_arcsec: float = 1.0
    """How near a star and its entry in the reference catalogue must be."""
    min_snr: float = 20.0
    """Stars of a zero point; where fewer than 30 have it, the 30 of highest S/N above 5."""
    min_stars: int = 5
    """With fewer a coadd keeps the scale of its frames, and a frame that of its reduction."""
    min_stars_colour: int = 40
    """With fewer the colour term is not fitted but held at the mean of the band's frames."""
    floor_mag: float = 0.005
    """Added in quadrature to the error of every star."""

    def __post_init__(self) -> None:
        least = {"match_radius_arcsec": 0.01, "min_snr": 0.1, "min_stars": 3, "floor_mag": 0.0}
        for name, limit in {**least, "min_stars_colour": self.min_stars + 1}.items():
            value = getattr(self, name)
            if not limit <= value < math.inf:
                raise ConfigError(
                    f"calibrate.{name}", found=f"{value:g}", expected=f"{limit:g} or more"
                )


@dataclass
class FrameStars:
    """The star list of a reduced image: fluxes in electrons of the whole exposure."""

    stars: Table
    """`ra`, `dec`, `flux_psf`, `flux_psf_err`, `flags` at the least; (n,) each."""
    exptime_s: float
    mjd_mid: float
    zeropoint_mag: float = math.nan
    """That of the reduction, kept where there are too few stars; NaN if it is not known."""
    zeropoint_err_mag: float = math.nan

    @classmethod
    def of(cls, stars: Table, cards: Mapping[str, Any]) -> FrameStars:
        """Take it from the star list and the cards of a reduced image."""
        keys = ("EXPTIME", "MJD-MID", "MAGZP", "MAGZPERR")
        return cls(stars, *(float(cards[key]) for key in keys))


@dataclass
class CalibrateInputs:
    """The single catalogues of a tile, the stars of its frames, and the reference."""

    tile: str
    bands: tuple[str, ...]
    """Of the survey, in the order of `products.columns.band_order`."""
    catalogues: Mapping[str, Catalogue]
    """Single catalogue by band."""
    mjd: Mapping[str, float]
    """Mean epoch of the coadd by band."""
    frames: Mapping[str, Mapping[str, FrameStars]]
    """By band and name of the frame."""
    refcat: Table
    """Without columns if the survey has none: then the scales of the frames are kept."""
    references: Mapping[str, Reference]
    """How a band is found in the reference catalogue."""


@dataclass
class CalibrateOutputs:
    """The photometric solution (`zeropoints`) and what was measured on the way."""

    catalogue: Catalogue
    metrics: dict[str, Any]
    warnings: list[str] = field(default_factory=list)
