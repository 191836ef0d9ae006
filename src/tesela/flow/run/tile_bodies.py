"""Where the steps of whole tiles meet their stages: dual catalogue, zero points, value-added
columns, loading. As in `bodies`, nothing is chosen here.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

from tesela import config
from tesela.flow.run.plain import making, plain
from tesela.flow.run.steps import InputRef, Order, Outcome
from tesela.ledger.keys import split_coadd_key
from tesela.products import files, paths
from tesela.products.catalogue import Catalogue, Table, read_parquet
from tesela.products.images import Coadd, to_columns
from tesela.sciencedb import load
from tesela.sky.tiles import TileGrid
from tesela.stages import calibrate as calibrate_stage
from tesela.stages import catalog as catalog_stage
from tesela.stages import valueadded as valueadded_stage


def run_dual(order: Order) -> Outcome:
    """The coadds of a tile to its dual catalogue."""
    coadds = _by_band(order, "coadd")
    cards = {band: _cards(ref) for band, ref in coadds.items()}
    inputs = catalog_stage.DualInputs(
        tile=order.key,
        detection_band=str(order.settings["detection_band"]),
        bands=tuple(order.settings["bands"]),
        coadds={band: partial(Coadd.read, Path(ref.path)) for band, ref in coadds.items()},
        zeropoint_mag={band: float(card["MAGZP"]) for band, card in cards.items()},
        wcs=_grid(order).wcs(order.key),
        singles=_catalogues(order),
    )
    settings = config.build(catalog_stage.DualSettings, order.settings["stage"], "steps.dual")
    made = catalog_stage.dual(inputs, settings)
    operations = ("detection", "matched kernels", "apertures", "psf photometry", "empty apertures")
    return _outcome(order, made, paths.dual(order.key, order.version), operations)


def run_calibrate(order: Order) -> Outcome:
    """The catalogues and frames of a tile, and the reference, to its photometric solution."""
    filters = order.settings["filters"]
    references = {
        band: config.build(config.Reference, filters[band]["reference"], band)
        for band in order.settings["bands"]
    }
    refcat = order.of_kind("refcat")
    inputs = calibrate_stage.CalibrateInputs(
        tile=order.key,
        bands=tuple(order.settings["bands"]),
        catalogues=_catalogues(order),
        frames=_frames(order),
        mjd={b: float(_cards(ref)["MJD-MEAN"]) for b, ref in _by_band(order, "coadd").items()},
        refcat=read_parquet(Path(refcat[0].path))[0] if refcat else {},
        references=references,
    )
    settings = config.build(
        calibrate_stage.CalibrateSettings, order.settings["stage"], "steps.calibrate"
    )
    made = calibrate_stage.calibrate(inputs, settings)
    return _outcome(order, made, paths.zeropoints(order.key, order.version), ("zero points",))


def run_valueadded(order: Order) -> Outcome:
    """The calibrated dual catalogue of a tile to redshifts and classes."""
    inputs = valueadded_stage.ValueaddedInputs(
        dual=_only(order, "dual"), zeropoints=_only(order, "zeropoints")
    )
    settings = config.build(
        valueadded_stage.ValueaddedSettings, order.settings["stage"], "steps.valueadded"
    )
    made = valueadded_stage.valueadded(inputs, settings)
    operations = ("star/galaxy", "photometric redshift")
    return _outcome(order, made, paths.valueadded(order.key, order.version), operations)


def run_load(order: Order) -> Outcome:
    """All that is known of a tile to its tables in the working science database."""
    coadds = _by_band(order, "coadd")
    inputs = load.TileLoad(
        tile=order.key,
        grid=_grid(order),
        bands=tuple(order.settings["bands"]),
        dual=_only(order, "dual"),
        zeropoints=_only(order, "zeropoints"),
        valueadded=_only(order, "valueadded"),
        singles=_catalogues(order),
        coadds={band: _cards(ref) for band, ref in coadds.items()},
    )
    tables = load.tile_tables(inputs)
    facts = _provenance_facts(order)
    written = load.write_tile(tables, inputs, lambda name: order.out(f"{name}.parquet"), facts)
    return Outcome(
        files=tuple(
            (str(path), str(paths.science(order.key, order.version, name)))
            for name, path in written.items()
        ),
        data_hash=files.data_hash(
            {f"{name}.{column}": v for name, t in tables.items() for column, v in t.items()}
        ),
        metrics={f"n_{name}": len(next(iter(t.values()))) for name, t in tables.items()},
        operations=("zero points joined", "loaded"),
    )


def _outcome(order: Order, made: Any, final: Path, operations: tuple[str, ...]) -> Outcome:
    """Write the catalogue that a stage made."""
    made.catalogue.facts.update(_provenance_facts(order))
    temporary = order.out("catalogue.parquet")
    made.catalogue.write(temporary)
    return Outcome(
        files=((str(temporary), str(final)),),
        data_hash=made.catalogue.data_hash(),
        metrics=plain(made.metrics),
        warnings=tuple(made.warnings),
        operations=operations,
    )


def _provenance_facts(order: Order) -> dict[str, Any]:
    return {"provenance": making(order).facts()}


def _by_band(order: Order, kind: str) -> dict[str, InputRef]:
    return {split_coadd_key(ref.key)[1]: ref for ref in order.of_kind(kind)}


def _catalogues(order: Order) -> dict[str, Catalogue]:
    return {
        band: Catalogue.read(Path(ref.path)) for band, ref in _by_band(order, "catalogue").items()
    }


def _only(order: Order, kind: str) -> Catalogue:
    return Catalogue.read(Path(order.of_kind(kind)[0].path))


def _cards(ref: InputRef) -> dict[str, Any]:
    return files.read_fits(Path(ref.path), []).cards["IMAGE"]


def _frames(order: Order) -> dict[str, dict[str, calibrate_stage.FrameStars]]:
    """Star lists of the frames, by band and name; their pixels are not read."""
    found: dict[str, dict[str, calibrate_stage.FrameStars]] = {}
    for ref in order.of_kind("reduced"):
        fits = files.read_fits(Path(ref.path), ["SOURCES"])
        stars: Table = to_columns(fits.data["SOURCES"])
        cards = fits.cards["IMAGE"]
        frame = calibrate_stage.FrameStars.of(stars, cards)
        found.setdefault(str(cards["FILTER"]), {})[ref.key] = frame
    return found


def _grid(order: Order) -> TileGrid:
    return TileGrid.from_settings(order.settings["grid"])
