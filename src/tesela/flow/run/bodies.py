"""Where the steps of the flow meet the stages: open what was chosen, call, write.

Each body opens the inputs of its order, calls the pure function of its stage and writes the product
under a temporary name. Nothing is chosen here and nothing is remembered but opened masters and
reference catalogues, which many frames share.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import tesela
from tesela import cameras, config
from tesela.config import Survey
from tesela.errors import ConfigError
from tesela.flow.run import calibrations, fallback, needs, overrides
from tesela.flow.run.master_bodies import run_master
from tesela.flow.run.needs import NEEDS
from tesela.flow.run.plain import making, plain, provenance
from tesela.flow.run.quick_body import run_quicklook
from tesela.flow.run.steps import Order, Outcome, Registry, StepSpec
from tesela.flow.run.tile_bodies import run_calibrate, run_dual, run_load, run_valueadded
from tesela.products import paths, preview, rawfile
from tesela.products.columns import band_order
from tesela.products.files import Card, write_jpeg
from tesela.products.frame import FrameFacts
from tesela.products.images import Coadd, ReducedImage, card_dict
from tesela.products.masterkind import QUICK
from tesela.quality.bands import settings_of
from tesela.sky.tiles import TileGrid
from tesela.sky.wcs import Wcs
from tesela.stages import calibrate as calibrate_stage
from tesela.stages import catalog as catalog_stage
from tesela.stages import coadd as coadd_stage
from tesela.stages import masters as masters_stage
from tesela.stages import reduce as reduce_stage
from tesela.stages import valueadded as valueadded_stage

if TYPE_CHECKING:
    from tesela.flow.run.site import Site


def steps_of(site: Site) -> Registry:
    """The steps of a site. Raises `ConfigError` for settings that a run would refuse."""
    return registry(site.survey, paths.cameras_folder(site.folder))


def registry(survey: Survey, cameras_folder: Path | None = None) -> Registry:
    """The steps, with the settings that this survey gives them and their needs on its cameras."""
    stages = _settings(survey)
    over = {name: _overrides(survey, name) for name in ("master", "reduce")}
    for band, filter_ in survey.filters.items():
        reduce_stage.check(filter_.reference, f"survey.toml.filters.{band}.reference")
    filters = config.as_table(survey.filters)
    grid = {"grid": survey.grid}
    bands = {"bands": band_order(survey.filters)}
    master = {
        "stage": stages["master"],
        "minimum": survey.calibration.minimum,
        "wanted": survey.calibration.wanted,
        "references": {
            band: config.as_table(survey.filters[band].reference)
            for band in survey.calibration.illumination.bands
            if band in survey.filters
        },
    }
    reduce = {"stage": stages["reduce"], "filters": filters}
    coadd = {"stage": stages["coadd"], **grid}
    catalog = {"stage": stages["catalog"], **grid}
    dual = {"stage": stages["dual"], **grid, **bands, "detection_band": survey.detects_in}
    calibrate = {"stage": stages["calibrate"], **bands, "filters": filters}
    valueadded = {"stage": stages["valueadded"]}
    spec = partial(_spec, survey, cameras_folder)
    return Registry(
        [
            spec("master", "master", run_master, master, over["master"]),
            spec("detrend", "detrended", run_detrend, reduce, over["reduce"]),
            spec("reduce", "reduced", run_reduce, reduce, over["reduce"]),
            spec("coadd", "coadd", run_coadd, coadd),
            spec("catalog", "catalogue", run_catalog, catalog),
            spec("dual", "dual", run_dual, dual),
            spec("calibrate", "zeropoints", run_calibrate, calibrate),
            spec("valueadded", "valueadded", run_valueadded, valueadded),
            spec("load", "science", run_load, {**grid, **bands}),
        ],
        settings_of(survey.monitors),
    )


def quicklook_step(survey: Survey, cores: int) -> StepSpec:
    """The quick look. It is none of the registry's steps, for the planner never asks for it and
    other code or settings make none stale: it tells what was seen that night."""
    filters = config.as_table(survey.filters)
    settings = config.as_table({"stage": _settings(survey)["quicklook"], "filters": filters})
    return StepSpec(
        "quicklook",
        QUICK,
        run_quicklook,
        code_version=tesela.__version__,
        settings=settings,
        settings_hash=config.fingerprint(settings),
        cores=cores,
        overrides=_overrides(survey, "quicklook"),
    )


_SETTINGS: Mapping[str, type] = {
    "quicklook": reduce_stage.QuickSettings,
    "master": masters_stage.MastersSettings,
    "reduce": reduce_stage.ReduceSettings,
    "coadd": coadd_stage.CoaddSettings,
    "catalog": catalog_stage.CatalogSettings,
    "dual": catalog_stage.DualSettings,
    "calibrate": calibrate_stage.CalibrateSettings,
    "valueadded": valueadded_stage.ValueaddedSettings,
}
"""The settings that each step reads from `[steps.NAME]`."""


def _settings(survey: Survey) -> dict[str, Any]:
    unknown = sorted(set(survey.steps) - {*_SETTINGS, "release"})
    if unknown:
        raise ConfigError(
            "survey.toml",
            found=f"settings of unknown steps {', '.join(unknown)}",
            expected=", ".join(f"steps.{name}" for name in (*_SETTINGS, "release")),
        )
    overrides.check_steps(survey)
    tables = {name: dict(survey.steps.get(name, {})) for name in _SETTINGS}
    # The dual catalogue finds the very sources that the single one of its band has.
    tables["dual"].setdefault("detection", tables["catalog"])
    return {
        name: config.build(cls, tables[name], f"steps.{name}") for name, cls in _SETTINGS.items()
    }


def _overrides(survey: Survey, name: str) -> tuple[overrides.Layer, ...]:
    table = survey.steps.get(name, {})
    return overrides.layers(survey, name, _SETTINGS[name], table)


def _spec(
    survey: Survey,
    cameras_folder: Path | None,
    name: str,
    kind: str,
    run: Any,
    settings: Mapping[str, Any],
    over: tuple[overrides.Layer, ...] = (),
) -> StepSpec:
    table = config.as_table(settings)
    need = NEEDS[name]
    return StepSpec(
        name,
        kind,
        run,
        code_version=tesela.__version__,
        settings=table,
        settings_hash=config.fingerprint(table),
        cores=survey.flow.cores if need.shared else 1,
        memory_mb=needs.memory_mb(need, survey, cameras_folder),
        seconds_per_mpix=need.seconds_per_mpix,
        overrides=over,
    )


def run_reduce(order: Order) -> Outcome:
    """A raw frame, its calset and the reference to a reduced image."""
    inputs, settings = _to_reduce(order)
    return _written(order, inputs, reduce_stage.reduce(inputs, settings), paths.reduced)


def run_detrend(order: Order) -> Outcome:
    """The same, through the flat, with the sky left in."""
    inputs, settings = _to_reduce(order)
    return _written(order, inputs, reduce_stage.detrend(inputs, settings), paths.detrended)


def _to_reduce(order: Order) -> tuple[reduce_stage.ReduceInputs, reduce_stage.ReduceSettings]:
    raw = order.of_kind("raw")[0]
    facts = FrameFacts.from_dict(raw.facts)
    camera = _camera(order, facts.camera).for_ccd(facts.ccd)
    header, pixels = rawfile.read(Path(raw.path), rawfile.known(camera.reading))
    filters = order.settings["filters"]
    camera = camera.with_header(header, facts.name)
    inputs = reduce_stage.ReduceInputs(
        facts=facts,
        header=header,
        pixels=pixels,
        camera=camera,
        calset=calibrations.calset_of(order, camera, facts.name),
        refcat=calibrations.refcat(order.of_kind("refcat")[0].path),
        reference=config.build(config.Reference, filters[facts.band]["reference"], facts.band),
        threads=order.cores,
    )
    return inputs, config.build(
        reduce_stage.ReduceSettings, order.settings["stage"], "steps.reduce"
    )


def _written(
    order: Order,
    inputs: reduce_stage.ReduceInputs,
    made: reduce_stage.ReduceOutputs,
    path: Callable[[str, str, int], Path],
) -> Outcome:
    """Write an image with its small picture and say what was made."""
    facts = inputs.facts
    fallbacks = fallback.of_order(order)
    days = round(fallback.longest_days(fallbacks), 3)
    made.image.cards.extend(fallback.cards(fallbacks))
    made.image.cards.extend(provenance(order))
    temporary = order.out("image.fits")
    with ThreadPoolExecutor(1) as pool:  # hashing and compressing hardly hinder each other
        digest = pool.submit(made.image.data_hash)
        made.image.write(temporary)
    write_jpeg(paths.picture(temporary), made.picture)
    preview.write(paths.preview(temporary), made.preview, float(made.metrics["sky_rms_e"]))
    final = path(facts.name, facts.night, order.version)
    return Outcome(
        files=(
            (str(temporary), str(final)),
            (str(paths.picture(temporary)), str(paths.picture(final))),
            (str(paths.preview(temporary)), str(paths.preview(final))),
        ),
        data_hash=digest.result(),
        metrics=plain({**made.metrics, "fallback_days": days}),
        rejections=tuple(made.rejections),
        warnings=(
            *made.warnings,
            *(f"no master {kind}: the image goes without" for kind in inputs.calset.lacking),
            *calibrations.substitutes(order),
            *map(str, fallbacks),
        ),
        operations=_operations_of(made.image.cards),
        footprint=made.footprint,
    )


def run_coadd(order: Order) -> Outcome:
    """The reduced images of a tile and band to a coadd."""
    tile, band = order.key.rsplit(".", 1)
    inputs = coadd_stage.CoaddInputs(
        tile=tile,
        band=band,
        wcs=_tile_wcs(order, tile),
        frames=[
            coadd_stage.CoaddInput(ref.key, ReducedImage.read(Path(ref.path)))
            for ref in order.of_kind("reduced")
        ],
    )
    settings = config.build(coadd_stage.CoaddSettings, order.settings["stage"], "steps.coadd")
    made = coadd_stage.coadd(inputs, settings)
    made.coadd.cards.extend(provenance(order))
    temporary = order.out("coadd.fits")
    made.coadd.write(temporary)
    return Outcome(
        files=((str(temporary), str(paths.coadd(tile, band, order.version))),),
        data_hash=made.coadd.data_hash(),
        metrics=plain(made.metrics),
        warnings=tuple(made.warnings),
        operations=_operations_of(made.coadd.cards),
    )


def run_catalog(order: Order) -> Outcome:
    """A coadd to its single catalogue."""
    tile, band = order.key.rsplit(".", 1)
    coadd = Coadd.read(Path(order.of_kind("coadd")[0].path))
    inputs = catalog_stage.CatalogInputs(
        tile, band, coadd, _tile_wcs(order, tile), float(card_dict(coadd.cards)["MAGZP"])
    )
    settings = config.build(catalog_stage.CatalogSettings, order.settings["stage"], "steps.catalog")
    made = catalog_stage.catalog(inputs, settings)
    made.catalogue.facts.update(provenance=making(order).facts())
    temporary = order.out("catalogue.parquet")
    made.catalogue.write(temporary)
    return Outcome(
        files=((str(temporary), str(paths.catalogue(tile, band, order.version))),),
        data_hash=made.catalogue.data_hash(),
        metrics=plain(made.metrics),
        warnings=tuple(made.warnings),
        operations=("detection", "apertures", "psf photometry", "empty apertures", "injection"),
    )


def _operations_of(cards: list[Card]) -> tuple[str, ...]:
    """What was done by name, and `no NAME` of what was not: without its master, or switched off."""
    said = {key: value for key, value, _ in cards if key.startswith("TSL OP")}
    names = {
        key.removesuffix("NAME"): value for key, value in said.items() if key.endswith(" NAME")
    }
    return tuple(
        f"no {name}" if _is_left_out(said, operation) else str(name)
        for operation, name in names.items()
    )


def _is_left_out(said: Mapping[str, Any], operation: str) -> bool:
    sources = (str(said.get(operation + word, "")) for word in ("SOURCE", "MATRIX"))
    return said.get(f"{operation}ENABLED") is False or any(s.startswith("none") for s in sources)


def _camera(order: Order, name: str) -> cameras.Camera:
    return cameras.load(name, paths.cameras_folder(Path(order.site)))


def _tile_wcs(order: Order, tile: str) -> Wcs:
    return TileGrid.from_settings(order.settings["grid"]).wcs(tile)
