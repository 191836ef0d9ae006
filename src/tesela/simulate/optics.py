"""The true astrometry of an exposure: tangent plane, rotation, scale, distortion.

Written for the simulation alone. Pixel coordinates are 0-based, (0, 0) is the centre of the first
pixel.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Astrometry:
    """How one exposure maps the sky to the trimmed image.

    Parameters
    ----------
    ra_deg, dec_deg : float
        Where the telescope really points.
    nx, ny : int
    matrix : ndarray, (2, 2) float64
        Arcsec per pixel: (east, north) = matrix @ (x, y) from the centre of the image.
    cubic : float
        Relative displacement per pixel squared: u' = u (1 + cubic |u|^2), u in pixels.
    quadratic : ndarray, (6,) float64
        This exposure's own bending, pixels at a normalised radius of one:
        du = q0 a^2 + q1 a b + q2 b^2, dv = q3 a^2 + q4 a b + q5 b^2.
    """

    ra_deg: float
    dec_deg: float
    nx: int
    ny: int
    matrix: np.ndarray
    cubic: float
    quadratic: np.ndarray

    @property
    def half_diagonal_px(self) -> float:
        """Distance from the centre to a corner."""
        return 0.5 * float(np.hypot(self.nx, self.ny))

    def _bend(self, u: np.ndarray, v: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Where the ideal pixel offset is for a true one."""
        swell = self.cubic * (u * u + v * v)
        a, b = u / self.half_diagonal_px, v / self.half_diagonal_px
        q = self.quadratic
        du = u * swell + q[0] * a * a + q[1] * a * b + q[2] * b * b
        dv = v * swell + q[3] * a * a + q[4] * a * b + q[5] * b * b
        return u + du, v + dv

    def to_sky(self, x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Right ascension and declination in degrees of pixels."""
        u, v = self._bend(
            np.asarray(x, np.float64) - 0.5 * (self.nx - 1),
            np.asarray(y, np.float64) - 0.5 * (self.ny - 1),
        )
        east = np.radians((self.matrix[0, 0] * u + self.matrix[0, 1] * v) / 3600.0)
        north = np.radians((self.matrix[1, 0] * u + self.matrix[1, 1] * v) / 3600.0)
        d0 = np.radians(self.dec_deg)
        denominator = np.cos(d0) - north * np.sin(d0)
        ra = np.arctan2(east, denominator)
        dec = np.arctan2((np.sin(d0) + north * np.cos(d0)) * np.cos(ra), denominator)
        return (self.ra_deg + np.degrees(ra)) % 360.0, np.degrees(dec)

    def to_pixel(self, ra_deg: np.ndarray, dec_deg: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Pixels of positions less than a few degrees away, to 1e-6 px."""
        d0 = np.radians(self.dec_deg)
        dec = np.radians(np.asarray(dec_deg, np.float64))
        away = np.radians(np.asarray(ra_deg, np.float64) - self.ra_deg)
        cosine = np.sin(d0) * np.sin(dec) + np.cos(d0) * np.cos(dec) * np.cos(away)
        east = np.degrees(np.cos(dec) * np.sin(away) / cosine) * 3600.0
        north = np.cos(d0) * np.sin(dec) - np.sin(d0) * np.cos(dec) * np.cos(away)
        north = np.degrees(north / cosine) * 3600.0
        inverse = np.linalg.inv(self.matrix)
        u0 = inverse[0, 0] * east + inverse[0, 1] * north
        v0 = inverse[1, 0] * east + inverse[1, 1] * north
        u, v = u0, v0
        for _ in range(8):  # the bending is a few pixels: each turn gains two digits or more
            bent_u, bent_v = self._bend(u, v)
            u, v = u + (u0 - bent_u), v + (v0 - bent_v)
        return u + 0.5 * (self.nx - 1), v + 0.5 * (self.ny - 1)

    def relative_area(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        """Area of a pixel on the sky relative to one in the centre of the field."""
        u = np.asarray(x) - 0.5 * (self.nx - 1)
        v = np.asarray(y) - 0.5 * (self.ny - 1)
        swell = self.cubic * (u * u + v * v)
        return (1.0 + swell) * (1.0 + 3.0 * swell)
