"""Exposures of many CCDs: each with a cell a CCD, in lists and on a page of its own."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

from markupsafe import Markup, escape
from sqlalchemy.engine import Connection

from tesela.cameras.camera import Camera
from tesela.ledger import exposures, verdicts
from tesela.ledger.clock import iso
from tesela.ledger.keys import clean
from tesela.web.portal import dossier, links, queries
from tesela.web.portal.frame_row import shown
from tesela.web.portal.queries import Row, Selection
from tesela.web.portal.site import OpenSite
from tesela.web.portal.states import ABSENT, RANK, STATES, State
from tesela.web.shared import svg

EXPOSURES_A_PAGE: Final = 60
_PLANE: Final = 420.0
"""Side of the picture of the focal plane."""


def rows(conn: Connection, chosen: Selection, page: int) -> list[dict[str, Any]]:
    """The exposures of a page of a night's selection, in order of time, with their cells."""
    offset = (page - 1) * EXPOSURES_A_PAGE
    found = queries.exposures_of(conn, chosen, limit=EXPOSURES_A_PAGE, offset=offset)
    of_exposure: dict[int, list[Row]] = {row["id"]: [] for row in found}
    for frame in queries.frames_of(conn, list(of_exposure)):
        of_exposure[frame["exposure_id"]].append(frame)
    return [_listed(row, of_exposure[row["id"]]) for row in found]


def _listed(exposure: Row, frames: Sequence[Row]) -> dict[str, Any]:
    ccds = json.loads(exposure["ccds_json"])
    parts = cells(ccds, frames)
    return {
        **exposure,
        "time": iso(exposure["mjd_start"])[11:19],
        "url": links.exposure(exposure["key"]),
        "cells": parts,
        "bands": sorted({frame["band"] for frame in frames if frame["band"]}),
        **_told(parts),
    }


def cells(ccds: Sequence[str], frames: Sequence[Row]) -> list[dict[str, Any]]:
    """A cell a CCD, in the order of the camera: its frame and state, or that there is none.

    A CCD has two frames where one with a wrong header was flagged and replaced: the cell is that of
    the better one.
    """
    best: dict[str, Row] = {}
    for frame in sorted(frames, key=lambda frame: -RANK[frame["state"]]):
        best[frame["ccd"]] = frame
    order = [*ccds, *sorted(set(best) - {*ccds})]
    return [
        {
            "ccd": ccd,
            "frame": best.get(ccd),
            "state": STATES[best[ccd]["state"]] if ccd in best else ABSENT,
            "url": links.frame(best[ccd]["name"]) if ccd in best else "",
        }
        for ccd in order
    ]


def _told(parts: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """How many CCDs are here, which are not, and the state that wants attention most."""
    missing = [cell["ccd"] for cell in parts if cell["frame"] is None]
    here = [cell["state"] for cell in parts if cell["frame"] is not None]
    worst: State = max(here, key=lambda state: RANK[state.name])
    return {"arrived": len(here), "expected": len(parts), "missing": missing, "worst": worst}


def siblings(conn: Connection, frame: Row) -> dict[str, Any] | None:
    """The exposure of a frame with its cells; None where the frame was read alone."""
    exposure = queries.exposure_row(conn, frame["exposure_id"])
    frames = queries.frames_of(conn, [frame["exposure_id"]])
    if exposure is None or (len(frames) < 2 and len(frame["ccds"]) < 2):
        return None
    return _listed(exposure, frames)


def page(site: OpenSite, conn: Connection, name: str) -> dict[str, Any]:
    """What an exposure's page shows; raises `NotFound` for an unknown one."""
    found = exposures.get(conn, name)
    frames = queries.frames_of(conn, [found["id"]])
    parts = cells(found["ccds"], frames)
    past = dossier.of_exposure(conn, found["key"])
    return {
        "exposure": found,
        "start": iso(found["mjd_start"]),
        "verdict": verdicts.standing(conn, exposures.KIND, found["key"]),
        "cells": parts,
        "plane": _plane(site.cameras.get(clean(found["camera"])), parts),
        "frames": [shown(frame) for frame in frames],
        "happened": past,
        **_told(parts),
    }


def _plane(camera: Camera | None, parts: Sequence[Mapping[str, Any]]) -> Markup | None:
    """The focal plane as it is seen on the sky, north up and east to the left."""
    places = {one.ccd: one.offset_arcmin for one in camera.detectors} if camera else {}
    if camera is None or any(cell["ccd"] not in places for cell in parts):
        return None
    scale = camera.pixel_scale_arcsec / 60
    width, height = camera.nx * scale, camera.ny * scale
    reach = max(max(map(abs, place)) for place in places.values()) + 0.55 * max(width, height)
    unit = _PLANE / (2 * reach)
    drawn = [
        _cell(cell, unit, (reach - east, reach - north), (width, height))
        for cell in parts
        for east, north in [places[cell["ccd"]]]
    ]
    return svg.picture(
        svg.Frame(_PLANE, _PLANE, 0, 0, 0, 0),
        "focal-plane",
        "The CCDs on the sky",
        "North is up and east to the left. The table of frames has the same states.",
        drawn,
        role="group",
    )


def _cell(
    cell: Mapping[str, Any], unit: float, centre: tuple[float, float], size: tuple[float, float]
) -> str:
    x, y = centre[0] * unit, centre[1] * unit
    width, height = size[0] * unit, size[1] * unit
    state, words = cell["state"], f"CCD {cell['ccd']} {cell['state'].word}"
    tone = "absent" if cell["frame"] is None else state.tone
    box = (
        f'<rect class="ccd is-{tone}" x="{x - width / 2:.1f}" y="{y - height / 2:.1f}" '
        f'width="{width:.1f}" height="{height:.1f}"/>'
        f'<text class="ccd-name" x="{x:.1f}" y="{y - 2:.1f}" text-anchor="middle">'
        f"{escape(cell['ccd'])}</text> "
        f'<text class="ccd-state" x="{x:.1f}" y="{y + 13:.1f}" text-anchor="middle">'
        f"{escape(state.word)}</text>"
    )
    if not cell["url"]:
        return f"<g><title>{escape(words)}</title>{box}</g>"
    return (
        f'<g><a href="{escape(cell["url"])}" tabindex="-1" aria-label="{escape(words)}">'
        f"<title>{escape(words)}</title>{box}</a></g>"
    )
