"""Whom a change concerns: the keys to look at again, marked in the same transaction."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy.engine import Connection

from tesela.flow.plan import tile_products
from tesela.flow.plan.rules import Rules
from tesela.ledger import frames, masters, products, queries, schema, tasks
from tesela.ledger.clock import SECONDS_A_DAY, now_mjd
from tesela.ledger.keys import Configuration, MasterKey, coadd_key, split_coadd_key

PLANNED = ("master", "reduced", "coadd", "catalogue", "dual", "zeropoints", "valueadded", "science")
"""Kinds that the planner makes; a calset or a raw frame is never due."""

_FOLLOWERS = {
    "dual": ("valueadded", "science"),
    "zeropoints": ("valueadded", "science"),
    "valueadded": ("science",),
}
"""What is made from the products of a tile."""


def frame_arrived(conn: Connection, name: str) -> None:
    """A raw frame was taken in."""
    targets = first_products(frames.get(conn, name))
    why = "frame ingested" if ("reduced", name) in targets else f"frame {name} ingested"
    tasks.mark_dirty(conn, targets, why)


def first_products(frame: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return (kind, key) of what a frame is first made into; of a dark nothing is made yet."""
    if frame["obstype"] == "science":
        return [("reduced", frame["name"])]
    if frame["obstype"] not in ("bias", "flat"):
        return []
    configuration = Configuration(*frame["configuration"].split("."))
    return [("master", str(MasterKey(frame["obstype"].upper(), configuration, frame["night"])))]


def refcat_arrived(conn: Connection, name: str) -> None:
    """A version of a reference catalogue was added: the waiting go on, the made are stale."""
    why = f"reference catalogue {name} added"
    conn.execute(queries.WAKE_KIND, {"kind": "reduced", "why": why, "not_before": 0.0})
    conn.execute(queries.WAKE_KIND, {"kind": "zeropoints", "why": why, "not_before": 0.0})
    direct = ("reduced", "zeropoints")
    users = [pair for pair in products.users(conn, "refcat", name) if pair[0] in direct]
    tasks.mark_dirty(conn, users, why)


def reduced_changed(conn: Connection, rules: Rules, name: str, tiles_before: list[str]) -> None:
    """A reduced image was made, skipped or retired: its coadds, old tiles and new."""
    frame = frames.get(conn, name)
    tiles = sorted({*tiles_before, *frames.tiles_of(conn, frame["product_id"])})
    targets = [("coadd", coadd_key(tile, frame["band"])) for tile in tiles]
    quiet_until = now_mjd() + rules.quiet_s / SECONDS_A_DAY if rules.quiet_s else 0.0
    tasks.mark_dirty(conn, targets, f"reduced image {name}", not_before=quiet_until)


def master_certified(conn: Connection, rules: Rules, key: MasterKey) -> None:
    """A master may be used: those that wait, and those that may have chosen it."""
    family = str(key.configuration.for_kind("BIAS"))
    tasks.wake_family(conn, family, f"master {key} certified", pending_only=False)
    interval = rules.validity(key)
    reach = rules.fallback_days(key.master_kind)
    own = key.configuration
    # A bias concerns the frames of its CCD in every filter.
    prefix = f"{own.telescope}.{own.camera}.{own.ccd}" if key.master_kind == "BIAS" else ""
    wanted = {
        "configuration": str(own),
        "low": prefix + ".",
        "high": prefix + "/" if prefix else "",
        "begin": interval.begin - reach,
        "end": interval.end + reach,
    }
    users = [("reduced", row.name) for row in conn.execute(queries.REDUCED_NEAR, wanted)]
    tasks.mark_dirty(conn, users, f"master {key} certified")


def awaited(conn: Connection, key: str) -> None:
    """A master that had been given up may come after all: those that wait look again."""
    family = str(MasterKey.parse(key).configuration.for_kind("BIAS"))
    tasks.wake_family(conn, family, f"master {key} is tried again", pending_only=False)


def settled(conn: Connection, kind: str, key: str) -> None:
    """A key ended without a new version: whoever waited for it looks again."""
    why = f"{kind} {key} is settled"
    if kind == "master":
        family = str(MasterKey.parse(key).configuration.for_kind("BIAS"))
        tasks.wake_family(conn, family, why, pending_only=True)
    elif kind == "reduced":
        frame = frames.get(conn, key)
        for tile in frames.tiles_of(conn, frame["product_id"]):
            tasks.wake(conn, "coadd", coadd_key(tile, frame["band"]), why)
    elif kind == "coadd":
        tasks.wake(conn, "catalogue", key, why)
    elif kind == "catalogue":
        tile, _ = split_coadd_key(key)
        for follower in ("dual", "zeropoints", "science"):
            tasks.wake(conn, follower, tile, why)
    else:
        for follower in _FOLLOWERS.get(kind, ()):
            tasks.wake(conn, follower, key, why)


def made(conn: Connection, rules: Rules, kind: str, key: str, tiles_before: list[str]) -> None:
    """A new version was committed."""
    if kind == "master":
        row = products.current(conn, "master", key)
        if row is not None and masters.get(conn, row["id"])["state"] == "certified":
            master_certified(conn, rules, MasterKey.parse(key))
    elif kind == "reduced":
        reduced_changed(conn, rules, key, tiles_before)
    elif kind == "coadd":
        tasks.mark_dirty(conn, [("catalogue", key)], f"coadd {key} made")
    elif kind == "catalogue":
        tile, _ = split_coadd_key(key)
        targets = [("dual", tile), ("zeropoints", tile)]
        tasks.mark_dirty(conn, targets, f"catalogue {key} made")
    elif kind in _FOLLOWERS:
        tasks.mark_dirty(conn, [(k, key) for k in _FOLLOWERS[kind]], f"{kind} {key} made")
    settled(conn, kind, key)


def retired(conn: Connection, rules: Rules, kind: str, key: str, reason: str) -> None:
    """A current version was taken out of service: all that used it is due at once."""
    users = [pair for pair in products.users(conn, kind, key) if pair[0] in PLANNED]
    tasks.mark_dirty(conn, users, f"{kind} {key} retired: {reason}", fresh=True)
    if kind == "reduced":
        reduced_changed(conn, rules, key, [])


def everything(conn: Connection, why: str, *, fresh: bool = False) -> int:
    """Mark every key that is known: what a check of the whole site does; returns how many."""
    targets: set[tuple[str, str]] = set()
    for row in conn.execute(queries.EVERY_FRAME).mappings():
        targets.update(first_products(dict(row)))
    table = schema.frame_tile
    for tile in conn.execute(table.select().with_only_columns(table.c.tile, table.c.band)):
        targets |= {(kind, coadd_key(tile.tile, tile.band)) for kind in ("coadd", "catalogue")}
        targets |= {(kind, tile.tile) for kind in tile_products.KINDS}
    tasks.mark_dirty(conn, sorted(targets), why, fresh=fresh)
    return len(targets)
