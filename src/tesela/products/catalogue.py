"""Catalogues as Parquet files whose fields carry unit, UCD and description."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from tesela.errors import ProductError
from tesela.products import files
from tesela.products.columns import TABLES, Column

Table = dict[str, NDArray[Any]]


KIND = "table"
"""Fact that says which table of `products.columns` a file follows."""


@dataclass
class Catalogue:
    """Columns of equal length and facts about them (tile, band, zero point ...).

    Values that were not measured are NaN here and NULL in the file. Columns of one value a band
    are (n, n_band), in the order of the fact `bands`.
    """

    columns: Table
    facts: dict[str, Any]
    kind: str = "single"
    """Which of `products.columns.TABLES`."""

    def __len__(self) -> int:
        return len(next(iter(self.columns.values()))) if self.columns else 0

    def write(self, path: Path) -> None:
        """Write as Parquet; every column must be in the one table of columns."""
        known = TABLES[self.kind]
        unknown = sorted(set(self.columns) - set(known))
        if unknown:
            raise ProductError(
                str(path), found=f"columns {', '.join(unknown)}", expected="products.columns"
            )
        write_parquet(path, self.columns, {**self.facts, KIND: self.kind}, known)

    @classmethod
    def read(cls, path: Path) -> Catalogue:
        """Read a catalogue back."""
        columns, facts = read_parquet(path)
        return cls(columns, facts, str(facts.pop(KIND, "single")))

    def data_hash(self) -> str:
        """Hash of the columns and of the numbers among the facts: zero point, depths ..."""
        numbers = {
            name: value
            for name, value in self.facts.items()
            if isinstance(value, (int, float)) and not isinstance(value, bool)
        }
        return files.data_hash(self.columns, numbers)


def write_parquet(
    path: Path,
    columns: Table,
    facts: Mapping[str, Any],
    described: Mapping[str, Column] | None = None,
) -> None:
    """Write columns with their metadata, flushed to the disk; no name is overwritten.

    NaN becomes NULL. `described` are the columns of the table, if it is one of ours.
    """
    if path.exists():
        raise ProductError(str(path), found="a file of that name", do="nothing is overwritten")
    arrays, fields = [], []
    for name, values in columns.items():
        array = _to_arrow(values)
        arrays.append(array)
        fields.append(pa.field(name, array.type, metadata=_metadata((described or {}).get(name))))
    schema = pa.schema(fields, metadata={"tesela": json.dumps(dict(facts), sort_keys=True)})
    pq.write_table(pa.Table.from_arrays(arrays, schema=schema), path, compression="zstd")
    files.sync(path)


def read_parquet(path: Path) -> tuple[Table, dict[str, Any]]:
    """Columns as numpy arrays and the facts stored with them."""
    try:
        table = pq.read_table(path)
    except (OSError, pa.ArrowException) as error:
        raise ProductError(str(path), found=str(error), expected="a whole Parquet file") from error
    facts = json.loads((table.schema.metadata or {}).get(b"tesela", b"{}"))
    return {name: _to_numpy(table.column(name)) for name in table.column_names}, facts


def _metadata(column: Column | None) -> dict[str, str] | None:
    if column is None:
        return None
    return {"unit": column.unit, "ucd": column.ucd, "description": column.description}


def _to_arrow(values: NDArray[Any]) -> pa.Array:
    if values.ndim == 1:
        return pa.array(values.tolist() if values.dtype.kind in "OU" else values, from_pandas=True)
    flat = pa.array(np.ascontiguousarray(values).reshape(-1), from_pandas=True)
    return pa.FixedSizeListArray.from_arrays(flat, values.shape[1])


def _to_numpy(column: pa.ChunkedArray) -> NDArray[Any]:
    array = column.combine_chunks()
    if pa.types.is_fixed_size_list(array.type):
        return np.asarray(array.flatten()).reshape(-1, array.type.list_size)
    return np.asarray(array.to_numpy(zero_copy_only=False))
