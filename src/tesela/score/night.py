"""The score of a night: every product is opened once and compared with the truth."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tesela.bands import filters
from tesela.products import files
from tesela.products.catalogue import Catalogue
from tesela.score import (
    astrometry,
    colours,
    completeness,
    contaminants,
    dual,
    frames,
    fringes,
    masters,
    objects,
    pull,
    redshifts,
    tiles,
    zeropoint,
)
from tesela.score.frames import FrameScore
from tesela.score.rows import Row
from tesela.simulate.night import read_settings


@dataclass(frozen=True)
class Products:
    """What is scored: reduced frames by the name of the raw frame, coadds and their catalogues by
    (tile, band), masters by key, the rest by tile."""

    frames: Mapping[str, Path]
    coadds: Mapping[tuple[str, str], Path]
    catalogues: Mapping[tuple[str, str], Path]
    duals: Mapping[str, Path] = field(default_factory=dict)
    zeropoints: Mapping[str, Path] = field(default_factory=dict)
    valueadded: Mapping[str, Path] = field(default_factory=dict)
    masters: Mapping[str, Path] = field(default_factory=dict)


@dataclass(frozen=True)
class Evaluation:
    """The table's rows, and what the plots are drawn from."""

    rows: list[Row]
    residuals: list[astrometry.Residuals]
    zeropoints: list[zeropoint.Differences]
    recoveries: list[completeness.Recovery]


def evaluate(products: Products, truth_dir: Path) -> list[Row]:
    """Score a night's products against the truth that its simulation left in `truth_dir`."""
    return measure(products, truth_dir).rows


def measure(products: Products, truth_dir: Path) -> Evaluation:
    """Like `evaluate`, with the measurements behind the rows. Memory: one frame or coadd."""
    true = objects.read(truth_dir / "objects.parquet")
    singles = {
        name: frames.score(name, path, truth_dir, true)
        for name, path in sorted(products.frames.items())
    }
    residuals, zeros, pulls, recoveries = [], [], [], []
    published: list[zeropoint.Differences] = []
    by_tile: dict[str, dict[str, tiles.TileBand]] = {}
    solutions = {name: Catalogue.read(path) for name, path in products.zeropoints.items()}
    keys = set(products.coadds) & set(products.catalogues)
    bands = _in_order({band for _, band in keys})
    for key in sorted(keys, key=lambda key: (bands.index(key[1]), key[0])):
        tile = tiles.read(products.coadds[key], products.catalogues[key], true)
        residuals.append(astrometry.of_tile(tile))
        zeros.append(zeropoint.of_tile(tile))
        pulls.append(pull.of_tile(tile))
        recoveries.append(completeness.of_tile(tile))
        by_tile.setdefault(key[0], {})[key[1]] = tile
        if key[0] in solutions:
            published.append(zeropoint.published(tile, solutions[key[0]]))
    duals = [
        dual.read(path, products.valueadded[name], by_tile[name], true)
        for name, path in sorted(products.duals.items())
        if name in products.valueadded and name in by_tile
    ]
    rows = [
        *astrometry.rows(residuals, bands),
        *zeropoint.rows(zeros, bands),
        *zeropoint.published_rows(published, bands),
        *pull.rows(pulls, bands),
        *completeness.rows(recoveries, bands),
        *colours.rows(duals),
        *redshifts.rows(duals),
        *_frame_rows(singles, products.coadds),
        *_calibration_rows(products, truth_dir),
    ]
    return Evaluation(rows, residuals, zeros, recoveries)


def _in_order(bands: set[str]) -> list[str]:
    """By wavelength; bands that we do not know follow by name."""
    known = filters.names()
    return sorted(bands, key=lambda band: (known.index(band) if band in known else 99, band))


def _frame_rows(
    singles: Mapping[str, FrameScore], coadds: Mapping[tuple[str, str], Path]
) -> list[Row]:
    if not singles:
        return []
    residuals = [one.residuals for one in singles.values()]
    return [
        *astrometry.rows(residuals, (), what="frame astrometry", judge=False),
        zeropoint.relative_row("frame zero points", [one.zero for one in singles.values()]),
        zeropoint.relative_row(
            "scales within coadds", coadd_scales(coadds, singles), zeropoint.RELATIVE_TARGET_MMAG
        ),
        *contaminants.rows([one.counts for one in singles.values()]),
    ]


def _calibration_rows(products: Products, truth_dir: Path) -> list[Row]:
    if not products.masters:
        return []
    settings = read_settings(truth_dir)[0]
    corrected = {masters.band_of(key) for key in products.masters if key.startswith("FRINGE.")}
    return [
        *masters.evaluate(products.masters, truth_dir),
        *fringes.rows(products.frames, truth_dir, settings, corrected),
    ]


def coadd_scales(
    coadds: Mapping[tuple[str, str], Path], singles: Mapping[str, FrameScore]
) -> Sequence[zeropoint.FrameZero]:
    """Zero points that the coadds gave their inputs, minus the truth."""
    found = []
    for (tile, band), path in sorted(coadds.items()):
        cards = files.read_fits(path, []).cards["IMAGE"]
        n = 1
        while (name := cards.get(f"TSL IN{n} NAME")) is not None:
            if name in singles:
                error = float(cards[f"TSL IN{n} ZP"]) - singles[str(name)].true_zeropoint_mag
                found.append(zeropoint.FrameZero(f"{tile} {band}", 1e3 * error))
            n += 1
    return found
