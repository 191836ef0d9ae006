"""Where the frame points: a distorted tangent projection against the reference."""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tesela.bands import reference as bands
from tesela.config import Reference
from tesela.errors import QualityError
from tesela.products.images import Table
from tesela.sky import agree, chromatic, epoch, solve
from tesela.sky.nominal import nominal
from tesela.sky.wcs import Wcs
from tesela.stages.reduce.astrometry_record import record
from tesela.stages.reduce.frame import Frame
from tesela.stages.reduce.measure import Sources
from tesela.stages.reduce.settings import AstrometrySettings, ReduceInputs

_MIN_SNR = 8.0
_SPOILED = 12  # flags: saturated, or cut by the edge
_RESIDUAL_PX = 0.1
_HORIZON_DEG = 80.0


def solve_frame(
    frame: Frame, sources: Sources, inputs: ReduceInputs, settings: AstrometrySettings
) -> Wcs:
    """Match the star list with the reference, at the epoch of the exposure, and fit.

    Adds `ra`, `dec` and `i_ref` (row of the reference, -1 for none) to the sources.
    """
    facts, camera, table = inputs.facts, inputs.camera, sources.table
    if facts.ra_deg is None or facts.dec_deg is None:
        raise QualityError(facts.name, found="no pointing", expected="RA and Dec in the header")
    guess = nominal(
        facts.ra_deg,
        facts.dec_deg,
        camera.pixel_scale_arcsec,
        camera.cd_signs,
        camera.shape,
        camera.offset_arcmin,
    )
    near = _reference_rows(inputs, *guess.centre, settings)
    if _lacks_epoch(inputs.refcat):
        frame.warnings.append("proper motions ignored: the reference catalogue has no ref_epoch")
    ref_ra, ref_dec, ref_err = epoch.catalogue_positions(inputs.refcat, near, facts.mjd_mid)
    mag = reference_brightness(inputs.refcat, near, inputs.reference)
    air = _atmosphere(frame, inputs, near, settings)
    snr = table["flux_psf"] / np.maximum(table["flux_psf_err"], 1e-6)
    usable = np.flatnonzero((snr > _MIN_SNR) & ((table["flags"] & _SPOILED) == 0))
    x, y = table["x_win"][usable], table["y_win"][usable]
    solution = solve.solve(
        x,
        y,
        table["flux_psf"][usable],
        ref_ra,
        ref_dec,
        mag,
        guess,
        x_err=table["x_err"][usable],
        y_err=table["y_err"][usable],
        ref_err_arcsec=ref_err,
        degree=settings.degree,
        max_offset_arcsec=settings.max_offset_arcsec,
        max_rotation_deg=settings.max_rotation_deg,
        max_scale_error=settings.max_scale_error,
        max_error_px=settings.max_error_px,
        any_orientation=settings.blind_orientation,
        atmosphere=air,
    )
    wcs = solution.wcs
    table["ra"], table["dec"] = wcs.pix_to_sky(table["x_win"], table["y_win"])
    table["i_ref"] = np.full(len(sources), -1, np.int64)
    table["i_ref"][usable[solution.i_det]] = near[solution.i_ref]
    shown = chromatic.apparent(ref_ra, ref_dec, air, solution.refraction, guess.centre)
    # What is judged is what will be read: the cards, against stars that the fit left out, too.
    found = agree.compare(x, y, Wcs.from_cards(wcs.to_cards(), wcs.shape), *shown)
    record(frame, solution, found, (x, y, snr[usable]), (*shown, mag))
    least = _RESIDUAL_PX * camera.pixel_scale_arcsec
    agree.require(found, max(settings.max_residual_arcsec, least))
    return wcs


def is_covered(inputs: ReduceInputs, settings: AstrometrySettings) -> bool:
    """Whether the reference catalogue has stars that the field may hold."""
    ra_deg, dec_deg = inputs.facts.ra_deg, inputs.facts.dec_deg
    if ra_deg is None or dec_deg is None or not inputs.refcat:
        return False
    return _near(inputs.refcat, ra_deg, dec_deg, _reach_deg(inputs, settings)).size > 0


def _reach_deg(inputs: ReduceInputs, settings: AstrometrySettings) -> float:
    camera = inputs.camera
    return float(
        0.5 * np.hypot(*camera.shape) * camera.pixel_scale_arcsec / 3600
        + settings.max_offset_arcsec / 3600
        + settings.reference_margin_arcmin / 60
    )


def _reference_rows(
    inputs: ReduceInputs, ra_deg: float, dec_deg: float, settings: AstrometrySettings
) -> NDArray[np.int64]:
    """Rows of the reference catalogue that the field may hold, wherever it is within reach."""
    reach_deg = _reach_deg(inputs, settings)
    near = _near(inputs.refcat, ra_deg, dec_deg, reach_deg)
    if near.size == 0:
        raise QualityError(
            inputs.facts.name,
            found=f"no reference star within {reach_deg:.2f} deg of ({ra_deg:.4f}, {dec_deg:.4f})",
            expected="a reference catalogue that covers the field",
            do="add one with `tesela refcat add`, or check the pointing",
        )
    return near


def _atmosphere(
    frame: Frame, inputs: ReduceInputs, near: NDArray[np.int64], settings: AstrometrySettings
) -> chromatic.Atmosphere | None:
    """What the refraction of colours needs; None where it is not wanted or cannot be had."""
    facts, camera, reference = inputs.facts, inputs.camera, inputs.reference
    if facts.ra_deg is None or facts.dec_deg is None:
        return None
    if not any(fnmatchcase(facts.band, pattern) for pattern in settings.dcr_bands):
        return None
    if camera.latitude_deg is None or len(reference.colour) != 2:
        lack = "latitude of the site" if camera.latitude_deg is None else "colour of the band named"
        frame.warnings.append(f"refraction that depends on colour not fitted: no {lack}")
        return None
    zenith = chromatic.zenith(facts.mjd_mid, camera.longitude_deg, camera.latitude_deg)
    distance, angle = chromatic.angles(facts.ra_deg, facts.dec_deg, zenith)
    frame.metrics.update(zenith_distance_deg=distance, parallactic_angle_deg=angle)
    if distance > _HORIZON_DEG:
        frame.warnings.append("refraction that depends on colour not fitted: below the horizon")
        return None
    if 1 / np.cos(np.radians(distance)) < settings.dcr_min_airmass:
        return None
    blue, red = (bands.column(inputs.refcat, name, near) for name in reference.colour)
    colour = _plausible(blue) - _plausible(red)
    return chromatic.Atmosphere(colour, zenith, reference.colour_pivot)


def _near(refcat: Table, ra: float, dec: float, radius_deg: float) -> NDArray[np.int64]:
    """Rows of the catalogue within a radius."""
    a, d, a0, d0 = np.radians(refcat["ra"]), np.radians(refcat["dec"]), *np.radians((ra, dec))
    haversine = np.sin((d - d0) / 2) ** 2 + np.cos(d) * np.cos(d0) * np.sin((a - a0) / 2) ** 2
    return np.flatnonzero(haversine < np.sin(np.radians(radius_deg) / 2) ** 2)


def _lacks_epoch(refcat: Table) -> bool:
    if "pmra" not in refcat or "pmdec" not in refcat:
        return False
    return "ref_epoch" not in refcat or not np.isfinite(refcat["ref_epoch"]).any()


def reference_brightness(
    refcat: Table, rows: NDArray[np.int64], reference: Reference
) -> NDArray[np.float64]:
    """A magnitude to sort by: in the frame's band, as the survey names it, or in any.

    Of several columns (those of a transformation, or all that look like magnitudes where the
    survey's are absent) the one with most values is taken; NaN where it has none.
    """
    named = [reference.mag, *sorted(reference.columns.values())]
    for names in (named, _like_magnitudes(refcat)):
        best = np.full(len(rows), np.nan)
        for name in names:
            if name not in refcat or refcat[name].dtype.kind not in "fiu":
                continue
            part = _plausible(refcat[name][rows])
            if np.count_nonzero(np.isfinite(part)) > np.count_nonzero(np.isfinite(best)):
                best = part
        if np.isfinite(best).any():
            break
    return best


def _plausible(mag: NDArray[Any]) -> NDArray[np.float64]:
    return np.where((mag > 0) & (mag < 40), mag, np.nan)


def _like_magnitudes(refcat: Table) -> list[str]:
    return [
        name
        for name in sorted(refcat)
        if refcat[name].dtype.kind == "f"
        and name not in _NO_MAGNITUDES
        and "err" not in name.casefold()
    ]


_NO_MAGNITUDES = {"ra", "dec", "pmra", "pmdec", "ref_epoch", "parallax"}
