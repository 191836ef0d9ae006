"""Dual catalogues beside the truth: colours corrected for the PSF, redshifts, classes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tesela.products.catalogue import Catalogue
from tesela.products.columns import MEASURED, NOT_DETECTED
from tesela.products.flags import SourceFlag
from tesela.products.maskbit import MaskBit
from tesela.score.isolation import contamination
from tesela.score.objects import Objects
from tesela.score.tiles import MATCH_ARCSEC, TileBand, log10
from tesela.sky import match

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

_BELOW_DEPTH_MAG = 1.0
_GOOD_WEIGHT = 0.8


@dataclass(frozen=True)
class DualTile:
    """The sources of a tile that are true objects, (n,) or (n, n_band) each."""

    tile: str
    bands: tuple[str, ...]
    detection: int
    """Place of the detection band."""
    mag: Floats
    """PSF-corrected natural magnitudes, the zero point errors of each band taken out."""
    relative_flux: Floats
    """PSF-corrected flux over the true one, the zero point errors taken out; also if negative."""
    snr: Floats
    """True flux over measured error: a choice by it prefers no sign of the noise."""
    usable: Bools
    """Observed, not saturated, of nearly full weight; detected or not, so that the noise does not
    choose."""
    true_mag: Floats
    is_star: Bools
    """Point source of constant light."""
    is_galaxy: Bools
    one_component: Bools
    """Galaxies without a gradient of colour: of every aperture the truth is known."""
    stolen: Floats
    """Light of neighbours over own light, in the detection band."""
    redshift: Floats
    valueadded: Mapping[str, NDArray[Any]]
    """Columns of the value-added catalogue."""

    @property
    def r_mag(self) -> Floats:
        """True magnitude in the detection band."""
        return self.true_mag[:, self.detection]


def read(
    dual: Path, valueadded: Path, singles: Mapping[str, TileBand], objects: Objects
) -> DualTile:
    """Match a dual catalogue with the truth.

    `singles` are the same tile's single catalogues with their truth: they give the zero point
    errors, which do not depend on what is judged here.
    """
    found = Catalogue.read(dual)
    extra = Catalogue.read(valueadded).columns
    columns, facts = found.columns, found.facts
    bands = tuple(str(band) for band in facts["bands"])
    detection = bands.index(str(facts["detection_band"]))
    single = singles[bands[detection]]
    ra, dec = objects.at(single.mjd)
    # Fainter objects are never what a source is; they lie everywhere.
    seen = np.flatnonzero(objects.mag[single.band] < single.depth_mag + _BELOW_DEPTH_MAG)
    i_source, i_seen, _ = match.nearest(
        columns["ra"], columns["dec"], ra[seen], dec[seen], MATCH_ARCSEC
    )
    i_true = seen[i_seen]
    zero = np.array([_zero_point(facts, singles, band) for band in bands])
    true_mag = np.stack([objects.mag[band][i_true] for band in bands], axis=1)
    flux, error = columns["flux_psfcor"][i_source], columns["flux_psfcor_err"][i_source]
    saturated = (columns["flags"][i_source] & SourceFlag.SATURATED) > 0
    saturated |= (columns["mask_flags"][i_source] & MaskBit.SATURATED) > 0
    good = np.isin(columns["status"][i_source], (MEASURED, NOT_DETECTED)) & ~saturated
    good &= columns["norm_weight"][i_source] > _GOOD_WEIGHT
    true_flux = 10 ** (-0.4 * (true_mag - zero))
    return DualTile(
        tile=str(facts["tile"]),
        bands=bands,
        detection=detection,
        mag=zero - 2.5 * log10(flux),
        relative_flux=flux / true_flux,
        snr=true_flux / error,
        usable=good,
        true_mag=true_mag,
        is_star=(objects.is_point & ~objects.is_variable)[i_true],
        is_galaxy=objects.is_galaxy[i_true],
        one_component=objects.one_component[i_true],
        stolen=_stolen(single, objects, (ra, dec), i_true),
        redshift=objects.redshift[i_true],
        valueadded={name: values[i_source] for name, values in extra.items()},
    )


def _zero_point(facts: Mapping[str, Any], singles: Mapping[str, TileBand], band: str) -> float:
    if band not in singles:
        return float("nan")
    return float(facts["zeropoint_mag"][band]) - singles[band].offset_mag


def _stolen(
    single: TileBand, objects: Objects, where: tuple[Floats, Floats], chosen: NDArray[np.int64]
) -> Floats:
    """Neighbours' light over own light of chosen objects."""
    x, y = single.wcs.sky_to_pix(*where)
    ny, nx = single.wcs.shape
    inside = np.flatnonzero((x > -0.5) & (x < nx - 0.5) & (y > -0.5) & (y < ny - 0.5))
    flux = 10 ** (-0.4 * (objects.mag[single.band][inside] - single.zeropoint_mag))
    size_px = objects.size_arcsec[inside] / single.scale_arcsec
    share = np.full(len(x), np.inf)
    share[inside] = contamination(x[inside], y[inside], flux, size_px, single.fwhm_px) / flux
    return share[chosen]


def together(parts: Sequence[NDArray[Any]]) -> NDArray[Any]:
    """Concatenate what tiles give, nothing if there is none."""
    return np.concatenate([np.zeros(0), *parts])
