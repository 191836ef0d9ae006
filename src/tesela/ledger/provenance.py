"""What made each version: environments and settings, each kept once."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from sqlalchemy.engine import Connection

from tesela.ledger import schema
from tesela.ledger.insert import insert_once
from tesela.products.environment import Environment, environment_now, hash_of

__all__ = [
    "Environment",
    "differences",
    "environment_now",
    "environment_of",
    "flattened",
    "put_environment",
    "put_settings",
    "settings_of",
]


def put_environment(conn: Connection, versions: Mapping[str, str]) -> str:
    """Keep the versions of an environment, if they are new; returns its hash, '' for none."""
    if not versions:
        return ""
    digest = hash_of(versions)
    _put(conn, schema.environment, digest, versions)
    return digest


def put_settings(conn: Connection, digest: str, settings: Mapping[str, Any]) -> None:
    """Keep the settings that a fingerprint is of, if they are new."""
    if digest:
        _put(conn, schema.settings, digest, settings)


def environment_of(conn: Connection, digest: str) -> dict[str, str] | None:
    """Return the versions of an environment, None if they were never kept."""
    return _content(conn, schema.environment, digest)


def settings_of(conn: Connection, digest: str) -> dict[str, Any] | None:
    """Return the settings that a fingerprint is of, None if they were never kept."""
    return _content(conn, schema.settings, digest)


def _put(conn: Connection, table: Any, digest: str, content: Mapping[str, Any]) -> None:
    # What this connection once found is there for good; a new database has a new connection.
    found = conn.info.setdefault(f"tesela {table.name}", set())
    if digest in found:
        return
    if conn.execute(table.select().where(table.c.hash == digest)).first() is None:
        text = json.dumps(dict(content), sort_keys=True)
        insert_once(conn, table, {"hash": digest, "content_json": text}, ["hash"])
    else:
        found.add(digest)


def _content(conn: Connection, table: Any, digest: str) -> dict[str, Any] | None:
    row = conn.execute(table.select().where(table.c.hash == digest)).first()
    return None if row is None else dict(json.loads(row.content_json))


def differences(
    conn: Connection, row: Mapping[str, Any], before: Mapping[str, Any] | None
) -> list[str]:
    """Say in what the making of a version differs from that of the one before: code, settings and
    environment. Rows are those of products; nothing is said of what was not recorded."""
    if before is None:
        return []
    said = []
    if row["code_version"] != before["code_version"]:
        said.append(f"code {row['code_version'] or '-'}, was {before['code_version'] or '-'}")
    for what, read in (("settings_hash", settings_of), ("environment", environment_of)):
        now, then = row[what], before[what]
        if now == then or not now or not then:
            continue
        said += _changed(what.partition("_")[0], read(conn, now), read(conn, then), (now, then))
    return said


def _changed(
    what: str,
    now: Mapping[str, Any] | None,
    then: Mapping[str, Any] | None,
    hashes: tuple[str, str],
) -> Iterator[str]:
    if now is None or then is None:
        yield f"{what} {hashes[0]}, was {hashes[1]}"
        return
    ours, theirs = dict(flattened(now)), dict(flattened(then))
    for name in sorted(ours.keys() | theirs.keys()):
        one, other = (_word(table, name) for table in (ours, theirs))
        if one != other:
            yield f"{what} {name} = {one}, was {other}"


def _word(table: Mapping[str, Any], name: str) -> str:
    return json.dumps(table[name]) if name in table else "not set"


def flattened(table: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, Any]]:
    """Settings as pairs of a dotted name and a value; lists count as values."""
    for name, value in table.items():
        if isinstance(value, Mapping) and value:
            yield from flattened(value, f"{above}{name}.")
        else:
            yield f"{above}{name}", value
