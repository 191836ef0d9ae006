"""Catalogues as Parquet files whose fields carry unit, UCD and description."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
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

PROVENANCE = "provenance"
"""Fact that says how a file came to be."""


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
        """Hash of the columns and of the numbers among the facts: zero points, depths ...

        The history, under `PROVENANCE`, has no part in it.
        """
        facts = {name: value for name, value in self.facts.items() if name != PROVENANCE}
        return files.data_hash(self.columns, dict(_numbers(facts)))


def _numbers(facts: Mapping[str, Any]) -> Iterator[tuple[str, float]]:
    """Numbers by their names, those of facts within facts too: `zeropoint_mag/rSDSS`."""
    for name, value in facts.items():
        if isinstance(value, Mapping):
            yield from ((f"{name}/{inner}", number) for inner, number in _numbers(value))
        elif isinstance(value, (int, float)) and not isinstance(value, bool):
            yield name, value


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
    write_arrow(path, pa.Table.from_arrays(arrays, schema=schema))


def write_arrow(path: Path, data: pa.Table) -> None:
    """Write Parquet, flushed to the disk; whatever of ours is Parquet is written here.

    A file has one large row group, so that footers stay small, and each of its pages a checksum.
    """
    pq.write_table(
        data,
        path,
        compression="zstd",
        row_group_size=max(len(data), 1),
        write_page_checksum=True,
    )
    files.sync(path)


def read_arrow(path: Path, columns: Sequence[str] | None = None) -> pa.Table:
    """Read a Parquet file, all columns by default; a damaged page raises `ProductError`."""
    try:
        with pq.ParquetFile(path, page_checksum_verification=True) as file:
            return file.read(None if columns is None else list(columns))
    except (OSError, pa.ArrowException) as error:
        raise _damaged(path, error) from error


def _damaged(path: Path, error: Exception) -> ProductError:
    return ProductError(
        str(path),
        found=str(error).split("\n")[0],
        expected="a whole Parquet file",
        do="`tesela audit --checksum --repair` fetches it from another site; or move it away, "
        "and `tesela restore` makes it again",
    )


def _footer(path: Path) -> tuple[int, pa.Schema]:
    try:
        with pq.ParquetFile(path) as file:
            return int(file.metadata.num_rows), file.schema_arrow
    except (OSError, pa.ArrowException) as error:
        raise _damaged(path, error) from error


def _facts(schema: pa.Schema) -> dict[str, Any]:
    return dict(json.loads((schema.metadata or {}).get(b"tesela", b"{}")))


def read_facts(path: Path) -> dict[str, Any]:
    """The facts of a catalogue, without its rows; raises `ProductError` as `read_arrow` does."""
    return _facts(_footer(path)[1])


def count_rows(path: Path) -> int:
    """Rows of a catalogue, from its footer; raises `ProductError` as `read_arrow` does."""
    return _footer(path)[0]


def read_parquet(path: Path) -> tuple[Table, dict[str, Any]]:
    """Columns as numpy arrays and the facts stored with them."""
    table = read_arrow(path)
    columns = {name: _to_numpy(table.column(name)) for name in table.column_names}
    return columns, _facts(table.schema)


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
