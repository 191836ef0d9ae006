"""How much work is ahead: what is due, what waits for it, and the tiles that follow."""

from __future__ import annotations

import statistics
from collections.abc import Mapping
from dataclasses import dataclass, replace

from sqlalchemy.engine import Connection

from tesela.flow.plan import master_frames, master_images, tile_products
from tesela.flow.plan.rules import PROFILE_OF, STEPS, Rules
from tesela.flow.plan.spread import spread
from tesela.ledger import master_lists, masters, queries
from tesela.ledger.keys import MasterKey, coadd_key, split_coadd_key
from tesela.ledger.parts import ask, followed_by_index
from tesela.ledger.queries import judging
from tesela.products.masterkind import IMAGES, KINDS, RAW

_BEFORE = {
    "dual": frozenset({"dual"}),
    "zeropoints": frozenset({"zeropoints"}),
    "valueadded": frozenset({"dual", "zeropoints", "valueadded"}),
    "science": frozenset({*tile_products.KINDS}),
}
_LATEST, _WINDOW = 200, 5_000
"""Attempts that a step's speed is taken from, and among how many of all steps they are looked
for."""


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
    speed = speeds(conn, declared) if work else {}
    return [replace(a, seconds=a.megapixels * speed.get(a.step, 1.0)) for a in work]


def _work(conn: Connection, rules: Rules) -> dict[str, tuple[int, float]]:
    """Number of tasks and megapixels by kind."""
    keys = [MasterKey.parse(row.key) for row in conn.execute(queries.MASTERS_AHEAD)]
    images = {k: conn.execute(queries.FRAMES_AHEAD, {"kind": k}).one() for k in PROFILE_OF}
    tiles = _Tiles.of(conn)
    return {
        "master": (len(keys), sum(_megapixels(conn, rules, key) for key in keys)),
        **{kind: (row.n, float(row.megapixels or 0.0)) for kind, row in images.items()},
        "coadd": tiles.of_bands(tiles.coadds),
        "catalogue": tiles.of_bands(tiles.coadds | tiles.catalogues),
        **{kind: tiles.whole(before) for kind, before in _BEFORE.items()},
    }


@dataclass(frozen=True)
class _Tiles:
    """The tiles that are ahead."""

    coadds: frozenset[str]
    """Keys of the coadds that are due, or will be when the frames before them are reduced."""
    catalogues: frozenset[str]
    """Keys of the catalogues that are due by themselves."""
    own: tuple[tuple[str, str], ...]
    """(kind, tile) of the products of a whole tile that are due by themselves."""
    megapixels: Mapping[str, float]
    """Of all frames of a coadd, by its key."""

    @classmethod
    def of(cls, conn: Connection) -> _Tiles:
        coadds = frozenset(conn.scalars(queries.TOUCHED_AHEAD))
        rows = [(row.kind, row.key) for row in conn.execute(queries.TILES_AHEAD)]
        catalogues = frozenset(key for kind, key in rows if kind == "catalogue")
        own = tuple((kind, key) for kind, key in rows if kind != "catalogue")
        tiles = {split_coadd_key(key)[0] for key in coadds | catalogues} | {key for _, key in own}
        megapixels = {
            coadd_key(row["tile"], row["band"]): float(row["megapixels"])
            for row in ask(conn, judging.SIZES_OF_TILES, tiles)
        }
        return cls(coadds, catalogues, own, megapixels)

    def of_bands(self, keys: frozenset[str]) -> tuple[int, float]:
        """Number and megapixels of coadds, or of their catalogues."""
        return len(keys), sum(self.megapixels.get(key, 0.0) for key in keys)

    def whole(self, before: frozenset[str]) -> tuple[int, float]:
        """Number and megapixels of the tiles of which something is ahead from which a product is
        made, or the product itself."""
        tiles = {split_coadd_key(key)[0] for key in self.coadds | self.catalogues}
        tiles |= {tile for kind, tile in self.own if kind in before}
        pixels: dict[str, float] = dict.fromkeys(tiles, 0.0)
        for key, one in self.megapixels.items():
            tile, _ = split_coadd_key(key)
            if tile in pixels:
                pixels[tile] += one
        return len(pixels), sum(one or 1.0 for one in pixels.values())


def _megapixels(conn: Connection, rules: Rules, key: MasterKey) -> float:
    """Of the frames, images or masters that a master will be combined from."""
    source = KINDS[key.master_kind].source
    if source == RAW:
        frames = master_frames.frames_of(conn, rules, key)
        used = master_frames.usable_frames(rules, key, frames)
        return float(sum(row["nx"] * row["ny"] for row in used) / 1e6)
    if source == IMAGES:
        chosen = rules.sky_frames(key.master_kind)
        images = [c for c in master_images.candidates(conn, rules, key) if not c.excluded]
        return sum(c.megapixels for c in spread(images, chosen.most if chosen else 0))
    return _parts(conn, rules, key) * master_lists.megapixels_of_ccd(conn, key.configuration)


def _parts(conn: Connection, rules: Rules, key: MasterKey) -> int:
    """How many masters of a period another joins: of each kind and filter the last, made or under
    way."""
    own = key.configuration
    period = rules.calendar.period(key.master_kind, own.camera, key.night)
    found: set[tuple[str, str]] = set()
    for kind in KINDS[key.master_kind].needs:
        for row in masters.of_ccd(conn, kind, own, period.first, period.end):
            found.add((kind, row["configuration"]))
        for other in masters.pending_of_ccd(conn, kind, own):
            if period.first <= other.night < period.end:
                found.add((kind, str(other.configuration)))
    return len(found)


def speeds(conn: Connection, declared: Mapping[str, float]) -> dict[str, float]:
    """Return the seconds a megapixel of each step: the median of its latest attempts, else of any
    that are known of it, else what was declared."""
    past: dict[str, list[float]] = {}
    with followed_by_index(conn):
        for row in conn.execute(queries.LATEST_SPEEDS, {"window": _WINDOW}):
            past.setdefault(row.step, []).append(row.seconds_per_mpix)
        for step in declared.keys() - past.keys():  # seldom run: long ago, or never
            wanted = {"step": step, "limit": _LATEST}
            past[step] = [row.seconds_per_mpix for row in conn.execute(queries.ANY_SPEEDS, wanted)]
    known = {step: statistics.median(s[:_LATEST]) for step, s in past.items() if s}
    return {**declared, **known}
