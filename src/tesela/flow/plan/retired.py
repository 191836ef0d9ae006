"""What nothing is left of when a verdict takes sources away: it is retired, and not made again.

An image that is left without a master that it needs waits for one.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

from sqlalchemy.engine import Connection

from tesela.flow.plan import master_frames
from tesela.flow.plan.reduced import mjd_mid
from tesela.flow.plan.rules import PROFILE_OF, Need, Rules
from tesela.flow.plan.subjects import Subject
from tesela.ledger import frames, masters
from tesela.ledger.keys import Configuration, MasterKey, coadd_key, split_coadd_key
from tesela.ledger.parts import ask, followed_by_index
from tesela.ledger.queries import judging
from tesela.products.masterkind import KINDS, RAW, STANDS_IN
from tesela.products.validity import Validity

Target = tuple[str, str]
"""(kind, key) of a product."""

Left = Callable[[str, Configuration], Sequence[Validity]]
"""The intervals of the masters that are left of a kind and configuration."""


def by_flag(
    conn: Connection, rules: Rules, about: Subject, due: Collection[Target]
) -> tuple[frozenset[Target], frozenset[Target]]:
    """Return those of the products that a flag makes due which will be retired, and the images that
    will wait.

    Retired are the flagged products themselves, masters with too few frames, coadds without an
    image, and what is made of these alone. Nothing is written.
    """
    found: set[Target] = set()
    if about.kind != "raw":
        found |= {(about.kind, key) for key in about.keys}
    bad = frozenset(about.keys)
    keys = _by_kind(due)
    found |= {
        ("master", key) for key in keys.get("master", ()) if not _is_left(conn, rules, key, bad)
    }
    waiting = _waiting(conn, rules, keys, {key for kind, key in found if kind == "master"})
    bad |= {key for kind, key in waiting if kind == "reduced"}
    if about.kind != "coadd":
        good = _good_coadds(conn, keys.get("coadd", ()), bad)
        found |= {("coadd", key) for key in keys.get("coadd", ()) if key not in good}
    found |= {("catalogue", k) for k in keys.get("catalogue", ()) if ("coadd", k) in found}
    whole = _with_catalogues(conn, {*keys.get("zeropoints", ()), *keys.get("dual", ())}, found)
    found |= {("zeropoints", tile) for tile in keys.get("zeropoints", ()) if tile not in whole}
    for tile in keys.get("dual", ()):
        if tile not in whole or ("coadd", coadd_key(tile, rules.detection_band)) in found:
            found.add(("dual", tile))
    for kind in ("valueadded", "science"):
        for tile in keys.get(kind, ()):
            if any((before, tile) in found for before in ("dual", "zeropoints", "valueadded")):
                found.add((kind, tile))
    return frozenset(found.intersection(due)), frozenset(waiting)


def _waiting(
    conn: Connection, rules: Rules, keys: Mapping[str, Collection[str]], retired: Collection[str]
) -> set[Target]:
    """Images and masters that have no master left of a kind that they need."""
    if not retired:
        return set()
    left = functools.cache(lambda kind, own: masters.certified(conn, kind, own, but=retired))
    found: set[Target] = set()
    for kind, profile in PROFILE_OF.items():
        for name, frame in frames.several(conn, keys.get(kind, ())).items():
            own = Configuration(*frame["configuration"].split("."))
            if not _are_left(rules, rules.corrections(profile, own), own, mjd_mid(frame), left):
                found.add((kind, name))
    for name in set(keys.get("master", ())).difference(retired):
        key = MasterKey.parse(name)
        own = key.configuration
        if not _are_left(rules, rules.needs(key.master_kind, own), own, rules.middle(key), left):
            found.add(("master", name))
    return found


def _are_left(
    rules: Rules, needs: Iterable[Need], own: Configuration, mjd: float, left: Left
) -> bool:
    required = (need.master_kind for need in needs if need.is_required)
    return all(_is_within_reach(rules, kind, own, mjd, left) for kind in required)


def _is_within_reach(
    rules: Rules,
    master_kind: str,
    configuration: Configuration,
    mjd: float,
    left: Left,
) -> bool:
    camera = configuration.camera
    for kind in (master_kind, STANDS_IN.get(master_kind, "")):
        if not kind or not rules.is_made(kind, configuration):
            continue
        for one in left(kind, configuration.for_kind(kind)):
            between = rules.calendar.crossed(kind, camera, one.begin, mjd)
            if one.distance(mjd) <= rules.fallback_days(kind) and (
                not between or KINDS[kind].crosses_interventions
            ):
                return True
    return False


def _by_kind(due: Iterable[Target]) -> dict[str, list[str]]:
    keys: dict[str, list[str]] = {}
    for kind, key in due:
        keys.setdefault(kind, []).append(key)
    return keys


def _is_left(conn: Connection, rules: Rules, name: str, bad: frozenset[str]) -> bool:
    """Whether a master has frames enough without those that are bad."""
    key = MasterKey.parse(name)
    if KINDS[key.master_kind].source != RAW or master_frames.is_evidence(key.master_kind):
        return True  # it is kept, or made of what is left
    frames = [row for row in master_frames.frames_of(conn, rules, key) if row["name"] not in bad]
    usable = master_frames.usable_frames(rules, key, frames)
    return bool(usable) and len(usable) >= rules.minimum(key.master_kind)


def _good_coadds(conn: Connection, keys: Collection[str], bad: frozenset[str]) -> set[str]:
    """Coadds that an image is left for."""
    tiles: dict[str, list[str]] = {}
    for key in keys:
        tile, band = split_coadd_key(key)
        tiles.setdefault(band, []).append(tile)
    with followed_by_index(conn):
        return {
            coadd_key(row["tile"], band)
            for band, some in tiles.items()
            for row in ask(conn, judging.GOOD_IMAGES_OF_TILES, some, band=band, yes=True)
            if row["name"] not in bad
        }


def _with_catalogues(
    conn: Connection, tiles: Collection[str], retired: Collection[Target]
) -> set[str]:
    """Tiles that keep a catalogue in some band."""
    with followed_by_index(conn):
        rows = list(ask(conn, judging.BANDS_OF_TILES, tiles))
    keys = [(row["tile"], coadd_key(row["tile"], row["band"])) for row in rows]
    served = {
        row["key"]
        for row in ask(conn, judging.SERVED_OF_KEYS, [key for _, key in keys], kind="catalogue")
    }
    return {tile for tile, key in keys if key in served and ("catalogue", key) not in retired}
