"""The star list: detection, apertures, PSF model and PSF photometry."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tesela.cameras import Camera
from tesela.pixels import apertures, detect, psf, psf_photometry
from tesela.pixels.psf_model import PsfModel
from tesela.products import maskbit
from tesela.products.columns import APERTURE_DIAMETERS_ARCSEC
from tesela.products.images import Table
from tesela.products.maskbit import MaskBit
from tesela.stages.reduce.frame import Frame, needed
from tesela.stages.reduce.settings import (
    PhotometrySettings,
    PsfSettings,
    ReduceInputs,
    ReduceSettings,
)


@dataclass
class Sources:
    """What was detected, and the apertures (px) it was measured in."""

    table: Table
    diameters_px: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.table["x"])


def aperture_diameters_arcsec(settings: PhotometrySettings) -> tuple[float, ...]:
    """The catalogue's eight, then that of the zero point, which may be as wide as one of them."""
    return (*APERTURE_DIAMETERS_ARCSEC, settings.aperture_arcsec)


def detect_sources(
    frame: Frame,
    settings: ReduceSettings,
    camera: Camera,
    variance: NDArray[np.float32] | None = None,
) -> Sources:
    """Final detection, without cosmic rays and trails; the OBJECT code; all apertures.

    `variance` sets the threshold where that of the sky's photons and the read-out is not the whole
    of it.
    """
    unusable = frame.has(maskbit.UNUSABLE & ~MaskBit.SATURATED)
    saturated = frame.has(MaskBit.SATURATED)
    unusable &= ~saturated
    objects, segmentation = detect.extract(
        frame.image,
        needed(frame.variance, "variance") if variance is None else variance,
        unusable,
        threshold_sigma=settings.sky.threshold_sigma,
        min_area_px=settings.sky.min_area_px,
        saturated=saturated,
        threads=frame.threads,
    )
    frame.objects = detect.object_mask(segmentation, grow_px=settings.sky.object_grow_px)
    frame.add_light_of_sources()
    frame.set(MaskBit.OBJECT, segmentation > 0)
    arcsec = aperture_diameters_arcsec(settings.photometry)
    diameters_px = np.array(arcsec) / camera.pixel_scale_arcsec
    measured = apertures.measure(
        frame.image,
        needed(frame.variance, "variance"),
        unusable,
        segmentation,
        objects,
        diameters_px=list(diameters_px),
        threads=frame.threads,
    )
    table = {**objects, **measured}
    table["x_err"], table["y_err"] = measured["x_win_err"], measured["y_win_err"]
    table["flags"] = detect.flag_holes(
        table["flags"], unusable, table["x_win"], table["y_win"], 0.5 * frame.fwhm_px
    )
    table["snr"] = table["flux_auto"] / np.maximum(table["flux_auto_err"], 1e-6)
    frame.did("detection", threshold_sigma=settings.sky.threshold_sigma, sources=len(table["x"]))
    frame.metrics["n_sources"] = len(table["x"])
    return Sources(table, diameters_px)


def model_psf(
    frame: Frame, sources: Sources, settings: PsfSettings, inputs: ReduceInputs
) -> PsfModel:
    """The PSF as a function of the position, from bright, isolated, unsaturated stars."""
    table = sources.table
    scale = inputs.camera.pixel_scale_arcsec
    stars = psf.select_stars(table, max_stars=settings.max_stars)
    fwhm_px = float(np.median(table["fwhm_px"][stars]))
    model = psf.fit(
        frame.image,
        needed(frame.variance, "variance"),
        frame.unusable,
        table["x_win"][stars],
        table["y_win"][stars],
        fwhm_guess_px=fwhm_px,
        degree=settings.degree,
        norm_radius_px=settings.norm_radius_arcsec / scale,
    )
    ny, nx = frame.image.shape
    grid_y, grid_x = (g.ravel() for g in np.mgrid[0 : ny - 1 : 4j, 0 : nx - 1 : 4j])
    fwhm = model.fwhm_px(grid_x, grid_y)
    frame.fwhm_px = float(np.median(fwhm))
    frame.did("psf", model="Moffat and residual map", stars=model.n_stars, degree=model.degree)
    frame.metrics.update(
        fwhm_px=frame.fwhm_px,
        fwhm_arcsec=frame.fwhm_px * scale,
        fwhm_variation=float(np.ptp(fwhm) / np.median(fwhm)),
        ellipticity=float(np.median(model.ellipticity(grid_x, grid_y))),
        psf_beta=float(model.beta),
        psf_chi2=float(model.chi2),
        n_psf_stars=int(model.n_stars),
        psf_wings=float(model.wings),
        **_growth(model),
    )
    return model


def _growth(model: PsfModel) -> dict[str, float]:
    """Change of the stars' size per magnitude, where it is known."""
    slope, error = model.size_slope
    return {"psf_size_slope": slope, "psf_size_slope_err": error} if np.isfinite(error) else {}


def fit_psf_fluxes(frame: Frame, sources: Sources, model: PsfModel) -> None:
    """PSF flux and position of every source, neighbours subtracted."""
    table = sources.table
    fitted = psf_photometry.photometry(
        frame.image,
        needed(frame.variance, "variance"),
        frame.unusable,
        model,
        table["x_win"],
        table["y_win"],
        threads=frame.threads,
    )
    table["flux_psf"], table["flux_psf_err"] = fitted["flux"], fitted["err"]
    table["chi2_psf"] = fitted["chi2"]
    table["x_psf"], table["y_psf"] = fitted["x"], fitted["y"]
    frame.did("psf photometry", normalised_px=model.norm_radius_px)
