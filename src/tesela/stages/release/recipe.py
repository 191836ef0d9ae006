"""The main function of the stage: a complete release from tables and coadds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from tesela.errors import ProductError
from tesela.products import files
from tesela.sciencedb import arrow
from tesela.sciencedb.model import (
    FILE,
    FileModel,
    ReleaseModel,
    TableModel,
    TileModel,
    band_models,
    published_tables,
)
from tesela.stages.release import colours, coverage, freeze, hips, preview
from tesela.stages.release.colours import CoaddFacts, Planes
from tesela.stages.release.coverage import Coverage
from tesela.stages.release.settings import Progress, ReleaseInputs, ReleaseSettings, silent

_ZERO_POINTS = (
    "Tables hold calibrated fluxes and magnitudes, by zeropoint_mag of the table tiles. The images "
    "carry in MAGZP the zero point of their frames, image_zeropoint_mag of that table: take "
    "zeropoint_mag in its place to measure on the scale of the tables."
)
CoaddTable = dict[tuple[str, str], CoaddFacts]


def build(
    inputs: ReleaseInputs,
    settings: ReleaseSettings,
    folder: Path,
    progress: Progress | None = None,
) -> ReleaseModel:
    """Write a complete release.

    Parameters
    ----------
    inputs : ReleaseInputs
    settings : ReleaseSettings
    folder : Path
        Empty, of the caller, who gives it the release's name when all is well.
    progress : callable, optional
        Told what is done, how many are done, and of how many.

    Returns
    -------
    ReleaseModel
        What was written into `release.json`, the last file.

    Raises
    ------
    ProductError
        A table or coadd is missing or damaged, numbers occur twice, the folder is not empty.
    """
    _require_empty(folder)
    tell = progress or silent
    tables = published_tables(inputs.bands)
    rows, about_tiles = freeze.write_tables(folder, inputs, tables, settings, tell)
    checksums = freeze.link_images(folder, inputs, tell)
    coadds = _look_at_coadds(inputs, tell)
    covered = coverage.measure(inputs, settings, tell)
    coverage.write_moc(folder / coverage.FILE, covered.moc())
    recipe = colours.choose_recipe(_noise(inputs, coadds), settings)
    planes = Planes(inputs.tiles, coadds, recipe, settings.planes_kept)
    preview.write(folder, inputs, planes, settings, tell)
    order = hips.write(folder / hips.FOLDER, inputs, planes, covered, settings, tell)
    facts = {
        **_facts(rows, covered, about_tiles),
        "made_with": sorted({v for tile in inputs.tiles for v in tile.code_versions}),
        "colour": recipe.as_dict(),
        "hips": {"path": hips.FOLDER, "order": order, "format": "jpeg"},
    }
    listed = freeze.list_files(folder, checksums, tell)
    release = _model(inputs, tables, rows, listed, facts)
    release.write(folder)
    files.sync(folder / FILE)
    return release


def _model(
    inputs: ReleaseInputs,
    tables: tuple[TableModel, ...],
    rows: dict[str, int],
    listed: tuple[FileModel, ...],
    facts: dict[str, Any],
) -> ReleaseModel:
    return ReleaseModel(
        name=inputs.name,
        title=inputs.title,
        survey=inputs.survey,
        created=inputs.created,
        code_version=inputs.code_version,
        detection_band=inputs.detection_band,
        bands=band_models(inputs.bands),
        tables=tables,
        tiles=_tiles(inputs),
        rows=rows,
        files=listed,
        facts=facts,
    )


def _require_empty(folder: Path) -> None:
    if not folder.is_dir() or any(folder.iterdir()):
        raise ProductError(
            str(folder), found="no folder, or one with files", expected="an empty folder"
        )


def _look_at_coadds(inputs: ReleaseInputs, progress: Progress) -> CoaddTable:
    facts = {}
    for done, tile in enumerate(inputs.tiles, 1):
        for band, path in tile.coadds.items():
            facts[tile.name, band] = colours.read_facts(path)
        shapes = {facts[tile.name, band].wcs.shape for band in tile.coadds}
        if len(shapes) > 1:
            raise ProductError(
                f"coadds of tile {tile.name}",
                found=f"images of {', '.join(str(shape) for shape in sorted(shapes))} pixels",
                expected="one grid of pixels in all bands",
                do="have them made again from one survey.toml",
            )
        progress("coadds", done, len(inputs.tiles))
    return facts


def _noise(inputs: ReleaseInputs, coadds: CoaddTable) -> dict[str, float]:
    """Median over the tiles, by band."""
    noise = {}
    for band in inputs.bands:
        values = [f.noise_ujy for (_, b), f in coadds.items() if b == band]
        finite = [value for value in values if np.isfinite(value)]
        if finite:
            noise[band] = float(np.median(finite))
    return noise


def _facts(rows: dict[str, int], covered: Coverage, about_tiles: pa.Table) -> dict[str, Any]:
    epochs = arrow.to_numpy(about_tiles.column("mjd_mean"))
    ra, dec, radius = coverage.circle(covered.moc())
    return {
        "area_deg2": round(covered.area_deg2, 6),
        "centre_deg": [round(ra, 6), round(dec, 6)],
        "radius_deg": round(radius, 6),
        **_epochs(epochs[np.isfinite(epochs)]),
        "objects": rows["objects"],
        "detections": rows["detections"],
        "depth_psf_mag": freeze.depth_medians(about_tiles),
        "zero_points": _ZERO_POINTS,
    }


def _epochs(mjd: NDArray[np.float64]) -> dict[str, float]:
    """First and last of the coadds' mean epochs: single exposures are from before and after."""
    if not mjd.size:
        return {}
    return {
        "mean_epoch_min_mjd": round(float(mjd.min()), 5),
        "mean_epoch_max_mjd": round(float(mjd.max()), 5),
    }


def _tiles(inputs: ReleaseInputs) -> tuple[TileModel, ...]:
    return tuple(
        TileModel(
            name=tile.name,
            ra_deg=tile.ra_deg,
            dec_deg=tile.dec_deg,
            corners_deg=tile.corners_deg,
            bands=tuple(band for band in inputs.bands if band in tile.coadds),
            version=tile.version,
            data_hash=tile.data_hash,
        )
        for tile in inputs.tiles
    )
