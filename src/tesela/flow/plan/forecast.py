"""How much work is ahead: what is due, what waits for it, and the tiles that follow."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy.engine import Connection

from tesela.flow.plan import master_frames, tile_products
from tesela.flow.plan.rules import PROFILE_OF, STEPS, Rules
from tesela.ledger import queries
from tesela.ledger.keys import MasterKey

_BEFORE = {
    "dual": frozenset({"band", "dual"}),
    "zeropoints": frozenset({"band", "zeropoints"}),
    "valueadded": frozenset({"band", "dual", "zeropoints", "valueadded"}),
    "science": frozenset({"band", *tile_products.KINDS}),
}
_LATEST = 200
"""Attempts that a step's speed is taken from."""


@dataclass(frozen=True)
class Ahead:
    """The work that one step will have."""

    step: str
    tasks: int
    megapixels: float
    seconds: float
    """Of one core."""


def forecast(conn: Connection, rules: Rules, declared: Mapping[str, float]) -> list[Ahead]:
    """Return what each step will have to do until nothing is due.

    Parameters
    ----------
    declared : mapping
        Seconds a megapixel by step, for steps that were never run here. Where there are past
        attempts, their median counts.
    """
    work = [Ahead(STEPS[kind], n, mpix, 0.0) for kind, (n, mpix) in _work(conn, rules).items() if n]
    return [
        Ahead(a.step, a.tasks, a.megapixels, a.megapixels * _speed(conn, a.step, declared))
        for a in work
    ]


def _work(conn: Connection, rules: Rules) -> dict[str, tuple[int, float]]:
    """Number of tasks and megapixels by kind."""
    keys = [MasterKey.parse(row.key) for row in conn.execute(queries.MASTERS_AHEAD)]
    pixels = [
        row["nx"] * row["ny"]
        for key in keys
        for row in master_frames.usable_frames(
            rules, key, master_frames.frames_of(conn, rules, key)
        )
    ]
    images = {k: conn.execute(queries.FRAMES_AHEAD, {"kind": k}).one() for k in PROFILE_OF}
    tiles = conn.execute(queries.TILES_AHEAD).one()
    whole = conn.execute(queries.WHOLE_TILES_AHEAD).all()
    return {
        "master": (len(keys), sum(pixels) / 1e6),
        **{kind: (row.n, row.megapixels or 0.0) for kind, row in images.items()},
        "coadd": (tiles.coadds, tiles.coadd_megapixels or 0.0),
        "catalogue": (tiles.catalogues, tiles.megapixels or 0.0),
        **{kind: _whole_tiles(whole, before) for kind, before in _BEFORE.items()},
    }


def _whole_tiles(rows: Sequence[Any], before: frozenset[str]) -> tuple[int, float]:
    """Tiles of which something is ahead from which a product is made, or the product itself."""
    pixels = {row.tile: row.megapixels or 1.0 for row in rows if row.kind in before}
    return len(pixels), sum(pixels.values())


def _speed(conn: Connection, step: str, declared: Mapping[str, float]) -> float:
    """Seconds a megapixel."""
    wanted = {"step": step, "limit": _LATEST}
    past = [row.seconds_per_mpix for row in conn.execute(queries.LATEST_SPEEDS, wanted)]
    return statistics.median(past) if past else declared.get(step, 1.0)
