"""Adding artificial stars to an image."""

from __future__ import annotations

from typing import overload

import numpy as np
from numba import njit
from numpy.typing import NDArray

from tesela.pixels.psf_model import PsfModel, render

RADIUS_PX = 30


@overload
def stars(
    image: NDArray[np.float32],
    psf_model: PsfModel,
    x: NDArray[np.float64],
    y: NDArray[np.float64],
    flux: NDArray[np.float64],
    *,
    variance: None = None,
    seed: int = 0,
) -> NDArray[np.float32]: ...
@overload
def stars(
    image: NDArray[np.float32],
    psf_model: PsfModel,
    x: NDArray[np.float64],
    y: NDArray[np.float64],
    flux: NDArray[np.float64],
    *,
    variance: NDArray[np.float32],
    seed: int,
) -> tuple[NDArray[np.float32], NDArray[np.float32]]: ...
def stars(
    image: NDArray[np.float32],
    psf_model: PsfModel,
    x: NDArray[np.float64],
    y: NDArray[np.float64],
    flux: NDArray[np.float64],
    *,
    variance: NDArray[np.float32] | None = None,
    seed: int = 0,
) -> NDArray[np.float32] | tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Add stars to a copy of an image.

    Parameters
    ----------
    image : (ny, nx) float32
        Electrons if `variance` is given, else any unit. Never changed.
    psf_model : PsfModel
    x, y, flux : (n,) float64
        Positions (0-based) and fluxes within the model's normalisation radius.
    variance : (ny, nx) float32 or None
        If given, the stars come with their own photon noise and a copy of the variance, raised by
        it, is returned too. None adds the bare model.
    seed : int
        Of the photon noise.

    Returns
    -------
    image : (ny, nx) float32, or (image, variance)
        Stars are drawn out to 30 px.
    """
    added = model(image.shape, psf_model, x, y, flux)
    if variance is None:
        return image + added
    rng = np.random.default_rng(seed)
    photons = np.maximum(added, 0)
    noisy = rng.poisson(photons).astype(np.float32)
    return image + noisy, variance + photons


def model(
    shape: tuple[int, ...],
    psf_model: PsfModel,
    x: NDArray[np.float64],
    y: NDArray[np.float64],
    flux: NDArray[np.float64],
) -> NDArray[np.float32]:
    """Noiseless image of stars alone, (ny, nx) float32."""
    plane = np.zeros(shape, np.float32)
    xs, ys = np.atleast_1d(np.asarray(x, np.float64)), np.atleast_1d(np.asarray(y, np.float64))
    fluxes = np.broadcast_to(np.asarray(flux, np.float64), xs.shape).copy()
    params, basis = psf_model.local(xs, ys)
    _draw(plane, xs, ys, fluxes, params, psf_model.residual, basis)
    return plane


def grid(
    shape: tuple[int, int], spacing_px: float, seed: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Positions for injections that do not disturb each other.

    Parameters
    ----------
    shape : (int, int)
        (ny, nx) of the image.
    spacing_px : float
        Side of the square cells; each gets one position in its central half, so two are never
        nearer than half a spacing.
    seed : int

    Returns
    -------
    x, y : (n,) float64
    """
    rng = np.random.default_rng(seed)
    rows, columns = (int(size // spacing_px) for size in shape)
    jitter = rng.uniform(-0.25, 0.25, (2, rows, columns))
    centre_y = (np.arange(rows)[:, None] + 0.5 + jitter[0]) * shape[0] / max(rows, 1)
    centre_x = (np.arange(columns)[None, :] + 0.5 + jitter[1]) * shape[1] / max(columns, 1)
    return (centre_x - 0.5).ravel(), (centre_y - 0.5).ravel()


@njit(cache=True)
def _draw(plane, x, y, flux, params, maps, basis):  # type: ignore[no-untyped-def]  # pragma: no cover
    ny, nx = plane.shape
    stamp = np.empty((2 * RADIUS_PX + 1, 2 * RADIUS_PX + 1), np.float32)
    for k in range(len(x)):
        x0 = int(np.floor(x[k] + 0.5)) - RADIUS_PX
        y0 = int(np.floor(y[k] + 0.5)) - RADIUS_PX
        render(stamp, x[k] - x0, y[k] - y0, params[k], maps, basis[k])
        for j in range(max(0, -y0), min(stamp.shape[0], ny - y0)):
            for i in range(max(0, -x0), min(stamp.shape[1], nx - x0)):
                plane[y0 + j, x0 + i] += flux[k] * stamp[j, i]
