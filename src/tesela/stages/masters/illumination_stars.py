"""Stars of the illumination correction: chosen in each image, recognised between them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from tesela.bands import reference
from tesela.pixels.illumination import Observations
from tesela.sky import match, tangent
from tesela.stages.masters.inputs import Detrended, ImageInputs
from tesela.stages.masters.settings import IlluminationSettings, IlluminationStars

Floats = NDArray[np.float64]
Indices = NDArray[np.int64]
Bools = NDArray[np.bool_]

_COLUMNS = ("x", "y", "ra", "dec", "flux_psf", "flux_psf_err", "i_ref")
_AIRMASS_STEP = 0.1
_APART_DEG = 10.0
_OTHER_FIELD_DEG = 1000.0


@dataclass(frozen=True)
class Stars:
    """The observations as the fit wants them, and what else is known of the stars."""

    obs: Observations
    ext_mag: Floats
    """(n_star,) magnitude in the reference; NaN for none."""
    colour: Floats
    """(n_star,) colour minus pivot; NaN for none."""

    @property
    def n_of_image(self) -> Indices:
        """Stars of each image."""
        return np.bincount(self.obs.frame, minlength=self.obs.n_frames)


def gather(inputs: ImageInputs, settings: IlluminationSettings) -> Stars:
    """Choose, recognise, and look the magnitudes up. Memory: about 200 bytes an observation."""
    scale = inputs.camera.pixel_scale_arcsec
    rows = [select(image, scale, settings.stars) for image in inputs.images]
    column = {name: _joined(inputs.images, rows, name) for name in _COLUMNS}
    frame = np.repeat(np.arange(len(rows)), [len(row) for row in rows])
    exptime = np.array([image.facts.exptime_s for image in inputs.images])
    star = recognise(
        frame, column["i_ref"].astype(np.int64), column["ra"], column["dec"], settings.stars
    )
    known = star >= 0
    labels, first, star = np.unique(star[known], return_index=True, return_inverse=True)
    n_stars = len(labels)
    column = {name: values[known] for name, values in column.items()}
    frame = frame[known]
    i_ref = column["i_ref"][first].astype(np.int64)
    ext_mag, ext_err, colour = _reference(inputs, i_ref)
    flux = column["flux_psf"]
    obs = Observations(
        column["x"],
        column["y"],
        frame,
        star.astype(np.int64),
        -2.5 * np.log10(flux / exptime[frame]),
        1.0857 * column["flux_psf_err"] / flux,
        len(rows),
        n_stars,
        ext_mag,
        ext_err,
        colour,
        flat_sky(inputs.images, frame[first], column["ra"][first], column["dec"][first]),
        _photometric(inputs.images, settings.fit.photometric_mag),
    )
    return Stars(obs, ext_mag, colour)


def _joined(images: Sequence[Detrended], rows: Sequence[Indices], name: str) -> Floats:
    parts = [np.asarray(image.sources[name][row], float) for image, row in zip(images, rows)]
    return np.concatenate(parts) if parts else np.empty(0)


def select(image: Detrended, scale_arcsec: float, settings: IlluminationStars) -> Indices:
    """Rows of a star list: bright, without any flag, isolated."""
    table = image.sources
    flux, err = table["flux_psf"], table["flux_psf_err"]
    good = np.isfinite(flux) & (err > 0) & (flux > settings.min_snr * err) & (table["flags"] == 0)
    good &= np.isfinite(table["ra"] + table["dec"] + table["x"] + table["y"])
    rows = np.flatnonzero(good)
    there = np.flatnonzero(np.isfinite(table["x"] + table["y"]) & (flux > 0))
    if len(rows) < 2:
        return rows
    tree = cKDTree(np.stack([table["x"][there], table["y"][there]], axis=1))
    pairs = tree.query_pairs(settings.isolation_arcsec / scale_arcsec, output_type="ndarray")
    one, two = there[pairs[:, 0]], there[pairs[:, 1]]
    crowded = np.zeros(len(flux), bool)
    crowded[one[flux[two] > settings.isolation_share * flux[one]]] = True
    crowded[two[flux[one] > settings.isolation_share * flux[two]]] = True
    return rows[~crowded[rows]]


def recognise(
    frame: Indices, i_ref: Indices, ra: Floats, dec: Floats, settings: IlluminationStars
) -> Indices:
    """A number for each star, (n_obs,): by its row in the reference, else by its place on the sky.

    -1 where two sources of one image would be the same star.
    """
    label = i_ref.copy()
    other = np.flatnonzero(i_ref < 0)
    if other.size:
        beyond = max(int(i_ref.max(initial=-1)), -1) + 1
        label[other] = beyond + match.groups(ra[other], dec[other], settings.match_arcsec)
    pair = label * (int(frame.max(initial=0)) + 1) + frame
    _, back, n = np.unique(pair, return_inverse=True, return_counts=True)
    return np.where(np.isin(label, label[n[back] > 1]), -1, label)


def _reference(inputs: ImageInputs, i_ref: Indices) -> tuple[Floats, Floats, Floats]:
    """Magnitudes, errors and colours (minus the pivot), (n_star,) each; NaN where there is none."""
    mag, err, colour = (np.full(len(i_ref), np.nan) for _ in range(3))
    band, has = inputs.band, i_ref >= 0
    if inputs.refcat is None or band is None or not (band.mag or band.transform):
        return mag, err, colour
    mag[has], err[has] = reference.magnitudes(inputs.refcat, i_ref[has], band)
    found = reference.colours(inputs.refcat, i_ref[has], band)
    if found is not None:
        colour[has] = found - band.colour_pivot
    low, high = band.mag_limits
    with np.errstate(invalid="ignore"):
        mag[~((mag >= low) & (mag <= high))] = np.nan
    return mag, err, colour


def flat_sky(images: Sequence[Detrended], frame: Indices, ra: Floats, dec: Floats) -> Floats:
    """Places of stars, (n_star, 2) degrees: a plane for each field, fields far from each other.

    `frame` (n_star,) is an image in which each was seen; images within 10 degrees of each other
    are of one field.
    """
    sky = np.full((len(ra), 2), np.nan)
    seen = np.unique(frame)
    if not seen.size:
        return sky
    vectors = tangent.unit_vectors(ra, dec)
    centres = [tangent.positions(vectors[frame == k].mean(axis=0)) for k in seen]
    at_ra, at_dec = (np.array([float(c[i]) for c in centres]) for i in (0, 1))
    fields = match.groups(at_ra, at_dec, _APART_DEG * 3600)
    of_frame = np.zeros(int(seen.max()) + 1, np.int64)
    of_frame[seen] = fields
    for n in np.unique(fields):
        inside = of_frame[frame] == n
        k = int(np.flatnonzero(fields == n)[0])
        x, y = tangent.project(ra[inside], dec[inside], at_ra[k], at_dec[k])
        sky[inside, 0], sky[inside, 1] = x + n * _OTHER_FIELD_DEG, y
    return sky


def _photometric(images: Sequence[Detrended], sigma_mag: float) -> Indices:
    """Numbers of photometric sequences, (n_image,): one a night and step of airmass."""
    facts = [image.facts for image in images]
    if sigma_mag <= 0:
        return np.full(len(facts), -1)
    known = [f.airmass is not None for f in facts]
    names = [f"{f.night} {int((f.airmass or 0) / _AIRMASS_STEP)}" for f in facts]
    _, number = np.unique(names, return_inverse=True)
    return np.where(known, number, -1)
