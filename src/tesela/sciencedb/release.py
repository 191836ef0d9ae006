"""A release, opened to be asked: cones, single rows, scans."""

from __future__ import annotations

import difflib
import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa

from tesela.errors import BadInput
from tesela.sciencedb import answer, arrow, engine, serving, sql
from tesela.sciencedb.answer import Result
from tesela.sciencedb.model import ColumnModel, ReleaseModel, TableModel

__all__ = ["Release", "Result", "check_cone"]

_INT64 = 2**63


class Release:
    """An opened release. Threads may share it; it closes when nobody holds it any more."""

    def __init__(
        self, folder: Path, model: ReleaseModel, connection: duckdb.DuckDBPyConnection
    ) -> None:
        self.folder = folder
        self.model = model
        self._connection = connection

    @classmethod
    def open(cls, folder: Path) -> Release:
        """Open the release in a folder.

        Raises
        ------
        ProductError
            Something is missing or damaged, or has other rows or columns than `release.json`
            says: the file is named.
        """
        model = ReleaseModel.read(folder)
        return cls(folder, model, engine.connect(folder, model))

    def close(self) -> None:
        """Close the files. Answers that have begun hold them until they end."""
        self._connection.close()

    def table(self, name: str) -> TableModel:
        """Model of a table; `BadInput` with those that there are."""
        try:
            return self.model.table(name)
        except KeyError:
            raise _unknown("table", name, [t.name for t in self.model.tables]) from None

    def columns(self, table: str, names: Sequence[str] | None = None) -> tuple[ColumnModel, ...]:
        """Models of the columns asked for, all by default; `BadInput` with the near ones."""
        model = self.table(table)
        if names is None:
            return model.columns
        known = {column.name: column for column in model.columns}
        for name in names:
            if name not in known:
                raise _unknown(f"column of {table}", name, list(known))
        if not names or len(set(names)) < len(names):
            raise BadInput(
                f"columns of {table}", found=", ".join(names) or "none", expected="each one once"
            )
        return tuple(known[name] for name in names)

    def cone(
        self,
        table: str,
        ra_deg: float,
        dec_deg: float,
        radius_deg: float,
        columns: Sequence[str] | None = None,
        *,
        limit: int | None = None,
        order_by_distance: bool = False,
    ) -> Result:
        """Rows within an angle of a position.

        Parameters
        ----------
        table : str
            A table on the sky.
        ra_deg, dec_deg : float
            Centre, ICRS degrees; 0 <= ra < 360.
        radius_deg : float
            0 to 180; a row at exactly this angle is inside.
        columns : sequence of str, optional
            All by default.
        limit : int, optional
            No more rows than this.
        order_by_distance : bool
            Nearest first, which sorts all rows of the cone in memory unless there is a limit;
            otherwise in the order of HEALPix cells, streamed.

        Raises
        ------
        BadInput
            Unknown table or columns, a cone that is none, or too many rows to sort.
        ProductError
            Files of the release are damaged.
        """
        model = self.table(table)
        if not model.on_sky:
            on_sky = ", ".join(t.name for t in self.model.tables if t.on_sky)
            raise BadInput(f"cone in table {table}", found="no positions", expected=on_sky)
        ra_deg, dec_deg, radius_deg = float(ra_deg), float(dec_deg), float(radius_deg)
        check_cone(ra_deg, dec_deg, radius_deg)
        chosen = self.columns(table, columns)
        extra = ["ra", "dec"] if order_by_distance else []
        select = _select_core(model, chosen, extra)
        query = sql.in_cone(select, ra_deg, dec_deg, radius_deg)
        if order_by_distance:
            distance = sql.haversine(ra_deg, dec_deg)
            query = f"SELECT * FROM ({query}) ORDER BY {distance}, {answer.ROW}"
        return self._ask(model, chosen, query, limit)

    def scan(
        self, table: str, columns: Sequence[str] | None = None, *, limit: int | None = None
    ) -> Result:
        """All rows of any table, or the first `limit`, in the order of the files."""
        model = self.table(table)
        chosen = self.columns(table, columns)
        return self._ask(model, chosen, _select_core(model, chosen), limit)

    def by_id(
        self, table: str, number: int, columns: Sequence[str] | None = None
    ) -> dict[str, Any] | None:
        """Return the row of that number, or None.

        Returns
        -------
        dict of str to value
            Python values, None for NULL; vectors as numpy arrays, in which NULL is NaN and which
            therefore are floats if an integer is missing.
        """
        model = self.table(table)
        if not model.id_column:
            numbered = ", ".join(t.name for t in self.model.tables if t.id_column)
            raise BadInput(f"table {table}", found="rows without number", expected=numbered)
        chosen = self.columns(table, columns)
        if not -_INT64 <= int(number) < _INT64:
            return None
        select = _select_core(model, chosen)
        query = f"{select} WHERE {sql.quoted(model.id_column)} = {int(number)}"
        rows = self._ask(model, chosen, query, None).table()
        if not len(rows):
            return None
        return {c.name: _value(rows.column(c.name), c) for c in chosen}

    def _ask(
        self, table: TableModel, columns: Sequence[ColumnModel], query: str, limit: int | None
    ) -> Result:
        """Run a query on `core`, and add the other families' columns to its rows."""
        if limit is not None:
            if limit < 0:
                raise BadInput("limit", found=str(limit), expected="zero or more rows")
            query = f"SELECT * FROM ({query}) LIMIT {int(limit)}"
        rows = answer.stream(self._execute, query, str(self.folder))
        families = _other_families(table, columns)
        if not families:
            return Result(columns, rows)

        def fetch(parts: Sequence[tuple[int, int]]) -> list[Iterator[pa.RecordBatch]]:
            found = []
            for family, names in families.items():
                place = engine.source(table, family)
                select = f"SELECT rowid AS {answer.ROW}, {sql.names(names)} FROM {place}"
                query = sql.in_clusters(select, parts)
                found.append(answer.stream(self._execute, query, str(self.folder)))
            return found

        return Result(columns, answer.beside(rows, fetch))

    def _execute(self, query: str) -> duckdb.DuckDBPyConnection:
        return self._connection.cursor().execute(query)


def check_cone(ra_deg: float, dec_deg: float, radius_deg: float) -> None:
    """Refuse what is no cone, with a hint where one is likely."""
    cone = f"cone at ra {ra_deg:g}, dec {dec_deg:g} with radius {radius_deg:g} degrees"
    if not all(map(math.isfinite, (ra_deg, dec_deg, radius_deg))):
        raise BadInput(cone, expected="finite numbers")
    if not 0.0 <= ra_deg < 360.0:
        hint = f"did you mean ra {ra_deg % 360.0:g}?" if -180.0 <= ra_deg <= 540.0 else ""
        raise BadInput(cone, found=f"ra {ra_deg:g}", expected="0 <= ra < 360 degrees", do=hint)
    if abs(dec_deg) > 90.0:
        raise BadInput(cone, found=f"dec {dec_deg:g}", expected="-90 to 90 degrees")
    if not 0.0 <= radius_deg <= 180.0:
        raise BadInput(cone, found=f"radius {radius_deg:g}", expected="0 to 180 degrees")


def _core_names(table: TableModel) -> set[str]:
    return {c.name for c in serving.family_columns(table, serving.CORE)}


def _other_families(table: TableModel, columns: Sequence[ColumnModel]) -> dict[str, list[str]]:
    """Columns asked for that are not in `core`, by family."""
    families: dict[str, list[str]] = {}
    if table.on_sky:
        core = _core_names(table)
        for column in columns:
            if column.name not in core:
                families.setdefault(column.family, []).append(column.name)
    return families


def _select_core(
    table: TableModel, columns: Sequence[ColumnModel], extra: Sequence[str] = ()
) -> str:
    """Select the columns of `core`, and the place and cell by which the other files find a row."""
    names = [c.name for c in columns]
    if table.on_sky:
        core = _core_names(table)
        names = [n for n in names if n in core]
        cell = [arrow.HEALPIX] if _other_families(table, columns) else []
        names = list(dict.fromkeys([*names, *cell, *extra]))
    return f"SELECT rowid AS {answer.ROW}, {sql.names(names)} FROM {engine.source(table)}"


def _unknown(kind: str, name: str, known: Sequence[str]) -> BadInput:
    near = difflib.get_close_matches(name, known, n=5, cutoff=0.4) or list(known)[:8]
    return BadInput(f"{kind} {name!r}", found="no such name", expected=f"one of {', '.join(near)}")


def _value(column: pa.ChunkedArray, model: ColumnModel) -> Any:
    if not model.is_vector:
        return column[0].as_py()
    return np.asarray(arrow.to_numpy(column)[0])
