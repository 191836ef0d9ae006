"""Sampling of registered planes on another grid of the sky, several images blended into one.

For pictures: bilinear, quick, and no noise is propagated; `resample` is for measurements.
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

Floats = NDArray[np.float32]


class Mosaic:
    """Three planes that images are added to.

    Where images overlap, each counts by its distance to its own edge, so that no seam is seen.

    Parameters
    ----------
    shape : (int, int)
        Rows and columns of the mosaic.
    """

    def __init__(self, shape: tuple[int, int]) -> None:
        self.total = np.zeros((3, *shape), np.float32)
        self.weight = np.zeros(shape, np.float32)

    def add(
        self, planes: Floats, grid_x: NDArray[np.float64], grid_y: NDArray[np.float64], step: int
    ) -> None:
        """Add an image where the mosaic touches it.

        Parameters
        ----------
        planes : (3, ny, nx) float32
            NaN = no data, in all three at once.
        grid_x, grid_y : (m + 1, n + 1) float64
            Pixels of the image, counted from 0, at the corners of blocks of step x step pixels of
            the mosaic; bilinear between. NaN = not on the image.
        step : int
            m step and n step are at least the rows and columns of the mosaic.
        """
        rows, columns = self.weight.shape
        if (grid_x.shape[0] - 1) * step < rows or (grid_x.shape[1] - 1) * step < columns:
            raise ValueError(
                f"grid of {grid_x.shape} every {step}: expected one over {rows} x {columns} pixels"
            )
        _add(planes, grid_x, grid_y, step, self.total, self.weight)

    def planes(self) -> Floats:
        """(3, rows, columns) float32: the mean, NaN where nothing was added."""
        result = np.full_like(self.total, np.nan)
        np.divide(self.total, self.weight, out=result, where=self.weight > 0)
        return result


@njit(cache=True)
def _add(planes, grid_x, grid_y, step, total, weight):  # type: ignore[no-untyped-def]  # pragma: no cover
    ny, nx = planes.shape[1], planes.shape[2]
    for j in range(weight.shape[0]):
        fy = (j + 0.5) / step
        a = min(int(fy), grid_x.shape[0] - 2)
        ty = fy - a
        for i in range(weight.shape[1]):
            fx = (i + 0.5) / step
            b = min(int(fx), grid_x.shape[1] - 2)
            tx = fx - b
            x = (grid_x[a, b] * (1 - tx) + grid_x[a, b + 1] * tx) * (1 - ty) + (
                grid_x[a + 1, b] * (1 - tx) + grid_x[a + 1, b + 1] * tx
            ) * ty
            y = (grid_y[a, b] * (1 - tx) + grid_y[a, b + 1] * tx) * (1 - ty) + (
                grid_y[a + 1, b] * (1 - tx) + grid_y[a + 1, b + 1] * tx
            ) * ty
            if not (-0.5 <= x < nx - 0.5 and -0.5 <= y < ny - 0.5):
                continue
            p, q = int(np.floor(x)), int(np.floor(y))
            share = 0.0
            red = green = blue = 0.0
            for v in range(max(q, 0), min(q + 2, ny)):
                for u in range(max(p, 0), min(p + 2, nx)):
                    if np.isfinite(planes[0, v, u]):
                        s = (1.0 - abs(x - u)) * (1.0 - abs(y - v))
                        share += s
                        red += s * planes[0, v, u]
                        green += s * planes[1, v, u]
                        blue += s * planes[2, v, u]
            if share < 0.5:
                continue
            edge = min(x, nx - 1 - x, y, ny - 1 - y) + 1.0
            total[0, j, i] += edge * red / share
            total[1, j, i] += edge * green / share
            total[2, j, i] += edge * blue / share
            weight[j, i] += edge
