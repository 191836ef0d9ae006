"""What the dual catalogue takes, gives and can be told."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from tesela.products.catalogue import Catalogue
from tesela.products.images import Coadd
from tesela.sky.wcs import Wcs
from tesela.stages.catalog.settings import CatalogSettings


@dataclass(frozen=True)
class DualSettings:
    """Settings of the step `dual`."""

    detection: CatalogSettings = field(default_factory=CatalogSettings)
    """Detection and noise; those of the single catalogue find the same sources."""
    restricted_factor: float = 1.0
    """The ellipse R of the colours reaches this many Kron radii ..."""
    restricted_minimum: float = 1.75
    """... at least this many isophotal radii."""
    restricted_fwhm: float = 1.2
    """... and nowhere less than this many FWHM of the detection band."""
    detection_snr: float = 3.0
    """Below this S/N of the PSF-corrected flux a band counts as not detected."""
    max_lost: float = 0.2
    """With more than this part of R without data a band counts as masked."""


@dataclass
class DualInputs:
    """The coadds of a tile, all on one grid, and its single catalogues."""

    tile: str
    detection_band: str
    bands: tuple[str, ...]
    """All bands of the survey, in the order of `products.columns.band_order`."""
    coadds: Mapping[str, Callable[[], Coadd]]
    """By band, each opened when it is called; a band that is missing was not observed."""
    zeropoint_mag: Mapping[str, float]
    wcs: Wcs
    singles: Mapping[str, Catalogue]
    """By band; without one `single_detect` is 0."""


@dataclass
class DualOutputs:
    """The catalogue and what was measured on the way."""

    catalogue: Catalogue
    metrics: dict[str, Any]
    warnings: list[str] = field(default_factory=list)
