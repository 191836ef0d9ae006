"""Verdicts and their consequences: what would be remade, then having it remade."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from sqlalchemy.engine import Connection

from tesela.errors import LedgerError, NotFound
from tesela.flow.plan import tile_products
from tesela.flow.plan.downstream import PLANNED, first_products
from tesela.flow.plan.rules import Rules
from tesela.ledger import exposures, frames, products, tasks, verdicts
from tesela.ledger.keys import coadd_key

Target = tuple[str, str]
"""(kind, key) of a product."""

FLAGGABLE = ("raw", "exposure", "master", "detrended", "reduced", "coadd")


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
    if kind == exposures.KIND:
        sound = [row["name"] for row in _frames_of(conn, key) if not row["flagged"]]
        return _together(of_flag(conn, rules, "raw", name) for name in sound)
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
    if kind == exposures.KIND:
        names = _flagged_with(conn, key)
        return _together(of_unflag(conn, rules, "raw", name) for name in names)
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
    """Condemn (kind, key) and mark what used it, in the caller's transaction.

    An exposure is condemned with all its frames, also those that are still to come; a frame that
    was flagged before keeps its own verdict.
    """
    found = of_flag(conn, rules, kind, key)
    bad = [(kind, key)]
    if kind == exposures.KIND:
        sound = [row["name"] for row in _frames_of(conn, key) if not row["flagged"]]
        bad = [(kind, exposures.get(conn, key)["key"]), *(("raw", name) for name in sound)]
    for one in bad:
        verdicts.set_bad(conn, *one, reason=reason, comment=comment, who=who)
    _mark(conn, found, f"{kind} {key} flagged: {reason}")
    return found


def unflag(conn: Connection, rules: Rules, kind: str, key: str, *, who: str) -> Consequences:
    """Take a verdict back and mark what may use the product again.

    With that of an exposure go those of its frames that came from it.
    """
    found = of_unflag(conn, rules, kind, key)
    good = [(kind, key)]
    if kind == exposures.KIND:
        frames_of = _flagged_with(conn, key)
        good = [(kind, exposures.get(conn, key)["key"]), *(("raw", name) for name in frames_of)]
    for one in good:
        verdicts.withdraw(conn, *one, who=who)
        if one[0] == "raw":
            _check_place(conn, one[1])
    _mark(conn, found, f"{kind} {key} unflagged")
    return found


def _frames_of(conn: Connection, exposure: str) -> list[dict[str, Any]]:
    return exposures.frames_of(conn, exposures.get(conn, exposure)["id"])


def _flagged_with(conn: Connection, exposure: str) -> list[str]:
    """Frames whose verdict came from that of their exposure: of one person, not earlier."""
    judged = verdicts.standing(conn, exposures.KIND, exposures.get(conn, exposure)["key"])
    if judged is None:
        return []
    found = []
    for row in _frames_of(conn, exposure):
        own = verdicts.standing(conn, "raw", row["name"])
        same = own is not None and all(own[name] == judged[name] for name in ("who", "reason"))
        if own is not None and same and own["set_mjd"] >= judged["set_mjd"]:
            found.append(row["name"])
    return found


def _check_place(conn: Connection, name: str) -> None:
    """Refuse to use a frame again whose place in the exposure another one has taken."""
    frame = frames.get(conn, name)
    here = exposures.frames_of(conn, frame["exposure_id"])
    sound = [row["name"] for row in here if row["ccd"] == frame["ccd"] and not row["flagged"]]
    if len(sound) > 1:
        other = next(one for one in sound if one != name)
        raise LedgerError(
            name,
            found=f"CCD {frame['ccd']} of its exposure is there as {other}",
            expected="one frame a CCD",
            do=f"flag {other} first, if {name} is the right one",
        )


def _together(parts: Iterable[Consequences]) -> Consequences:
    """What several verdicts make due at once."""
    found = list(parts)
    targets = tuple(dict.fromkeys(target for one in found for target in one.targets))
    looked_at = dict.fromkeys(target for one in found for target in one.looked_at)
    return Consequences(targets, tuple(t for t in looked_at if t not in targets))


def _mark(conn: Connection, found: Consequences, why: str) -> None:
    tasks.mark_dirty(conn, found.targets, why, fresh=True)
    tasks.mark_dirty(conn, found.looked_at, why)


def _planned(pairs: list[Target]) -> tuple[Target, ...]:
    return tuple(pair for pair in pairs if pair[0] in PLANNED)


def _check(conn: Connection, kind: str, key: str) -> None:
    if kind not in FLAGGABLE:
        raise LedgerError(kind, found="no such kind", expected=", ".join(FLAGGABLE))
    if kind == "raw":
        if frames.by_name(conn, key) is None and exposures.find(conn, key) is not None:
            raise NotFound(
                key, found="an exposure", expected="a frame", do="flag it with --kind exposure"
            )
        frames.get(conn, key)
    elif kind == exposures.KIND:
        exposures.get(conn, key)
    elif products.next_version(conn, kind, key) == 1:
        raise NotFound(f"{kind} {key}", found="no version of it", do="check the key")
