"""What was made, in versions that are never overwritten, and what from."""

from __future__ import annotations

import json
import math
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import TextClause
from sqlalchemy.engine import Connection

from tesela.errors import LedgerError, NotFound
from tesela.ledger import events, queries, schema
from tesela.ledger.clock import now_mjd
from tesela.ledger.parts import ask, followed_by_index, in_written_order
from tesela.ledger.queries import judging

File = tuple[str, str, int]
"""Path relative to the site, sha256, bytes."""


@dataclass(frozen=True)
class NewProduct:
    """A version about to be committed."""

    kind: str
    key: str
    version: int
    path: str = ""
    files: tuple[File, ...] = ()
    checksum: str = ""
    data_hash: str = ""
    code_version: str = ""
    settings_hash: str = ""
    scope: str = ""
    """What its settings may depend on, see `steps.Scope`; empty where they do not."""
    environment: str = ""
    """Hash of what computed it, see `provenance.put_environment`."""
    attempt_id: int | None = None
    warnings: tuple[str, ...] = ()
    operations: tuple[str, ...] = ()


def insert(conn: Connection, new: NewProduct, sources: Iterable[tuple[int, str]] = ()) -> int:
    """Commit a version with its edges (source id, role); it becomes the current one.

    Returns its id.
    """
    table = schema.product
    if new.version > 1:
        conn.execute(
            table.update()
            .where(table.c.kind == new.kind, table.c.key == new.key, table.c.is_current)
            .values(is_current=False)
        )
    row = {
        "kind": new.kind,
        "key": new.key,
        "version": new.version,
        "state": "valid",
        "is_current": True,
        "path": new.path,
        "files_json": json.dumps(new.files),
        "checksum": new.checksum,
        "data_hash": new.data_hash,
        "code_version": new.code_version,
        "settings_hash": new.settings_hash,
        "scope": new.scope,
        "environment": new.environment,
        "attempt_id": new.attempt_id,
        "made_mjd": now_mjd(),
        "warnings_json": json.dumps(new.warnings),
        "operations_json": json.dumps(new.operations),
    }
    result = conn.execute(table.insert(), row)
    key = result.inserted_primary_key
    if key is None:
        raise LedgerError(f"{new.kind} {new.key}", found="no row after insert")
    product_id = int(key[0])
    rows = [{"product": product_id, "source": s, "role": role} for s, role in sources]
    if rows:
        conn.execute(schema.edge.insert(), rows)
    return product_id


def current(conn: Connection, kind: str, key: str) -> dict[str, Any] | None:
    """Return the version that is served, or None."""
    row = conn.execute(queries.CURRENT, {"kind": kind, "key": key}).mappings().first()
    return None if row is None else dict(row)


def several_current(
    conn: Connection, kind: str, keys: Collection[str]
) -> dict[str, dict[str, Any]]:
    """Return the versions of a kind that are served, by their keys."""
    return {row["key"]: row for row in ask(conn, queries.CURRENT_OF_KEYS, keys, kind=kind)}


def by_id(conn: Connection, product_id: int) -> dict[str, Any]:
    """Return a version by its id."""
    table = schema.product
    return dict(conn.execute(table.select().where(table.c.id == product_id)).mappings().one())


def version(conn: Connection, kind: str, key: str, number: int) -> dict[str, Any]:
    """Return one version, served or not."""
    wanted = {"kind": kind, "key": key, "version": number}
    row = conn.execute(queries.VERSION, wanted).mappings().first()
    if row is None:
        raise NotFound(f"{kind} {key} version {number}", found="no such version")
    return dict(row)


def all_current(conn: Connection, kind: str) -> list[dict[str, Any]]:
    """Return the versions of a kind that are served, in the order of their keys."""
    return [dict(row) for row in conn.execute(queries.ALL_CURRENT, {"kind": kind}).mappings()]


def all_past(conn: Connection, kind: str) -> list[dict[str, Any]]:
    """Return the versions of a kind that are served no more and have their files, in order."""
    rows = conn.execute(queries.ALL_PAST, {"kind": kind}).mappings()
    return [dict(row) for row in rows]


def next_version(conn: Connection, kind: str, key: str) -> int:
    """Return the number the next version will carry."""
    return int(conn.scalar(queries.LAST_VERSION, {"kind": kind, "key": key}) or 0) + 1


def last_versions(
    conn: Connection, targets: Iterable[tuple[str, str]]
) -> dict[tuple[str, str], int]:
    """Return the number of the last version of each (kind, key) of which there is one."""
    keys: dict[str, list[str]] = {}
    for kind, key in targets:
        keys.setdefault(kind, []).append(key)
    return {
        (kind, row["key"]): row["last"]
        for kind, some in keys.items()
        for row in ask(conn, queries.LAST_VERSIONS, some, kind=kind)
    }


def inputs(conn: Connection, product_id: int) -> list[dict[str, Any]]:
    """Return what a product was made from: id, kind, key, version, role, state, path."""
    rows = conn.execute(queries.INPUTS, {"product": product_id}).mappings()
    return [dict(row) for row in rows]


def input_ids(conn: Connection, product_id: int) -> frozenset[int]:
    """Return the ids behind the edges of role `input`."""
    return frozenset(row["id"] for row in inputs(conn, product_id) if row["role"] == "input")


def changes(conn: Connection, product_id: int, before: int | None) -> list[str]:
    """Say in what the inputs of a version differ from those of the version before it.

    Masters count one by one, whatever set they are in.
    """
    if before is None:
        return []
    now, then = _leaves(conn, product_id), _leaves(conn, before)
    said = [
        f"with {kind} {key} version {now[kind, key]}"
        for kind, key in sorted(now.keys() - then.keys())
    ]
    said += [f"without {kind} {key}" for kind, key in sorted(then.keys() - now.keys())]
    for kind, key in sorted(now.keys() & then.keys()):
        if now[kind, key] != then[kind, key]:
            said.append(f"{kind} {key} version {now[kind, key]}, was {then[kind, key]}")
    return said


def _leaves(conn: Connection, product_id: int) -> dict[tuple[str, str], int]:
    """Version by (kind, key) of the inputs, calsets replaced by their masters."""
    found: dict[tuple[str, str], int] = {}
    for row in inputs(conn, product_id):
        if row["role"] != "input":
            continue
        if row["kind"] == "calset":
            found |= _leaves(conn, row["id"])
        else:
            found[row["kind"], row["key"]] = row["version"]
    return found


def users(
    conn: Connection, kind: str, keys: str | Collection[str], *, past: bool = False
) -> list[tuple[str, str]]:
    """Return (kind, key) of all that was made from a product of a kind, or from any of many,
    directly or not, in order; these themselves are left out.

    With `past` also what only an older version of it used.
    """
    return _walked(conn, judging.PAST_USERS if past else judging.USERS, kind, keys)


def reached(conn: Connection, kind: str, keys: str | Collection[str]) -> list[tuple[str, str]]:
    """Return `users`, and (kind, key) of what could not be made from them: dead or skipped."""
    return _walked(conn, judging.REACHED, kind, keys)


def _walked(
    conn: Connection, query: TextClause, kind: str, keys: str | Collection[str]
) -> list[tuple[str, str]]:
    chosen = [keys] if isinstance(keys, str) else keys
    with followed_by_index(conn), in_written_order(conn):
        found = {(row["kind"], row["key"]) for row in ask(conn, query, chosen, kind=kind)}
    return sorted(found.difference((kind, key) for key in chosen))


def retire(conn: Connection, product_id: int, reason: str) -> None:
    """Take a current version out of service without a successor."""
    table = schema.product
    row = conn.execute(table.select().where(table.c.id == product_id)).mappings().one()
    conn.execute(
        table.update().where(table.c.id == product_id).values(state="invalid", is_current=False)
    )
    kind, key = row["kind"], row["key"]
    detail = f"version {row['version']}: {reason}"
    events.record(conn, "retired", kind=kind, key=key, detail=detail)


def invalidate(conn: Connection, product_id: int) -> None:
    """Mark a version invalid that another has replaced."""
    table = schema.product
    conn.execute(table.update().where(table.c.id == product_id).values(state="invalid"))


def set_dropped(conn: Connection, product_id: int, at_mjd: float) -> None:
    """Note that the main file of a version was removed on purpose and can be made again."""
    table = schema.product
    conn.execute(table.update().where(table.c.id == product_id).values(dropped_mjd=at_mjd))


def set_restored(conn: Connection, product_id: int, path: str, checksum: str, size: int) -> None:
    """Note that the main file is there again. Its bytes may differ from those before, in the dates
    of its header; the data do not."""
    table = schema.product
    files = json.loads(by_id(conn, product_id)["files_json"])
    now = [[path, checksum, size] if file[0] == path else file for file in files]
    conn.execute(
        table.update()
        .where(table.c.id == product_id)
        .values(dropped_mjd=None, checksum=checksum, files_json=json.dumps(now))
    )


def set_stale(conn: Connection, product_id: int, why: str) -> None:
    """Note that a newer choice of inputs exists ('' takes the note back)."""
    table = schema.product
    conn.execute(
        table.update().where(table.c.id == product_id, table.c.stale != why).values(stale=why)
    )


MEASURED = tuple(
    name
    for name in schema.quality.c.keys()  # noqa: SIM118 - columns, not a table's rows
    if name not in ("product_id", "passed", "reason", "metrics_json", "seconds", "peak_memory_mb")
)
"""Columns of their own among what is measured: asked for often, sorted by, limited."""


def add_quality(
    conn: Connection,
    product_id: int,
    metrics: Mapping[str, Any],
    *,
    rejections: Iterable[str] = (),
    seconds: float | None = None,
    peak_memory_mb: float | None = None,
) -> None:
    """Store what was measured on a version; it passes if nothing rejected it.

    Metrics that are called as a column go there, and all of them into `metrics_json`.
    """
    reasons = tuple(rejections)
    typed = {name: _number(metrics[name]) for name in MEASURED if name in metrics}
    row = {
        "product_id": product_id,
        "passed": not reasons,
        "reason": "; ".join(reasons),
        "metrics_json": json.dumps(dict(metrics), sort_keys=True, default=float),
        "seconds": seconds,
        "peak_memory_mb": peak_memory_mb,
        **typed,
    }
    conn.execute(schema.quality.insert(), row)


def _number(value: Any) -> float | None:
    """NaN and infinity are NULL: no number was measured."""
    if value is None:
        return None
    number = float(value)
    return number if math.isfinite(number) else None


def quality_of(conn: Connection, product_id: int) -> dict[str, Any] | None:
    """Return what was measured on a version, or None."""
    table = schema.quality
    row = conn.execute(table.select().where(table.c.product_id == product_id)).mappings().first()
    return None if row is None else dict(row)


def metrics_of(conn: Connection, ids: Collection[int]) -> dict[int, dict[str, Any]]:
    """Return what was measured on versions, by their ids; of others nothing was."""
    rows = ask(conn, queries.METRICS_OF, ids)
    return {row["product_id"]: json.loads(row["metrics_json"]) for row in rows}


def is_any(conn: Connection) -> bool:
    """Whether there is any product, raw frames included."""
    return conn.execute(schema.product.select().limit(1)).first() is not None


def is_there(conn: Connection, kind: str, key: str, version: int) -> bool:
    """Whether a version was committed."""
    wanted = {"kind": kind, "key": key, "version": version}
    return conn.execute(queries.VERSION, wanted).first() is not None


def is_made_by(conn: Connection, attempt_id: int) -> bool:
    """Whether an attempt's product was committed."""
    table = schema.product
    return conn.execute(table.select().where(table.c.attempt_id == attempt_id)).first() is not None
