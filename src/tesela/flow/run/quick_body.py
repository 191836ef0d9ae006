"""What the worker does for a quick look: open, look, write what little there is to keep."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tesela import cameras, config
from tesela.flow.run import calibrations, fallback
from tesela.flow.run.plain import making, plain
from tesela.flow.run.steps import Order, Outcome
from tesela.products import files, paths, preview, rawfile
from tesela.products.catalogue import PROVENANCE, write_parquet
from tesela.products.frame import FrameFacts
from tesela.products.starlist import QUICKLOOK
from tesela.stages import reduce as reduce_stage

USUAL_ZEROPOINT = "usual_zeropoint_mag"
"""Beside the facts of the raw frame: the zero point of a clear night."""


def run_quicklook(order: Order) -> Outcome:
    """A raw frame, with what masters there are, to numbers, a star list and pictures.

    There are no planes of all pixels: nothing is made from a quick look, and the frame's own
    reduction follows.
    """
    of_frame = dict(order.of_kind("raw")[0].facts)
    usual_zeropoint_mag = of_frame.pop(USUAL_ZEROPOINT, None)
    inputs = _inputs(order, FrameFacts.from_dict(of_frame))
    made = reduce_stage.look(
        inputs,
        config.build(reduce_stage.ReduceSettings, order.settings["reduce"], "steps.reduce"),
        config.build(reduce_stage.QuickSettings, order.settings["stage"], "steps.quicklook"),
        usual_zeropoint_mag,
    )
    days = round(fallback.longest_days(fallback.of_order(order)), 3)
    metrics = plain({**made.metrics, "fallback_days": days})
    facts = {
        "frame": inputs.facts.name,
        "band": inputs.facts.band,
        "metrics": metrics,
        "wcs": plain(made.wcs),
        "warnings": made.warnings,
        "rejections": made.rejections,
        PROVENANCE: making(order, role="evidence").facts(),
    }
    temporary = order.out("stars.parquet")
    write_parquet(temporary, made.stars, facts, QUICKLOOK)
    written = [temporary, paths.picture(temporary)]
    files.write_jpeg(written[1], made.picture)
    if made.preview:
        written.append(paths.preview(temporary))
        preview.write(written[2], made.preview, float(metrics.get("sky_rms_e") or 0.0))
    final = paths.quicklook(inputs.facts.name, inputs.facts.night, order.version)
    finals = (final, paths.picture(final), paths.preview(final))
    return Outcome(
        files=tuple((str(one), str(name)) for one, name in zip(written, finals)),
        data_hash=files.data_hash(made.stars, _numbers(metrics)),
        metrics=metrics,
        rejections=tuple(made.rejections),
        warnings=(*made.warnings, *calibrations.substitutes(order)),
        operations=tuple(made.operations),
    )


def warm_up(order: Order) -> Outcome:
    """Load libraries and compiled kernels before the first frame comes."""
    from tesela.flow.run import rehearsal  # it brings every stage with it

    rehearsal.quick_look()
    return Outcome(files=(), data_hash=order.key)


def _inputs(order: Order, facts: FrameFacts) -> reduce_stage.ReduceInputs:
    camera = cameras.load(facts.camera, paths.cameras_folder(Path(order.site)))
    path = Path(order.of_kind("raw")[0].path)
    header, pixels = rawfile.read(path, rawfile.known(camera.reading))
    camera = camera.for_ccd(facts.ccd).with_header(header, facts.name)
    refcats = order.of_kind("refcat")
    return reduce_stage.ReduceInputs(
        facts=facts,
        header=header,
        pixels=pixels,
        camera=camera,
        calset=_calset(order, camera, facts),
        refcat=calibrations.refcat(refcats[0].path) if refcats else {},
        reference=_reference(order, facts),
        threads=order.cores,
    )


def _calset(order: Order, camera: cameras.Camera, facts: FrameFacts) -> reduce_stage.Calset:
    """Of a frame without sky nothing is corrected."""
    if facts.obstype != "science":
        return reduce_stage.Calset.nothing()
    return calibrations.calset_of(order, camera, facts.name)


def _reference(order: Order, facts: FrameFacts) -> config.Reference:
    table = order.settings["filters"].get(facts.band, {}).get("reference", {})
    return config.build(config.Reference, table, facts.band or "reference")


def _numbers(metrics: dict[str, Any]) -> dict[str, float]:
    return {
        name: value
        for name, value in metrics.items()
        if isinstance(value, (int, float)) and not isinstance(value, bool)
    }
