"""What the coaddition takes, gives and can be told."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from tesela.products.images import Coadd, ReducedImage, card_dict
from tesela.sky.wcs import Wcs


@dataclass(frozen=True)
class CoaddSettings:
    """Settings of the step `coadd`."""

    clip_sigma: float = 4.0
    """n of Gruen et al. 2014: rejected beyond n sigma + A |mu|."""
    flux_fraction: float = 0.3
    """A of Gruen et al. 2014, at the least."""
    protect_px: float = 6.0
    """Sources are grown by this before what their PSFs allow is applied."""
    grid_step_px: int = 16
    """Positions are exact every so many pixels, bilinear between."""
    background_mesh_px: int = 1024
    """Side of the cells of what the frames' sky models left."""
    common_star_snr: float = 30.0
    """Stars that scale the inputs to each other."""
    common_star_radius_arcsec: float = 1.0
    """How near they must be to be the same."""
    max_offset_px: float = 0.3
    """A frame whose stars lie farther from those of the others is left out."""
    max_zeropoint_mag: float = 0.05
    """A frame whose own zero point is farther from what its stars say does not set the level."""
    detect_sigma: float = 3.0
    """Detection threshold of the stars of the PSF and of the sources to protect."""
    psf_degree: int = 2
    """Degree of the polynomials of the PSF in x and y."""
    psf_max_stars: int = 400
    """The brightest suitable stars, spread over the tile."""
    norm_radius_arcsec: float = 15.0
    """The PSF's flux is one within this radius: the same in all bands."""


@dataclass
class CoaddInput:
    """One reduced image that touches the tile."""

    name: str
    image: ReducedImage

    def __post_init__(self) -> None:
        cards = card_dict(self.image.cards)
        self.wcs = Wcs.from_cards(cards, self.image.image.shape)
        self.exptime_s = float(cards["EXPTIME"])
        self.zeropoint_mag = float(cards["MAGZP"])
        self.zeropoint_err_mag = max(float(cards["MAGZPERR"]), 1e-4)
        self.colour_coefficient = float(cards.get("COLCOEF") or 0.0)
        self.colour_pivot = float(cards.get("COLPIVOT") or 0.0)
        self.mesh_px = int(cards["SKYMESH"])
        self.mjd_mid = float(cards["MJD-MID"])
        self.fwhm_arcsec = float(cards["FWHM"])


@dataclass
class CoaddInputs:
    """The reduced images of one band on one tile's pixel grid."""

    tile: str
    band: str
    wcs: Wcs
    frames: Sequence[CoaddInput]


@dataclass
class CoaddOutputs:
    """The coadd and what was measured on the way."""

    coadd: Coadd
    metrics: dict[str, Any]
    warnings: list[str] = field(default_factory=list)
