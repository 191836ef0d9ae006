"""What the products of a whole tile are made from: the dual catalogue, the photometric solution,
the value-added columns and the tile's tables in the science database. Their key is the tile.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from sqlalchemy.engine import Connection

from tesela.flow.plan.batch import Known
from tesela.flow.plan.reference import reference
from tesela.flow.plan.rules import Rules
from tesela.flow.plan.wanted import Wanted
from tesela.ledger import frames, products, tasks
from tesela.ledger.tasks import Due

KINDS = ("dual", "zeropoints", "valueadded", "science")
"""In the order in which they are made."""

_OF_BANDS = ("dual", "zeropoints")
"""Those that are made from the coadds and catalogues themselves."""


@dataclass(frozen=True)
class Bands:
    """The coadds and single catalogues of a tile that are served, by band."""

    coadds: dict[str, int]
    catalogues: dict[str, int]
    megapixels: float
    awaited: str = ""
    """What is still under way."""

    @property
    def ids(self) -> frozenset[int]:
        """Product ids of both."""
        return frozenset((*self.coadds.values(), *self.catalogues.values()))


def dual(conn: Connection, rules: Rules, item: Due, _known: Known) -> Wanted:
    """Every band's coadd and single catalogue; none without the detection band."""
    found = of_tile(conn, item.key)
    if found.awaited:
        return Wanted(missing=found.awaited, pending=True)
    if rules.detection_band not in found.coadds:
        return Wanted(nothing=f"tile {item.key} has no coadd in {rules.detection_band}")
    return Wanted(inputs=found.ids, megapixels=found.megapixels)


def zeropoints(conn: Connection, rules: Rules, item: Due, known: Known) -> Wanted:
    """The single catalogues, the frames behind their coadds, and the reference catalogue."""
    found = of_tile(conn, item.key)
    if found.awaited:
        return Wanted(missing=found.awaited, pending=True)
    if not found.catalogues:
        return Wanted(nothing=f"tile {item.key} has no catalogue")
    refcat, missing, stale = reference(known.shelf, rules, item, known.current)
    if missing:
        return Wanted(missing=missing)
    images = {
        row["id"]
        for coadd in found.coadds.values()
        for row in products.inputs(conn, coadd)
        if row["kind"] == "reduced"
    }
    return Wanted(inputs=found.ids | images | refcat, megapixels=found.megapixels, stale=stale)


def valueadded(conn: Connection, _rules: Rules, item: Due, _known: Known) -> Wanted:
    """The dual catalogue and the photometric solution."""
    return _from_tile(conn, item.key, ("dual", "zeropoints"))


def science(conn: Connection, _rules: Rules, item: Due, _known: Known) -> Wanted:
    """Everything that is known of the tile."""
    made = _from_tile(conn, item.key, ("dual", "zeropoints", "valueadded"))
    if made.missing or made.nothing:
        return made
    found = of_tile(conn, item.key)
    return Wanted(inputs=made.inputs | found.ids, megapixels=found.megapixels)


def of_tile(conn: Connection, tile: str) -> Bands:
    """Look up what is served of a tile in each band that was observed."""
    coadds: dict[str, int] = {}
    catalogues: dict[str, int] = {}
    awaited: list[str] = []
    megapixels = 0.0
    for row in frames.bands_made(conn, tile):
        band = row["band"]
        if row["is_pending"]:
            awaited.append(band)
        elif row["coadd"] is not None and row["catalogue"] is not None:
            coadds[band], catalogues[band] = row["coadd"], row["catalogue"]
            megapixels += row["megapixels"] if row["megapixels"] is not None else 1.0
    return Bands(coadds, catalogues, megapixels or 1.0, _sentence(awaited))


def _sentence(awaited: list[str]) -> str:
    if not awaited:
        return ""
    return f"catalogues of {len(awaited)} bands being made: {', '.join(awaited)}"


def _from_tile(conn: Connection, tile: str, kinds: Iterable[str]) -> Wanted:
    """Other products of the same tile, all of them, and all made from what is served now."""
    found = of_tile(conn, tile)
    if found.awaited:
        return Wanted(missing=found.awaited, pending=True)
    ids = []
    for kind in kinds:
        if tasks.is_pending(conn, kind, tile):
            return Wanted(missing=f"{kind} of tile {tile} being made", pending=True)
        row = products.current(conn, kind, tile)
        if row is None:
            return Wanted(nothing=f"there is no {kind} of tile {tile}")
        if kind in _OF_BANDS and not found.ids <= products.input_ids(conn, row["id"]):
            # Its newer version failed: joined with the new catalogues it would be a mixture.
            return Wanted(missing=f"a {kind} of tile {tile} made from its present coadds")
        ids.append(row["id"])
    return Wanted(inputs=frozenset(ids), megapixels=found.megapixels)
