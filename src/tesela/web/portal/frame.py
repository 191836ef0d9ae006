"""The page of a frame."""

from __future__ import annotations

import contextlib
import json
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from sqlalchemy.engine import Connection

from tesela.errors import NotFound, TeselaError
from tesela.flow.plan import why
from tesela.ledger import frames, products, verdicts
from tesela.ledger.clock import iso
from tesela.pixels.thumbnail import MASK_COLOURS
from tesela.products import files, paths
from tesela.products.maskbit import MEANING, UNUSABLE, MaskBit
from tesela.web.portal import (
    dossier,
    exposure,
    links,
    metrics,
    orientation,
    product_queries,
    queries,
    star_plots,
)
from tesela.web.portal.pictures import Look, Mask, Subject
from tesela.web.portal.site import OpenSite
from tesela.web.portal.states import STATES
from tesela.web.portal.timeline import is_narrow
from tesela.web.shared.svg import Plot

_HEADLINES = (
    ("fwhm_arcsec", "seeing", "arcsec", 2),
    ("ellipticity", "ellipticity", "", 3),
    ("sky_e_s", "sky", "e\N{SUPERSCRIPT MINUS} s\u207b\u00b9 px\u207b\u00b9", 2),
    ("zeropoint_mag", "zero point", "mag", 3),
    ("n_sources", "sources", "", 0),
)

_MASKS: Final[tuple[tuple[str, Mask], ...]] = (
    ("defects", "defects"), ("with sources", "all"), ("hidden", "none"),
)  # fmt: skip


def legend(mask: Mask = "all") -> list[dict[str, str]]:
    """The codes of a mask that a picture shows, with their colours."""
    shown = {"none": 0, "defects": UNUSABLE}.get(mask, UNUSABLE | MaskBit.OBJECT)
    return [
        {
            "name": (bit.name or "").replace("_", " ").lower(),
            "meaning": MEANING[bit],
            "colour": "#{:02x}{:02x}{:02x}".format(*MASK_COLOURS[int(bit)]),
        }
        for bit in MaskBit
        if bit & shown
    ]


def subject(site: OpenSite, conn: Connection, name: str, *, raw: bool = False) -> Subject:
    """What a frame's picture shows: the reduced image if one is served, else what the quick look
    left, else the raw frame.

    Raises `NotFound` for an unknown frame.
    """
    frames.get(conn, name)
    found = None if raw else products.current(conn, "reduced", name) or _looked_at(conn, name)
    found = found or products.current(conn, "raw", name)
    if found is None:
        raise NotFound(name, found="no file of it is served", do="see its history")
    return Subject.of(site.folder, found)


def _looked_at(conn: Connection, name: str) -> dict[str, Any] | None:
    """The quick look of a frame, if it left an image."""
    found = products.current(conn, "quicklook", name)
    if found is None or paths.preview(Path(found["path"])).name not in found["files_json"]:
        return None
    return found


def picture_part(shown: Subject, name: str, look: Look, *, image: str) -> dict[str, Any]:
    """The picture with the choices beside it; `image` is the word for what there is beside the raw
    frame, '' if there is nothing."""

    def page(other: Look, *, raw: bool) -> str:
        of = "&of=raw" if raw else ""
        return f"{links.frame(name)}?{other.query}{of}"

    raw = shown.kind == "raw"
    of_choices = [(image, page(look, raw=False), not raw), ("raw", page(look, raw=True), raw)]
    return {
        "name": name,
        "shown": shown,
        "url": links.picture(shown.kind, name, shown.version, look),
        "legend": [] if raw else legend(look.mask),
        "objects_hidden": not raw and look.mask == "defects",
        "orientation": orientation.said(shown),
        "choices": [
            ("Image", of_choices if image else []),
            (
                "Stretch",
                [
                    (word, page(replace(look, stretch=word), raw=raw), look.stretch == word)
                    for word in ("asinh", "linear")
                ],
            ),
            (
                "Mask",
                []
                if raw
                else [
                    (word, page(replace(look, mask=codes), raw=raw), look.mask == codes)
                    for word, codes in _MASKS
                ],
            ),
        ],
    }


def page(site: OpenSite, conn: Connection, name: str, look: Look, *, raw: bool) -> dict[str, Any]:
    """What a frame's page shows; raises `NotFound` for an unknown frame."""
    found = frames.get(conn, name)
    state = queries.frame_state(conn, name)
    current = products.current(conn, "reduced", name)
    looked = products.current(conn, "quicklook", name) if current is None else None
    measured = current or looked
    quality = {} if measured is None else product_queries.quality(conn, measured["id"])
    shown = subject(site, conn, name, raw=raw)
    image = "reduced" if current else "quick look" if _looked_at(conn, name) else ""
    versions, happened = dossier.past(conn, name)
    is_science = found["obstype"] == "science"
    return {
        **picture_part(shown, name, look, image=image),
        "looked": looked,
        "outcome": quality,
        "frame": found,
        "siblings": exposure.siblings(conn, found),
        "start": iso(found["mjd_start"]),
        "narrow": is_narrow(found["band"]),
        "state": STATES[state["state"]] if state else STATES["new"],
        "reason": state["reason"] if state else "",
        "said": [
            line
            for kind in ("raw", *(("quicklook",) if looked else ()), *_of_science(is_science))
            for line in why.state_lines(conn, kind, name)
        ],
        "calibrations": dossier.calibrations(conn, site.rules, name) if is_science else [],
        "current": current,
        **_operations(json.loads(current["operations_json"]) if current else []),
        "headlines": _headlines(quality, found["exptime_s"]),
        "metrics": metrics.arrange(metrics.read(quality.get("metrics_json")), ()),
        "sizes": None if current is None else _sizes(site, found, current, quality),
        "inputs": [] if current is None else dossier.inputs(conn, current["id"]),
        "users": dossier.users(conn, "raw", name),
        "lineage": {
            **links.both_lineages("raw", name),
            "back": links.lineage("reduced" if current else "raw", name),
        },
        "tiles": [(tile, links.tile(tile)) for tile in frames.tiles_of(conn, found["product_id"])],
        "verdict": verdicts.standing(conn, "raw", name),
        "versions": versions,
        "happened": happened,
    }


def _operations(said: list[str]) -> dict[str, list[str]]:
    """What was done to the pixels, and what was left out: recorded as `no dark`."""
    return {
        "operations": [name for name in said if not name.startswith("no ")],
        "left_out": [name.removeprefix("no ") for name in said if name.startswith("no ")],
    }


def _of_science(is_science: bool) -> tuple[str, ...]:
    return ("reduced",) if is_science else ()


def _headlines(quality: dict[str, Any], exptime_s: float) -> list[tuple[str, Any, str, int]]:
    """The numbers that a reviewer looks at first: name, value, unit, digits.

    The sky is that of a second, as on the page of the night.
    """
    measured = metrics.read(quality.get("metrics_json"))
    measured |= {name: value for name, value in quality.items() if value is not None}
    if exptime_s > 0 and isinstance(measured.get("sky_e"), (int, float)):
        measured["sky_e_s"] = measured["sky_e"] / exptime_s
    return [
        (word, measured[name], unit, digits)
        for name, word, unit, digits in _HEADLINES
        if isinstance(measured.get(name), (int, float))
    ]


def _sizes(
    site: OpenSite, frame: dict[str, Any], current: dict[str, Any], quality: dict[str, Any]
) -> Plot | None:
    """The plot of sizes; a missing or damaged file is told elsewhere on the page."""
    camera = site.cameras.get(frame["camera"])
    if camera is None:
        return None
    with contextlib.suppress(TeselaError):
        return star_plots.size_magnitude(
            site.file(current["path"]), camera.pixel_scale_arcsec, quality.get("fwhm_arcsec")
        )
    return None


def header(site: OpenSite, conn: Connection, name: str) -> dict[str, Any]:
    """The cards of a frame's reduced image, or the reason why they cannot be read."""
    frames.get(conn, name)
    current = products.current(conn, "reduced", name)
    context: dict[str, Any] = {"name": name, "cards": [], "problem": ""}
    if current is None:
        return {**context, "problem": "The frame has no reduced image whose header could be shown."}
    try:
        cards = files.read_fits(site.file(current["path"]), []).cards.get("IMAGE", {})
    except TeselaError as error:
        return {**context, "problem": str(error)}
    return {**context, "cards": list(cards.items()), "path": current["path"]}
