"""Drawing sources: bright ones as profiles, faint ones photon by photon.

Both ways are GalSim's. Photons of unit profiles are drawn in bulk and then stretched, turned and
moved to their objects, which is exact and costs 0.2 microseconds a photon; the counts carry their
own Poisson noise. Bright stars are sampled in real space (no wrapped wings), bright galaxies
through the Fourier transform; their noise is drawn later, from the expected image.
"""

from __future__ import annotations

from dataclasses import dataclass

import galsim
import numpy as np

from tesela.simulate.psf import Psf

# Above these fluxes a profile is quicker than photons.
BRIGHT_STAR_E = 1500.0
BRIGHT_GALAXY_E = 12000.0
PHOTONS_AT_ONCE = 2_000_000
STAR_HALF_PX = (24, 320)
CORE_HALF_PX = 16
SUBSAMPLE = 5
WING_E = 0.02  # stamps end where the core falls below this many electrons a pixel
_GALAXY_PARAMS = galsim.GSParams(folding_threshold=2e-3, maxk_threshold=2e-3)


@dataclass(frozen=True)
class Sources:
    """What there is to draw in one frame; (n,) arrays, pixels and radians in the image frame.

    `disc` and `bulge` are (n, 4): the matrix (xx, xy, yx, yy) that turns a circular profile of
    half-light radius one into the object, in pixels; zero for points.
    """

    x: np.ndarray
    y: np.ndarray
    flux: np.ndarray
    """Electrons expected at unit response, total."""
    bulge_fraction: np.ndarray
    is_point: np.ndarray
    disc: np.ndarray
    bulge: np.ndarray


@dataclass(frozen=True)
class Light:
    """Light of all sources before the detector.

    Parameters
    ----------
    expected : ndarray, (ny, nx) float32
        Expected electrons of the bright sources and their aureoles.
    counts : ndarray, (ny, nx) int32
        Photons of the faint ones.
    """

    expected: np.ndarray
    counts: np.ndarray


def draw(
    sources: Sources, psf: Psf, shape: tuple[int, int], rng: np.random.Generator, oversend: float
) -> Light:
    """Draw everything; faint sources send `oversend` times their photons (losses come later)."""
    expected = np.zeros(shape, np.float32)
    bright = sources.flux > np.where(sources.is_point, BRIGHT_STAR_E, BRIGHT_GALAXY_E)
    for i in np.flatnonzero(bright):
        if sources.is_point[i]:
            _add_star(expected, sources, int(i), psf)
        else:
            _add_galaxy(expected, sources, int(i), psf)
    expected += psf.aureole_image(sources.x[bright], sources.y[bright], sources.flux[bright], shape)
    counts = np.zeros(shape[0] * shape[1], np.int32)
    faint = np.flatnonzero(~bright)
    number = rng.poisson(sources.flux[faint] * oversend)
    ends = np.cumsum(number)
    start = 0
    while start < faint.size:
        limit = (ends[start - 1] if start else 0) + PHOTONS_AT_ONCE
        stop = max(start + 1, int(np.searchsorted(ends, limit, side="right")))
        chosen = faint[start:stop]
        counts += _photons(sources, chosen, number[start:stop], psf, shape=shape, rng=rng)
        start = stop
    return Light(expected, counts.reshape(shape))


def detected(counts: np.ndarray, response: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """(ny, nx) float32: the photons that the detector keeps, of those sent in excess by `draw`."""
    kept = np.zeros(counts.shape, np.float32)
    hit = np.flatnonzero(counts)
    part = response.ravel()[hit] / float(response.max())
    kept.ravel()[hit] = rng.binomial(counts.ravel()[hit], part)
    return kept


def _photons(
    sources: Sources,
    chosen: np.ndarray,
    number: np.ndarray,
    psf: Psf,
    *,
    shape: tuple[int, int],
    rng: np.random.Generator,
) -> np.ndarray:
    """Flat image of the photons of the chosen sources."""
    empty = np.zeros(shape[0] * shape[1], np.int64)
    if not number.sum():
        return empty
    seed = galsim.BaseDeviate(int(rng.integers(1, 2**31 - 1)))
    is_point = sources.is_point[chosen]
    in_bulge = rng.binomial(number, np.where(is_point, 0.0, sources.bulge_fraction[chosen]))
    # Three runs of photons: of points, of bulges, of discs; each in the order of the sources.
    counts = np.concatenate([number * is_point, in_bulge, (number - in_bulge) * ~is_point])
    owner = np.concatenate([chosen, chosen, chosen])
    x, y = _seeing(sources, owner, counts, psf, seed=seed, rng=rng)
    start = int(counts[: chosen.size].sum())
    for part, profile, shapes in (
        (counts[chosen.size : -chosen.size], galsim.DeVaucouleurs, sources.bulge),
        (counts[-chosen.size :], galsim.Exponential, sources.disc),
    ):
        run = slice(start, start + int(part.sum()))
        start = run.stop
        if run.stop > run.start:
            u, v = _unit_photons(profile(half_light_radius=1.0), run.stop - run.start, seed)
            xx, xy, yx, yy = (np.repeat(column, part) for column in shapes[chosen].T)
            x[run] += xx * u + xy * v
            y[run] += yx * u + yy * v
    ix, iy = np.floor(x + 0.5).astype(np.int64), np.floor(y + 0.5).astype(np.int64)
    inside = (ix >= 0) & (ix < shape[1]) & (iy >= 0) & (iy < shape[0])
    return np.bincount(iy[inside] * shape[1] + ix[inside], minlength=empty.size)


def _seeing(
    sources: Sources,
    owner: np.ndarray,
    counts: np.ndarray,
    psf: Psf,
    *,
    seed: galsim.BaseDeviate,
    rng: np.random.Generator,
) -> tuple[np.ndarray, np.ndarray]:
    """Where photons from the very centre of each source arrive: core or aureole."""
    n = int(counts.sum())
    core = galsim.Moffat(beta=psf.conditions.beta, fwhm=1.0)
    dx, dy = _unit_photons(core, n, seed)
    at_x, at_y = sources.x[owner], sources.y[owner]
    g1, g2 = psf.shear(at_x, at_y)
    stretch = psf.fwhm_px(at_x, at_y) / np.sqrt(1 - g1 * g1 - g2 * g2)
    xx, xy, yy = (np.repeat(stretch * column, counts) for column in (1 + g1, g2, 1 - g1))
    dx, dy = xx * dx + xy * dy, xy * dx + yy * dy
    far = np.flatnonzero(rng.uniform(size=n) < psf.conditions.aureole)
    dx[far], dy[far] = psf.aureole_photons(rng, far.size)
    return dx + np.repeat(at_x, counts), dy + np.repeat(at_y, counts)


def _unit_photons(
    profile: galsim.GSObject, n: int, seed: galsim.BaseDeviate
) -> tuple[np.ndarray, np.ndarray]:
    photons = profile.makePhot(n_photons=n, rng=seed, poisson_flux=False)
    return photons.x, photons.y


def _add_star(image: np.ndarray, sources: Sources, i: int, psf: Psf) -> None:
    """Core of a bright star: sampled pixel by pixel in the wings, finer in the middle."""
    x, y = float(sources.x[i]), float(sources.y[i])
    flux = float(sources.flux[i]) * (1 - psf.conditions.aureole)
    g1, g2 = psf.shear(x, y)
    fwhm_px = float(psf.fwhm_px(x, y))
    fwhm_px *= psf.growth(fwhm_px, flux)
    profile = psf.core(fwhm_px, float(g1), float(g2), flux)
    beta = psf.conditions.beta
    rd = fwhm_px / (2 * np.sqrt(2 ** (1 / beta) - 1))
    half = rd * (flux * (beta - 1) / (np.pi * rd**2 * WING_E)) ** (0.5 / beta)
    half = int(np.clip(half, *STAR_HALF_PX))
    stamp = _sampled(profile, half, x, y, 1)
    middle = slice(half - CORE_HALF_PX, half + CORE_HALF_PX + 1)
    stamp[middle, middle] = _sampled(profile, CORE_HALF_PX, x, y, SUBSAMPLE)
    _paste(image, stamp, x, y, half)


def _sampled(profile: galsim.GSObject, half: int, x: float, y: float, finer: int) -> np.ndarray:
    """(2 half + 1)^2 pixels around the source, each the sum of `finer`^2 samples."""
    n = (2 * half + 1) * finer
    image = galsim.ImageF(n, n, scale=1.0 / finer)
    offset = ((x - np.floor(x + 0.5)) * finer, (y - np.floor(y + 0.5)) * finer)
    profile.drawImage(image=image, method="no_pixel", offset=offset)
    if finer == 1:
        return image.array
    return image.array.reshape(n // finer, finer, n // finer, finer).sum(axis=(1, 3))


def _add_galaxy(image: np.ndarray, sources: Sources, i: int, psf: Psf) -> None:
    """Core of a bright galaxy: bulge and disc convolved with the seeing by Fourier transform."""
    x, y = float(sources.x[i]), float(sources.y[i])
    flux = float(sources.flux[i]) * (1 - psf.conditions.aureole)
    share = float(sources.bulge_fraction[i])
    g1, g2 = psf.shear(x, y)
    seeing = psf.core(float(psf.fwhm_px(x, y)), float(g1), float(g2), 1.0)
    parts = []
    if share > 0:
        bulge = galsim.DeVaucouleurs(half_light_radius=1.0, flux=share * flux)
        parts.append(_shaped(bulge, sources.bulge[i]))
    if share < 1:
        disc = galsim.Exponential(half_light_radius=1.0, flux=(1 - share) * flux)
        parts.append(_shaped(disc, sources.disc[i]))
    profile = galsim.Convolve(
        [galsim.Add(parts).withGSParams(_GALAXY_PARAMS), seeing.withGSParams(_GALAXY_PARAMS)]
    )
    radius = np.sqrt(max(np.abs(sources.disc[i]).max(), np.abs(sources.bulge[i]).max()) ** 2 + 4)
    half = int(np.clip(radius * (6 + 6 * share), *STAR_HALF_PX))
    stamp = galsim.ImageF(2 * half + 1, 2 * half + 1, scale=1.0)
    profile.drawImage(image=stamp, offset=(x - np.floor(x + 0.5), y - np.floor(y + 0.5)))
    _paste(image, np.maximum(stamp.array, 0.0), x, y, half)


def _shaped(profile: galsim.GSObject, matrix: np.ndarray) -> galsim.GSObject:
    """Apply a 2x2 matrix to a profile, keeping its flux."""
    area = abs(matrix[0] * matrix[3] - matrix[1] * matrix[2])
    return profile.transform(*(float(m) for m in matrix)) / area


def _paste(image: np.ndarray, stamp: np.ndarray, x: float, y: float, half: int) -> None:
    x0, y0 = int(np.floor(x + 0.5)) - half, int(np.floor(y + 0.5)) - half
    ny, nx = image.shape
    left, right = max(x0, 0), min(x0 + stamp.shape[1], nx)
    low, high = max(y0, 0), min(y0 + stamp.shape[0], ny)
    if left < right and low < high:
        image[low:high, left:right] += stamp[low - y0 : high - y0, left - x0 : right - x0]
