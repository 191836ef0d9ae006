"""What the catalogue step takes, gives and can be told."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from tesela.products.catalogue import Catalogue
from tesela.products.images import Coadd
from tesela.sky.wcs import Wcs


@dataclass(frozen=True)
class CatalogSettings:
    """Settings of the step `catalog`."""

    threshold_sigma: float = 1.1
    """Detection threshold, in sigma of the sky at a pixel."""
    min_area_px: int = 4
    """Threshold and area are those of the tiles of S-PLUS iDR5."""
    deblend_nthresh: int = 32
    """Levels of the deblending."""
    deblend_contrast: float = 0.005
    """A peak needs this fraction of the light to be a source of its own."""
    noise_apertures: int = 2000
    """Random empty apertures a radius."""
    injections: int = 800
    """Artificial stars for the completeness; 0 for none."""
    injection_spacing_px: float = 40.0
    """Injected stars are at least half of this apart."""
    injection_range_mag: float = 1.5
    """Injected from this much brighter to this much fainter than the 5 sigma depth."""
    match_radius_fwhm: float = 0.6
    """An injected star counts as found within this many FWHM ..."""
    match_mag: float = 0.75
    """... and this many magnitudes."""


@dataclass
class CatalogInputs:
    """The coadd of a tile in one band."""

    tile: str
    band: str
    coadd: Coadd
    wcs: Wcs
    zeropoint_mag: float


@dataclass
class CatalogOutputs:
    """The catalogue and what was measured on the way."""

    catalogue: Catalogue
    metrics: dict[str, Any]
    warnings: list[str] = field(default_factory=list)
