"""What the astrometric solution leaves in the metrics of a frame, for its review."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from tesela.sky import agree
from tesela.sky.solve import Solution
from tesela.stages.reduce.frame import Frame

Floats = NDArray[np.float64]

_BRIGHT_SNR = 50.0
_DEPTH_PERCENTILES = (5.0, 90.0)  # of the matched stars' magnitudes: between them most are seen


def record(
    frame: Frame,
    solution: Solution,
    found: agree.Agreement,
    detections: tuple[Floats, Floats, Floats],
    reference: tuple[Floats, Floats, Floats],
) -> None:
    """Write down the solution and how the stars agree with it.

    `detections` are x, y and S/N of those that were offered to the solution, `reference` the ra,
    dec and magnitude of the stars about the field; `found` compares the two.
    """
    x, y, snr = detections
    frame.did("astrometry", projection="TPV", degree=solution.degree, matches=solution.n_matched)
    bright = snr[solution.i_det] > _BRIGHT_SNR
    frame.metrics.update(
        n_astrometry=int(solution.n_matched),
        astrometry_rms_ra_arcsec=float(solution.rms_arcsec[0]),
        astrometry_rms_dec_arcsec=float(solution.rms_arcsec[1]),
        astrometry_rms_bright_ra_arcsec=_rms(solution.dx_arcsec[bright]),
        astrometry_rms_bright_dec_arcsec=_rms(solution.dy_arcsec[bright]),
        astrometry_degree=int(solution.degree),
        astrometry_error_arcsec=float(solution.error_arcsec),
        astrometry_chance_log10=float(solution.chance_log10),
        pointing_offset_arcsec=float(solution.offset_arcsec),
        rotation_deg=float(solution.rotation_deg),
        scale_ratio=float(solution.scale_ratio),
        mirrored=bool(solution.flipped),
        **_matches(solution, reference, len(x)),
        **_residuals(x, y, snr, solution, found),
        **_refraction(solution),
    )


def _matches(
    solution: Solution, reference: tuple[Floats, Floats, Floats], n_detections: int
) -> dict[str, Any]:
    """How many reference stars in the frame, as bright as those that matched, did match."""
    ra, dec, mag = reference
    metrics: dict[str, Any] = {
        "astrometry_detections_fraction": solution.n_matched / max(n_detections, 1)
    }
    matched = mag[solution.i_ref]
    if not np.isfinite(matched).any():
        return metrics
    low, high = np.nanpercentile(matched, _DEPTH_PERCENTILES)
    ny, nx = solution.wcs.shape
    # Straight is good enough to say who is inside, and quick.
    x, y = solution.wcs.linearised().sky_to_pix(ra, dec)
    deep = (mag >= low) & (mag <= high)
    expected = int(np.count_nonzero(deep & (x > 0) & (x < nx - 1) & (y > 0) & (y < ny - 1)))
    n_matched = int(np.count_nonzero((matched >= low) & (matched <= high)))
    metrics["n_astrometry_expected"] = expected
    metrics["astrometry_matched_fraction"] = n_matched / max(expected, 1)
    return metrics


def _residuals(
    x: Floats, y: Floats, snr: Floats, solution: Solution, found: agree.Agreement
) -> dict[str, Any]:
    """Maps of the mean residual (rows from the bottom), and the bright stars against the rest."""
    dx, dy, n = agree.residual_map(
        x[solution.i_det], y[solution.i_det], solution.dx_arcsec, solution.dy_arcsec,
        solution.wcs.shape,
    )  # fmt: skip
    bright = snr[found.i] > _BRIGHT_SNR
    return {
        "astrometry_map_ra_mas": _numbers(dx),
        "astrometry_map_dec_mas": _numbers(dy),
        "astrometry_map_n": n.tolist(),
        "astrometry_worst_place_mas": _finite(1e3 * found.worst[2]),
        "astrometry_offset_ra_mas": _finite(1e3 * float(found.offset[0])),
        "astrometry_offset_dec_mas": _finite(1e3 * float(found.offset[1])),
        "astrometry_bright_minus_faint_ra_mas": _difference(found.dx, bright),
        "astrometry_bright_minus_faint_dec_mas": _difference(found.dy, bright),
    }


def _refraction(solution: Solution) -> dict[str, Any]:
    found = solution.refraction
    if found is None:
        return {}
    return {
        "dcr_mas_per_mag": found.mas_per_mag,
        "dcr_err_mas_per_mag": found.error_mas_per_mag,
        "dcr_pivot_mag": found.pivot,
        "n_dcr": found.n_stars,
    }


def _difference(values: Floats, bright: NDArray[np.bool_]) -> float | None:
    if bright.all() or not bright.any():
        return None
    return 1e3 * float(np.median(values[bright]) - np.median(values[~bright]))


def _numbers(grid: Floats) -> list[list[float | None]]:
    return [[_finite(1e3 * value) for value in row] for row in grid.tolist()]


def _finite(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None


def _rms(values: Floats) -> float | None:
    return float(np.sqrt(np.mean(values**2))) if values.size else None
