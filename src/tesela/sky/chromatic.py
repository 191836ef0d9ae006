"""Differential chromatic refraction: the air moves blue stars nearer to the zenith than red ones.

Within a band a star's displacement towards the zenith is taken as

    c (colour - pivot) tan z / tan z0

with z its distance from the zenith and z0 that of the image's centre (Filippenko 1982, PASP 94,
715, has the effect; Kaczmarczik et al. 2009, AJ 138, 19, its use in u and g). One number, c, is
fitted to the residuals of matched stars; it is negative where redder means farther from the
zenith. The refraction that all colours share belongs to the WCS.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tesela.sky import epoch, tangent

Floats = NDArray[np.float64]

FEWEST_STARS = 20
LEAST_SPREAD_MAG = 0.1
_CLIP_SIGMA = 3.5
_PASSES = 5


@dataclass(frozen=True)
class Atmosphere:
    """What the fit of the coefficient needs.

    Attributes
    ----------
    colour : (m,) float64
        Of the reference stars, mag; NaN where it is not known.
    zenith : (float, float)
        ICRS (ra, dec) of the zenith at the time of the exposure, degrees.
    pivot : float or None
        Colour at which the WCS is to hold. Where it is not given, or is not a colour of this
        field (5th to 95th percentile), the median colour of the matched stars is taken.
    """

    colour: Floats
    zenith: tuple[float, float]
    pivot: float | None = None


@dataclass(frozen=True)
class Refraction:
    """The fitted displacement towards the zenith: `mas_per_mag` of colour at the image's centre."""

    mas_per_mag: float
    error_mas_per_mag: float
    pivot: float
    unknown: float
    """Colour taken for stars that have none: the median of the others."""
    n_stars: int

    def displacement(
        self, colour: Floats, directions: tuple[Floats, Floats]
    ) -> tuple[Floats, Floats]:
        """Towards east and north, arcsec, of stars of these colours; see `towards_zenith`."""
        known = np.where(np.isfinite(colour), colour, self.unknown)
        length = 1e-3 * self.mas_per_mag * (known - self.pivot)
        return length * directions[0], length * directions[1]


def zenith(mjd: float, longitude_deg: float, latitude_deg: float) -> tuple[float, float]:
    """ICRS (ra, dec) of the zenith, degrees, good to a few hundredths of a degree.

    Parameters
    ----------
    mjd : float
        UTC.
    longitude_deg, latitude_deg : float
        East is positive.
    """
    days = mjd - 51544.5
    sidereal = 280.46061837 + 360.98564736629 * days + longitude_deg
    ra, dec = epoch.precess_to_icrs(sidereal % 360.0, latitude_deg, 2000.0 + days / 365.25)
    return float(ra), float(dec)


def angles(ra_deg: float, dec_deg: float, zenith_deg: tuple[float, float]) -> tuple[float, float]:
    """Zenith distance, and parallactic angle: the zenith's direction from north through east."""
    distance = float(tangent.separation_deg(ra_deg, dec_deg, *zenith_deg))
    east, north = towards_zenith(
        np.array([ra_deg]), np.array([dec_deg]), zenith_deg, (ra_deg, dec_deg)
    )
    return distance, float(np.degrees(np.arctan2(east[0], north[0])))


def towards_zenith(
    ra_deg: Floats, dec_deg: Floats, zenith_deg: tuple[float, float], centre: tuple[float, float]
) -> tuple[Floats, Floats]:
    """Vectors (east, north) to the zenith, of length tan z over tan z of the centre."""
    away, dec = np.radians(zenith_deg[0] - ra_deg), np.radians(dec_deg)
    up = np.radians(zenith_deg[1])
    east = np.cos(up) * np.sin(away)
    north = np.sin(up) * np.cos(dec) - np.cos(up) * np.sin(dec) * np.cos(away)
    cosine = np.sin(up) * np.sin(dec) + np.cos(up) * np.cos(dec) * np.cos(away)
    z0 = np.radians(float(tangent.separation_deg(*centre, *zenith_deg)))
    # |(east, north)| is sin z.
    scale = np.maximum(cosine, 0.05) * max(float(np.tan(z0)), 1e-6)
    return east / scale, north / scale


def apparent(
    ra_deg: Floats,
    dec_deg: Floats,
    atmosphere: Atmosphere | None,
    refraction: Refraction | None,
    centre: tuple[float, float],
) -> tuple[Floats, Floats]:
    """Where the air shows the reference stars, degrees; unmoved if nothing was fitted."""
    if atmosphere is None or refraction is None:
        return ra_deg, dec_deg
    toward = towards_zenith(ra_deg, dec_deg, atmosphere.zenith, centre)
    east, north = refraction.displacement(atmosphere.colour, toward)
    return ra_deg + east / 3600.0 / np.cos(np.radians(dec_deg)), dec_deg + north / 3600.0


def fit(
    dx_arcsec: Floats,
    dy_arcsec: Floats,
    error_arcsec: Floats,
    colour: Floats,
    directions: tuple[Floats, Floats],
    pivot: float | None,
) -> Refraction | None:
    """Fit the coefficient to residuals (observed minus reference), all (n,); None if they cannot.

    It takes 20 stars with colours that spread over 0.1 mag; outliers are clipped.
    """
    known = np.isfinite(colour)
    if known.sum() < FEWEST_STARS:
        return None
    low, median, high = np.percentile(colour[known], [5, 50, 95])
    if np.std(colour[known]) < LEAST_SPREAD_MAG:
        return None
    at = median if pivot is None or not low <= pivot <= high else pivot
    east, north = directions[0][known], directions[1][known]
    reach = np.hypot(east, north)
    along = (dx_arcsec[known] * east + dy_arcsec[known] * north) / reach
    # What is left along the direction whatever the colour belongs to the WCS.
    design = np.column_stack([np.ones_like(along), reach * (colour[known] - at)])
    weight = error_arcsec[known] ** -2.0
    keep = np.ones(len(along), dtype=bool)
    for _ in range(_PASSES):
        normal = design[keep].T @ (design[keep] * weight[keep, None])
        found = np.linalg.solve(normal, design[keep].T @ (weight * along)[keep])
        ratio = np.abs(along - design @ found) / error_arcsec[known]
        scatter = max(1.4826 * float(np.median(ratio[keep])), 1e-6)
        keep = ratio < _CLIP_SIGMA * scatter
    error = scatter * np.sqrt(np.linalg.inv(normal)[1, 1])
    return Refraction(
        1e3 * float(found[1]), 1e3 * float(error), float(at), float(median), int(keep.sum())
    )
