"""Point sources with spectra: stars of all kinds, white dwarfs, quasars.

Hand-made ingredients (labelled as such): the luminosity function, the mix of colours, the effect of
metallicity on the blue bands, the sheet of dust. They are plausible, not fitted.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache

import numpy as np

from tesela.bands import extinction, filters, spectra, synthetic

GALACTIC_LATITUDE_SINE = 0.86  # of the default field
BRIGHTEST_MAG = 11.3
SLOPE = 0.10  # of log10 N(r) of the stars
# Magnitudes per dex of [Fe/H] beyond the Pickles stars (hand-made; 0.07 mag in u for half a dex).
METALLICITY_MAG = {
    "uJAVA": 0.14, "J0378": 0.14, "J0395": 0.10, "J0410": 0.06, "J0430": 0.04,
    "gSDSS": 0.015, "J0515": 0.03,
}  # fmt: skip
DUST_EBV = 0.03
DUST_HEIGHT_PC = 120.0


@dataclass(frozen=True)
class PointSources:
    """Columns of n point sources; magnitudes come later from `spectrum` and `band_shift_mag`."""

    kind: np.ndarray
    r_mag: np.ndarray
    spectrum: np.ndarray
    """(n, n_wave) float32 f_lambda, arbitrary scale, on the grid of the Pickles library."""
    band_shift_mag: np.ndarray
    """(n, 12) added to the synthetic magnitudes: metallicity."""
    distance_pc: np.ndarray
    feh: np.ndarray
    ebv: np.ndarray
    redshift: np.ndarray
    pm_mas_yr: np.ndarray
    """(n, 2) along RA (with cos dec) and Dec."""
    amplitude_mag: np.ndarray
    period_d: np.ndarray


@cache
def _sequence() -> tuple[np.ndarray, np.ndarray]:
    """g - i and ln f_lambda of the dwarfs, in order of colour."""
    library = spectra.pickles()
    rows = [i for i, name in enumerate(library.names) if re.fullmatch(r"[bafgkm][\d.]+v", name)]
    curves = [filters.load("gSDSS"), filters.load("iSDSS")]
    mags = synthetic.magnitudes(library.wavelength_A, library.flux[rows], curves)
    colour = mags[:, 0] - mags[:, 1]
    order = np.argsort(colour, kind="stable")
    return colour[order], np.log(np.maximum(library.flux[rows][order], 1e-9))


def _dwarf(colour: np.ndarray) -> np.ndarray:
    """Spectra of dwarfs of any g - i, blended between neighbours of the sequence."""
    known, log_flux = _sequence()
    right = np.clip(np.searchsorted(known, colour), 1, known.size - 1)
    part = (colour - known[right - 1]) / np.maximum(known[right] - known[right - 1], 1e-6)
    part = np.clip(part, 0.0, 1.0)[:, None]
    return np.exp(log_flux[right - 1] * (1 - part) + log_flux[right] * part).astype(np.float32)


def luminosity(rng: np.random.Generator, n: int, faint: float) -> np.ndarray:
    """r magnitudes: log10 N rises by `SLOPE` a magnitude, fewer above r = 14 (saturation)."""
    r = np.zeros(0)
    low, high = 10 ** (SLOPE * BRIGHTEST_MAG), 10 ** (SLOPE * faint)
    while r.size < n:
        draw = np.log10(rng.uniform(low, high, 2 * n + 10)) / SLOPE
        r = np.concatenate([r, draw[(draw > 14.0) | (rng.uniform(size=draw.size) < 0.3)]])
    return r[:n]


def _colours(rng: np.random.Generator, r: np.ndarray) -> np.ndarray:
    """g - i: F to K stars, and more M dwarfs the fainter."""
    is_m = rng.uniform(size=r.size) < np.clip(0.08 + 0.07 * (r - 14.0), 0.08, 0.6)
    warm = rng.normal(0.75, 0.28, r.size)
    cool = rng.normal(2.1, 0.4, r.size)
    return np.clip(np.where(is_m, cool, warm), 0.15, 2.9)


def _scaled(flux: np.ndarray) -> np.ndarray:
    """Spectra divided by their mean f_nu in r."""
    wave = spectra.pickles().wavelength_A
    operator = synthetic.weights(wave, [filters.load("rSDSS")])
    return (flux / (flux @ operator * 1e20)).astype(np.float32)


def _binaries(
    rng: np.random.Generator, colour: np.ndarray, flux: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Give 7 % of the stars an unresolved redder companion."""
    has = rng.uniform(size=colour.size) < 0.07
    redder = rng.uniform(0.0, 1.2, colour.size)
    companion = _scaled(_dwarf(np.minimum(colour + redder, 2.9)[has]))
    light = 10 ** (-0.4 * 3.1 * redder[has])[:, None]
    flux[has] = flux[has] + (light * companion).astype(np.float32)
    return has, flux


def make_stars(
    rng: np.random.Generator, n: int, faint: float, metal_offset: np.ndarray
) -> PointSources:
    """Single stars, binaries, giants and variables.

    `metal_offset` (n,) is added to [Fe/H]: the gradient of the Galaxy over the field.
    """
    r = luminosity(rng, n, faint)
    colour = _colours(rng, r)
    flux = _scaled(_dwarf(colour))
    is_binary, flux = _binaries(rng, colour, flux)
    kind = np.where(is_binary, "binary", "star").astype("U8")
    absolute = 2.8 + 3.1 * colour + rng.normal(0, 0.3, n)
    library = spectra.pickles()
    giants = [i for i, s in enumerate(library.names) if re.fullmatch(r"[gk]\diii", s)]
    is_giant = (rng.uniform(size=n) < 0.04) & (r < 17.5)
    choice = rng.choice(giants, n)
    flux[is_giant] = _scaled(library.flux[choice[is_giant]])
    kind[is_giant] = "giant"
    absolute[is_giant] = 0.8
    distance = 10 ** (0.2 * (r - absolute) + 1.0)
    height = distance * GALACTIC_LATITUDE_SINE
    feh = -0.1 - 1.3 * (1 - np.exp(-height / 2500.0)) + rng.normal(0, 0.2, n) + metal_offset
    per_dex = np.array([METALLICITY_MAG.get(name, 0.0) for name in filters.names()])
    # The effect fades for the coolest stars, whose blue light is molecules.
    strength = np.clip(2.4 - colour, 0.0, 1.0)[:, None]
    varies = rng.uniform(size=n) < 0.015
    kind[varies] = "variable"
    speed = rng.normal(0, 1, (n, 2)) * (30.0 + 25.0 * np.minimum(height / 1000, 4.0))[:, None]
    return PointSources(
        kind=kind,
        r_mag=r,
        spectrum=flux,
        band_shift_mag=(feh[:, None] + 0.2) * per_dex * strength,
        distance_pc=distance,
        feh=feh,
        ebv=DUST_EBV * (1 - np.exp(-height / DUST_HEIGHT_PC)),
        redshift=np.zeros(n),
        pm_mas_yr=1e3 * speed / (4.74 * distance[:, None]),
        amplitude_mag=np.where(varies, rng.uniform(0.1, 0.4, n), 0.0),
        period_d=np.where(varies, rng.uniform(0.2, 1.0, n), 0.0),
    )


def _blackbody(wave_A: np.ndarray, kelvin: np.ndarray) -> np.ndarray:
    x = 1.4387769e8 / (wave_A * kelvin[:, None])
    return wave_A**-5.0 / np.expm1(x)


def make_white_dwarfs(rng: np.random.Generator, n: int) -> PointSources:
    """Black bodies of 7000-30000 K, most with broad Balmer lines."""
    wave = spectra.pickles().wavelength_A
    kelvin = 7000.0 * (30000.0 / 7000.0) ** rng.uniform(size=n)
    flux = _blackbody(wave, kelvin)
    depth = 0.45 * np.exp(-(((np.log(kelvin) - np.log(12500.0)) / 0.5) ** 2))
    depth *= rng.uniform(size=n) < 0.8
    for line, width in ((6563.0, 35.0), (4861.0, 32.0), (4341.0, 28.0), (4102.0, 24.0)):
        flux *= 1 - depth[:, None] / (1 + ((wave - line) / width) ** 2)
    r = np.log10(rng.uniform(10 ** (0.3 * 15.0), 10 ** (0.3 * 21.5), n)) / 0.3
    distance = 10 ** (0.2 * (r - 12.3) + 1.0)
    speed = rng.normal(0, 35.0, (n, 2))
    nothing = np.zeros(n)
    return PointSources(
        kind=np.full(n, "wd", "U8"), r_mag=r, spectrum=_scaled(flux.astype(np.float32)),
        band_shift_mag=np.zeros((n, len(filters.names()))), distance_pc=distance, feh=nothing,
        ebv=DUST_EBV * (1 - np.exp(-distance * GALACTIC_LATITUDE_SINE / DUST_HEIGHT_PC)),
        redshift=nothing, pm_mas_yr=1e3 * speed / (4.74 * distance[:, None]),
        amplitude_mag=nothing, period_d=nothing,
    )  # fmt: skip


_QSO_LINES = (  # rest wavelength A, equivalent width A, width as a fraction of the wavelength
    (1216.0, 90.0, 0.012), (1549.0, 35.0, 0.010), (1909.0, 22.0, 0.012), (2799.0, 33.0, 0.009),
    (4861.0, 50.0, 0.010), (5007.0, 15.0, 0.003), (6563.0, 190.0, 0.010),
)  # fmt: skip


def make_quasars(rng: np.random.Generator, n: int) -> PointSources:
    """Power laws with broad emission lines, 0.3 < z < 3.5, absorbed below Lyman alpha."""
    wave = spectra.pickles().wavelength_A
    z = rng.uniform(0.3, 3.5, n)
    rest = wave / (1 + z[:, None])
    flux = rest ** (-1.5 + rng.normal(0, 0.2, (n, 1)))
    power = np.exp(rng.normal(0, 0.3, (n, 1)))
    lines = np.zeros_like(flux)
    for line, width_A, part in _QSO_LINES:
        sigma = part * line
        lines += width_A / (2.5066 * sigma) * np.exp(-0.5 * ((rest - line) / sigma) ** 2)
    flux *= 1 + power * lines
    flux *= np.where(rest < 1216.0, np.exp(-0.0036 * (1 + z[:, None]) ** 3.46), 1.0)
    r = np.log10(rng.uniform(10 ** (0.5 * 16.5), 10 ** (0.5 * 22.0), n)) / 0.5
    nothing = np.zeros(n)
    return PointSources(
        kind=np.full(n, "qso", "U8"), r_mag=r, spectrum=_scaled(flux.astype(np.float32)),
        band_shift_mag=np.zeros((n, len(filters.names()))), distance_pc=np.full(n, np.inf),
        feh=nothing, ebv=np.full(n, DUST_EBV), redshift=z, pm_mas_yr=np.zeros((n, 2)),
        amplitude_mag=nothing, period_d=nothing,
    )  # fmt: skip


def magnitudes(sources: PointSources, curves: list[filters.FilterCurve]) -> np.ndarray:
    """(n, 12) AB magnitudes in `curves`, each source scaled to its r_mag in the published r."""
    wave = spectra.pickles().wavelength_A
    dimmed = sources.spectrum * 10 ** (
        -0.4 * sources.ebv[:, None] * extinction.k_lambda(wave)
    ).astype(np.float32)
    published_r = synthetic.magnitudes(wave, dimmed, [filters.load("rSDSS")])[:, 0]
    raw = synthetic.magnitudes(wave, dimmed, curves) + sources.band_shift_mag
    return raw + (sources.r_mag - published_r)[:, None]
