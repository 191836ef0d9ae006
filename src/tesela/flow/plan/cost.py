"""What it will cost to make products again: core time by step, from past attempts."""

from __future__ import annotations

import statistics
from collections.abc import Collection, Iterable, Mapping
from typing import Any

from sqlalchemy.engine import Connection

from tesela.flow.plan.forecast import Ahead, speeds
from tesela.flow.plan.rules import PROFILE_OF, STEPS
from tesela.flow.plan.tile_products import KINDS as OF_TILES
from tesela.ledger.keys import split_coadd_key
from tesela.ledger.parts import ask, followed_by_index
from tesela.ledger.queries import judging

Target = tuple[str, str]
"""(kind, key) of a product."""


def cost(
    conn: Connection, targets: Collection[Target], declared: Mapping[str, float]
) -> list[Ahead]:
    """Return the work of making targets, by step in the order of the data.

    Parameters
    ----------
    targets : collection of (kind, key)
        Kinds that the planner makes.
    declared : mapping
        Seconds a megapixel by step, where there are no past attempts.
    """
    by_kind: dict[str, list[str]] = {}
    for kind, key in targets:
        by_kind.setdefault(kind, []).append(key)
    speed = speeds(conn, declared) if by_kind else {}
    found = []
    for kind, step in STEPS.items():
        keys = by_kind.get(kind)
        if keys:
            megapixels = _megapixels(conn, kind, keys)
            seconds = megapixels * speed.get(step, declared.get(step, 1.0))
            found.append(Ahead(step, len(keys), megapixels, seconds))
    return found


def core_hours(work: Collection[Ahead]) -> float:
    """The sum, in core hours."""
    return sum(one.seconds for one in work) / 3600.0


def _megapixels(conn: Connection, kind: str, keys: Collection[str]) -> float:
    """Of all keys of a kind: as its task had it last, else from the frames behind it."""
    with followed_by_index(conn):
        known = _sizes(ask(conn, judging.SIZES_OF_TASKS, keys, kind=kind))
        missing = [key for key in keys if key not in known]
        if missing and kind in PROFILE_OF:
            known |= _sizes(ask(conn, judging.SIZES_OF_FRAMES, missing))
        elif missing and kind != "master":
            known |= _of_tiles(conn, kind, missing)
    usual = statistics.median(known.values()) if known else 1.0
    return sum(known.get(key, usual) for key in keys)


def _sizes(rows: Iterable[dict[str, Any]]) -> dict[str, float]:
    return {row["key"]: float(row["megapixels"]) for row in rows}


def _of_tiles(conn: Connection, kind: str, keys: Collection[str]) -> dict[str, float]:
    """Of tiles that nothing was made of yet: the pixels of all their frames."""
    whole = kind in OF_TILES
    tiles = keys if whole else {split_coadd_key(key)[0] for key in keys}
    sums: dict[str, float] = {}
    for row in ask(conn, judging.SIZES_OF_TILES, tiles):
        key = row["tile"] if whole else f"{row['tile']}.{row['band']}"
        sums[key] = sums.get(key, 0.0) + float(row["megapixels"])
    return {key: sums[key] for key in keys if key in sums}
