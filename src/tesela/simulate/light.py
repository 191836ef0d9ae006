"""From magnitudes to electrons: true filter curves, zero points, sky."""

from __future__ import annotations

import math
from functools import cache

import numpy as np

from tesela.bands import filters
from tesela.bands.filters import FilterCurve
from tesela.simulate.settings import BANDS, NightSettings
from tesela.simulate.streams import stream

COLLECTING_AREA_CM2 = 0.75 * math.pi * 41.5**2  # 83 cm mirror, a quarter obstructed
OPTICS = 0.95  # what the published curves leave out: dust on mirrors and windows
PLANCK_ERG_S = 6.62607015e-27
AB_FLUX = 3.631e-20  # erg/s/cm2/Hz of magnitude zero
NARROW_SHIFT = 0.4
BROAD_A = 300.0


@cache
def _true_curves(seed: int, shift_A: float) -> dict[str, FilterCurve]:
    curves = {}
    for name in filters.names():
        published = filters.load(name)
        largest = shift_A * (1.0 if published.fwhm_A > BROAD_A else NARROW_SHIFT)
        move = stream(seed, "curve", name).uniform(-largest, largest)
        curves[name] = published.shifted(float(move))
    return curves


def true_curve(settings: NightSettings, band: str) -> FilterCurve:
    """The curve the simulated telescope has, unlike the published one that the pipeline knows."""
    return _true_curves(settings.seed, settings.curve_shift_A)[band]


def zeropoint_mag(curve: FilterCurve) -> float:
    """AB magnitude that gives one electron a second, all light counted, transparency 1."""
    lam, through = curve.wavelength_A, curve.throughput
    photons = COLLECTING_AREA_CM2 * OPTICS * AB_FLUX / PLANCK_ERG_S
    return float(2.5 * np.log10(photons * np.trapezoid(through / lam, lam)))


def sky_e_per_s_px(settings: NightSettings, band: str, pixel_scale_arcsec: float) -> float:
    """Sky electrons per second and pixel at the nominal brightness."""
    faint = zeropoint_mag(true_curve(settings, band)) - BANDS[band].sky_mag
    return float(10 ** (0.4 * faint) * pixel_scale_arcsec**2)
