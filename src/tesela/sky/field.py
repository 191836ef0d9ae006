"""A frame's detections and its reference stars, made comparable in one plane."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.spatial import cKDTree

from tesela.sky import fit, pattern, tangent
from tesela.sky.wcs import Wcs

Floats = NDArray[np.float64]
Indices = NDArray[np.int64]


@dataclass(frozen=True)
class Field:
    """Both catalogues, cleaned and sorted by brightness, in the tangent plane of the guess.

    Attributes
    ----------
    guess : Wcs
    points, targets : (n, 2), (m, 2) float64
        Detections as the guess places them and reference stars within reach, arcsec from the
        centre of the image; brightest first.
    stars : fit.Stars
        The detections' pixels and errors; its positions are the points.
    ref_ra, ref_dec, ref_error_arcsec : (m,) float64
        Reference stars: degrees and arcsec.
    i_det, i_ref : (n,), (m,) int64
        Indices into the caller's catalogues.
    tree : cKDTree of the targets
    window : pattern.Window
    """

    guess: Wcs
    points: Floats
    targets: Floats
    stars: fit.Stars  # detections; ra_deg, dec_deg are those of the guess
    ref_ra: Floats
    ref_dec: Floats
    ref_error_arcsec: Floats
    i_det: Indices
    i_ref: Indices
    tree: cKDTree
    window: pattern.Window

    def brightest(self, n_targets: int) -> Field:
        """This field with the brightest reference stars alone."""
        if n_targets >= len(self.targets):
            return self
        targets = self.targets[:n_targets]
        return replace(
            self, targets=targets, tree=cKDTree(targets), ref_ra=self.ref_ra[:n_targets],
            ref_dec=self.ref_dec[:n_targets], ref_error_arcsec=self.ref_error_arcsec[:n_targets],
            i_ref=self.i_ref[:n_targets],
        )  # fmt: skip


def prepare(
    detections: tuple[ArrayLike, ...],
    reference: tuple[ArrayLike, ...],
    guess: Wcs,
    errors: tuple[ArrayLike | None, ...],
    floor_px: float,
    limits: tuple[float, float, float],
) -> Field:
    """Clean, sort and project both catalogues; see `solve.solve` for the arguments.

    detections are (x, y, flux), reference (ra, dec, mag), errors (x_err, y_err, ref_err_arcsec),
    limits the largest offset (arcsec), rotation (degrees) and scale error.
    """
    x, y, flux = (np.ravel(np.asarray(each, dtype=np.float64)) for each in detections)
    ra, dec, mag = (np.ravel(np.asarray(each, dtype=np.float64)) for each in reference)
    scale = guess.pixel_scale_arcsec
    centre = guess.centre
    det_error = np.hypot(floor_px, _error_or_zero(errors[:2], len(x))) * scale
    ref_error = _error_or_zero(errors[2:], len(ra))

    ny, nx = guess.shape
    i_det = np.flatnonzero((x > -1) & (x < nx) & (y > -1) & (y < ny))
    i_det = i_det[np.argsort(_faintest_last(-flux[i_det]), kind="stable")]
    points = 3600.0 * np.column_stack(
        tangent.project(*guess.pix_to_sky(x[i_det], y[i_det]), *centre)
    )
    radius = 0.5 * float(np.hypot(*guess.shape)) * scale
    window = pattern.Window(limits[0], float(np.radians(limits[1])), limits[2], radius)

    plane = 3600.0 * np.column_stack(tangent.project(ra, dec, *centre))
    corners = 3600.0 * np.column_stack(tangent.project(*guess.footprint(), *centre))
    low, high = corners.min(axis=0) - window.reach, corners.max(axis=0) + window.reach
    i_ref = np.flatnonzero(((plane > low) & (plane < high)).all(axis=1))
    i_ref = i_ref[np.argsort(_faintest_last(mag[i_ref]), kind="stable")]
    stars = fit.Stars(x[i_det], y[i_det], points[:, 0], points[:, 1], det_error[i_det])
    return Field(
        guess, points, plane[i_ref], stars, ra[i_ref], dec[i_ref], ref_error[i_ref],
        i_det, i_ref, cKDTree(plane[i_ref]), window,
    )  # fmt: skip


def _faintest_last(values: Floats) -> Floats:
    return np.where(np.isfinite(values), values, np.inf)


def _error_or_zero(errors: tuple[ArrayLike | None, ...], n: int) -> Floats:
    """Quadratic mean of the errors given; unknown ones (NaN, not positive) get the median."""
    given = [np.asarray(each, dtype=np.float64) for each in errors if each is not None]
    if not given:
        return np.zeros(n)
    error = np.sqrt(np.mean(np.square(given), axis=0))
    known = np.isfinite(error) & (error > 0)
    return np.where(known, error, np.median(error[known]) if known.any() else 0.0)
