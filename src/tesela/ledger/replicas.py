"""Copies of our products at other sites: which there are, which are owed, what they allow."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from sqlalchemy.engine import Connection

from tesela.ledger import events, schema
from tesela.ledger.clock import now_mjd
from tesela.ledger.products import File
from tesela.ledger.queries import sites as queries

_CHUNK = 500
"""Keys or ids of one question."""
WINDOW = 20_000
"""Ids that one question goes through."""


def unsent(
    conn: Connection, site: str, kinds: Sequence[str], after: int = 0
) -> Iterator[dict[str, Any]]:
    """Yield current products of some kinds without a verified copy at a site, by rising id."""
    if not kinds:
        return
    for low, high in windows(after, last_id(conn)):
        wanted = {"site": site, "kinds": list(kinds), "after": low, "upto": high}
        yield from map(dict, conn.execute(queries.UNSENT, wanted).mappings().all())


def windows(after: int, last: int) -> Iterator[tuple[int, int]]:
    """Yield windows of ids, (after, up to), that cover all up to the last."""
    for low in range(after, last, WINDOW):
        yield low, min(low + WINDOW, last)


def sendable(conn: Connection, ids: Sequence[int]) -> list[dict[str, Any]]:
    """Return those of some products that are current and have files, as `unsent` gives them."""
    return [
        dict(row)
        for chunk in _chunks(ids)
        for row in conn.execute(queries.SENDABLE, {"ids": chunk}).mappings()
    ]


def old(
    conn: Connection, site: str, kinds: Sequence[str], before_mjd: float, limit: int
) -> list[dict[str, Any]]:
    """Return products whose copies at a site were last verified before an instant, oldest first."""
    if not kinds:
        return []
    wanted = {"site": site, "kinds": list(kinds), "before": before_mjd, "limit": limit}
    return [dict(row) for row in conn.execute(queries.OLD_REPLICAS, wanted).mappings()]


def last_id(conn: Connection) -> int:
    """Return the highest id that a product has."""
    return int(conn.scalar(queries.LAST_ID) or 0)


def by_name(
    conn: Connection, names: Iterable[tuple[str, str, int]]
) -> dict[tuple[str, str, int], dict[str, Any]]:
    """Return rows of products by (kind, key, version); those we do not know are left out."""
    keys: dict[str, set[str]] = {}
    wanted = set(names)
    for kind, key, _ in wanted:
        keys.setdefault(kind, set()).add(key)
    found = {}
    for kind, its_keys in keys.items():
        for chunk in _chunks(sorted(its_keys)):
            asked = {"kind": kind, "keys": chunk}
            for row in conn.execute(queries.VERSIONS_OF_KEYS, asked).mappings():
                name = (kind, row["key"], row["version"])
                if name in wanted:
                    found[name] = dict(row)
    return found


def put(conn: Connection, rows: Sequence[Mapping[str, Any]]) -> None:
    """Note verified copies; an older verification changes nothing.

    Each row has product_id, site, checksum, verified_mjd, shipment and path.
    """
    if rows:
        conn.execute(queries.PUT_REPLICA, list(rows))


def remove(conn: Connection, product_id: int, site: str) -> None:
    """Forget a copy that turned out to be gone or damaged."""
    table = schema.replica
    conn.execute(table.delete().where(table.c.product_id == product_id, table.c.site == site))


def of_product(conn: Connection, product_id: int) -> list[dict[str, Any]]:
    """Return site, checksum, verified_mjd and path of every copy, the freshest first."""
    asked = {"product_id": product_id}
    return [dict(row) for row in conn.execute(queries.REPLICAS_OF_PRODUCT, asked).mappings()]


def of_key(conn: Connection, key: str) -> list[dict[str, Any]]:
    """Return kind, version, site, verified_mjd of the copies of everything called `key`.

    `is_ours` says whether a copy is what we have.
    """
    rows = conn.execute(queries.REPLICAS_OF_KEY, {"key": key}).mappings()
    return [{**row, "is_ours": bool(row["is_ours"])} for row in rows]


def freeable(
    conn: Connection,
    own: str,
    window: tuple[int, int],
    *,
    before_mjd: float,
    fresh_mjd: float,
    copies: int,
) -> list[dict[str, Any]]:
    """Return raw frames of a window of ids (id, key, path, checksum, copies), taken in before an
    instant, of which at least `copies` other sites verified the very content since `fresh_mjd`."""
    asked = {
        "own": own, "before": before_mjd, "fresh": fresh_mjd, "copies": copies,
        "after": window[0], "upto": window[1],
    }  # fmt: skip
    return [dict(row) for row in conn.execute(queries.FREEABLE, asked).mappings()]


def drop(
    conn: Connection, row: Mapping[str, Any], own: str, *, fresh_mjd: float, copies: int, who: str
) -> bool:
    """Say that the file of a raw frame goes, if there are still copies enough; whether it may."""
    asked = {
        "id": row["id"], "checksum": row["checksum"], "own": own, "fresh": fresh_mjd,
        "copies": copies, "now": now_mjd(),
    }  # fmt: skip
    if not conn.execute(queries.DROP, asked).rowcount:
        return False
    sites = ", ".join(sorted(one["site"] for one in of_product(conn, row["id"])))
    detail = f"{row['path']} removed; verified copies at {sites}"
    events.record(conn, "freed", kind="raw", key=row["key"], detail=detail, who=who)
    return True


def kept_after_all(conn: Connection, row: Mapping[str, Any], reason: str) -> None:
    """Take `drop` back: the file could not be removed."""
    conn.execute(queries.KEPT_AFTER_ALL, {"id": row["id"]})
    events.record(conn, "not freed", kind="raw", key=row["key"], detail=reason)


def files_of(row: Mapping[str, Any]) -> list[File]:
    """Every file of a product, the main one first: path, sha256 ('' where none was noted), bytes
    (0 where they were not counted)."""
    files: list[File] = [
        (path, sha256, size) for path, sha256, size in json.loads(row["files_json"])
    ]
    if not row["path"] or any(path == row["path"] for path, _, _ in files):
        return sorted(files, key=lambda file: file[0] != row["path"])
    return [(row["path"], row["checksum"], 0), *files]


def every(
    conn: Connection,
    window: tuple[int, int],
    *,
    kinds: Sequence[str] = (),
    since_mjd: float = 0.0,
) -> list[dict[str, Any]]:
    """Return the products of a window of ids, of all versions: id, kind, key, version, path,
    checksum, files_json, made_mjd, dropped_mjd, by rising id."""
    asked: dict[str, Any] = {"after": window[0], "upto": window[1], "since": since_mjd}
    query = queries.EVERY_FILE
    if kinds:
        query, asked["kinds"] = queries.FILES_OF_KINDS, list(kinds)
    return [dict(row) for row in conn.execute(query, asked).mappings()]


def count(conn: Connection, kinds: Sequence[str] = ()) -> int:
    """Return how many products of some kinds there are, of all versions."""
    if kinds:
        return int(conn.scalar(queries.COUNT_OF_KINDS, {"kinds": list(kinds)}) or 0)
    return int(conn.scalar(queries.COUNT_EVERY) or 0)


def ids_with_files(
    conn: Connection,
    window: tuple[int, int],
    *,
    kinds: Sequence[str] = (),
    since_mjd: float = 0.0,
) -> list[int]:
    """Return the ids of a window of products whose files should be here, rising."""
    asked: dict[str, Any] = {"after": window[0], "upto": window[1], "since": since_mjd}
    query = queries.IDS_WITH_FILES
    if kinds:
        query, asked["kinds"] = queries.IDS_OF_KINDS, list(kinds)
    return [row.id for row in conn.execute(query, asked)]


def of_ids(conn: Connection, ids: Sequence[int]) -> list[dict[str, Any]]:
    """Return products by their ids, as `every` gives them."""
    return [dict(row) for row in conn.execute(queries.FILES_OF_IDS, {"ids": list(ids)}).mappings()]


def _chunks(items: Sequence[Any]) -> Iterator[list[Any]]:
    for begin in range(0, len(items), _CHUNK):
        yield list(items[begin : begin + _CHUNK])
