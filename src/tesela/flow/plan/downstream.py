"""Whom a change concerns: the keys to look at again, marked in the same transaction."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy.engine import Connection

from tesela.flow.plan import master_images, tile_products
from tesela.flow.plan.rules import PROFILE_OF, Rules
from tesela.ledger import frames, masters, products, queries, schema, tasks
from tesela.ledger.clock import SECONDS_A_DAY, now_mjd
from tesela.ledger.keys import Configuration, MasterKey, coadd_key, split_coadd_key
from tesela.ledger.parts import in_written_order
from tesela.products.frame import FrameFacts, night_of
from tesela.products.masterkind import KINDS, MASTERS, RAW

PLANNED = (
    "master", "detrended", "reduced", "coadd", "catalogue", "dual", "zeropoints", "valueadded",
    "science",
)  # fmt: skip
"""Kinds that the planner makes; a calset or a raw frame is never due."""

_TONIGHT_DAYS = 1.5
"""A frame taken within them is of tonight, or of the night that just ended."""

_FOLLOWERS = {
    "dual": ("valueadded", "science"),
    "zeropoints": ("valueadded", "science"),
    "valueadded": ("science",),
}
"""What is made from the products of a tile."""


def frame_arrived(conn: Connection, rules: Rules, facts: FrameFacts) -> None:
    """A raw frame was taken in: its image at once, its masters when no more of them come."""
    name, configuration = facts.name, str(frames.configuration_of(facts))
    frame = {**facts.as_dict(), "configuration": configuration}
    targets = first_products(rules, frame)
    why = "frame ingested" if ("reduced", name) in targets else f"frame {name} ingested"
    fresh = now_mjd() - frame["mjd_start"] < _TONIGHT_DAYS
    priority = tasks.TONIGHT if fresh else tasks.BULK
    images = [target for target in targets if target[0] != "master"]
    tasks.mark_dirty(conn, images, why, priority=priority)
    rest = [target for target in targets if target[0] == "master"]
    tasks.mark_dirty(conn, rest, why, priority=priority, not_before=quiet_until(rules))


def quiet_until(rules: Rules) -> float:
    """Return the end (MJD) of a quiet period that begins now; 0 where there is none."""
    return now_mjd() + rules.quiet_s / SECONDS_A_DAY if rules.quiet_s else 0.0


def first_products(rules: Rules, frame: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return (kind, key) of what a frame is first made into: its images and masters."""
    configuration = Configuration(*frame["configuration"].split("."))
    night = frame["night"]
    made = [
        kind.name
        for kind in KINDS.values()
        if kind.source == RAW
        and kind.obstype == frame["obstype"]
        and (not kind.flat_kinds or frame["flat_kind"] in kind.flat_kinds)
        and rules.is_made(kind.name, configuration)
    ]
    keys = [master_key(rules, name, configuration, night) for name in made]
    targets = [("master", str(key)) for key in keys]
    if frame["obstype"] != "science":
        return targets
    built = master_images.built_from(rules, configuration, night, frame["object"])
    if built:
        targets += [("detrended", frame["name"]), *(("master", str(key)) for key in built)]
    return [("reduced", frame["name"]), *targets]


def master_key(
    rules: Rules, master_kind: str, configuration: Configuration, night: str
) -> MasterKey:
    """Return the key of the master of a kind that frames of a night go into."""
    own = configuration.for_kind(master_kind)
    return MasterKey(master_kind, own, rules.calendar.period(master_kind, own.camera, night).first)


def refcat_arrived(conn: Connection, name: str) -> None:
    """A version of a reference catalogue was added: the waiting go on, the made are stale."""
    why = f"reference catalogue {name} added"
    direct = ("detrended", "reduced", "zeropoints")
    for kind in direct:
        conn.execute(queries.WAKE_KIND, {"kind": kind, "why": why, "not_before": 0.0})
    users = [pair for pair in products.users(conn, "refcat", name) if pair[0] in direct]
    tasks.mark_dirty(conn, users, why)


@dataclass(frozen=True)
class Touched:
    """The tiles of the image of a frame."""

    band: str
    now: tuple[str, ...]
    before: tuple[str, ...] = ()
    """Those of the version before, or of the pointing."""

    @property
    def coadds(self) -> list[tuple[str, str]]:
        """What it goes into."""
        return [("coadd", coadd_key(tile, self.band)) for tile in self.now]


def touched(conn: Connection, name: str) -> Touched:
    """Return the tiles of a frame as they are known."""
    frame = frames.get(conn, name)
    return Touched(frame["band"], tuple(frames.tiles_of(conn, frame["product_id"])))


def reduced_changed(conn: Connection, rules: Rules, name: str, where: Touched) -> None:
    """A reduced image was made, skipped or retired: its coadds, old tiles and new."""
    tiles = sorted({*where.before, *where.now})
    targets = [("coadd", coadd_key(tile, where.band)) for tile in tiles]
    why = f"reduced image {name}"
    planned = frames.planned(conn, tiles, where.band) if rules.quiet_s else {}
    later = tasks.Mark(why, not_before=quiet_until(rules))
    at_once = tasks.Mark(f"{why}: the tile is complete")
    marks = {
        target: at_once
        if rules.quiet_s and _is_complete(conn, rules, tile, where.band, planned.get(tile, 0))
        else later
        for target, tile in zip(targets, tiles)
    }
    tasks.mark_each_dirty(conn, marks)


def _is_complete(conn: Connection, rules: Rules, tile: str, band: str, planned: int) -> bool:
    """Whether a tile has as many good frames of a band as are planned."""
    wanted = planned or rules.complete.get(band, 0)
    return wanted > 0 and frames.count_good(conn, tile, band) >= wanted


def master_certified(
    conn: Connection, rules: Rules, key: MasterKey, replaced: Iterable[int] = ()
) -> None:
    """A master may be used: those that wait, those that may choose it, and masters that were made
    with a version that it replaced."""
    why = f"master {key} certified"
    tasks.wake_family(conn, str(key.configuration.detector), why, pending_only=False)
    tasks.mark_dirty(conn, images_near(conn, rules, key), why)
    joined = [kind.name for kind in KINDS.values() if key.master_kind in kind.needs]
    for name in joined:
        if KINDS[name].source == MASTERS and rules.is_made(name, key.configuration.detector):
            into = master_key(rules, name, key.configuration.detector, key.night)
            tasks.mark_dirty(conn, [("master", str(into))], why)
    if any(True for _ in replaced):
        users = [pair for pair in products.users(conn, "master", str(key)) if pair[0] == "master"]
        tasks.mark_dirty(conn, users, f"master {key} has a later version")


def images_near(conn: Connection, rules: Rules, key: MasterKey) -> list[tuple[str, str]]:
    """Return (kind, key) of the images whose choice a master could change, by filter and time.

    Its own interval, and what lies between it and its certified neighbours, as far as a fallback
    reaches.
    """
    interval = rules.validity(key)
    reach = rules.fallback_days(key.master_kind)
    own = key.configuration
    before, after = masters.neighbours(conn, key, interval.begin)
    begin = interval.begin - reach if before is None else max(before, interval.begin - reach)
    end = interval.end + reach if after is None else min(after, interval.end + reach)
    longitude = rules.longitude_deg.get(own.camera, 0.0)
    # One that no filter concerns is for the frames of its CCD in every filter.
    prefix = f"{own.telescope}.{own.camera}.{own.ccd}"
    exact = KINDS[key.master_kind].is_per_filter
    wanted = {
        "low": str(own) if exact else f"{prefix}.",
        "high": str(own) if exact else f"{prefix}/",  # '/' follows '.'
        "first": night_of(begin, longitude),
        "last": night_of(end, longitude),
    }
    profiles = KINDS[key.master_kind].profiles
    kinds = {kind for kind, profile in PROFILE_OF.items() if profile in profiles}
    with in_written_order(conn):
        rows = conn.execute(queries.IMAGES_NEAR, wanted).all()
    return [(row.kind, row.name) for row in rows if row.kind in kinds]


def awaited(conn: Connection, key: str) -> None:
    """A master that had been given up may come after all: those that wait look again."""
    family = str(MasterKey.parse(key).configuration.detector)
    tasks.wake_family(conn, family, f"master {key} is tried again", pending_only=False)


def settled(
    conn: Connection, rules: Rules, kind: str, key: str, where: Touched | None = None
) -> None:
    """A key ended, with or without a new version: whoever waited for it looks again.

    `where` are the tiles of an image, if the caller knows them.
    """
    why = f"{kind} {key} is settled"
    if kind == "master":
        family = str(MasterKey.parse(key).configuration.detector)
        tasks.wake_family(conn, family, why, pending_only=True)
    elif kind == "detrended":
        tasks.wake(conn, _built_from(conn, rules, key), why)
    elif kind == "reduced":
        tasks.wake(conn, (where or touched(conn, key)).coadds, why)
    elif kind == "coadd":
        tasks.wake(conn, [("catalogue", key)], why)
    elif kind == "catalogue":
        tile, _ = split_coadd_key(key)
        tasks.wake(conn, [(k, tile) for k in ("dual", "zeropoints", "science")], why)
    else:
        tasks.wake(conn, [(k, key) for k in _FOLLOWERS.get(kind, ())], why)


def _built_from(conn: Connection, rules: Rules, name: str) -> list[tuple[str, str]]:
    """Masters that the detrended image of a frame may go into."""
    frame = frames.get(conn, name)
    own = Configuration(*frame["configuration"].split("."))
    keys = master_images.built_from(rules, own, frame["night"], frame["object"])
    return [("master", str(key)) for key in keys]


def made(conn: Connection, rules: Rules, kind: str, key: str, where: Touched | None = None) -> None:
    """A new version was committed; `where` are the tiles of an image, if the caller knows them."""
    if kind == "master":
        row = products.current(conn, "master", key)
        if row is not None and masters.get(conn, row["id"])["state"] == "certified":
            replaced = [row["id"]] if row["version"] > 1 else []
            master_certified(conn, rules, MasterKey.parse(key), replaced)
    elif kind == "detrended":
        why = f"detrended image of {key} made"
        tasks.mark_dirty(conn, _built_from(conn, rules, key), why, not_before=quiet_until(rules))
    elif kind == "reduced":
        where = where or touched(conn, key)
        reduced_changed(conn, rules, key, where)
    elif kind == "coadd":
        tasks.mark_dirty(conn, [("catalogue", key)], f"coadd {key} made")
    elif kind == "catalogue":
        tile, _ = split_coadd_key(key)
        targets = [("dual", tile), ("zeropoints", tile)]
        tasks.mark_dirty(conn, targets, f"catalogue {key} made")
    elif kind in _FOLLOWERS:
        tasks.mark_dirty(conn, [(k, key) for k in _FOLLOWERS[kind]], f"{kind} {key} made")
    settled(conn, rules, kind, key, where)


def retired(conn: Connection, rules: Rules, kind: str, key: str, reason: str) -> None:
    """A current version was taken out of service: all that used it is due at once."""
    why = f"{kind} {key} retired: {reason}"
    if kind == "master":  # images that were called stale for it are so no more
        tasks.mark_dirty(conn, images_near(conn, rules, MasterKey.parse(key)), why)
    users = [pair for pair in products.users(conn, kind, key) if pair[0] in PLANNED]
    tasks.mark_dirty(conn, users, why, fresh=True)
    if kind == "reduced":
        reduced_changed(conn, rules, key, touched(conn, key))


def everything(conn: Connection, rules: Rules, why: str, *, fresh: bool = False) -> int:
    """Mark every key that is known: what a check of the whole site does; returns how many."""
    targets: set[tuple[str, str]] = set()
    for row in conn.execute(queries.EVERY_FRAME).mappings():
        targets.update(first_products(rules, dict(row)))
    table = schema.frame_tile
    for tile in conn.execute(table.select().with_only_columns(table.c.tile, table.c.band)):
        targets |= {(kind, coadd_key(tile.tile, tile.band)) for kind in ("coadd", "catalogue")}
        targets |= {(kind, tile.tile) for kind in tile_products.KINDS}
    targets |= {("master", row["key"]) for row in masters.listed(conn)}
    tasks.mark_dirty(conn, sorted(targets), why, fresh=fresh)
    return len(targets)
