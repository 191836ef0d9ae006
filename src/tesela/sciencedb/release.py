"""A release, opened to be asked: cones, single rows, scans.

The engine is DuckDB, read-only and locked: it opens the files of the release and nothing else, can
neither load extensions nor change its settings, and has a limit of threads and memory.
"""

from __future__ import annotations

import difflib
import math
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa

from tesela.errors import BadInput, ProductError
from tesela.sciencedb import arrow, serving, sql
from tesela.sciencedb.model import ColumnModel, ReleaseModel, TableModel

THREADS = 2
MEMORY_LIMIT = "2GB"
BATCH_ROWS = 16_384
_DAMAGED = "restore the release from a copy, or build it again"


class Result:
    """Rows of an answer, read as they come: iterate once, over Arrow record batches.

    The batches have the columns of `columns`, with unit, UCD and description in their metadata.
    """

    def __init__(
        self, cursor: duckdb.DuckDBPyConnection, query: str, columns: Sequence[ColumnModel]
    ) -> None:
        self.columns = tuple(columns)
        self.schema = arrow.schema(self.columns)
        self._cursor = cursor
        with _damage_told():
            self._batches = cursor.execute(query).fetch_record_batch(BATCH_ROWS)

    def __iter__(self) -> Iterator[pa.RecordBatch]:
        while True:
            with _damage_told():
                try:
                    batch = self._batches.read_next_batch()
                except StopIteration:
                    break
            yield pa.RecordBatch.from_arrays(batch.columns, schema=self.schema)
        self.close()

    def table(self) -> pa.Table:
        """All rows that are left, as one table."""
        return pa.Table.from_batches(list(self), schema=self.schema)

    def close(self) -> None:
        """Give up the rows that are left."""
        self._cursor.close()


class _damage_told:  # noqa: N801 - used as a verb
    """Say what the engine found as an error of ours."""

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        if isinstance(error, (duckdb.Error, pa.ArrowException, OSError)):
            raise ProductError(
                "files of the release", found=str(error).split("\n")[0], do=_DAMAGED
            ) from error


class Release:
    """An opened release. Threads may share it; it closes when nobody holds it any more."""

    def __init__(
        self, folder: Path, model: ReleaseModel, connection: duckdb.DuckDBPyConnection
    ) -> None:
        self.folder = folder
        self.model = model
        self._connection = connection
        self._lock = threading.Lock()

    @classmethod
    def open(cls, folder: Path) -> Release:
        """Open the release in a folder.

        Raises
        ------
        ProductError
            Something is missing or damaged, or has another number of rows than `release.json`
            says: the file is named.
        """
        model = ReleaseModel.read(folder)
        connection = duckdb.connect(
            ":memory:",
            config={
                "threads": THREADS,
                "memory_limit": MEMORY_LIMIT,
                "autoinstall_known_extensions": False,
                "autoload_known_extensions": False,
            },
        )
        try:
            for table in model.tables:
                _attach(connection, folder, table, model.rows.get(table.name))
            connection.execute("SET enable_external_access = false")
            connection.execute("SET lock_configuration = true")
        except BaseException:
            connection.close()
            raise
        return cls(folder, model, connection)

    def close(self) -> None:
        """Close the files; answers that are still being read end with an error."""
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
            Nearest first; otherwise in the order of HEALPix cells.

        Raises
        ------
        BadInput
            Unknown table or columns, or a cone that is none.
        ProductError
            Files of the release are damaged.
        """
        model = self.table(table)
        if not model.on_sky:
            raise BadInput(
                f"cone in table {table}", found="no positions", expected=self._on_sky_names()
            )
        check_cone(ra_deg, dec_deg, radius_deg)
        where = sql.cone_condition(ra_deg, dec_deg, radius_deg)
        distance = sql.haversine(ra_deg, dec_deg) if order_by_distance else ""
        return self._select(model, self.columns(table, columns), where, distance, limit)

    def scan(
        self, table: str, columns: Sequence[str] | None = None, *, limit: int | None = None
    ) -> Result:
        """All rows of any table, or the first `limit`, in the order of the files."""
        return self._select(self.table(table), self.columns(table, columns), "true", "", limit)

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
            raise BadInput(f"table {table}", found="rows without number", expected="objects ...")
        chosen = self.columns(table, columns)
        where = f"{sql.quoted(model.id_column)} = {int(number)}"
        rows = self._select(model, chosen, where, "", 1).table()
        if not len(rows):
            return None
        return {c.name: _value(rows.column(c.name), c) for c in chosen}

    def _select(
        self,
        table: TableModel,
        columns: Sequence[ColumnModel],
        where: str,
        distance: str,
        limit: int | None,
    ) -> Result:
        if limit is not None and limit < 0:
            raise BadInput("limit", found=str(limit), expected="zero or more rows")
        query = _query(table, columns, where, distance)
        if limit is not None:
            query += f" LIMIT {int(limit)}"
        with _damage_told(), self._lock:
            cursor = self._connection.cursor()
        return Result(cursor, query, columns)

    def _on_sky_names(self) -> str:
        return "one of " + ", ".join(t.name for t in self.model.tables if t.on_sky)


def check_cone(ra_deg: float, dec_deg: float, radius_deg: float) -> None:
    """Refuse what is no cone, with a hint where one is likely."""
    cone = f"cone at ra {ra_deg:g}, dec {dec_deg:g} with radius {radius_deg:g} degrees"
    if not all(map(math.isfinite, (ra_deg, dec_deg, radius_deg))):
        raise BadInput(cone, expected="finite numbers")
    if not 0.0 <= ra_deg < 360.0:
        hint = f"did you mean {ra_deg % 360.0:g}?" if -180.0 <= ra_deg <= 360.0 else ""
        raise BadInput(cone, found=f"ra {ra_deg:g}", expected="0 <= ra < 360 degrees", do=hint)
    if abs(dec_deg) > 90.0:
        raise BadInput(cone, found=f"dec {dec_deg:g}", expected="-90 to 90 degrees")
    if not 0.0 <= radius_deg <= 180.0:
        raise BadInput(cone, found=f"radius {radius_deg:g}", expected="0 to 180 degrees")


def _query(table: TableModel, columns: Sequence[ColumnModel], where: str, distance: str) -> str:
    """SQL for columns of any families of a table."""
    asked = sql.names(c.name for c in columns)
    if not table.on_sky:
        return f"SELECT {asked} FROM main.{sql.quoted(table.name)} WHERE {where}"
    order = f" ORDER BY {distance or 'row'}"
    core = _source(table, serving.CORE)
    in_core = {c.name for c in serving.family_columns(table, serving.CORE)}
    families = dict.fromkeys(c.family for c in columns if c.name not in in_core)
    if not families:
        return f"SELECT {asked} FROM {core} WHERE {where}" + (
            f" ORDER BY {distance}" if distance else ""
        )
    wanted = [c.name for c in columns if c.name in in_core]
    extra = f", {distance} AS distance" if distance else ""
    chosen = f"(SELECT rowid AS row{''.join(', ' + sql.quoted(n) for n in wanted)}{extra}"
    query = f"{chosen} FROM {core} WHERE {where}) core"
    for number, family in enumerate(families):
        query += f" JOIN {_source(table, family)} f{number} ON f{number}.rowid = core.row"
    home = {name: "core" for name in wanted}
    for number, family in enumerate(families):
        home |= {c.name: f"f{number}" for c in columns if c.family == family and c.name not in home}
    names = ", ".join(f"{home[c.name]}.{sql.quoted(c.name)}" for c in columns)
    return f"SELECT {names} FROM {query} ORDER BY core.{'distance' if distance else 'row'}" + (
        "" if order else ""
    )


def _source(table: TableModel, family: str) -> str:
    return f"{sql.quoted(f'{table.name}.{family}')}.{sql.quoted(table.name)}"


def _attach(
    connection: duckdb.DuckDBPyConnection, folder: Path, table: TableModel, rows: int | None
) -> None:
    """Open the files of a table and check that they hold the rows and columns of the model."""
    if not table.on_sky:
        path = folder / "tables" / f"{table.name}.parquet"
        data = arrow.conform(arrow.read_parquet(path), table, str(path))
        _check_rows(path, len(data), rows)
        connection.register("incoming", data)
        connection.execute(f"CREATE TABLE {sql.quoted(table.name)} AS SELECT * FROM incoming")
        connection.unregister("incoming")
        return
    for family in table.families:
        path = serving.serving_path(folder / "serve", table.name, family)
        if not path.is_file():
            raise ProductError(str(path), found="no such file", do=_DAMAGED)
        try:
            name = str(path).replace("'", "''")
            connection.execute(
                f"ATTACH '{name}' AS {sql.quoted(f'{table.name}.{family}')} (READ_ONLY)"
            )
            source = _source(table, family)
            found = connection.execute(f"SELECT count(*) FROM {source}").fetchall()[0][0]
            described = connection.execute(f"DESCRIBE {source}").fetchall()
        except duckdb.Error as error:
            raise ProductError(
                str(path), found=str(error).split("\n")[0], expected="a whole file", do=_DAMAGED
            ) from error
        _check_rows(path, int(found), rows)
        expected = [(c.name, sql.sql_type(c)) for c in serving.family_columns(table, family)]
        if [(row[0], row[1]) for row in described] != expected:
            raise ProductError(
                str(path), found="other columns", expected="those of release.json", do=_DAMAGED
            )


def _check_rows(path: Path, found: int, expected: int | None) -> None:
    if found != expected:
        raise ProductError(
            str(path), found=f"{found} rows", expected=f"{expected} rows", do=_DAMAGED
        )


def _unknown(kind: str, name: str, known: Sequence[str]) -> BadInput:
    near = difflib.get_close_matches(name, known, n=5, cutoff=0.4) or list(known)[:8]
    return BadInput(f"{kind} {name!r}", found="no such name", expected=f"one of {', '.join(near)}")


def _value(column: pa.ChunkedArray, model: ColumnModel) -> Any:
    if model.length == 1:
        return column[0].as_py()
    return np.asarray(arrow.to_numpy(column)[0])
