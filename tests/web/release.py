"""A small whole release, made by the stage that makes real ones: tables, pictures, image survey."""

from __future__ import annotations

import hashlib
import json
import zlib
from pathlib import Path

import numpy as np
import pyarrow as pa

from sciencedb import synthetic
from tesela.bands import filters
from tesela.sciencedb import arrow, model
from tesela.stages.release import recipe
from tesela.stages.release.settings import ReleaseInputs, ReleaseSettings, TileInput

BANDS = filters.names()
_OVERLAP = 0.15
"""Part of a tile that the other covers too."""
CREATED = "2026-01-02T00:00:00Z"


def build(shelf: Path, name: str, *, seed: int, rows: int = 240) -> Path:
    """Build release `name` in a folder of releases: two tiles with `rows` sources each.

    The tiles overlap: there the sources are primary in the tile whose centre is nearer.
    """
    work = shelf.parent / f"{shelf.name}-work-{name}"
    tiles = tuple(_tile(work, number, seed, rows) for number in (1, 2))
    inputs = ReleaseInputs(
        name=name,
        title=f"Synthetic release {name}",
        survey="synthetic",
        detection_band="rSDSS",
        bands=BANDS,
        created=f"{CREATED[:9]}{seed}{CREATED[10:]}",
        code_version="0",
        tiles=tiles,
    )
    folder = shelf / name
    folder.mkdir()
    recipe.build(inputs, ReleaseSettings(), folder)
    checks = [
        {"name": "rows", "passed": True, "found": "480", "expected": "480", "note": ""},
        {"name": "depth", "passed": None, "found": "", "expected": "", "note": "no simulation"},
    ]
    checksum = hashlib.sha256((folder / "release.json").read_bytes()).hexdigest()
    text = json.dumps({"sha256": checksum, "passed": True, "checks": checks})
    (shelf / f"{name}.validation.json").write_text(text)
    return folder


def _tile(work: Path, number: int, seed: int, rows: int) -> TileInput:
    rng = np.random.default_rng([seed, number])
    tables = {t.name: t for t in model.published_tables(BANDS)}
    name, dec = f"SYN-{number:05d}", synthetic.CENTRE[1]
    step = synthetic.SIDE_DEG / np.cos(np.radians(dec))
    ra = synthetic.CENTRE[0] + (number - 1.5) * (1 - _OVERLAP) * step
    where = [(name, ra, dec)]
    data = {
        "objects": synthetic.objects(tables["objects"], rows, where, rng),
        "detections": synthetic.detections(tables["detections"], rows // 4, where, BANDS, rng),
        "tiles": synthetic.tile_rows(tables["tiles"], where, BANDS, rng),
    }
    paths = {}
    for key, table in data.items():
        paths[key] = work / name / f"{key}.parquet"
        paths[key].parent.mkdir(parents=True, exist_ok=True)
        table = _renumbered(table, key, number)
        if key == "objects":
            table = _primary(table, number)
        arrow.write_table(paths[key], tables[key], table)
    coadds = {}
    for band in BANDS:
        coadds[band] = work / name / f"{band}.fits"
        image = synthetic.coadd(ra, dec, zlib.crc32(f"{name} {band} {seed}".encode()))
        image.write(coadds[band])
    half, up = step / 2, synthetic.SIDE_DEG / 2
    corners = tuple((ra + x * half, dec + y * up) for x, y in ((-1, -1), (1, -1), (1, 1), (-1, 1)))
    return TileInput(name, 1, ra, dec, corners, "", **paths, coadds=coadds)


def _primary(table: pa.Table, number: int) -> pa.Table:
    """Say which sources lie nearer to the centre of their tile than to that of the other."""
    east = np.asarray(table.column("ra")) > synthetic.CENTRE[0]
    place = table.schema.get_field_index("is_primary")
    return table.set_column(place, table.schema.field(place), pa.array(east == (number == 2)))


def _renumbered(table: pa.Table, key: str, number: int) -> pa.Table:
    """Each tile was made alone: give its rows numbers of their own."""
    column = {"objects": "source_id", "detections": "detection_id"}.get(key)
    if column is None:
        return table
    values = np.asarray(table.column(column)) + (number - 1) * 10**12
    place = table.schema.get_field_index(column)
    return table.set_column(place, table.schema.field(column), pa.array(values))
