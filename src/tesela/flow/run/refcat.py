"""Adding a reference catalogue: a versioned product like any other."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from numpy.typing import NDArray
from sqlalchemy.engine import Connection

from tesela.config import Survey
from tesela.errors import BadInput, Duplicate
from tesela.flow.plan import downstream
from tesela.ledger import products, refcats
from tesela.ledger.engine import Ledger
from tesela.ledger.keys import clean
from tesela.products import paths
from tesela.products.catalogue import write_parquet
from tesela.products.files import data_hash, publish, sha256_of

Read = Callable[[Path], Mapping[str, NDArray[Any]]]
"""File -> columns, normalised; raises `BadInput`."""


@dataclass(frozen=True)
class Added:
    """A version of a reference catalogue."""

    name: str
    version: int
    rows: int
    columns: tuple[str, ...]
    path: str


def add(folder: Path, ledger: Ledger, name: str, file: Path, read: Read) -> Added:
    """Read `file` and enter it as the next version of the reference catalogue `name`.

    Raises `Duplicate` if the current version has exactly this content.
    """
    name = clean(name)
    columns = read(file)
    content = data_hash(columns)
    with ledger.read() as conn:
        _check_new(conn, name, content)
    shelf = folder / paths.refcat(name, 1).parent
    shelf.mkdir(parents=True, exist_ok=True)
    # Another may add at the same time: the file is written under a name of our own, and numbered
    # in the transaction that enters it.
    with tempfile.TemporaryDirectory(dir=shelf, prefix=".adding-") as own:
        temporary = Path(own) / "refcat.parquet"
        write_parquet(temporary, dict(columns), {"refcat": name, "origin": file.name})
        checksum, size = sha256_of(temporary), temporary.stat().st_size
        rows = len(next(iter(columns.values())))
        with ledger.write() as conn:
            _check_new(conn, name, content)
            version = _free_version(conn, folder, name, checksum)
            relative = paths.refcat(name, version)
            if not (folder / relative).exists():
                publish(temporary, folder / relative)
            new = products.NewProduct(
                kind="refcat",
                key=name,
                version=version,
                path=str(relative),
                files=((str(relative), checksum, size),),
                checksum=checksum,
                data_hash=content,
            )
            refcats.add(conn, name, new, rows=rows, columns=columns, origin=str(file))
            downstream.refcat_arrived(conn, name)
    return Added(name, version, rows, tuple(columns), str(relative))


def require_columns(where: str, columns: Mapping[str, Any], survey: Survey) -> None:
    """Refuse a reference catalogue that lacks a column which survey.toml names for a band."""
    for band, band_filter in survey.filters.items():
        reference = band_filter.reference
        named = {reference.mag, reference.err, *reference.columns.values(), *reference.colour}
        missing = sorted(named - set(columns) - {""})
        if missing:
            raise BadInput(
                where,
                found=f"no column {', '.join(missing)}; it has {', '.join(columns)}",
                expected=f"the columns that survey.toml names for band {band}",
                do="rename the columns, or correct [filters.*.reference]",
            )


def _check_new(conn: Connection, name: str, content: str) -> None:
    current = products.current(conn, "refcat", name)
    if current is not None and current["data_hash"] == content:
        raise Duplicate(
            f"reference catalogue {name}",
            found=f"the same rows as version {current['version']}",
            expected="new content",
            do="nothing has to be done",
        )


def _free_version(conn: Connection, folder: Path, name: str, checksum: str) -> int:
    """Return the next number whose file is not there, or is this very content.

    A file without a row is what a crash left; it is taken up or passed over, never removed.
    """
    version = products.next_version(conn, "refcat", name)
    while True:
        there = folder / paths.refcat(name, version)
        if not there.exists() or sha256_of(there) == checksum:
            return version
        version += 1
