"""Make the compact tables of curves and spectra that ship with the package.

    python make_tables.py DATA_FOLDER [OUT_FOLDER]

DATA_FOLDER holds ``filters/jplus_svo``, ``sed/stars_pickles``, ``sed/galaxies_brown14`` and
``sed/galaxies_cosmos_cww`` (sources in the README beside this file). Curves are averaged over bins
of 5 A; spectra over bins of a logarithmic wavelength grid, stored as the natural logarithm of
f_lambda in 16 bits (steps of 0.4 mmag), so that every magnitude keeps the same accuracy.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

JPLUS = (
    "uJAVA", "J0378", "J0395", "J0410", "J0430", "gSDSS",
    "J0515", "rSDSS", "J0660", "iSDSS", "J0861", "zSDSS",
)  # fmt: skip
SDSS = ("u", "g", "r", "i", "z")
LOG_STEP = 0.0004  # of ln f: half of it is the rounding error, 0.2 mmag
LOG_FLOOR = -20.0
STEPS = {"pickles": 1.25e-3, "brown": 1.5e-3, "cosmos_cww": 2.0e-3}
RANGES_A = {
    "pickles": (2900.0, 11500.0),
    "brown": (1000.0, 11500.0),
    "cosmos_cww": (1000.0, 11500.0),
}
COSMOS = (
    *(f"Ell{i}_A_0" for i in range(1, 8)), "S0_A_0", "Sa_A_0", "Sa_A_1", "Sb_A_0", "Sb_A_1",
    "Sc_A_0", "Sc_A_1", "Sc_A_2", "Sd_A_0", "Sd_A_1", "Sd_A_2", "Sdm_A_0",
    *(f"SB{i}_A_0" for i in range(12)),
)  # fmt: skip
CWW = ("CWW_E", "CWW_Sbc", "CWW_Scd", "CWW_Im", *(f"KIN_SB{i}" for i in range(1, 7)))


def bin_average(x: np.ndarray, y: np.ndarray, edges: np.ndarray) -> np.ndarray:
    """Mean of the polyline (x, y) in each bin; zero outside its range; the integral is kept."""
    fine = np.union1d(x[(x > edges[0]) & (x < edges[-1])], edges)
    value = np.interp(fine, x, y, left=0.0, right=0.0)
    total = np.concatenate([[0.0], np.cumsum(0.5 * (value[1:] + value[:-1]) * np.diff(fine))])
    return np.diff(total[np.searchsorted(fine, edges)]) / np.diff(edges)


def read_columns(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """First two columns of a text table, wavelengths made strictly increasing."""
    table = np.loadtxt(path, usecols=(0, 1))
    x, first = np.unique(table[:, 0], return_index=True)
    return x, np.maximum(table[first, 1], 0.0)


def filter_table(folder: Path, prefix: str, names: tuple[str, ...]) -> dict[str, np.ndarray]:
    """Matrix of curves on one grid of 5 A."""
    curves = [read_columns(folder / f"{prefix}_{name}.dat") for name in names]
    low = 5.0 * np.floor(min(x[0] for x, _ in curves) / 5.0)
    high = 5.0 * np.ceil(max(x[-1] for x, _ in curves) / 5.0)
    edges = np.arange(low - 7.5, high + 10.0, 5.0)
    rows = [bin_average(x, y, edges) for x, y in curves]
    middle = 0.5 * (edges[1:] + edges[:-1])
    return {
        "wavelength_A": middle,
        "throughput": np.array(rows, np.float32),
        "names": np.array(names),
    }


def spectra_table(kind: str, files: dict[str, Path]) -> dict[str, np.ndarray]:
    """Matrix of 16-bit ln f_lambda, each spectrum normalised at 5556 A."""
    low, high = RANGES_A[kind]
    n = int(np.log(high / low) / STEPS[kind])
    edges = low * np.exp(STEPS[kind] * np.arange(n + 1))
    rows = []
    for path in files.values():
        x, y = read_columns(path)
        flux = bin_average(x, y, edges) / np.interp(5556.0, x, y)
        log_flux = np.log(np.maximum(flux, np.exp(LOG_FLOOR)))
        rows.append(np.round((log_flux - LOG_FLOOR) / LOG_STEP).astype(np.uint16))
    code = np.array(rows)
    # Differences along the wavelength are small numbers: the file compresses a third better.
    delta = np.diff(code, axis=1, prepend=np.uint16(0))
    return {
        "start_A": np.array(low * np.exp(0.5 * STEPS[kind])),
        "log_step": np.array(STEPS[kind]),
        "value_step": np.array(LOG_STEP),
        "value_floor": np.array(LOG_FLOOR),
        "delta": delta,
        "names": np.array(list(files)),
    }


def spectra_files(data: Path) -> dict[str, dict[str, Path]]:
    """The files of each library, by name of the spectrum."""
    stars = sorted((data / "sed/stars_pickles").glob("*.sed"))
    brown = sorted((data / "sed/galaxies_brown14").glob("*_spec.dat"))
    folder = data / "sed/galaxies_cosmos_cww"
    mixed = {name: folder / f"{name}.sed" for name in COSMOS}
    mixed |= {name: folder / f"{name}_ext.sed" for name in CWW}
    return {
        "pickles": {p.stem: p for p in stars},
        "brown": {p.stem.removesuffix("_spec"): p for p in brown},
        "cosmos_cww": mixed,
    }


def main(data: Path, out: Path) -> None:
    """Write every table."""
    curves = data / "filters/jplus_svo"
    np.savez_compressed(out / "filters_jplus.npz", **filter_table(curves, "JPLUS", JPLUS))  # type: ignore[arg-type]
    np.savez_compressed(out / "filters_sdss.npz", **filter_table(curves, "SDSS", SDSS))  # type: ignore[arg-type]
    for kind, files in spectra_files(data).items():
        np.savez_compressed(out / f"spectra_{kind}.npz", **spectra_table(kind, files))  # type: ignore[arg-type]


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2] if len(sys.argv) > 2 else Path(__file__).parent))
