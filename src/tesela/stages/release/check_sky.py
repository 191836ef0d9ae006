"""Checks across tiles: every tile has rows, overlaps have one primary source, the map fits."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from tesela.products.catalogue import read_arrow
from tesela.products.columns import MEASURED
from tesela.sciencedb.model import ReleaseModel
from tesela.sky import footprint, match, tangent
from tesela.stages.release import coverage, freeze
from tesela.stages.release.check_tables import Sources, parts
from tesela.stages.release.checks import Check, none_of

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
    for one, two in _neighbours(release):
        near = [np.flatnonzero(objects.tile == place) for place in (one, two)]
        first, second, _ = match.nearest(
            objects.ra_deg[near[0]], objects.dec_deg[near[0]],
            objects.ra_deg[near[1]], objects.dec_deg[near[1]], SAME_ARCSEC,
        )  # fmt: skip
        primary = objects.is_primary[near[0][first]].astype(int)
        primary += objects.is_primary[near[1][second]]
        pairs += len(first)
        wrong += int((primary != 1).sum())
    name, expected = "primary sources", f"one of each pair, but for {PAIRS_TOLERANCE:.0%}"
    if not pairs:
        return [Check(name, None, "no source is seen by two tiles", expected)]
    found = f"{wrong} of {pairs} pairs within {SAME_ARCSEC} arcsec have none or two"
    return [Check(name, wrong <= PAIRS_TOLERANCE * pairs, found, expected)]


def _neighbours(release: ReleaseModel) -> Iterator[tuple[int, int]]:
    """Places of tiles that overlap."""
    shapes = [footprint.polygon(*np.array(tile.corners_deg).T) for tile in release.tiles]
    middle = np.array([shape.mean(axis=0) for shape in shapes])
    reach = [np.linalg.norm(shape - m, axis=1).max() for shape, m in zip(shapes, middle)]
    for one in range(len(shapes)):
        far = np.linalg.norm(middle[one + 1 :] - middle[one], axis=1)
        for two in np.flatnonzero(far < 2 * max(reach)) + one + 1:
            if len(footprint.intersection(shapes[one], shapes[two])):
                yield one, int(two)


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
    measured: Counter[str] = Counter()
    stars = classified = 0
    for part in parts(folder, table):
        good = part.numpy("status").reshape(part.rows, -1)[:, band] == MEASURED
        measured.update(part.numpy("tile")[good].tolist())
        chance = part.numpy("prob_star").astype(float)
        classified += int(np.isfinite(chance).sum())
        stars += int((chance >= _STAR).sum())
    bad = [f"none in {tile.name}" for tile in release.tiles if not measured[tile.name]]
    expected = f"sources measured in {release.detection_band} in every tile"
    checks = [none_of("measured sources", bad, expected, f"{sum(measured.values())}")]
    found = f"{stars} with prob_star >= {_STAR}, of {classified} classified"
    passed = stars > 0 if classified else None
    return [*checks, Check("stars", passed, found, "some stars")]
