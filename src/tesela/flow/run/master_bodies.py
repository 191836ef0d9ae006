"""The body of the step `master`: one builder a kind, its inputs opened as the kind wants them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from tesela import cameras, config
from tesela.flow.run import calibrations, fallback
from tesela.flow.run.plain import plain, provenance
from tesela.flow.run.steps import InputRef, Order, Outcome
from tesela.products import paths, rawfile
from tesela.products.frame import FrameFacts
from tesela.products.images import Master, open_detrended, operation_cards
from tesela.products.masterkind import IMAGES, KINDS, MASTERS, RAW
from tesela.stages import masters as stage

Builder = Callable[[Any, Any], stage.MasterOutputs]
BUILDERS: dict[str, tuple[Builder, str]] = {
    "BIAS": (stage.build_bias, "bias"),
    "DARK": (stage.build_dark, "dark"),
    "LINEARITY": (stage.build_linearity, "linearity"),
    "CROSSTALK": (stage.build_crosstalk, "crosstalk"),
    "FLAT": (stage.build_flat, "flat"),
    "DOMEFLAT": (stage.build_flat, "flat"),
    "BADPIXEL": (stage.build_badpixel, "badpixel"),
    "ILLUMINATION": (stage.build_illumination, "illumination"),
    "FRINGE": (stage.build_fringe, "fringe"),
    "PATTERN": (stage.build_pattern, "pattern"),
}
"""The builder of each kind, and the name of its settings."""


def run_master(order: Order) -> Outcome:
    """Build a master of any kind, and the pages about it."""
    kind = order.key.split(".", 1)[0]
    settings = config.build(stage.MastersSettings, order.settings["stage"], "steps.master")
    build, table = BUILDERS[kind]
    own = getattr(settings, table)
    with ExitStack() as opened:
        inputs = _OPEN[KINDS[kind].source](order, kind, opened)
        made = build(inputs, own)
        about = stage.about(inputs, made, own, settings.stability)
    made.master.cards.extend([*operation_cards(made.operations), *provenance(order)])
    return Outcome(
        files=tuple(_write(order, made.master, about.pages)),
        data_hash=made.master.data_hash(),
        metrics=plain({**made.metrics, **about.metrics, "rejected": made.rejected}),
        rejections=tuple(made.reasons),
        warnings=(
            *made.warnings,
            *about.warnings,
            *_left_out(made.rejected),
            *calibrations.substitutes(order),
            *map(str, fallback.of_order(order)),
        ),
        operations=tuple(operation.name for operation in made.operations),
        monitored=(*made.monitored, *about.monitored),
    )


def _left_out(rejected: Mapping[str, str]) -> list[str]:
    """Say one frame with its reason, several by their number: a ramp's faintest exposures are no
    dome flats, and a sentence for each would hide what a person should read."""
    if len(rejected) <= 1:
        return [f"{name} left out: {why}" for name, why in rejected.items()]
    return [f"{len(rejected)} frames left out, for reasons that `tesela masters show` tells"]


def _write(order: Order, master: Master, pages: Mapping[str, bytes]) -> Iterator[tuple[str, str]]:
    """Write a master and its pages; yields (temporary, final) of each, the master first."""
    main = order.out("master.fits")
    master.write(main)
    yield str(main), str(paths.master(order.key, order.version))
    for name, content in sorted(pages.items()):
        temporary = order.out(f"page-{name}")
        temporary.write_bytes(content)
        yield str(temporary), str(paths.master_page(order.key, order.version, name))


def _common(order: Order, kind: str, camera: str) -> dict[str, Any]:
    """What every builder is given."""
    previous, reference = _compared_with(order, kind)
    ccd = order.key.split(".")[3]
    return {
        "key": order.key,
        "camera": cameras.load(camera, paths.cameras_folder(Path(order.site))).for_ccd(ccd),
        "masters": calibrations.masters_of(order),
        "previous": previous,
        "reference": reference,
        "wanted": int(order.settings["wanted"].get(kind, KINDS[kind].wanted)),
        "minimum": int(order.settings["minimum"].get(kind, 1)),
    }


def _compared_with(order: Order, kind: str) -> tuple[Master | None, Master | None]:
    """The predecessor and the first, both of the same epoch. An illumination that is the first of
    its epoch is shown beside the last of the epoch before."""
    found = [ref for ref in order.of_kind("master", "evidence") if ref.facts["master_kind"] == kind]
    found.sort(key=lambda ref: str(ref.facts["night"]))
    same = [ref for ref in found if not ref.facts.get("crosses")]
    if same:
        return _read(same[-1]), _read(same[0])
    is_shown = found and kind == "ILLUMINATION"
    return (_read(found[-1]) if is_shown else None), None


def _read(ref: InputRef) -> Master:
    return calibrations.read(ref.path)


def _of_raw(order: Order, kind: str, opened: ExitStack) -> stage.RawInputs:
    refs = [ref for ref in order.inputs if ref.kind == "raw"]
    refs.sort(key=lambda ref: ref.key)
    facts = [FrameFacts.from_dict(ref.facts) for ref in refs]
    common = _common(order, kind, facts[0].camera)
    judge = rawfile.known(common["camera"].reading)
    rows = [opened.enter_context(rawfile.open_rows(Path(ref.path), judge)) for ref in refs]
    return stage.RawInputs(
        **common,
        facts=facts,
        headers=[one.header for one in rows],
        pixels=rows,
    )


def _of_images(order: Order, kind: str, opened: ExitStack) -> stage.ImageInputs:
    images = []
    for ref in sorted(order.of_kind("detrended", "evidence"), key=lambda ref: ref.key):
        rows = opened.enter_context(open_detrended(Path(ref.path)))
        facts = FrameFacts.from_dict({k: v for k, v in ref.facts.items() if k != "metrics"})
        images.append(stage.Detrended(facts, rows.image, rows.mask, rows.cards, rows.sources))
    band = images[0].facts.band
    reference = order.settings["references"].get(band)
    refcats = order.of_kind("refcat")
    return stage.ImageInputs(
        **_common(order, kind, images[0].facts.camera),
        images=images,
        refcat=calibrations.refcat(refcats[0].path) if refcats else None,
        band=config.build(config.Reference, reference, band) if reference else None,
    )


def _of_masters(order: Order, kind: str, _opened: ExitStack) -> stage.CombinedInputs:
    parts: dict[str, list[Master]] = {}
    refs = order.of_kind("master")
    for ref in sorted(refs, key=lambda ref: ref.key):
        # Their masks are all that is joined: a dozen flats of a large CCD would fill the memory.
        part = Master.read(Path(ref.path), with_image=False)
        parts.setdefault(str(ref.facts["master_kind"]), []).append(part)
    camera = order.key.split(".")[2]
    return stage.CombinedInputs(**_common(order, kind, camera), parts=parts)


_OPEN: dict[str, Callable[[Order, str, ExitStack], stage.MasterInputs]] = {
    RAW: _of_raw,
    IMAGES: _of_images,
    MASTERS: _of_masters,
}
