"""The frame's zero point and transparency against the reference catalogue."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tesela.bands import transform
from tesela.bands.colourterm import ZeroPoint, fit_zero_point
from tesela.config import Reference
from tesela.errors import QualityError
from tesela.products.images import Table
from tesela.stages.reduce.frame import Frame
from tesela.stages.reduce.measure import Sources
from tesela.stages.reduce.settings import PhotometrySettings, ReduceInputs

Floats = NDArray[np.float64]
_ENOUGH, _FEWEST = 12, 3
_LOWEST_SNR = 5.0


def calibrate(
    frame: Frame, sources: Sources, inputs: ReduceInputs, settings: PhotometrySettings
) -> None:
    """Zero points for 1 e-/s: of PSF fluxes (total within the PSF's radius) and of the aperture."""
    table = sources.table
    matched = np.flatnonzero(table["i_ref"] >= 0)
    mag, err = reference_magnitudes(inputs.refcat, table["i_ref"][matched], inputs.reference)
    colour = reference_colour(inputs.refcat, table["i_ref"][matched], inputs.reference)
    low, high = inputs.reference.mag_limits
    use = np.isfinite(mag) & (mag >= low) & (mag <= high) & ((table["flags"][matched] & 12) == 0)
    use &= np.isfinite(colour) if colour is not None else True
    matched, mag, err = matched[use], mag[use], err[use]
    colour = colour[use] if colour is not None else None
    psf_zero = _fit(
        table["flux_psf"][matched],
        table["flux_psf_err"][matched],
        mag,
        err,
        colour,
        inputs,
        settings,
    )
    aperture_zero = _fit(
        table["flux_aper"][matched, -1],
        table["flux_aper_err"][matched, -1],
        mag,
        err,
        colour,
        inputs,
        settings,
    )
    gain = float(np.median(inputs.camera.values("gain_e_per_adu")))
    frame.did(
        "zero point",
        stars=psf_zero.n,
        colour_coefficient=psf_zero.colour_coefficient,
        reference=inputs.reference.mag or inputs.reference.transform,
    )
    frame.metrics.update(
        zeropoint_mag=psf_zero.zeropoint_mag,
        zeropoint_err_mag=psf_zero.error_mag,
        zeropoint_scatter_mag=psf_zero.scatter_mag,
        n_zeropoint=psf_zero.n,
        colour_coefficient=psf_zero.colour_coefficient,
        colour_pivot=inputs.reference.colour_pivot,
        zeropoint_aperture_mag=aperture_zero.zeropoint_mag,
        zeropoint_aperture_adu_mag=aperture_zero.zeropoint_mag - 2.5 * np.log10(gain),
        zeropoint_aperture_scatter_mag=aperture_zero.scatter_mag,
        zeropoint_aperture_px=float(sources.diameters_px[-1] / 2),
    )


def _fit(
    flux: Floats,
    flux_err: Floats,
    mag: Floats,
    err: Floats,
    colour: Floats | None,
    inputs: ReduceInputs,
    settings: PhotometrySettings,
) -> ZeroPoint:
    rate = flux / inputs.facts.exptime_s
    bright = _brightest(flux, flux_err, settings.min_snr)
    if np.count_nonzero(bright) < _FEWEST:
        raise QualityError(
            inputs.facts.name,
            found=f"{np.count_nonzero(bright)} reference stars with S/N > {_LOWEST_SNR:g}",
            expected=f"at least {_FEWEST} for a zero point",
            do="check transparency, filter and the reference's magnitude limits",
        )
    reference = inputs.reference
    has_colour = colour is not None and reference.colour_coefficient is not None
    return fit_zero_point(
        -2.5 * np.log10(rate[bright]),
        1.0857 * flux_err[bright] / flux[bright],
        mag[bright],
        err[bright],
        colour[bright] if has_colour and colour is not None else None,
        colour_pivot=reference.colour_pivot,
        colour_coefficient=reference.colour_coefficient if has_colour else None,  # type: ignore[arg-type]
        floor=settings.floor_mag,
    )


def _brightest(flux: Floats, flux_err: Floats, snr: float) -> NDArray[np.bool_]:
    """Stars above `snr`; where too few, the limit is halved, so that short frames have a zero."""
    bright = (flux > snr * flux_err) & (flux > 0)
    if np.count_nonzero(bright) >= _ENOUGH or snr / 2 < _LOWEST_SNR:
        return bright
    return _brightest(flux, flux_err, snr / 2)


def reference_magnitudes(
    refcat: Table, rows: NDArray[np.int64], reference: Reference
) -> tuple[Floats, Floats]:
    """Magnitudes and errors in the frame's band, from a column or a named transformation."""
    if reference.transform:
        inputs = {name: refcat[column][rows] for name, column in reference.columns.items()}
        mag, err = transform.apply(reference.transform, inputs)
        return np.asarray(mag), np.asarray(err)
    if reference.mag not in refcat:
        raise QualityError(
            "reference catalogue",
            found=f"no column {reference.mag!r}",
            expected="the column that [filters.*.reference] names",
            do="correct survey.toml",
        )
    err = refcat[reference.err][rows] if reference.err in refcat else np.full(len(rows), 0.01)
    return refcat[reference.mag][rows], np.where(np.isfinite(err), err, 0.1)


def reference_colour(refcat: Table, rows: NDArray[np.int64], reference: Reference) -> Floats | None:
    """The colour of the colour term, None if the survey names none."""
    if not reference.colour:
        return None
    blue, red = reference.colour
    return np.asarray(refcat[blue][rows] - refcat[red][rows])
