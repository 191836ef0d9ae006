"""Where a pixel lies on the sky: a tangent plane with an optional TPV distortion.

`Wcs` holds plain numbers and speaks FITS cards; it opens no file. Pixels are counted from 0 (the
centre of the first pixel is 0, 0); only the cards count from 1.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tesela.errors import BadInput
from tesela.sky import cards as fits_cards
from tesela.sky import tangent, tpv

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Wcs:
    """Pixels to ICRS and back.

    Attributes
    ----------
    crval : (2,) float64
        Right ascension and declination of the tangent point, degrees.
    crpix : (2,) float64
        Pixel (x, y), counted from 0, of the tangent point.
    cd : (2, 2) float64
        Degrees per pixel; rows are (xi, eta), columns (x, y).
    pv : (2, 40) float64 or None
        TPV coefficients, None for a pure tangent plane.
    shape : (int, int)
        Rows and columns (ny, nx) of the image.
    """

    crval: Floats
    crpix: Floats
    cd: Floats
    pv: Floats | None
    shape: tuple[int, int]
    _distortion: tpv.Polynomial | None = field(init=False, repr=False, default=None)

    def __post_init__(self) -> None:
        for name, size in (("crval", (2,)), ("crpix", (2,)), ("cd", (2, 2))):
            object.__setattr__(self, name, _frozen(getattr(self, name), name, size))
        if self.pv is not None:
            object.__setattr__(self, "pv", _frozen(self.pv, "pv", (2, tpv.N_TERMS)))
            object.__setattr__(self, "_distortion", tpv.Polynomial.from_pv(self.pv))
        object.__setattr__(self, "shape", (int(self.shape[0]), int(self.shape[1])))
        if not abs(np.linalg.det(self.cd)) > 0:
            raise BadInput(
                "WCS CD matrix",
                found=f"a singular matrix {self.cd.tolist()}",
                expected="degrees per pixel along two different directions",
                do="correct the CDi_j cards",
            )

    @classmethod
    def tangent_plane(
        cls,
        ra_deg: float,
        dec_deg: float,
        pixel_scale_arcsec: float,
        shape: tuple[int, int],
        *,
        position_angle_deg: float = 0.0,
        parity: int = -1,
    ) -> Wcs:
        """Build an undistorted WCS with the tangent point at the centre of the image.

        Parameters
        ----------
        position_angle_deg : float
            Direction of the +y axis, from north through east.
        parity : {-1, +1}
            -1 for the sky as seen (north up, east left); +1 for its mirror image.
        """
        angle = np.radians(position_angle_deg)
        scale = pixel_scale_arcsec / 3600.0
        y_axis = np.array([np.sin(angle), np.cos(angle)])
        x_axis = np.array([np.cos(angle), -np.sin(angle)]) * (1 if parity > 0 else -1)
        return cls(
            crval=np.array([ra_deg, dec_deg]),
            crpix=np.array([(shape[1] - 1) / 2, (shape[0] - 1) / 2]),
            cd=scale * np.column_stack([x_axis, y_axis]),
            pv=None,
            shape=shape,
        )

    @classmethod
    def from_cards(cls, header: Mapping[str, Any], shape: tuple[int, int] | None = None) -> Wcs:
        """Read RA---TAN, RA---TPV or RA---TAN-SIP cards; `shape` overrides NAXISn or ZNAXISn.

        Tangent-plane CTYPEs that come with PV cards for both axes are read as TPV, as SCAMP writes
        them. Raises BadInput for other projections and for missing or unusable cards.
        """
        found = fits_cards.read(header, shape)
        return cls(found.crval, found.crpix, found.cd, found.pv, found.shape)

    def to_cards(self) -> dict[str, float | str]:
        """FITS cards, in the order in which they are to be written; CRPIX counts from 1."""
        return fits_cards.write(self.crval, self.crpix, self.cd, self.pv)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Wcs) and self._key() == other._key()

    def __hash__(self) -> int:
        return hash(self._key())

    def _key(self) -> tuple[object, ...]:
        arrays = (self.crval, self.crpix, self.cd, self.pv)
        return (*(None if a is None else a.tobytes() for a in arrays), self.shape)

    # -- the transform ------------------------------------------------------------------------

    def pix_to_plane(self, x: ArrayLike, y: ArrayLike) -> tuple[Floats, Floats]:
        """Standard coordinates (xi, eta) in degrees about `crval` of pixels (x, y) from 0."""
        u, v = self._intermediate(x, y)
        return self._distortion(u, v) if self._distortion else (u, v)

    def plane_to_pix(self, xi_deg: ArrayLike, eta_deg: ArrayLike) -> tuple[Floats, Floats]:
        """Pixels (x, y) from 0 of standard coordinates; NaN where the distortion folds over."""
        u, v = np.broadcast_arrays(
            np.asarray(xi_deg, dtype=np.float64), np.asarray(eta_deg, dtype=np.float64)
        )
        if self._distortion:
            u, v = self._distortion.invert(u, v)
        inverse = np.linalg.inv(self.cd)
        x = inverse[0, 0] * u + inverse[0, 1] * v + self.crpix[0]
        y = inverse[1, 0] * u + inverse[1, 1] * v + self.crpix[1]
        return x, y

    def pix_to_sky(self, x: ArrayLike, y: ArrayLike) -> tuple[Floats, Floats]:
        """ICRS (ra, dec) in degrees of pixels (x, y) counted from 0, any one shape."""
        return tangent.deproject(*self.pix_to_plane(x, y), self.crval[0], self.crval[1])

    def sky_to_pix(self, ra_deg: ArrayLike, dec_deg: ArrayLike) -> tuple[Floats, Floats]:
        """Pixels (x, y) from 0 of ICRS positions; NaN for points behind the tangent plane.

        The distortion is inverted to better than 1e-6 px.
        """
        return self.plane_to_pix(*tangent.project(ra_deg, dec_deg, self.crval[0], self.crval[1]))

    def jacobian_det(self, x: ArrayLike, y: ArrayLike) -> Floats:
        """Signed area on the sky of a pixel at (x, y), arcsec^2.

        Negative for the sky as seen (east left of north), positive for a mirror image. Its
        variation over the image is how much a uniform sky mimics an illumination pattern.
        """
        u, v = self._intermediate(x, y)
        xi, eta, det = u, v, np.ones_like(u)
        if self._distortion:
            xi, eta = self._distortion(u, v)
            a, b, c, d = self._distortion.jacobian(u, v)
            det = a * d - b * c
        stretch = (1.0 + np.radians(xi) ** 2 + np.radians(eta) ** 2) ** -1.5
        return det * stretch * np.linalg.det(self.cd) * 3600.0**2

    def _intermediate(self, x: ArrayLike, y: ArrayLike) -> tuple[Floats, Floats]:
        dx = np.asarray(x, dtype=np.float64) - self.crpix[0]
        dy = np.asarray(y, dtype=np.float64) - self.crpix[1]
        (a, b), (c, d) = self.cd
        return a * dx + b * dy, c * dx + d * dy

    # -- what the transform looks like --------------------------------------------------------

    @property
    def matrix(self) -> Floats:
        """Derivative of (xi, eta) by (x, y) at the tangent point, degrees per pixel, (2, 2)."""
        if self._distortion is None:
            return self.cd
        a, b, c, d = self._distortion.jacobian(np.zeros(1), np.zeros(1))
        return np.array([[a[0], b[0]], [c[0], d[0]]]) @ self.cd

    @property
    def pixel_scale_arcsec(self) -> float:
        """Square root of the area of a pixel at the tangent point."""
        return float(3600.0 * np.sqrt(abs(np.linalg.det(self.matrix))))

    @property
    def position_angle_deg(self) -> float:
        """Direction of the +y axis at the tangent point, north through east, in (-180, 180]."""
        return float(np.degrees(np.arctan2(self.matrix[0, 1], self.matrix[1, 1])))

    @property
    def parity(self) -> int:
        """-1 for the sky as seen (north up, east left), +1 for its mirror image."""
        return 1 if np.linalg.det(self.matrix) > 0 else -1

    @property
    def centre(self) -> tuple[float, float]:
        """ICRS (ra, dec) in degrees of the centre of the image."""
        ra, dec = self.pix_to_sky((self.shape[1] - 1) / 2, (self.shape[0] - 1) / 2)
        return float(ra), float(dec)

    def footprint(self) -> tuple[Floats, Floats]:
        """Corners (ra, dec) of the image's outer edge, degrees, two (4,) arrays.

        In pixel order: (x, y) low-low, high-low, high-high, low-high.
        """
        ny, nx = self.shape
        x = np.array([-0.5, nx - 0.5, nx - 0.5, -0.5])
        y = np.array([-0.5, -0.5, ny - 0.5, ny - 0.5])
        return self.pix_to_sky(x, y)

    # -- relatives ----------------------------------------------------------------------------

    def cutout(self, x0: float, y0: float, shape: tuple[int, int]) -> Wcs:
        """WCS of the section that begins at pixel (x0, y0) and has the given (ny, nx)."""
        return replace(self, crpix=self.crpix - np.array([x0, y0]), shape=shape)

    def linearised(self) -> Wcs:
        """Undistorted WCS that agrees in position and first derivative at the image's centre."""
        x, y = (self.shape[1] - 1) / 2, (self.shape[0] - 1) / 2
        ra, dec = self.centre
        step = 0.5
        px = np.array([x - step, x + step, x, x])
        py = np.array([y, y, y - step, y + step])
        xi, eta = tangent.project(*self.pix_to_sky(px, py), ra, dec)
        cd = np.array([[xi[1] - xi[0], xi[3] - xi[2]], [eta[1] - eta[0], eta[3] - eta[2]]])
        return Wcs(np.array([ra, dec]), np.array([x, y]), cd, None, self.shape)


def _frozen(values: ArrayLike, name: str, shape: tuple[int, ...]) -> Floats:
    array = np.array(values, dtype=np.float64)
    if array.shape != shape or not np.isfinite(array).all():
        raise BadInput(
            f"WCS {name}",
            found=f"{array.tolist()}",
            expected=f"finite numbers of shape {shape}",
            do="correct the header cards it was read from",
        )
    array.flags.writeable = False
    return array
