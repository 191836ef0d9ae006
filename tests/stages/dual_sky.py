"""A drawn tile in three bands of different seeing, for tests of the dual catalogue."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import numpy as np

from tesela.pixels.psf_model import PsfModel
from tesela.products.catalogue import Catalogue
from tesela.products.images import Coadd, Psf
from tesela.products.maskbit import MaskBit
from tesela.stages import catalog

from . import drawn

SIZE, SIGMA, ZEROPOINT_MAG = 300, 0.02, 22.0
BANDS = ("gSDSS", "rSDSS", "iSDSS", "zSDSS")
GREEN, RED, INFRARED, ABSENT = range(4)
FWHM_PX = {"gSDSS": 4.0, "rSDSS": 3.0, "iSDSS": 2.6}
COLOUR = {"gSDSS": 0.5, "rSDSS": 1.0, "iSDSS": 1.6}
TILE = drawn.wcs(size=SIZE)
SETTINGS = catalog.DualSettings(
    detection=catalog.CatalogSettings(threshold_sigma=1.5, noise_apertures=400, injections=0)
)
GRID = np.arange(30.0, SIZE - 20, 30)


def psf(fwhm_px: float) -> Psf:
    """The very PSF that is drawn: a round Moffat, flux one within 15 arcsec."""
    model = PsfModel(
        coefficients=np.array([[np.log(fwhm_px)], [0.0], [0.0]]),
        beta=3.0,
        residual=np.zeros((1, 9, 9), np.float32),
        frame=(SIZE / 2, SIZE / 2, SIZE / 2),
        degree=0,
        norm_radius_px=15 / drawn.SCALE_ARCSEC,
        n_stars=50,
        chi2=1.0,
    )
    return Psf(*model.to_arrays())


@cache
def sources() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Every third source is a galaxy (the last of them faint), the others are stars."""
    rng = np.random.default_rng(5)
    x, y = (v.ravel() + rng.uniform(-0.5, 0.5, GRID.size**2) for v in np.meshgrid(GRID, GRID))
    return x, y, 10 ** rng.uniform(1.2, 2.6, x.size)


def galaxies() -> np.ndarray:
    return np.arange(sources()[0].size) % 3 == 0


@cache
def image(fwhm_px: float) -> np.ndarray:
    """Without noise. A galaxy is a cluster of points, so that every PSF convolves it exactly."""
    x, y, flux = sources()
    plane = np.zeros((SIZE, SIZE))
    star = ~galaxies()
    drawn.moffat(plane, x[star], y[star], flux[star], fwhm_px)
    for dx, dy, part in ((0, 0, 0.4), (1.8, 0.6, 0.2), (-1.5, 1.0, 0.2), (0.4, -2.0, 0.2)):
        drawn.moffat(plane, x[~star] + dx, y[~star] + dy, part * flux[~star], fwhm_px)
    return plane


def coadd(band: str, *, seed: int = 0, plane: np.ndarray | None = None) -> Coadd:
    fwhm_px = FWHM_PX[band]
    clean = COLOUR[band] * image(fwhm_px) if plane is None else plane
    rng = np.random.default_rng([seed, *band.encode()])
    shape = clean.shape
    return Coadd(
        (clean + rng.normal(0, SIGMA, shape)).astype(np.float32),
        np.full(shape, SIGMA**-2, np.float32),
        np.full(shape, SIGMA**2, np.float32),
        np.zeros(shape, np.uint8),
        np.full(shape, 3, np.uint8),
        psf(fwhm_px),
        [],
    )


def inputs(**changes: Coadd) -> catalog.DualInputs:
    """Three bands of four; `changes` take the place of a band's coadd."""
    made: dict[str, Callable[[], Coadd]] = {
        band: (lambda b=band: changes.get(b) or coadd(b)) for band in FWHM_PX
    }
    zero = dict.fromkeys(FWHM_PX, ZEROPOINT_MAG)
    return catalog.DualInputs("T-1", "rSDSS", BANDS, made, zero, TILE, {})


def run(given: catalog.DualInputs) -> catalog.DualOutputs:
    return catalog.dual(given, SETTINGS)


def rows(catalogue: Catalogue) -> np.ndarray:
    """For each drawn source the row of the nearest one found."""
    x, y, _ = sources()
    table = catalogue.columns
    distance = np.hypot(table["x"][:, None] - x, table["y"][:, None] - y)
    assert (distance.min(axis=0) < 1.5).all()
    return distance.argmin(axis=0)


def ratio(made: catalog.DualOutputs, flux: str, band: int) -> np.ndarray:
    table = made.catalogue.columns
    k = rows(made.catalogue)
    return table[flux][k, band] / table[flux][k, RED] / COLOUR[BANDS[band]]


def without_weight(plane: Coadd, hole: tuple[slice, slice]) -> Coadd:
    for values in (plane.weight, plane.count):
        values[hole] = 0
    plane.mask[hole] = MaskBit.BAD
    plane.image[hole] = np.nan
    return plane
