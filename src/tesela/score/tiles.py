"""A tile in one band beside its truth: what astrometry, photometry and completeness are read from.

Coadd and catalogue are opened once; images are not kept.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tesela.errors import ProductError
from tesela.products import files
from tesela.products.catalogue import Catalogue, Table
from tesela.score.isolation import contamination
from tesela.score.objects import Objects
from tesela.score.statistics import median
from tesela.sky import match
from tesela.sky.wcs import Wcs

Floats = NDArray[np.float64]
Indices = NDArray[np.int64]

BRIGHT_SNR = 50.0
MATCH_ARCSEC = 1.0
ISOLATED_FRACTION = 0.01
_BELOW_DEPTH_MAG = 1.0
_SATURATED_FLAG = 4
_SATURATED_CODE = 2


@dataclass(frozen=True)
class TruthHere:
    """The true objects on covered pixels of a tile, (m,) each; `flux` is on the catalogue's scale
    if the zero point were perfect, `stolen` what its neighbours would add to it."""

    x: Floats
    y: Floats
    ra_deg: Floats
    dec_deg: Floats
    mag: Floats
    published: Floats
    colour: Floats
    is_star: NDArray[np.bool_]
    """Point source of constant light."""
    is_point: NDArray[np.bool_]
    flux: Floats
    stolen: Floats


@dataclass(frozen=True)
class TileBand:
    """A catalogue, its facts, its truth, and the pairs between them."""

    tile: str
    band: str
    table: Table
    truth: TruthHere
    i_catalogue: Indices
    i_truth: Indices
    zeropoint_mag: float
    colour_coefficient: float
    colour_pivot: float
    depth_mag: float
    fwhm_px: float
    scale_arcsec: float
    completeness: dict[str, Any]

    def measured(self, column: str) -> NDArray[Any]:
        """A catalogue column of the pairs."""
        return self.table[column][self.i_catalogue]

    @property
    def mag(self) -> Floats:
        """Natural PSF magnitudes of the pairs; NaN for fluxes that are not positive."""
        return self.zeropoint_mag - 2.5 * log10(self.measured("flux_psf"))

    @property
    def snr(self) -> Floats:
        """Measured signal to noise of the pairs' PSF fluxes."""
        return self.measured("flux_psf").astype(float) / self.measured("flux_psf_err")

    @property
    def unsaturated(self) -> NDArray[np.bool_]:
        """(k,) bool of the pairs."""
        flagged = (self.measured("flags") & _SATURATED_FLAG) > 0
        return ~flagged & ((self.measured("mask_flags") & _SATURATED_CODE) == 0)

    @property
    def bright(self) -> NDArray[np.bool_]:
        """(k,) bool: point sources of S/N above 50, unsaturated."""
        return self.truth.is_point[self.i_truth] & self.unsaturated & (self.snr > BRIGHT_SNR)

    @property
    def calibrators(self) -> NDArray[np.bool_]:
        """(k,) bool: bright and constant, with less than one per cent of foreign light."""
        truth, pair = self.truth, self.i_truth
        alone = truth.stolen[pair] < ISOLATED_FRACTION * truth.flux[pair]
        return self.bright & truth.is_star[pair] & alone

    @property
    def offset_mag(self) -> float:
        """Catalogue minus true magnitude in the telescope's own curves, from the calibrators.

        This is what the tile's zero point does to every source; scores that are not about the
        zero point remove it. Zero if there is no calibrator.
        """
        use = self.calibrators
        offset = median(self.mag[use] - self.truth.mag[self.i_truth][use])
        return offset if np.isfinite(offset) else 0.0


def log10(values: NDArray[Any]) -> Floats:
    """Logarithm that is NaN, silently, where there is none."""
    values = values.astype(np.float64)
    return np.log10(np.where(values > 0, values, np.nan))


def read(coadd: Path, catalogue: Path, objects: Objects) -> TileBand:
    """Open a coadd and its catalogue and match them with the truth.

    Pairs are each other's nearest within 1 arcsec, among true objects down to one magnitude below
    the 5 sigma depth: fainter ones are never what a source is.
    """
    fits = files.read_fits(coadd, ["WEIGHT"])
    cards, weight = fits.cards["IMAGE"], fits.data["WEIGHT"]
    wcs = Wcs.from_cards(cards, weight.shape)
    found = Catalogue.read(catalogue)
    facts = found.facts
    band, scale = str(_card(cards, "FILTER", coadd)), wcs.pixel_scale_arcsec
    zero = float(facts["zeropoint_mag"])
    fwhm_px = float(_card(cards, "FWHM", coadd)) / scale
    here = _truth_here(
        objects, band, wcs, weight > 0, float(_card(cards, "MJD-MEAN", coadd)), zero, fwhm_px
    )
    depth = float(facts["depth_psf_mag"])
    visible = np.flatnonzero(here.mag < depth + _BELOW_DEPTH_MAG)
    i_cat, i_vis, _ = match.nearest(
        found.columns["ra"], found.columns["dec"], here.ra_deg[visible], here.dec_deg[visible],
        MATCH_ARCSEC,
    )  # fmt: skip
    return TileBand(
        tile=str(_card(cards, "TILE", coadd)),
        band=band,
        table=found.columns,
        truth=here,
        i_catalogue=i_cat,
        i_truth=visible[i_vis],
        zeropoint_mag=zero,
        colour_coefficient=float(_card(cards, "COLCOEF", coadd)),
        colour_pivot=float(_card(cards, "COLPIVOT", coadd)),
        depth_mag=depth,
        fwhm_px=fwhm_px,
        scale_arcsec=scale,
        completeness=facts.get("completeness") or {},
    )


def _truth_here(
    objects: Objects,
    band: str,
    wcs: Wcs,
    covered: NDArray[np.bool_],
    mjd: float,
    zeropoint_mag: float,
    fwhm_px: float,
) -> TruthHere:
    ra, dec = objects.at(mjd)
    x, y = wcs.sky_to_pix(ra, dec)
    ny, nx = covered.shape
    inside = (x > -0.5) & (x < nx - 0.5) & (y > -0.5) & (y < ny - 0.5)
    chosen = np.flatnonzero(inside)
    on = covered[np.rint(y[chosen]).astype(int), np.rint(x[chosen]).astype(int)]
    chosen = chosen[on]
    mag = objects.mag[band][chosen]
    flux = 10 ** (-0.4 * (mag - zeropoint_mag))
    size_px = objects.size_arcsec[chosen] / wcs.pixel_scale_arcsec
    return TruthHere(
        x=x[chosen],
        y=y[chosen],
        ra_deg=ra[chosen],
        dec_deg=dec[chosen],
        mag=mag,
        published=objects.published[band][chosen],
        colour=objects.colour[chosen],
        is_star=(objects.is_point & ~objects.is_variable)[chosen],
        is_point=objects.is_point[chosen],
        flux=flux,
        stolen=contamination(x[chosen], y[chosen], flux, size_px, fwhm_px),
    )


def _card(cards: dict[str, Any], key: str, path: Path) -> Any:
    value = cards.get(key)
    if value is None:
        raise ProductError(
            str(path), found=f"no card {key}", expected="a coadd of ours",
            do="make the coadds anew with this version",
        )  # fmt: skip
    return value
