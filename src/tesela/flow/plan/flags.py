"""Verdicts and their consequences: what would be remade, then having it remade."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy.engine import Connection

from tesela.errors import LedgerError, NotFound
from tesela.flow.plan import tile_products
from tesela.flow.plan.downstream import PLANNED, first_products
from tesela.flow.plan.rules import Rules
from tesela.ledger import frames, products, tasks, verdicts
from tesela.ledger.keys import coadd_key

Target = tuple[str, str]
"""(kind, key) of a product."""

FLAGGABLE = ("raw", "master", "detrended", "reduced", "coadd")


@dataclass(frozen=True)
class Consequences:
    """What a verdict, or its withdrawal, makes due."""

    targets: tuple[Target, ...]
    """Products that are made again (or retired, if nothing is left to make them from)."""
    looked_at: tuple[Target, ...] = ()
    """Keys the planner looks at besides, without work expected."""


def of_flag(conn: Connection, rules: Rules, kind: str, key: str) -> Consequences:
    """Say what condemning (kind, key) makes due: all current products that used it."""
    _check(conn, kind, key)
    users = _planned(products.users(conn, kind, key))
    # What failed with it may succeed without it.
    targets = tuple(dict.fromkeys(users + tuple(tasks.failed_users(conn, kind, key))))
    if kind != "raw":
        return Consequences(((kind, key), *(t for t in targets if t != (kind, key))))
    frame = frames.get(conn, key)
    own = tuple(first_products(rules, frame))
    if frame["obstype"] != "science":
        return Consequences(targets, tuple(t for t in own if t not in targets))
    # A flagged frame's own images stay: they are only used no more.
    return Consequences(tuple(t for t in targets if t not in own), own)


def of_unflag(conn: Connection, rules: Rules, kind: str, key: str) -> Consequences:
    """Say what taking a verdict back makes due: also where the frame was never used yet."""
    _check(conn, kind, key)
    if kind != "raw":
        return Consequences(((kind, key), *_planned(products.users(conn, kind, key, past=True))))
    frame = frames.get(conn, key)
    if frame["obstype"] != "science":
        own = tuple(first_products(rules, frame))
        past = [pair for _, key in own for pair in products.users(conn, "master", key, past=True)]
        return Consequences((*own, *_planned(past)))
    tiles = frames.tiles_of(conn, frame["product_id"])
    bands = tuple(
        (made, coadd_key(tile, frame["band"])) for made in ("coadd", "catalogue") for tile in tiles
    )
    whole = tuple((made, tile) for made in tile_products.KINDS for tile in tiles)
    looked_at = first_products(rules, frame)
    return Consequences((*bands, *whole), tuple(looked_at))


def flag(
    conn: Connection,
    rules: Rules,
    kind: str,
    key: str,
    *,
    reason: str,
    who: str,
    comment: str = "",
) -> Consequences:
    """Condemn (kind, key) and mark what used it, in the caller's transaction."""
    found = of_flag(conn, rules, kind, key)
    verdicts.set_bad(conn, kind, key, reason=reason, comment=comment, who=who)
    _mark(conn, found, f"{kind} {key} flagged: {reason}")
    return found


def unflag(conn: Connection, rules: Rules, kind: str, key: str, *, who: str) -> Consequences:
    """Take a verdict back and mark what may use the product again."""
    found = of_unflag(conn, rules, kind, key)
    verdicts.withdraw(conn, kind, key, who=who)
    _mark(conn, found, f"{kind} {key} unflagged")
    return found


def _mark(conn: Connection, found: Consequences, why: str) -> None:
    tasks.mark_dirty(conn, found.targets, why, fresh=True)
    tasks.mark_dirty(conn, found.looked_at, why)


def _planned(pairs: list[Target]) -> tuple[Target, ...]:
    return tuple(pair for pair in pairs if pair[0] in PLANNED)


def _check(conn: Connection, kind: str, key: str) -> None:
    if kind not in FLAGGABLE:
        raise LedgerError(kind, found="no such kind", expected=", ".join(FLAGGABLE))
    if kind == "raw":
        frames.get(conn, key)
    elif products.next_version(conn, kind, key) == 1:
        raise NotFound(f"{kind} {key}", found="no version of it", do="check the key")
