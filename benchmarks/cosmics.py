"""Cosmic rays beside astroscrappy on drawn frames of three seeings, at equal limits.

    python benchmarks/cosmics.py

Both get the same image, mask, noise and sky, and the limits 4.5, 0.3 and 5. The rays are those of
the project's simulator: muons, worms and spots.
"""

from __future__ import annotations

import functools
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import galsim
import numpy as np
import pages
from numpy.typing import NDArray
from pages import Result
from scipy import ndimage

from tesela.pixels import cosmics
from tesela.simulate import artefacts

SIDE, SKY_E, READNOISE_E, FULL_E = 2048, 400.0, 3.4, 60000.0
STARS, GALAXIES, RAYS, BAD = 5000, 1500, 400, 300
BETA, PHASES = 3.2, 4
SEEINGS_PX = (1.4, 2.3, 4.0)
FRAMES = 3
DEPOSIT_SIGMA = 5.0
FAINT_SIGMA = 0.5
CORE_SNR = 10.0

Image = NDArray[np.float32]
Flags = NDArray[np.bool_]


@dataclass(frozen=True)
class Field:
    """A frame with its truth; planes are (SIDE, SIDE), electrons."""

    image: Image
    """Sky included."""
    mask: Flags
    """Bad and saturated pixels."""
    deposit: Image
    noise: Image
    """Of the pixels, without the rays."""
    x: NDArray[np.int64]
    y: NDArray[np.int64]
    fwhm_px: float

    @functools.cached_property
    def strong(self) -> Flags:
        """Pixels whose deposit stands out."""
        return (self.deposit > DEPOSIT_SIGMA * self.noise) & ~self.mask


@dataclass
class Counts:
    """What one code flagged, summed over frames."""

    strong: int = 0
    found: int = 0
    false: int = 0
    lonely: int = 0
    cores: int = 0
    cores_hit: int = 0
    megapixels: float = 0.0
    cpu_s: float = 0.0


def draw(fwhm_px: float, seed: int) -> Field:
    """Stars to saturation, galaxies, rays, photons, read noise and bad pixels."""
    rng = np.random.default_rng([seed, round(10 * fwhm_px)])
    light = np.full((SIDE, SIDE), SKY_E, np.float32)
    x, y, flux = _add_stars(rng, light, fwhm_px)
    _add_galaxies(rng, light, fwhm_px)
    index, charge = artefacts.cosmic_rays(rng, light.shape, RAYS)
    deposit = np.zeros_like(light)
    deposit.ravel()[index] = charge
    noise = np.sqrt(light + READNOISE_E**2)
    image = rng.poisson(light) + deposit + rng.normal(0, READNOISE_E, light.shape)
    mask = image >= FULL_E
    mask.ravel()[rng.integers(0, mask.size, BAD)] = True
    mask[:, rng.integers(0, SIDE, 2)] = True
    image[mask] = np.where(image[mask] >= FULL_E, FULL_E, rng.uniform(0, 5000, mask.sum()))
    area = 2.27 * fwhm_px**2
    snr = flux / np.sqrt(flux + area * (SKY_E + READNOISE_E**2))
    inside = (x > 1) & (y > 1) & (x < SIDE - 2) & (y < SIDE - 2) & (snr > CORE_SNR)
    ix, iy = np.rint(x[inside]).astype(int), np.rint(y[inside]).astype(int)
    free = ~ndimage.binary_dilation(mask | (deposit > FAINT_SIGMA * noise), np.ones((5, 5)))[iy, ix]
    return Field(image.astype(np.float32), mask, deposit, noise, ix[free], iy[free], fwhm_px)


def _add_stars(
    rng: np.random.Generator, light: Image, fwhm_px: float
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Moffat stars at quarters of a pixel; positions and fluxes."""
    moffat = galsim.Moffat(beta=BETA, fwhm=fwhm_px)
    half = 40
    x, y = np.round(rng.uniform(0, SIDE - 1, (2, STARS)) * PHASES) / PHASES
    flux = 10 ** (2.5 + 3.8 * rng.power(0.6, STARS))
    stamps: dict[tuple[float, float], Image] = {}
    for xs, ys, f in zip(x, y, flux):
        phase = (xs - round(xs), ys - round(ys))
        if phase not in stamps:
            centre = galsim.PositionD(*phase)
            image = moffat.drawImage(nx=2 * half + 1, ny=2 * half + 1, scale=1.0, offset=centre)
            stamps[phase] = image.array
        _paste(light, f * stamps[phase], round(xs) - half, round(ys) - half)
    return x, y, flux


def _add_galaxies(rng: np.random.Generator, light: Image, fwhm_px: float) -> None:
    moffat = galsim.Moffat(beta=BETA, fwhm=fwhm_px)
    for _ in range(GALAXIES):
        flux = 10 ** rng.uniform(3.0, 5.0)
        profile = galsim.Sersic(n=rng.choice([1.0, 2.5]), half_light_radius=rng.gamma(3, 0.9))
        profile = profile.shear(q=rng.uniform(0.2, 1.0), beta=rng.uniform(0, 180) * galsim.degrees)
        seen = galsim.Convolve(profile, moffat).withFlux(flux)
        offset = galsim.PositionD(*rng.uniform(-0.5, 0.5, 2))
        stamp = seen.drawImage(nx=49, ny=49, scale=1.0, offset=offset).array
        _paste(light, stamp, *rng.integers(-20, SIDE - 28, 2))


def _paste(light: Image, stamp: Image, x0: int, y0: int) -> None:
    """Add a stamp whose lower left pixel is (x0, y0); what is outside is lost."""
    ny, nx = stamp.shape
    left, low = max(-x0, 0), max(-y0, 0)
    right, high = min(nx, SIDE - x0), min(ny, SIDE - y0)
    if right > left and high > low:
        light[y0 + low : y0 + high, x0 + left : x0 + right] += stamp[low:high, left:right]


def ours(field: Field) -> Flags:
    """Our flags; the sky is subtracted, as in the reduction."""
    image = field.image - np.float32(SKY_E)
    return cosmics.find(image, READNOISE_E, field.mask, sky=SKY_E, fwhm_px=field.fwhm_px)


def astroscrappy(field: Field) -> Flags:
    """Those of the peer, with its default filters."""
    from astroscrappy import detect_cosmics

    found, _ = detect_cosmics(
        field.image, inmask=field.mask, gain=1.0, readnoise=READNOISE_E, satlevel=FULL_E,
        sigclip=4.5, sigfrac=0.3, objlim=5.0,
    )  # fmt: skip
    return np.asarray(found, bool) & ~field.mask


def count(field: Field, flags: Flags, counts: Counts) -> None:
    """Compare flags with the truth."""
    faint = ~field.mask & (field.deposit < FAINT_SIGMA * field.noise)
    near = ndimage.binary_dilation(field.deposit >= 1, np.ones((3, 3)))
    core = ndimage.binary_dilation(flags, np.ones((3, 3)))[field.y, field.x]
    counts.strong += np.count_nonzero(field.strong)
    counts.found += np.count_nonzero(flags & field.strong)
    counts.false += np.count_nonzero(flags & faint)
    counts.lonely += np.count_nonzero(flags & faint & ~near)
    counts.cores += len(field.x)
    counts.cores_hit += np.count_nonzero(core)
    counts.megapixels += flags.size / 1e6


def judged(code: Callable[[Field], Flags], fields: list[Field]) -> Counts:
    """Counts over frames, and CPU seconds with warm kernels."""
    code(fields[0])
    counts = Counts()
    for field in fields:
        started = time.process_time()
        flags = code(field)
        counts.cpu_s += time.process_time() - started
        count(field, flags, counts)
    return counts


def rows(fwhm_px: float, here: Counts, there: Counts) -> Iterator[Result]:
    """One row a figure: ours, and astroscrappy's in the note."""
    what = f"cosmics: FWHM {fwhm_px} px"
    yield Result(
        f"{what}, pixels above {DEPOSIT_SIGMA:.0f} sigma found",
        f"{100 * here.found / here.strong:.2f} %",
        f"astroscrappy {100 * there.found / there.strong:.2f} %; {here.strong} pixels",
    )
    yield Result(
        f"{what}, false pixels a Mpix",
        f"{here.false / here.megapixels:.1f}",
        f"astroscrappy {there.false / there.megapixels:.1f}; with less than {FAINT_SIGMA} sigma",
    )
    yield Result(
        f"{what}, false pixels a Mpix away from rays",
        f"{here.lonely / here.megapixels:.1f}",
        f"astroscrappy {there.lonely / there.megapixels:.1f}; no deposit within a pixel",
    )
    yield Result(
        f"{what}, star cores hit",
        f"{here.cores_hit}",
        f"astroscrappy {there.cores_hit}; of {here.cores} unsaturated stars of S/N > "
        f"{CORE_SNR:.0f} without a ray",
    )
    yield Result(
        f"{what}, CPU seconds a Mpix",
        f"{here.cpu_s / here.megapixels:.3f}",
        f"astroscrappy {there.cpu_s / there.megapixels:.3f}, {there.cpu_s / here.cpu_s:.0f} times",
    )


def results() -> Iterator[Result]:
    """The rows of every seeing."""
    for fwhm_px in SEEINGS_PX:
        fields = [draw(fwhm_px, seed) for seed in range(FRAMES)]
        yield from rows(fwhm_px, judged(ours, fields), judged(astroscrappy, fields))


if __name__ == "__main__":
    print(pages.table(results()), end="")
