"""Published tables as Arrow: their schema, and data brought to exactly that schema."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from tesela.errors import BadInput, ProductError
from tesela.products import files
from tesela.products.catalogue import write_arrow
from tesela.sciencedb.model import ColumnModel, TableModel
from tesela.sky import healpix

HEALPIX = "_healpix_29"
"""The column by which tables on the sky are sorted."""

_TYPES = {
    "bool": pa.bool_(),
    "int8": pa.int8(),
    "int16": pa.int16(),
    "int32": pa.int32(),
    "int64": pa.int64(),
    "float32": pa.float32(),
    "float64": pa.float64(),
    "str": pa.string(),
}


def arrow_type(column: ColumnModel) -> pa.DataType:
    """Type of a column; vectors are lists of fixed length."""
    try:
        kind = _TYPES[column.dtype]
    except KeyError:
        raise ProductError(
            f"column {column.name}", found=f"type {column.dtype!r}", expected=", ".join(_TYPES)
        ) from None
    return pa.list_(kind, column.length) if column.is_vector else kind


def field(column: ColumnModel) -> pa.Field:
    """Arrow's field, with unit, UCD and description as its metadata."""
    described = {"unit": column.unit, "ucd": column.ucd, "description": column.description}
    return pa.field(
        column.name, arrow_type(column), metadata={k: v for k, v in described.items() if v}
    )


def schema(columns: Sequence[ColumnModel]) -> pa.Schema:
    """Schema of these columns."""
    return pa.schema([field(column) for column in columns])


def from_numpy(columns: Mapping[str, Any], table: TableModel) -> pa.Table:
    """Make a table of the model from numpy arrays; NaN and None become NULL.

    Parameters
    ----------
    columns : mapping of str to array_like
        (n,) or (n, length) each. Columns that are not required may be missing: they are NULL.

    Raises
    ------
    ProductError
        As `conform`.
    """
    arrays = {}
    for name, values in columns.items():
        values = np.asarray(values)
        flat = values.reshape(-1)
        array = pa.array(flat.tolist() if flat.dtype.kind in "OU" else flat, from_pandas=True)
        if values.ndim == 2:
            array = pa.FixedSizeListArray.from_arrays(array, values.shape[1])
        arrays[name] = array
    return conform(pa.table(arrays), table, f"table {table.name}")


def to_numpy(column: pa.ChunkedArray | pa.Array) -> NDArray[Any]:
    """Values as numpy, (n,) or (n, length); NULL becomes NaN, and integers with NULL floats."""
    array = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    if not pa.types.is_fixed_size_list(array.type):
        return np.asarray(array.to_numpy(zero_copy_only=False))
    flat = _whole_vectors(array).flatten().to_numpy(zero_copy_only=False)
    return np.asarray(flat).reshape(-1, array.type.list_size)


def _whole_vectors(array: pa.FixedSizeListArray) -> pa.FixedSizeListArray:
    """The same with a vector of NULLs in place of each vector that is NULL as a whole."""
    if not array.null_count:
        return array
    length = array.type.list_size
    valid = np.asarray(array.is_valid())
    first = (np.cumsum(valid) - 1) * length
    places = (first[:, None] + np.arange(length)).ravel()
    taken = array.flatten().take(pa.array(places, mask=np.repeat(~valid, length)))
    return _vectors(taken, array.type)


def conform(data: pa.Table, table: TableModel, where: str) -> pa.Table:
    """Give the data exactly the columns and types of the model, in its order.

    Columns that are missing and not required become NULL, and NaN does. A vector that is NULL as
    a whole becomes a vector of NULLs, so that there is one form of absence.

    Raises
    ------
    ProductError
        Naming `where`: columns that the model does not know, a required one that is missing or
        has NULL or NaN, values that the type cannot hold, vectors of another length.
    """
    known = {column.name for column in table.columns}
    unknown = [name for name in data.column_names if name not in known]
    missing = [c.name for c in table.columns if c.required and c.name not in data.column_names]
    if unknown or missing:
        found = [f"unknown {', '.join(unknown)}"] if unknown else []
        found += [f"no {', '.join(missing)}"] if missing else []
        raise ProductError(
            where, found="; ".join(found), expected=f"the columns of table {table.name}"
        )
    wanted = schema(table.columns)
    arrays = [_conformed(data, c, wanted.field(c.name).type, where) for c in table.columns]
    return pa.Table.from_arrays(arrays, schema=wanted)


def _conformed(data: pa.Table, column: ColumnModel, kind: pa.DataType, where: str) -> Any:
    values = pa.nulls(len(data), kind)
    if column.name in data.column_names:
        values = data.column(column.name)
    try:
        cast = values if values.type == kind else values.cast(kind)
    except pa.ArrowException as error:
        raise ProductError(
            f"{where}, column {column.name}", found=str(error).split("\n")[0], expected=str(kind)
        ) from error
    chunks = cast.chunks if isinstance(cast, pa.ChunkedArray) else [cast]
    clean = pa.chunked_array([_clean(chunk) for chunk in chunks], type=kind)
    if column.required and (holes := _holes(clean)):
        raise ProductError(
            f"{where}, column {column.name}",
            found=f"{holes} values that are NULL or NaN",
            expected="a value in every row",
        )
    return clean


def _clean(array: pa.Array) -> pa.Array:
    """The same with NULL in place of NaN, and no vector that is NULL as a whole."""
    if pa.types.is_fixed_size_list(array.type):
        whole = _whole_vectors(array)
        values = whole.flatten()
        clean = _clean(values)
        return whole if clean is values else _vectors(clean, array.type)
    if not pa.types.is_floating(array.type) or not pc.any(pc.is_nan(array)).as_py():
        return array
    nan = pc.fill_null(pc.is_nan(array), fill_value=False)
    return pc.if_else(nan, pa.scalar(None, array.type), array)


def _vectors(values: pa.Array, kind: pa.DataType) -> pa.FixedSizeListArray:
    return pa.FixedSizeListArray.from_arrays(values, type=kind)


def _holes(column: pa.ChunkedArray) -> int:
    holes = int(column.null_count)
    if pa.types.is_fixed_size_list(column.type):
        holes += sum(chunk.flatten().null_count for chunk in column.chunks)
    return holes


def order(data: pa.Table, table: TableModel) -> pa.Table:
    """Sort by HEALPix and number, as files of the release are; other tables stay as they are."""
    keys = ([HEALPIX] if table.on_sky else []) + ([table.id_column] if table.id_column else [])
    if not keys or is_ordered(data, keys):
        return data
    rows = pc.sort_indices(data.select(keys), [(key, "ascending") for key in keys])
    return data.take(rows)


def is_ordered(data: pa.Table, keys: Sequence[str]) -> bool:
    """Whether integer columns increase already, the first one first."""
    tie = np.ones(max(len(data) - 1, 0), dtype=bool)
    for key in keys:
        step = np.diff(to_numpy(data.column(key)))
        if (step[tie] < 0).any():
            return False
        tie &= step == 0
    return True


def check_cells(data: pa.Table, table: TableModel) -> None:
    """Refuse rows whose cell is not that of their position: no cone would find them."""
    ra, dec = to_numpy(data.column("ra")), to_numpy(data.column("dec"))
    try:
        cells = healpix.index(ra, dec)
    except BadInput as error:
        raise ProductError(
            f"table {table.name}", found=str(error), expected="positions on the sky"
        ) from error
    wrong = int((cells != to_numpy(data.column(HEALPIX))).sum())
    if wrong:
        raise ProductError(
            f"table {table.name}",
            found=f"{wrong} rows whose {HEALPIX} is not the cell of their position",
            expected="sky.healpix.index(ra, dec)",
        )


def write_table(path: Path, table: TableModel, data: pa.Table) -> None:
    """Write a table in one Parquet file, flushed to the disk; no name is overwritten."""
    if path.exists():
        raise ProductError(str(path), found="a file of that name", do="nothing is overwritten")
    files.make_folder(path.parent)
    write_arrow(path, conform(data, table, f"table {table.name}"))
