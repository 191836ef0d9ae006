"""Reference catalogues: from FITS, CSV or Parquet to our columns.

Every catalogue has `ra` and `dec` (ICRS, degrees); `pmra`, `pmdec` (mas/yr, the first with cos
dec), `ref_epoch` (Julian year) and `ra_err_mas`, `dec_err_mas` if it has them; magnitudes keep
their names. The usual codes for "not measured" become NaN, but never in positions and identifiers.
"""

from __future__ import annotations

import re
import textwrap
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
    "ref_epoch": ("ref_epoch",),  # not "epoch", which is as often that of the observation
    "ra_err_mas": ("ra_err_mas", "ra_error", "e_ra_icrs"),
    "dec_err_mas": ("dec_err_mas", "dec_error", "e_de_icrs"),
}
_NO_MAGNITUDE = tuple(
    sign * code for sign in (1, -1) for code in (99.0, 99.9, 99.99, 99.999, 999.0, 9999.0)
)
_NO_MOTION = (999.0, -999.0, 9999.0, -9999.0)  # 99 mas a year is a motion
_MAGNITUDES = (-5.0, 40.0)
_IDENTIFIER = re.compile(r"id$|^(name|number|recno|num|no)$", re.IGNORECASE)
_YEARS = (1900.0, 2100.0)


def read(path: Path) -> dict[str, NDArray[Any]]:
    """Read and normalise a reference catalogue.

    Raises `BadInput` if the file cannot be read, has no positions, none that are valid, or
    motions whose epoch is no year. Rows without a position are dropped.
    """
    table = _read_any(path)
    known = _known(table)
    if "ra" not in known or "dec" not in known:
        raise BadInput(
            path.name,
            found=f"columns {', '.join(list(table)[:8])}",
            expected="columns ra and dec in degrees (ICRS)",
            do="rename the columns of the positions",
        )
    columns: dict[str, NDArray[Any]] = {}
    for ours, source in known.items():
        columns[ours] = _number(table[source], source, path)
        if ours not in ("ra", "dec"):
            columns[ours] = _without(columns[ours], _NO_MOTION)
    if "ref_epoch" in columns:
        _require_years(columns["ref_epoch"], known["ref_epoch"], path)
    for name, values in table.items():
        if name not in known.values():
            columns[name] = _clean(name, values)
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


def _known(table: dict[str, NDArray[Any]]) -> dict[str, str]:
    """Our names of columns -> the catalogue's; the epoch only if there are motions that need it."""
    lower = {name.casefold(): name for name in table}
    known = {}
    for ours, theirs in _SYNONYMS.items():
        source = next((lower[n] for n in theirs if n in lower), None)
        if source is not None:
            known[ours] = source
    if not {"pmra", "pmdec"} <= set(known):
        known.pop("ref_epoch", None)
    return known


def _require_years(epoch: NDArray[np.float64], name: str, path: Path) -> None:
    finite = epoch[np.isfinite(epoch)]
    wrong = finite[(finite < _YEARS[0]) | (finite > _YEARS[1])]
    if wrong.size:
        raise BadInput(
            path.name,
            found=f"column {name!r} with {wrong[0]:g}",
            expected=f"Julian years from {_YEARS[0]:.0f} to {_YEARS[1]:.0f}, such as 2016.0",
            do="convert the epochs to years, or leave the column out",
        )


def _number(values: NDArray[Any], name: str, path: Path) -> NDArray[np.float64]:
    try:
        return np.asarray(values, dtype=np.float64)
    except (ValueError, TypeError):
        raise BadInput(
            path.name,
            found=f"column {name!r} of type {np.asarray(values).dtype.name}",
            expected="decimal numbers, positions in degrees",
            do="convert sexagesimal positions and other words first",
        ) from None


def _clean(name: str, values: NDArray[Any]) -> NDArray[Any]:
    """Whatever may be a magnitude as float64 without codes; anything else as it is."""
    array = np.asarray(values)
    if _IDENTIFIER.search(name):
        return array
    if array.dtype.kind == "f":
        return _without(array, _NO_MAGNITUDE)
    if array.dtype.kind not in "iu":
        return array
    # Whole numbers are magnitudes if some are codes and the others as bright as stars.
    cleaned = _without(array.astype(np.float64), _NO_MAGNITUDE)
    measured = cleaned[np.isfinite(cleaned)]
    like_magnitudes = np.all((measured > _MAGNITUDES[0]) & (measured < _MAGNITUDES[1]))
    return cleaned if measured.size < array.size and like_magnitudes else array


def _without(array: NDArray[Any], codes: tuple[float, ...]) -> NDArray[np.float64]:
    # Compared in the column's own precision: 99.999 in single precision is not 99.999 in double.
    code = np.isin(array, np.array(codes, array.dtype))
    return np.where(code, np.nan, array.astype(np.float64))


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
            found=f"unreadable table ({textwrap.shorten(str(error), 120, placeholder=' ...')})",
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
