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
from tesela.products.flags import SourceFlag
from tesela.products.maskbit import MaskBit
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
    core_rejected: NDArray[np.bool_]
    """The coadd left out an input in the core that it used around it."""
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
    mjd: float
    wcs: Wcs
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
        flagged = (self.measured("flags") & SourceFlag.SATURATED) > 0
        return ~flagged & ((self.measured("mask_flags") & MaskBit.SATURATED) == 0)

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
    fits = files.read_fits(coadd, ["WEIGHT", "COUNT"])
    cards, weight = fits.cards["IMAGE"], fits.data["WEIGHT"]
    wcs = Wcs.from_cards(cards, weight.shape)
    found = Catalogue.read(catalogue)
    facts = found.facts
    band, scale = str(_card(cards, "FILTER", coadd)), wcs.pixel_scale_arcsec
    zero = float(facts["zeropoint_mag"])
    fwhm_px = float(_card(cards, "FWHM", coadd)) / scale
    count = np.where(weight > 0, fits.data["COUNT"], 0)
    mjd = float(_card(cards, "MJD-MEAN", coadd))
    here = _truth_here(objects, band, wcs, count, mjd, zero, fwhm_px)
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
        mjd=mjd,
        wcs=wcs,
        completeness=facts.get("completeness") or {},
    )


def _truth_here(
    objects: Objects,
    band: str,
    wcs: Wcs,
    count: NDArray[np.uint8],
    mjd: float,
    zeropoint_mag: float,
    fwhm_px: float,
) -> TruthHere:
    ra, dec = objects.at(mjd)
    x, y = wcs.sky_to_pix(ra, dec)
    ny, nx = count.shape
    inside = (x > -0.5) & (x < nx - 0.5) & (y > -0.5) & (y < ny - 0.5)
    chosen = np.flatnonzero(inside)
    on = count[np.rint(y[chosen]).astype(int), np.rint(x[chosen]).astype(int)] > 0
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
        core_rejected=core_rejected(count, x[chosen], y[chosen], fwhm_px),
        flux=flux,
        stolen=contamination(x[chosen], y[chosen], flux, size_px, fwhm_px),
    )


def core_rejected(count: NDArray[np.uint8], x: Floats, y: Floats, fwhm_px: float) -> NDArray[Any]:
    """Whether fewer inputs were used within a pixel of each place than around it.

    Parameters
    ----------
    count : (ny, nx) uint8
        Inputs used in each pixel.
    x, y : (n,) float64
    fwhm_px : float
        Around is 5 FWHM away, where no star is left; the median of eight directions, so that
        neighbours and the edges of frames seldom matter.

    Returns
    -------
    (n,) bool
    """
    angle = np.arange(8) * np.pi / 4
    radius = 5 * fwhm_px
    around = _at(count, x[:, None] + radius * np.cos(angle), y[:, None] + radius * np.sin(angle))
    steps = np.array([(dx, dy) for dx in (-1, 0, 1) for dy in (-1, 0, 1)])
    core = _at(count, x[:, None] + steps[:, 0], y[:, None] + steps[:, 1])
    return core.min(axis=1) < np.median(around, axis=1)


def _at(image: NDArray[np.uint8], x: Floats, y: Floats) -> NDArray[np.uint8]:
    """Nearest pixels; places outside take the nearest pixel inside."""
    ny, nx = image.shape
    column = np.clip(np.rint(x).astype(int), 0, nx - 1)
    return image[np.clip(np.rint(y).astype(int), 0, ny - 1), column]


def _card(cards: dict[str, Any], key: str, path: Path) -> Any:
    value = cards.get(key)
    if value is None:
        raise ProductError(
            str(path), found=f"no card {key}", expected="a coadd of ours",
            do="make the coadds anew with this version",
        )  # fmt: skip
    return value
