"""Dropping the files of what can be made again, and putting them back."""

from __future__ import annotations

import dataclasses
import json
import shutil
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy.engine import Connection

from tesela.errors import LedgerError, NotFound, ProductError
from tesela.flow.run import remake
from tesela.flow.run.engines.supervised import Supervised
from tesela.flow.run.orders import Scribe
from tesela.flow.run.site import Site
from tesela.flow.run.steps import Outcome, Registry
from tesela.ledger import events, products, queries
from tesela.ledger.clock import now_mjd
from tesela.products import paths
from tesela.products.files import publish, sha256_of, sync

DROPPABLE = ("detrended", "reduced", "coadd")
"""Kinds whose main file is large and can be made again from what it was made from."""


@dataclass(frozen=True)
class Candidate:
    """A version whose main file may be dropped."""

    id: int
    kind: str
    key: str
    version: int
    path: str
    size: int
    why_not: str = ""
    """Why it is kept after all."""


def candidates(
    conn: Connection, site: Site, registry: Registry, rows: Iterable[dict[str, Any]]
) -> Iterator[Candidate]:
    """Judge versions (rows of products): may their main file go?

    It may if a step makes it with the code of today, its settings are known, and all that it was
    made from is there or can itself be made again.
    """
    scribe = Scribe(conn, site.rules, site.folder, registry)
    for row in rows:
        size = next(
            (file[2] for file in json.loads(row["files_json"]) if file[0] == row["path"]), 0
        )
        one = Candidate(row["id"], row["kind"], row["key"], row["version"], row["path"], size)
        yield dataclasses.replace(one, why_not=_why_not(conn, site.folder, scribe, row))


def _why_not(conn: Connection, folder: Path, scribe: Scribe, row: dict[str, Any]) -> str:
    if row["kind"] not in DROPPABLE:
        return f"only {', '.join(DROPPABLE)} are dropped"
    if row["dropped_mjd"] is not None:
        return "it is dropped already"
    if _is_needed(conn, row["id"]):
        return "a task that is ready or runs needs it"
    spec = next(one for one in scribe.registry.specs.values() if one.kind == row["kind"])
    if spec.code_version != row["code_version"]:
        return f"it was made by code {row['code_version']}, and this is {spec.code_version}"
    try:
        order = scribe.as_recorded(row).order
    except LedgerError as error:
        return str(error)
    for ref in [each for one in order.inputs for each in (one, *one.members)]:
        if ref.path and ref.remake is None and not Path(ref.path).is_file():
            return f"{ref.kind} {ref.key}, which it was made from, is not there"
    return ""


def _is_needed(conn: Connection, product_id: int) -> bool:
    return conn.execute(queries.OPEN_USERS, {"id": product_id}).first() is not None


def drop(site: Site, chosen: Iterable[Candidate], who: str) -> int:
    """Remove the main files of candidates; returns the bytes that became free.

    The row says so first: a file that is gone without a word would be a loss.
    """
    freed = 0
    for one in chosen:
        with site.ledger.write() as conn:
            if _is_needed(conn, one.id):
                continue  # a task wants it since it was chosen
            products.set_dropped(conn, one.id, now_mjd())
            events.record(
                conn, "dropped", kind=one.kind, key=one.key, who=who,
                detail=f"version {one.version}: {one.path}, {one.size} bytes",
            )  # fmt: skip
        (site.folder / one.path).unlink(missing_ok=True)
        freed += one.size
    return freed


def restore(site: Site, registry: Registry, row: dict[str, Any], who: str) -> bool:
    """Make a version again as it was recorded, and put it back if it is not there.

    Returns whether it was put back; False means that it is there, and was found to be right.
    Raises `ProductError` if it comes out other than recorded, and what the step raises.
    """
    with site.ledger.read() as conn:
        made = Scribe(conn, site.rules, site.folder, registry).as_recorded(row)
    place = paths.work_folder(site.folder) / paths.RESTORE_WORK / f"{row['id']}"
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir(parents=True)
    try:
        outcome = _in_own_process(made, place)
        final = site.folder / row["path"]
        if final.is_file():
            if row["dropped_mjd"] is not None:
                _note_restored(site, row, final, who)  # one that died before it could say so
            return False
        temporary = next(Path(t) for t, name in outcome.files if name == row["path"])
        sync(temporary)
        publish(temporary, final)
        _note_restored(site, row, final, who)
        return True
    finally:
        shutil.rmtree(place, ignore_errors=True)


def _note_restored(site: Site, row: dict[str, Any], final: Path, who: str) -> None:
    checksum, size = sha256_of(final), final.stat().st_size
    with site.ledger.write() as conn:
        products.set_restored(conn, row["id"], row["path"], checksum, size)
        events.record(
            conn, "restored", kind=row["kind"], key=row["key"], who=who,
            detail=f"version {row['version']}: {row['path']}, the data are as recorded",
        )  # fmt: skip


def _in_own_process(made: remake.Remake, place: Path) -> Outcome:
    worker = Supervised()
    try:
        order = dataclasses.replace(made.order, out_dir=str(place / "work"))
        Path(order.out_dir).mkdir(parents=True)
        report = worker.perform(made.run, order)
    finally:
        worker.end()
    if report.outcome is None:
        raise ProductError(
            f"{order.kind} {order.key} version {order.version}",
            found=f"it cannot be made again: {report.message}",
            expected=f"the data that were recorded ({made.data_hash[:16]})",
        )
    remake.check(made, report.outcome)
    return report.outcome


def version_of(
    conn: Connection, key: str, kind: str, number: int, others: Iterable[str] = ()
) -> dict[str, Any]:
    """Return the version of a key that is meant: the one that is served if no number is given.

    `others` are kinds that are looked through where no kind is named and nothing that may be
    dropped has the key. Raises `NotFound`, also where the key is that of several kinds.
    """
    others = [one for one in others if one not in DROPPABLE]
    kinds = [kind] if kind else _kinds_of(conn, key, DROPPABLE) or _kinds_of(conn, key, others)
    if len(kinds) != 1:
        raise NotFound(
            key,
            found=f"{' and '.join(kinds) or 'nothing'} of that key that steps make again",
            expected=f"one of {', '.join((*DROPPABLE, *others))}",
            do="say which with --kind",
        )
    if number:
        return products.version(conn, kinds[0], key, number)
    row = products.current(conn, kinds[0], key)
    if row is None:
        raise NotFound(f"{kinds[0]} {key}", found="no version that is served")
    return row


def _kinds_of(conn: Connection, key: str, kinds: Iterable[str]) -> list[str]:
    return [kind for kind in kinds if products.current(conn, kind, key)]
