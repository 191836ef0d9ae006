"""What a verdict makes due, and what taking it back does; one frame is a set of one.

All that a verdict reaches is found by one walk along the edges, whatever the number of frames.
"""

from __future__ import annotations

import functools
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy.engine import Connection

from tesela.flow.plan import tile_products
from tesela.flow.plan.downstream import PLANNED, first_products
from tesela.flow.plan.rules import PROFILE_OF, Rules
from tesela.flow.plan.subjects import Subject
from tesela.ledger import products, verdicts
from tesela.ledger.keys import coadd_key
from tesela.ledger.parts import ask, followed_by_index
from tesela.ledger.queries import judging

Target = tuple[str, str]
"""(kind, key) of a product."""


@dataclass(frozen=True)
class Consequences:
    """What a verdict, or its withdrawal, makes due."""

    targets: tuple[Target, ...]
    """Products that are made again (or retired, if nothing is left to make them from)."""
    looked_at: tuple[Target, ...] = ()
    """Keys the planner looks at besides, without work expected."""
    own: tuple[Target, ...] = ()
    """Of these, the images of the frames themselves that are made now: there is none, or it was
    made with a master that was condemned since."""
    subjects: tuple[str, ...] = ()
    """Keys of the products that get a verdict, or lose one; of a group those of its frames."""
    retired: frozenset[Target] = frozenset()
    """Of the targets, those that nothing is left to make from, where that was asked for."""
    waiting: frozenset[Target] = frozenset()
    """Of the targets, images and masters that are left without a master."""

    @classmethod
    def of(
        cls,
        targets: Iterable[Target],
        looked_at: Iterable[Target] = (),
        own: Iterable[Target] = (),
        subjects: Iterable[str] = (),
    ) -> Consequences:
        """In order, and each target once."""
        due = set(targets)
        return cls(
            tuple(sorted(due)),
            tuple(sorted(set(looked_at) - due)),
            tuple(sorted(set(own) - due)),
            tuple(subjects),
        )

    @property
    def judged(self) -> int:
        """How many get a verdict, or lose one; a group counts as its frames."""
        return len(self.subjects)

    @property
    def due(self) -> tuple[Target, ...]:
        """All that will be made."""
        return (*self.made_again, *self.own)

    @property
    def made_again(self) -> tuple[Target, ...]:
        """Of the targets, those that are neither retired nor wait."""
        out = self.retired | self.waiting
        return tuple(target for target in self.targets if target not in out)


def of_flag(conn: Connection, rules: Rules, about: Subject) -> Consequences:
    """What condemning makes due: what was made from it, and what could not be made with it."""
    if about.kind != "raw":
        # What failed with it may succeed without it.
        reached = _planned(products.reached(conn, about.kind, about.keys))
        return _of_products(conn, about, reached)
    rows = list(ask(conn, judging.FRAMES_NAMED, about.keys))
    science = [row for row in rows if row["obstype"] == "science"]
    others = [row for row in rows if row["obstype"] != "science"]
    own = _first_products(rules, science)
    # A flagged frame's own images stay, whatever master they were made with: they are only used no
    # more. What is built from many science frames keeps them, too.
    images = {target for target in own if target[0] in PROFILE_OF}
    of_science = set(_reached(conn, science)).difference(own)
    targets = _made_again(conn, of_science.union(_reached(conn, others)).difference(images))
    looked_at = own + _first_products(rules, others)
    return Consequences.of(targets, looked_at, subjects=about.keys)


def of_unflag(conn: Connection, rules: Rules, about: Subject) -> Consequences:
    """What taking a verdict back makes due: what an earlier version was used for, and the tiles of
    science frames, which may have been used for nothing yet."""
    if about.kind != "raw":
        past = _planned(products.users(conn, about.kind, about.keys, past=True))
        return _of_products(conn, about, past)
    rows = list(ask(conn, judging.FRAMES_NAMED, about.keys))
    science = [row for row in rows if row["obstype"] == "science"]
    others = [row for row in rows if row["obstype"] != "science"]
    own = _first_products(rules, science)
    masters = _first_products(rules, others)
    of_masters = products.users(conn, "master", [key for _, key in masters], past=True)
    in_tiles, unchanged, images = _of_tiles(conn, [row["name"] for row in science])
    past = _made_again(conn, _planned(of_masters), about.keys)
    targets = [*masters, *past, *in_tiles]
    return Consequences.of(targets, [*own, *unchanged], images, subjects=about.keys)


def _of_products(conn: Connection, about: Subject, used_by: Iterable[Target]) -> Consequences:
    own = [(about.kind, key) for key in about.keys]
    return Consequences.of(own + _made_again(conn, used_by), subjects=about.keys)


def _first_products(rules: Rules, frames: Iterable[Mapping[str, Any]]) -> list[Target]:
    """What frames are first made into. All frames of a filter, night and object go into the same
    masters, which are looked up once."""

    @functools.cache
    def masters(
        configuration: str, obstype: str, flat_kind: str, night: str, obj: str
    ) -> tuple[Target, ...]:
        frame = {
            "name": "", "configuration": configuration, "obstype": obstype,
            "flat_kind": flat_kind, "night": night, "object": obj,
        }  # fmt: skip
        return tuple(first_products(rules, frame))

    found: dict[Target, None] = {}
    for row in frames:
        alike = (row[n] for n in ("configuration", "obstype", "flat_kind", "night", "object"))
        for kind, key in masters(*alike):
            found[kind, key or row["name"]] = None  # an image has the name of its frame for key
    return list(found)


def _reached(conn: Connection, frames: Collection[Mapping[str, Any]]) -> list[Target]:
    return _planned(products.reached(conn, "raw", [row["name"] for row in frames]))


def _planned(pairs: Iterable[Target]) -> list[Target]:
    return [pair for pair in pairs if pair[0] in PLANNED]


def _made_again(
    conn: Connection, targets: Iterable[Target], good_again: Collection[str] = ()
) -> list[Target]:
    """Leave out the images of flagged frames: nobody makes them again."""
    found = sorted(targets)
    images = {key for kind, key in found if kind in PROFILE_OF}
    flagged = verdicts.standing_of(conn, "raw", images).keys() - set(good_again)
    return [(kind, key) for kind, key in found if kind not in PROFILE_OF or key not in flagged]


def _of_tiles(
    conn: Connection, names: Collection[str]
) -> tuple[set[Target], set[Target], set[Target]]:
    """What is made of the tiles of frames; what only frames touch whose image did not pass, and is
    used in no case; and the images that are made now."""
    used: set[Target] = set()
    unused: set[Target] = set()
    images: set[Target] = set()
    with followed_by_index(conn):
        rows = list(ask(conn, judging.TILES_OF_FRAMES, names))
    for row in rows:
        is_made = row["image_id"] is None or bool(row["is_unsound"])
        if is_made:
            images.add(("reduced", row["name"]))
        if row["tile"] is None:
            continue
        tile, key = row["tile"], coadd_key(row["tile"], row["band"])
        rejected = not is_made and row["passed"] is not None and not row["passed"]
        made = [("coadd", key), ("catalogue", key), *((k, tile) for k in tile_products.KINDS)]
        (unused if rejected else used).update(made)
    return used, unused, images


def together(parts: Iterable[Consequences]) -> Consequences:
    """What several verdicts make due at once."""
    found = list(parts)
    return Consequences.of(
        (target for one in found for target in one.targets),
        (target for one in found for target in one.looked_at),
        (target for one in found for target in one.own),
        (key for one in found for key in one.subjects),
    )
