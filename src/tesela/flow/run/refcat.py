"""Adding a reference catalogue: a versioned product like any other."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from tesela.errors import Duplicate
from tesela.flow.plan import downstream
from tesela.ledger import products, refcats
from tesela.ledger.engine import Ledger
from tesela.ledger.keys import clean
from tesela.products import paths
from tesela.products.catalogue import write_parquet
from tesela.products.files import atomic_copy_target, data_hash, sha256_of

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
        current = products.current(conn, "refcat", name)
        version = products.next_version(conn, "refcat", name)
    if current is not None and current["data_hash"] == content:
        raise Duplicate(
            f"reference catalogue {name}",
            found=f"the same rows as version {current['version']}",
            expected="new content",
            do="nothing has to be done",
        )
    relative = paths.refcat(name, version)
    target = folder / relative
    # A name without a row is what a crash left; it may go, since the ledger gives the version.
    target.unlink(missing_ok=True)
    with atomic_copy_target(target) as temporary:
        write_parquet(temporary, dict(columns), {"refcat": name, "origin": file.name})
    checksum = sha256_of(target)
    new = products.NewProduct(
        kind="refcat",
        key=name,
        version=version,
        path=str(relative),
        files=((str(relative), checksum, target.stat().st_size),),
        checksum=checksum,
        data_hash=content,
    )
    rows = len(next(iter(columns.values())))
    with ledger.write() as conn:
        refcats.add(conn, name, new, rows=rows, columns=columns, origin=str(file))
        downstream.refcat_arrived(conn, name)
    return Added(name, version, rows, tuple(columns), str(relative))
