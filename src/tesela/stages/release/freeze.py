"""Freezing: tables and images of the working site become files that never change again."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow as pa

from tesela.errors import ProductError
from tesela.products import files
from tesela.sciencedb import arrow, hats, model, serving
from tesela.sciencedb.model import FILE, FileModel, ReleaseModel, TableModel
from tesela.stages.release import hips
from tesela.stages.release.owners import PRIMARY, Owners
from tesela.stages.release.settings import Progress, ReleaseInputs, ReleaseSettings

IMAGES, SERVE, HATS, TABLES = "images", "serve", "hats", "tables"
SUMS = "sha256sums.txt"
"""Checksums of the many small files of the image survey, as `sha256sum --check` reads them."""


def write_tables(
    folder: Path,
    inputs: ReleaseInputs,
    models: tuple[TableModel, ...],
    settings: ReleaseSettings,
    progress: Progress,
) -> tuple[dict[str, int], pa.Table]:
    """Write every published table.

    Memory: see `hats.write_hats` and `serving.write_serving`; the table `tiles` is held whole.

    Returns
    -------
    dict of str to int
        Rows by table.
    pa.Table
        The table `tiles`, from which facts are taken.
    """
    rows = {}
    about_tiles = None
    for done, table in enumerate(models, 1):
        if table.on_sky:
            catalogue = folder / HATS / table.name
            rows[table.name] = hats.write_hats(
                catalogue,
                table,
                _sources(inputs, table),
                rows_per_partition=settings.rows_per_partition,
            )
            serving.write_serving(folder / SERVE, table, catalogue)
        else:
            data = _read(inputs, table)
            rows[table.name] = len(data)
            arrow.write_table(folder / TABLES / f"{table.name}.parquet", table, data)
            about_tiles = data if table.name == "tiles" else about_tiles
        progress("tables", done, len(models))
    if about_tiles is None:
        raise ProductError("published tables", found="no table `tiles`", expected="one")
    return rows, about_tiles


def _sources(inputs: ReleaseInputs, table: TableModel) -> list[hats.TileFile]:
    """The tiles' files; of objects, it is decided anew which sighting is the primary one."""
    owners = Owners(inputs.tiles)
    return [
        hats.TileFile(
            getattr(tile, table.name),
            table,
            partial(owners.decide, place) if PRIMARY in {c.name for c in table.columns} else None,
        )
        for place, tile in enumerate(inputs.tiles)
    ]


def _read(inputs: ReleaseInputs, table: TableModel) -> pa.Table:
    if table.name == "filters":
        return arrow.from_numpy(model.filters_table(model.band_models(inputs.bands)), table)
    return hats.read_tables((getattr(tile, table.name) for tile in inputs.tiles), table)


def link_images(folder: Path, inputs: ReleaseInputs, progress: Progress) -> dict[str, str]:
    """Give the coadds a second name in the release, or copy them to another file system.

    Returns
    -------
    dict of str to str
        Checksums that the caller knows, by path in the release.
    """
    known = {}
    for done, tile in enumerate(inputs.tiles, 1):
        for band, source in tile.coadds.items():
            name = image_path(tile.name, band)
            _link(source, folder / name)
            if band in tile.checksums:
                known[name] = tile.checksums[band]
        progress("images", done, len(inputs.tiles))
    return known


def image_path(tile: str, band: str) -> str:
    """Path of a coadd inside a release."""
    return f"{IMAGES}/{tile}/{tile}.{band}.fits"


def _link(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.link(source, target)
    except FileNotFoundError:
        raise ProductError(
            str(source),
            found="no such file",
            expected="a coadd of the release",
            do="`tesela audit --repair` fetches it from another site, `tesela restore` makes it "
            "again",
        ) from None
    except OSError:  # another file system, or one without hard links
        shutil.copyfile(source, target)
        files.sync(target)


def depth_medians(about_tiles: pa.Table) -> dict[str, float]:
    """Median depth for point sources, by band, of the tiles where it is known."""
    bands = np.array(about_tiles.column("band").to_pylist())
    depth = arrow.to_numpy(about_tiles.column("depth_psf_mag")).astype(float)
    return {
        str(band): round(float(np.median(values)), 3)
        for band in dict.fromkeys(bands.tolist())
        if len(values := depth[(bands == band) & np.isfinite(depth)])
    }


def list_files(folder: Path, known: Mapping[str, str], progress: Progress) -> tuple[FileModel, ...]:
    """Every file of a release with its checksum and size, flushed to the disk.

    Tiles of the image survey are listed in a file of their own, which is in the list.
    """
    _write_sums(folder)
    paths = list(walk(folder))
    listed = []
    for done, path in enumerate(paths, 1):
        name = path.relative_to(folder).as_posix()
        if name not in known:
            files.sync(path)
        checksum = known.get(name) or files.sha256_of(path)
        listed.append(FileModel(name, checksum, path.stat().st_size))
        progress("checksums", done, len(paths))
    return tuple(listed)


def _write_sums(folder: Path) -> None:
    survey = folder / hips.FOLDER
    tiles = sorted(survey.glob(hips.TILES), key=lambda path: path.relative_to(survey).as_posix())
    lines = [f"{files.sha256_of(p)}  {p.relative_to(survey).as_posix()}\n" for p in tiles]
    (survey / SUMS).write_text("".join(lines), encoding="utf-8")


def walk(folder: Path) -> Iterator[Path]:
    """Files that `release.json` lists: all but itself and the tiles of the image survey."""
    survey = folder / hips.FOLDER
    for path in sorted(p for p in folder.rglob("*") if not p.is_dir()):
        listed_apart = path.is_relative_to(survey) and path.relative_to(survey).match(hips.TILES)
        if path != folder / FILE and not listed_apart:
            yield path


def read_sums(path: Path) -> dict[str, str]:
    """Checksums by path, as `list_files` wrote them."""
    pairs = (line.partition("  ") for line in path.read_text(encoding="utf-8").splitlines())
    return {name: checksum for checksum, _, name in pairs}


def missing_files(folder: Path) -> list[str]:
    """Files of a release that are gone or have another size than `release.json` says.

    Contents are not read: see `validate`.
    """
    release = ReleaseModel.read(folder)
    bad = [file.path for file in release.files if not _has_size(folder / file.path, file.size)]
    sums = folder / hips.FOLDER / SUMS
    if sums.is_file():
        survey = sums.parent
        bad += [
            f"{hips.FOLDER}/{name}" for name in read_sums(sums) if not (survey / name).is_file()
        ]
    return bad


def changed_files(folder: Path) -> list[str]:
    """Files of a release that are gone or are not what `release.json` says, before it is published.

    All contents are read but those of images and of the image survey: what is asked of a release
    comes from the others, and images, by far the most, are judged by their sizes.
    """
    bad = missing_files(folder)
    for file in ReleaseModel.read(folder).files:
        is_image = file.path.startswith(f"{IMAGES}/")
        if not is_image and file.path not in bad:
            bad += [file.path] * (files.sha256_of(folder / file.path) != file.sha256)
    return bad


def _has_size(path: Path, size: int) -> bool:
    return path.is_file() and path.stat().st_size == size
