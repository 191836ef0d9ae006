"""Checks across tiles: every tile has rows, overlaps have one primary source, the map fits."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tesela.products.catalogue import read_arrow
from tesela.products.columns import MEASURED
from tesela.sciencedb.model import ReleaseModel
from tesela.sky import match, tangent
from tesela.stages.release import coverage, freeze
from tesela.stages.release.check_tables import Sources, by_tile, parts, tiles_of
from tesela.stages.release.checks import Check, none_of
from tesela.stages.release.owners import Owners

SAME_ARCSEC = 0.5
"""Sources of two tiles this near each other are one."""
PAIRS_TOLERANCE = 0.02
"""Part of such pairs that may have none or two primary sources: those on the dividing line."""
MAP_TOLERANCE = 0.005
"""Part of the sources that may lie in corners of cells that the map's sampling missed."""
_STAR = 0.5


def tiles(folder: Path, release: ReleaseModel, objects: Sources) -> list[Check]:
    """Every tile has objects, measured in the detection band, and a row a band in `tiles`."""
    number = np.bincount(objects.tile[objects.tile >= 0], minlength=len(release.tiles))
    bad = [f"{tile.name} has no objects" for tile, n in zip(release.tiles, number) if not n]
    bad += _rows_about_tiles(folder, release)
    expected = "objects of every tile, and one row a tile and band in `tiles`"
    counted = f"{len(release.tiles)} tiles, {number.min()} to {number.max()} objects"
    return [none_of("tiles", bad, expected, counted)]


def _rows_about_tiles(folder: Path, release: ReleaseModel) -> list[str]:
    data = read_arrow(folder / freeze.TABLES / "tiles.parquet")
    there = Counter(zip(data.column("tile").to_pylist(), data.column("band").to_pylist()))
    wanted = {(tile.name, band) for tile in release.tiles for band in tile.bands}
    bad = [f"no row {t} {b} in tiles" for t, b in sorted(wanted - set(there))]
    bad += [f"{n} rows {t} {b} in tiles" for (t, b), n in sorted(there.items()) if n > 1]
    names = {tile.name for tile in release.tiles}
    return bad + [f"row {t} {b} of another release in tiles" for t, b in there if t not in names]


def primaries(release: ReleaseModel, objects: Sources) -> list[Check]:
    """Of a source that two tiles see, one row is the primary one."""
    pairs = wrong = 0
    rows = dict(by_tile(objects.tile))
    lost = ~objects.is_primary
    owners = Owners(release.tiles)
    for one, mine in rows.items():
        for two in (place for place in owners.neighbours(one) if place > one and place in rows):
            first, second = _pairs(objects, mine, rows[two])
            primary = objects.is_primary[first], objects.is_primary[second]
            pairs += len(first)
            wrong += int((primary[0] == primary[1]).sum())
            lost[first[primary[1]]] = lost[second[primary[0]]] = False
    return [_one_of_each(pairs, wrong), _seen_by_others_alone(int(lost.sum()), len(lost))]


def _pairs(
    objects: Sources, one: NDArray[np.int64], two: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Rows of two tiles that are the same source."""
    first, second, _ = match.nearest(
        objects.ra_deg[one], objects.dec_deg[one],
        objects.ra_deg[two], objects.dec_deg[two], SAME_ARCSEC,
    )  # fmt: skip
    return one[first], two[second]


def _one_of_each(pairs: int, wrong: int) -> Check:
    name, expected = "primary sources", f"one of each pair, but for {PAIRS_TOLERANCE:.0%}"
    if not pairs:
        return Check(name, None, "no source is seen by two tiles", expected)
    found = f"{wrong} of {pairs} pairs within {SAME_ARCSEC} arcsec have none or two"
    return Check(name, wrong <= PAIRS_TOLERANCE * pairs, found, expected)


def _seen_by_others_alone(lost: int, rows: int) -> Check:
    """Note rows of which the tile that owns the place has no sighting: faint ones, mostly."""
    name, expected = "sources without a primary row", "none, but for the faintest in overlaps"
    found = f"{lost} of {rows} rows have no primary row within {SAME_ARCSEC} arcsec"
    return Check(name, None if lost else True, found, expected)


def covered(folder: Path, objects: Sources) -> list[Check]:
    """Objects lie inside the coverage map."""
    moc = coverage.read_moc(folder / coverage.FILE)
    legal = np.abs(objects.dec_deg) <= 90
    ra, dec = tangent.wrap_ra(objects.ra_deg[legal]), objects.dec_deg[legal]
    outside = int((~coverage.contains(moc, ra, dec)).sum())
    found = f"{outside} of {len(ra)} objects outside"
    expected = f"objects inside {coverage.FILE}, but for {MAP_TOLERANCE:.1%}"
    return [Check("coverage map", outside <= MAP_TOLERANCE * len(ra), found, expected)]


def sane(folder: Path, release: ReleaseModel) -> list[Check]:
    """There are sources measured in the detection band of every tile, and stars among them."""
    table = release.table("objects")
    band = release.band_names.index(release.detection_band)
    measured = np.zeros(len(release.tiles), np.int64)
    stars = classified = 0
    for part in parts(folder, table):
        good = part.numpy("status").reshape(part.rows, -1)[:, band] == MEASURED
        tile = tiles_of(part, release)
        measured += np.bincount(tile[good & (tile >= 0)], minlength=len(measured))
        chance = part.numpy("prob_star").astype(float)
        classified += int(np.isfinite(chance).sum())
        stars += int((chance >= _STAR).sum())
    bad = [f"none in {tile.name}" for tile, n in zip(release.tiles, measured) if not n]
    expected = f"sources measured in {release.detection_band} in every tile"
    checks = [none_of("measured sources", bad, expected, f"{measured.sum()}")]
    found = f"{stars} with prob_star >= {_STAR}, of {classified} classified"
    passed = stars > 0 if classified else None
    return [*checks, Check("stars", passed, found, "some stars")]
