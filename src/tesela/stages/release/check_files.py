"""Checks of a release's files: all there, unchanged, nothing else, and of one mind."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray

from tesela.products import files
from tesela.sciencedb import arrow, hats
from tesela.sciencedb.model import ReleaseModel, TableModel
from tesela.sciencedb.release import Release
from tesela.stages.release import coverage, freeze, hips, preview
from tesela.stages.release.checks import Check, none_of
from tesela.stages.release.settings import Progress


def whole(folder: Path, release: ReleaseModel, progress: Progress) -> list[Check]:
    """Every listed file has its size and checksum; no other file is there."""
    bad = []
    for done, file in enumerate(release.files, 1):
        path = folder / file.path
        if not path.is_file():
            bad.append(f"{file.path} is missing")
        elif path.stat().st_size != file.size:
            bad.append(f"{file.path} has {path.stat().st_size} bytes, not {file.size}")
        elif files.sha256_of(path) != file.sha256:
            bad.append(f"{file.path} has other content")
        progress("checksums", done, len(release.files))
    listed = {file.path for file in release.files}
    extra = [
        f"{name} is not in the list"
        for path in freeze.walk(folder)
        if (name := path.relative_to(folder).as_posix()) not in listed
    ]
    size = sum(file.size for file in release.files) / 1e6
    return [
        none_of(
            "files unchanged",
            bad,
            "size and sha256 of release.json",
            f"{len(release.files)} files, {size:.1f} MB",
        ),
        none_of("no other files", extra, "only files that release.json lists", "none"),
    ]


def code_versions(release: ReleaseModel) -> list[Check]:
    """Note that several versions of the program made the tiles; it speaks against none of them."""
    versions = release.facts.get("made_with", [])
    if not versions:
        return []
    return [
        Check(
            "code versions",
            True if len(versions) == 1 else None,
            ", ".join(versions),
            "one version of the program for all tiles",
        )
    ]


def rows_and_columns(folder: Path, release: ReleaseModel) -> list[Check]:
    """The model, the Parquet files and the serving files hold the same rows and columns."""
    served = Release.open(folder)
    try:
        bad = [reason for table in release.tables for reason in _disagreement(served, table)]
    finally:
        served.close()
    counts = ", ".join(f"{rows} {name}" for name, rows in sorted(release.rows.items()))
    expected = "the same in release.json, HATS and DuckDB"
    return [none_of("rows and columns", bad, expected, counts)]


def _disagreement(served: Release, table: TableModel) -> list[str]:
    if not table.on_sky:
        return []  # opening the release compared them
    bad = []
    folder = served.folder / freeze.HATS / table.name
    schema = arrow.schema(table.columns)
    serving = _Numbers(served, table)
    rows, same = 0, True
    partitions = hats.partition_files(folder)
    for path in partitions:
        with pq.ParquetFile(path) as file:
            if not file.schema_arrow.equals(schema):
                bad.append(f"{table.name}: other columns in {path.relative_to(served.folder)}")
                continue
            frozen = arrow.to_numpy(file.read([table.id_column]).column(0))
        rows += len(frozen)
        same &= np.array_equal(frozen, serving.take(len(frozen)))
    if rows != served.model.rows.get(table.name):
        bad.append(f"{table.name}: {rows} rows in HATS")
    if not same or len(serving.take(1)):
        bad.append(f"{table.name}: other numbers in HATS than in DuckDB")
    listed = _listed_partitions(folder)
    if listed != len(partitions):
        bad.append(f"{table.name}: {listed} partitions listed, {len(partitions)} there")
    return bad


class _Numbers:
    """Numbers of the rows that are served, in the order of the files, a batch in memory."""

    def __init__(self, served: Release, table: TableModel) -> None:
        self._batches = iter(served.scan(table.name, [table.id_column]))
        self._held = np.zeros(0, np.int64)

    def take(self, number: int) -> NDArray[np.int64]:
        """Return the next ones, fewer at the end."""
        parts, held = [self._held], len(self._held)
        while held < number and (batch := next(self._batches, None)) is not None:
            parts.append(arrow.to_numpy(batch.column(0)))
            held += len(parts[-1])
        joined = np.concatenate(parts)
        self._held = joined[number:]
        return joined[:number]


def _listed_partitions(folder: Path) -> int:
    text = (folder / "partition_info.csv").read_text(encoding="utf-8")
    return len(text.splitlines()) - 1


def images(folder: Path, release: ReleaseModel) -> list[Check]:
    """Every tile has its coadds, that of the detection band among them, and its picture."""
    bad = []
    for tile in release.tiles:
        if release.detection_band not in tile.bands:
            bad.append(f"{tile.name} has none in {release.detection_band}")
        names = [freeze.image_path(tile.name, band) for band in tile.bands]
        names.append(f"{preview.TILES_FOLDER}/{tile.name}.jpg")
        bad += [f"{name} is missing" for name in names if not (folder / name).is_file()]
    for name in (preview.PICTURE, preview.PLACE):
        if not (folder / name).is_file():
            bad.append(f"{name} is missing")
    if (folder / preview.PLACE).is_file():
        json.loads((folder / preview.PLACE).read_text(encoding="utf-8"))
    number = sum(len(tile.bands) for tile in release.tiles)
    expected = f"one a tile and band, with {release.detection_band} in every tile"
    return [none_of("images", bad, expected, f"{number} images of {len(release.tiles)} tiles")]


def image_survey(folder: Path) -> list[Check]:
    """The HiPS has its properties, map, all-sky picture and every tile that the map names."""
    survey = folder / hips.FOLDER
    stated = hips.read_properties(survey / hips.PROPERTIES_FILE)
    absent = [key for key in hips.REQUIRED if not stated.get(key)]
    moc = coverage.read_moc(survey / hips.MOC_FILE)
    finest = int(stated.get("hips_order", "0"))
    bad = [f"{hips.PROPERTIES_FILE} without {key}" for key in absent]
    wanted = {
        hips.tile_path(order, cell)
        for order in range(finest + 1)
        for cell in hips.cells_of(moc, order)
    }
    wanted.add(hips.ALLSKY_FILE)
    bad += [f"{name} is missing" for name in sorted(wanted) if not (survey / name).is_file()]
    sums = freeze.read_sums(survey / freeze.SUMS)
    there = {p.relative_to(survey).as_posix() for p in survey.glob(hips.TILES)}
    bad += [f"{name} is not in {freeze.SUMS}" for name in sorted(there - set(sums))]
    bad += [
        f"{name} has other content"
        for name in sorted(there & set(sums))
        if files.sha256_of(survey / name) != sums[name]
    ]
    expected = "properties, Moc.fits, Allsky and all tiles under the map, unchanged"
    found = f"{len(there)} tiles, finest order {finest}"
    return [none_of("image survey (HiPS)", bad, expected, found)]
