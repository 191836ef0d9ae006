"""The point-spread function of an exposure: a Moffat that varies over the field, an aureole."""

from __future__ import annotations

import math
from dataclasses import dataclass

import galsim
import numpy as np
from scipy import fft, ndimage

from tesela.simulate.conditions import Conditions

AUREOLE_CORE_ARCSEC = 20.0
AUREOLE_EDGE_ARCSEC = 300.0
AUREOLE_BIN_PX = 8
PEAK_E = 60000.0
FULLEST = 2.0
"""Beyond this many `PEAK_E` charge bleeds instead of pushing."""


@dataclass(frozen=True)
class Psf:
    """Profiles of one exposure, in pixels.

    The aureole is a Moffat of beta 1.5 and scale 20 arcsec, cut at 300 arcsec; it carries the
    fraction `aureole` of the light. The rest is in the seeing core.
    """

    conditions: Conditions
    pixel_scale_arcsec: float
    brighter_fatter: float = 0.0
    """Relative growth of the core of a star with a peak of 60000 electrons (drawn stars only)."""

    def _unit(self, x: np.ndarray | float, y: np.ndarray | float) -> tuple[np.ndarray, np.ndarray]:
        astrometry = self.conditions.astrometry
        half = astrometry.half_diagonal_px
        a = (np.asarray(x, np.float64) - 0.5 * (astrometry.nx - 1)) / half
        b = (np.asarray(y, np.float64) - 0.5 * (astrometry.ny - 1)) / half
        return a, b

    def fwhm_px(self, x: np.ndarray | float, y: np.ndarray | float) -> np.ndarray:
        """Full width at half maximum of the core at pixels."""
        a, b = self._unit(x, y)
        t = self.conditions.fwhm_terms
        return self.conditions.fwhm_px * (1 + t[0] * a + t[1] * b + t[2] * (a * a + b * b))

    def growth(self, fwhm_px: float, flux: float) -> float:
        """Factor on the width of a star by its own charge, from its peak; for cores of `flux`."""
        beta = self.conditions.beta
        rd = 0.5 * fwhm_px / math.sqrt(2 ** (1 / beta) - 1)
        peak = flux * (beta - 1) / (math.pi * rd * rd)
        return 1 + self.brighter_fatter * min(peak / PEAK_E, FULLEST)

    def shear(self, x: np.ndarray | float, y: np.ndarray | float) -> tuple[np.ndarray, np.ndarray]:
        """Reduced shear (g1, g2) of the core at pixels."""
        a, b = self._unit(x, y)
        e = self.conditions.ellipticity
        return e[0, 0] + e[0, 1] * a + e[0, 2] * b, e[1, 0] + e[1, 1] * a + e[1, 2] * b

    def core(self, fwhm_px: float, g1: float, g2: float, flux: float) -> galsim.GSObject:
        """GalSim profile of the core."""
        profile = galsim.Moffat(beta=self.conditions.beta, fwhm=fwhm_px, flux=flux)
        return profile.shear(g1=g1, g2=g2)

    def fraction_within(self, radius_arcsec: float) -> float:
        """Fraction of the total light of a star within a radius, in the centre of the field."""
        core = galsim.Moffat(beta=self.conditions.beta, fwhm=self.conditions.fwhm_px)
        rd = core.scale_radius * self.pixel_scale_arcsec
        inner = 1 - (1 + (radius_arcsec / rd) ** 2) ** (1 - self.conditions.beta)
        share = self.conditions.aureole
        return float((1 - share) * inner + share * aureole_within(radius_arcsec))

    def aureole_photons(self, rng: np.random.Generator, n: int) -> tuple[np.ndarray, np.ndarray]:
        """Offsets in pixels of n photons of the aureole."""
        edge = 1 - (1 + (AUREOLE_EDGE_ARCSEC / AUREOLE_CORE_ARCSEC) ** 2) ** -0.5
        radius = np.sqrt((1 - edge * rng.uniform(size=n)) ** -2.0 - 1)
        radius *= AUREOLE_CORE_ARCSEC / self.pixel_scale_arcsec
        angle = rng.uniform(0, 2 * np.pi, n)
        return radius * np.cos(angle), radius * np.sin(angle)

    def aureole_image(
        self, x: np.ndarray, y: np.ndarray, flux: np.ndarray, shape: tuple[int, int]
    ) -> np.ndarray:
        """(ny, nx) float32 light of the aureoles of sources, computed on a coarse grid.

        `flux` is the total flux of each source; positions may lie outside the image.
        """
        step = AUREOLE_BIN_PX
        reach = int(np.ceil(AUREOLE_EDGE_ARCSEC / self.pixel_scale_arcsec / step))
        ny, nx = (int(np.ceil(s / step)) + 2 for s in shape)
        # Sources farther out than a quarter of the reach do not matter: flux there is < 1e-4.
        pad = reach // 4 + 2
        grid = np.zeros((ny + 2 * pad, nx + 2 * pad))
        gx, gy = (x - 0.5 * (step - 1)) / step + pad, (y - 0.5 * (step - 1)) / step + pad
        inside = (gx >= 0) & (gx < grid.shape[1] - 1) & (gy >= 0) & (gy < grid.shape[0] - 1)
        gx, gy, light = gx[inside], gy[inside], flux[inside] * self.conditions.aureole
        ix, iy = gx.astype(int), gy.astype(int)
        fx, fy = gx - ix, gy - iy
        for dy, wy in ((0, 1 - fy), (1, fy)):
            for dx, wx in ((0, 1 - fx), (1, fx)):
                np.add.at(grid, (iy + dy, ix + dx), light * wy * wx)
        kernel = self._coarse_kernel(reach)
        size = [fft.next_fast_len(g + k - 1, real=True) for g, k in zip(grid.shape, kernel.shape)]
        product = fft.rfft2(grid, size) * fft.rfft2(kernel, size)
        whole = fft.irfft2(product, size)
        cut = whole[reach + pad : reach + pad + ny, reach + pad : reach + pad + nx]
        rows = (np.arange(shape[0]) - 0.5 * (step - 1)) / step
        columns = (np.arange(shape[1]) - 0.5 * (step - 1)) / step
        fine = ndimage.map_coordinates(
            cut / step**2, np.meshgrid(rows, columns, indexing="ij"), order=1, mode="nearest"
        )
        return np.maximum(fine, 0.0).astype(np.float32)

    def _coarse_kernel(self, reach: int) -> np.ndarray:
        axis = np.arange(-reach, reach + 1) * AUREOLE_BIN_PX * self.pixel_scale_arcsec
        r2 = axis[:, None] ** 2 + axis[None, :] ** 2
        kernel = (1 + r2 / AUREOLE_CORE_ARCSEC**2) ** -1.5
        kernel[r2 > AUREOLE_EDGE_ARCSEC**2] = 0.0
        return kernel / kernel.sum()


def aureole_within(radius_arcsec: float) -> float:
    """Fraction of the aureole's light within a radius."""

    def raw(radius: float) -> float:
        return 1 - (1 + (radius / AUREOLE_CORE_ARCSEC) ** 2) ** -0.5

    return min(1.0, raw(radius_arcsec) / raw(AUREOLE_EDGE_ARCSEC))
