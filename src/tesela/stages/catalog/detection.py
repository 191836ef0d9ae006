"""Sources of a coadd and their raw measurements."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import maximum_filter

from tesela.pixels import apertures, detect, psf
from tesela.pixels.psf_model import PsfModel
from tesela.products.columns import APERTURE_DIAMETERS_ARCSEC
from tesela.products.maskbit import MaskBit
from tesela.sky.wcs import Wcs
from tesela.stages.catalog.settings import CatalogInputs, CatalogSettings


@dataclass
class Field:
    """A coadd with what its measurement needs ready. Arrays are (ny, nx)."""

    inputs: CatalogInputs
    image: NDArray[np.float32]
    weight: NDArray[np.float32]
    sky_variance: NDArray[np.float32]
    variance: NDArray[np.float32]
    covered: NDArray[np.bool_]
    saturated: NDArray[np.bool_]
    model: PsfModel
    wcs: Wcs
    scale_arcsec: float
    zeropoint_mag: float

    @classmethod
    def of(cls, inputs: CatalogInputs) -> Field:
        """Prepare a coadd; where nothing was observed the variance is one and the mask tells."""
        coadd = inputs.coadd
        covered = coadd.weight > 0
        sky = np.where(covered, 1 / np.where(covered, coadd.weight, 1), 1).astype(np.float32)
        return cls(
            inputs,
            coadd.image,
            coadd.weight,
            sky,
            np.where(covered, coadd.variance, 1).astype(np.float32),
            covered,
            (coadd.mask & MaskBit.SATURATED) > 0,
            PsfModel.from_arrays(coadd.psf.arrays, coadd.psf.numbers),
            inputs.wcs,
            inputs.wcs.pixel_scale_arcsec,
            inputs.zeropoint_mag,
        )


@dataclass
class Sources:
    """Measured columns by name, and the label image (row k has label k + 1)."""

    table: dict[str, NDArray[Any]]
    segmentation: NDArray[np.int32]
    diameters_px: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.table["x"])


def detect_and_measure(
    field: Field, settings: CatalogSettings, image: NDArray[np.float32] | None = None
) -> Sources:
    """Detection, apertures, AUTO, shapes and PSF fluxes.

    `image` takes the place of the coadd's, for stars injected into it: they are found and measured
    by the very code that makes the catalogue.
    """
    pixels = field.image if image is None else image
    objects, segmentation = detect.extract(
        pixels,
        field.sky_variance,
        ~field.covered,
        threshold_sigma=settings.threshold_sigma,
        min_area_px=settings.min_area_px,
        deblend_nthresh=settings.deblend_nthresh,
        deblend_contrast=settings.deblend_contrast,
        saturated=field.saturated,
    )
    diameters_px = np.array(APERTURE_DIAMETERS_ARCSEC) / field.scale_arcsec
    measured = apertures.measure(
        pixels,
        field.variance,
        ~field.covered,
        segmentation,
        objects,
        diameters_px=list(diameters_px),
    )
    table = {**objects, **measured}
    fitted = psf.photometry(
        pixels,
        field.variance,
        ~field.covered | field.saturated,
        field.model,
        table["x_win"],
        table["y_win"],
    )
    table.update(flux_psf=fitted["flux"], flux_psf_err=fitted["err"], chi2_psf=fitted["chi2"])
    core_px = 0.5 * float(field.model.fwhm_px(pixels.shape[1] / 2, pixels.shape[0] / 2))
    table["flags"] = detect.flag_holes(
        table["flags"], ~field.covered, table["x_win"], table["y_win"], core_px
    )
    table["mask_flags"] = codes_inside(
        field.inputs.coadd.mask, segmentation, grown(segmentation), len(table["x"])
    )
    return Sources(table, segmentation, diameters_px)


def grown(segmentation: NDArray[np.int32]) -> NDArray[np.int32]:
    """Labels that reach two pixels beyond each source: (ny, nx)."""
    return np.where(segmentation > 0, segmentation, maximum_filter(segmentation, size=5))


def codes_inside(
    mask: NDArray[np.uint8], segmentation: NDArray[np.int32], around: NDArray[np.int32], n: int
) -> NDArray[np.int16]:
    """OR of the mask codes over each source's pixels and the holes in and beside them: (n,).

    A pixel without data belongs to no source, so holes are looked for under the labels `around`,
    which `grown` makes.
    """
    codes = np.zeros(n + 1, np.int16)
    for bit in MaskBit:
        hit = (mask & bit) > 0
        if hit.any():
            where = around if bit == MaskBit.BAD else segmentation
            codes[np.unique(where[hit])] |= np.int16(bit)
    return codes[1:]
