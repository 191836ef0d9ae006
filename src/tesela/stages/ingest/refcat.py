"""Reference catalogues: from FITS, CSV or Parquet to our columns.

Every catalogue has `ra` and `dec` (ICRS, degrees); `pmra`, `pmdec` (mas/yr, the first with cos
dec), `ref_epoch` (Julian year) and `ra_err_mas`, `dec_err_mas` if it has them; magnitudes keep
their names. The usual codes for "not measured" become NaN.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq
from astropy.table import Table as AstropyTable
from numpy.typing import NDArray

from tesela.errors import BadInput
from tesela.products.files import quiet_fits

_SYNONYMS = {
    "ra": ("ra", "ra_deg", "raj2000", "ra_icrs", "alpha_j2000", "_raj2000"),
    "dec": ("dec", "dec_deg", "dej2000", "de_icrs", "delta_j2000", "_dej2000", "decj2000"),
    "pmra": ("pmra", "pm_ra"),
    "pmdec": ("pmdec", "pmde", "pm_dec"),
    "ref_epoch": ("ref_epoch", "epoch"),
    "ra_err_mas": ("ra_err_mas", "ra_error", "e_ra_icrs"),
    "dec_err_mas": ("dec_err_mas", "dec_error", "e_de_icrs"),
}
_NO_MEASUREMENT = (99.0, 99.99, 99.999, 999.0, -99.0, -999.0, -9999.0)


def read(path: Path) -> dict[str, NDArray[Any]]:
    """Read and normalise a reference catalogue.

    Raises `BadInput` if the file cannot be read, has no positions, or none that are valid.
    Rows without a position are dropped.
    """
    table = _read_any(path)
    columns: dict[str, NDArray[Any]] = {}
    taken = set()
    lower = {name.casefold(): name for name in table}
    for ours, theirs in _SYNONYMS.items():
        source = next((lower[n] for n in theirs if n in lower), None)
        if source is not None:
            columns[ours] = _number(table[source], source, path)
            taken.add(source)
    if "ra" not in columns or "dec" not in columns:
        raise BadInput(
            path.name,
            found=f"columns {', '.join(list(table)[:8])}",
            expected="columns ra and dec in degrees (ICRS)",
            do="rename the columns of the positions",
        )
    for name, values in table.items():
        if name not in taken:
            columns[name] = _clean(values)
    ra, dec = columns["ra"], columns["dec"]
    valid = np.isfinite(ra) & np.isfinite(dec) & (ra >= 0) & (ra <= 360) & (np.abs(dec) <= 90)
    if not valid.any():
        raise BadInput(
            path.name,
            found=f"{len(ra)} rows and no valid position",
            expected="ra in 0..360 and dec in -90..90 degrees",
            do="check the units of the positions",
        )
    return {name: np.ascontiguousarray(values[valid]) for name, values in columns.items()}


def _number(values: NDArray[Any], name: str, path: Path) -> NDArray[np.float64]:
    try:
        return np.asarray(values, dtype=np.float64)
    except (ValueError, TypeError):
        raise BadInput(
            path.name,
            found=f"column {name!r} of type {np.asarray(values).dtype.name}",
            expected="decimal numbers, positions in degrees",
            do="convert sexagesimal positions first",
        ) from None


def _clean(values: NDArray[Any]) -> NDArray[Any]:
    array = np.asarray(values)
    if array.dtype.kind != "f":
        return array
    # Compared in the column's own precision: 99.999 in single precision is not 99.999 in double.
    code = np.isin(array, np.array(_NO_MEASUREMENT, array.dtype))
    array = array.astype(np.float64)
    array[code] = np.nan
    return array


def _read_any(path: Path) -> dict[str, NDArray[Any]]:
    if not path.is_file():
        raise BadInput(path.name, found="no such file", expected="a catalogue", do="check the path")
    suffix = path.suffix.casefold()
    try:
        if suffix == ".parquet":
            return _from_arrow(pq.read_table(path))
        if suffix == ".csv":
            return _from_arrow(pa_csv.read_csv(path))
        if suffix in (".fits", ".fit"):
            with quiet_fits():
                table = AstropyTable.read(path, format="fits")
            return {name: _native(table[name]) for name in table.colnames if table[name].ndim == 1}
    except (OSError, ValueError, pa.ArrowException, KeyError, IndexError) as error:
        raise BadInput(
            path.name,
            found=f"unreadable table ({' '.join(str(error).split())[:120]})",
            expected="a whole FITS, CSV or Parquet table",
            do="write the catalogue again",
        ) from error
    raise BadInput(
        path.name,
        found=f"a file ending in {suffix!r}",
        expected=".fits, .csv or .parquet",
        do="convert the catalogue",
    )


def _from_arrow(table: pa.Table) -> dict[str, NDArray[Any]]:
    result = {}
    for name in table.column_names:
        column = table.column(name)
        if pa.types.is_nested(column.type):
            continue
        result[name] = np.asarray(column.to_numpy())
    return result


def _native(column: Any) -> NDArray[Any]:
    filled = (
        column.filled(np.nan) if hasattr(column, "filled") and column.dtype.kind == "f" else column
    )
    array = np.asarray(filled)
    return array.astype(array.dtype.newbyteorder("="))
