"""The frame's zero point and transparency against the reference catalogue."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from tesela.bands import reference
from tesela.bands.colourterm import LOWEST_SNR, ZeroPoint, brightest, fit_zero_point
from tesela.errors import QualityError
from tesela.stages.reduce.frame import Frame
from tesela.stages.reduce.measure import Sources
from tesela.stages.reduce.settings import PhotometrySettings, ReduceInputs

Floats = NDArray[np.float64]
_FEWEST = 3


def calibrate(
    frame: Frame, sources: Sources, inputs: ReduceInputs, settings: PhotometrySettings
) -> None:
    """Zero points for 1 e-/s: of PSF fluxes (total within the PSF's radius) and of the aperture."""
    table = sources.table
    matched = np.flatnonzero(table["i_ref"] >= 0)
    mag, err = reference.magnitudes(inputs.refcat, table["i_ref"][matched], inputs.reference)
    colour = reference.colours(inputs.refcat, table["i_ref"][matched], inputs.reference)
    low, high = inputs.reference.mag_limits
    use = np.isfinite(mag) & (mag >= low) & (mag <= high) & ((table["flags"][matched] & 12) == 0)
    use &= np.isfinite(colour) if colour is not None else True
    matched, mag, err = matched[use], mag[use], err[use]
    colour = colour[use] if colour is not None else None
    psf_zero, used = _fit(
        table["flux_psf"][matched],
        table["flux_psf_err"][matched],
        mag,
        err,
        colour,
        inputs,
        settings,
    )
    left = _left(psf_zero, table["flux_psf"][matched], mag, colour, inputs)[used]
    stars = matched[used]
    frame.metrics.update(trend(table["x_win"][stars], table["y_win"][stars], left))
    aperture_zero, _ = _fit(
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
        transparency=transparency(psf_zero.zeropoint_mag, inputs),
        zeropoint_err_mag=psf_zero.error_mag,
        zeropoint_scatter_mag=psf_zero.scatter_mag,
        zeropoint_expected_scatter_mag=_expected(table, stars, err[used], settings),
        n_zeropoint=psf_zero.n,
        colour_coefficient=psf_zero.colour_coefficient,
        colour_coefficient_err=psf_zero.colour_error,
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
) -> tuple[ZeroPoint, NDArray[np.int64]]:
    """The zero point, and which of the stars made it."""
    rate = flux / inputs.facts.exptime_s
    bright = brightest(flux, flux_err, settings.min_snr)
    if np.count_nonzero(bright) < _FEWEST:
        raise QualityError(
            inputs.facts.name,
            found=f"{np.count_nonzero(bright)} reference stars with S/N > {LOWEST_SNR:g}",
            expected=f"at least {_FEWEST} for a zero point",
            do="check transparency, filter and the reference's magnitude limits",
        )
    zero = fit_zero_point(
        -2.5 * np.log10(rate[bright]),
        1.0857 * flux_err[bright] / flux[bright],
        mag[bright],
        err[bright],
        colour[bright] if colour is not None else None,
        colour_pivot=inputs.reference.colour_pivot,
        colour_coefficient=inputs.reference.colour_coefficient,  # type: ignore[arg-type]
        floor=settings.floor_mag,
    )
    return zero, np.flatnonzero(bright)[zero.used]


def _expected(
    table: dict[str, Any], stars: NDArray[np.int64], err: Floats, settings: PhotometrySettings
) -> float:
    """Scatter that the errors of the stars and of the catalogue give."""
    own = 1.0857 * table["flux_psf_err"][stars] / table["flux_psf"][stars]
    return float(np.sqrt(np.median(own**2 + err**2 + settings.floor_mag**2)))


def transparency(zeropoint_mag: float, inputs: ReduceInputs) -> float | None:
    """Share of the light that came through, of what a clear night lets through at that airmass.

    None where the survey does not say what a clear night is (`clear_zeropoint_mag`).
    """
    clear = inputs.reference.clear_zeropoint_mag
    if clear is None:
        return None
    airmass = inputs.facts.airmass
    airmass = 1.0 if airmass is None or not np.isfinite(airmass) else airmass
    expected = clear - inputs.reference.extinction_mag * (airmass - 1.0)
    return float(10 ** (0.4 * (zeropoint_mag - expected)))


def _left(
    zero: ZeroPoint, flux: Floats, mag: Floats, colour: Floats | None, inputs: ReduceInputs
) -> Floats:
    """Reference minus calibrated magnitude; NaN without flux."""
    rate = np.where(flux > 0, flux, np.nan) / inputs.facts.exptime_s
    left = mag + 2.5 * np.log10(rate) - zero.zeropoint_mag
    if colour is not None:
        left -= zero.colour_coefficient * (colour - inputs.reference.colour_pivot)
    return left


def trend(x: Floats, y: Floats, residual: Floats) -> dict[str, float | None]:
    """What varies over the field: clouds, and a flat that is wrong on large scales.

    A plane through the residuals (mag), clipped at three sigma, gives `zeropoint_tilt_mag`, edge to
    edge along the steepest direction; `zeropoint_grid_rms_mag` is the scatter of the medians of
    4 x 4 parts of the field that hold five stars. None where stars are too few.
    """
    use = np.isfinite(residual)
    found: dict[str, float | None] = {"zeropoint_tilt_mag": None, "zeropoint_grid_rms_mag": None}
    if np.count_nonzero(use) < _FEWEST_OF_TREND:
        return found
    u, v = (2 * (p - p[use].min()) / max(np.ptp(p[use]), 1.0) - 1 for p in (x, y))
    terms = np.stack([np.ones_like(u), u, v], axis=1)
    for _ in range(5):
        plane = np.linalg.lstsq(terms[use], residual[use], rcond=None)[0]
        off = residual - terms @ plane
        sigma = 1.4826 * np.median(np.abs(off[use]))
        use = np.isfinite(residual) & (np.abs(off) <= 3 * max(sigma, 1e-6))
    found["zeropoint_tilt_mag"] = 2 * float(np.hypot(*plane[1:]))
    cell = np.clip((u + 1) * 2, 0, 3.99).astype(int) * 4 + np.clip((v + 1) * 2, 0, 3.99).astype(int)
    medians = [
        np.median(residual[use & (cell == k)])
        for k in range(16)
        if np.count_nonzero(use & (cell == k)) >= 5
    ]
    if len(medians) >= 4:
        found["zeropoint_grid_rms_mag"] = float(np.std(medians))
    return found


_FEWEST_OF_TREND = 20
