"""What is wrong with a reference catalogue that it does not say of itself."""

from __future__ import annotations

import numpy as np
from scipy.spatial import cKDTree

from tesela.bands import filters
from tesela.simulate.settings import NightSettings, ReferenceFaults
from tesela.simulate.streams import stream
from tesela.simulate.universe import Universe

BRIGHT_MAG, BRIGHTEST_MAG = 13.0, 11.3
WAVE_DEG = 0.5
"""The error is Gaussian in distance with this sigma: it is one over a degree."""
WAVES = 200
U_FACTOR = 4.0
BLENDING_MAG = 4.0
"""Neighbours fainter than an entry by more than this do not matter."""


def blend(
    wrong: ReferenceFaults, universe: Universe, chosen: np.ndarray
) -> tuple[np.ndarray, np.ndarray, list[int]]:
    """Join close neighbours.

    Parameters
    ----------
    wrong : ReferenceFaults
    universe : Universe
    chosen : ndarray, (n,) int
        Rows of the entries in the universe.

    Returns
    -------
    chosen : ndarray, (m,) int
        Entries left: one that lies beside a brighter one is part of that.
    light : ndarray, (m, 12) float64
        Published magnitudes, with the light of neighbours.
    blended : list of int
        Rows of the catalogue, not of the universe, that hold more than one object.
    """
    if not wrong.blend_arcsec:
        return chosen, universe.mag_published[chosen], []
    r = filters.names().index("rSDSS")
    mag = universe.mag_published
    bright = np.flatnonzero(mag[:, r] < mag[chosen, r].max(initial=-99.0) + BLENDING_MAG)
    ra, dec = np.radians(universe.ra), np.radians(universe.dec)
    unit = np.stack([np.cos(dec) * np.cos(ra), np.cos(dec) * np.sin(ra), np.sin(dec)], axis=1)
    reach = 2 * np.sin(0.5 * np.radians(wrong.blend_arcsec / 3600.0))
    near = cKDTree(unit[bright]).query_ball_point(unit[chosen], reach)
    kept: list[int] = []
    light: list[np.ndarray] = []
    blended: list[int] = []
    for row, neighbours in zip(chosen, near):
        group = bright[neighbours]
        group = group[mag[group, r] < mag[row, r] + BLENDING_MAG]
        is_entry = np.isin(group, chosen)
        if mag[group[is_entry], r].min() < mag[row, r]:
            continue
        if group.size > 1:
            blended.append(len(kept))
        kept.append(row)
        light.append(-2.5 * np.log10((10 ** (-0.4 * mag[group])).sum(axis=0)))
    return np.array(kept, chosen.dtype), np.array(light).reshape(len(kept), mag.shape[1]), blended


def spoil(settings: NightSettings, table: dict[str, np.ndarray]) -> dict[str, object]:
    """Change the columns of a catalogue (in place); returns the truth of what was done."""
    wrong, n = settings.reference, table["ra"].size
    rng = stream(settings.seed, "reference faults")
    systematic: dict[str, list[float]] = {}
    brightness = np.clip((BRIGHT_MAG - table["mag_rSDSS"]) / (BRIGHT_MAG - BRIGHTEST_MAG), 0, 1)
    for band in filters.names():
        rms = wrong.wave_mag * (U_FACTOR if band == "uJAVA" else 1.0)
        added = rms * wave(rng, table["ra"], table["dec"])
        added += wrong.bright_trend_mag * brightness
        table[f"mag_{band}"] = table[f"mag_{band}"] + added
        if added.any():
            systematic[band] = [round(float(value), 6) for value in added]
    mismatched = rng.choice(n, round(wrong.mismatched * n), replace=False)
    for band in filters.names():
        for what in ("mag", "mag_err"):
            column = table[f"{what}_{band}"].copy()
            column[mismatched] = table[f"{what}_{band}"][(mismatched + n // 2) % max(n, 1)]
            table[f"{what}_{band}"] = column
    motionless = rng.choice(n, round(wrong.motionless * n), replace=False)
    for name in ("pmra", "pmdec"):
        table[name] = table[name].copy()
        table[name][motionless] = 0.0
    return {
        "systematic_mag": systematic,
        "mismatched_rows": sorted(int(row) for row in mismatched),
        "motionless_rows": sorted(int(row) for row in motionless),
    }


def wave(rng: np.random.Generator, ra: np.ndarray, dec: np.ndarray) -> np.ndarray:
    """(n,) random field of rms 1, smooth over a degree: a sum of plane waves on the sphere."""
    ra, dec = np.radians(ra), np.radians(dec)
    unit = np.stack([np.cos(dec) * np.cos(ra), np.cos(dec) * np.sin(ra), np.sin(dec)], axis=1)
    k = rng.normal(0, 1 / np.radians(WAVE_DEG), (3, WAVES))
    phase = rng.uniform(0, 2 * np.pi, WAVES)
    return np.sqrt(2.0 / WAVES) * np.cos(unit @ k + phase).sum(axis=1)
