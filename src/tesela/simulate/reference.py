"""The reference catalogue of the field, with the errors that real ones have.

In the spirit of synthetic photometry from Gaia XP spectra: twelve bands in the published curves
(the telescope's true ones differ), positions at epoch 2016.0 with proper motions. What it does not
state of itself (`settings.ReferenceFaults`) is in `refcat_faults`.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from tesela.bands import filters
from tesela.simulate import refcat_faults
from tesela.simulate.settings import NightSettings
from tesela.simulate.streams import stream
from tesela.simulate.truth import write_json
from tesela.simulate.universe import TRUTH_EPOCH, Universe

LIMIT_MAG = 18.5
FLOOR_MAG = {"uJAVA": 0.020, "J0378": 0.010, "J0395": 0.010}
FLOOR_OTHERS_MAG = 0.005
# Photon term of the stated error at magnitude 18.5, growing as the flux falls.
PHOTON_MAG = {"uJAVA": 0.040, "J0378": 0.030, "J0395": 0.030, "J0410": 0.020, "J0430": 0.015}
PHOTON_OTHERS_MAG = 0.008
POOR_FRACTION = 0.10


def write(path: Path, settings: NightSettings, universe: Universe) -> dict[str, object]:
    """Write the catalogue and return the truth about its errors.

    Parameters
    ----------
    path : Path
        Parquet file to write.
    settings : NightSettings
    universe : Universe
    """
    rng = stream(settings.seed, "reference")
    r = universe.mag_published[:, filters.names().index("rSDSS")]
    good = np.flatnonzero(~universe.is_galaxy & (r < LIMIT_MAG))
    faint = np.flatnonzero((r >= LIMIT_MAG) & (r < LIMIT_MAG + 1.3))
    compact = np.flatnonzero(universe.is_galaxy & (r < LIMIT_MAG))
    pool = np.concatenate([faint, compact])
    n_poor = min(round(POOR_FRACTION * good.size), pool.size)
    poor = rng.choice(pool, n_poor, replace=False)
    chosen = np.sort(np.concatenate([good, poor]))
    chosen, light, blended = refcat_faults.blend(settings.reference, universe, chosen)
    is_poor = np.isin(chosen, poor)
    table = _positions(rng, universe, chosen, r[chosen], is_poor)
    for k, band in enumerate(filters.names()):
        mag = light[:, k]
        floor = FLOOR_MAG.get(band, FLOOR_OTHERS_MAG)
        photon = PHOTON_MAG.get(band, PHOTON_OTHERS_MAG) * 10 ** (0.2 * (mag - LIMIT_MAG))
        error = np.hypot(floor, photon)
        error[is_poor] = np.hypot(error, rng.uniform(0.05, 0.25, chosen.size))[is_poor]
        table[f"mag_{band}"] = mag + rng.normal(0, 1, chosen.size) * error
        table[f"mag_err_{band}"] = error
    faults = refcat_faults.spoil(settings, table)
    pq.write_table(pa.table(table), path)
    return {
        "rows": int(chosen.size),
        "blended_rows": blended,
        **faults,
        "poor_rows": int(n_poor),
        "limit_r_mag": LIMIT_MAG,
        "floor_mag": {b: FLOOR_MAG.get(b, FLOOR_OTHERS_MAG) for b in filters.names()},
        "epoch": TRUTH_EPOCH,
        "object_id": [int(i) for i in universe.id[chosen]],
        "is_poor": [bool(p) for p in is_poor],
        "true_minus_published": _offsets(universe, good),
    }


def write_truth(path: Path, stated: dict[str, object]) -> None:
    """Write what `write` returned."""
    write_json(path, stated)


def _positions(
    rng: np.random.Generator,
    universe: Universe,
    chosen: np.ndarray,
    r: np.ndarray,
    is_poor: np.ndarray,
) -> dict[str, np.ndarray]:
    error = 0.05 * 10 ** (0.2 * np.maximum(r - 15.0, 0.0)) + 0.03  # mas, about Gaia DR3
    error[is_poor] += rng.uniform(5.0, 40.0, chosen.size)[is_poor]
    motion_error = error * 1.0
    noise = rng.normal(0, 1, (4, chosen.size))
    cosine = np.cos(np.radians(universe.dec[chosen]))
    return {
        "source_id": universe.id[chosen] * 1009 + 7,
        "ra": universe.ra[chosen] + noise[0] * error / 3.6e6 / cosine,
        "dec": universe.dec[chosen] + noise[1] * error / 3.6e6,
        "ra_err_mas": error,
        "dec_err_mas": error * 1.0,
        "pmra": universe.pmra[chosen] + noise[2] * motion_error,
        "pmdec": universe.pmdec[chosen] + noise[3] * motion_error,
        "pmra_err": motion_error,
        "pmdec_err": motion_error * 1.0,
        "ref_epoch": np.full(chosen.size, TRUTH_EPOCH),
    }


def _offsets(universe: Universe, good: np.ndarray) -> dict[str, dict[str, float]]:
    """Median difference of the true and the published system, and its slope with g - i."""
    names = filters.names()
    colour = (
        universe.mag_published[good, names.index("gSDSS")]
        - universe.mag_published[good, names.index("iSDSS")]
    )
    result = {}
    for k, band in enumerate(names):
        difference = universe.mag[good, k] - universe.mag_published[good, k]
        slope = float(np.polyfit(colour, difference, 1)[0]) if good.size > 5 else 0.0
        median = float(np.median(difference)) if good.size else 0.0
        result[band] = {"median_mag": median, "slope_with_g_i": slope}
    return result
