"""The pages of tiles, of single products and of releases."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from typing import Any, Final

from sqlalchemy.engine import Connection

from tesela.errors import NotFound, TeselaError
from tesela.flow.plan import why
from tesela.ledger import products
from tesela.ledger.clock import iso
from tesela.ledger.keys import coadd_key
from tesela.products import paths
from tesela.sciencedb.shelf import Shelf
from tesela.web.portal import dossier, links, metrics, orientation, product_queries
from tesela.web.portal.pictures import KINDS, Look, Subject
from tesela.web.portal.queries import Row
from tesela.web.portal.site import OpenSite
from tesela.web.portal.states import PRODUCT_STATES, State
from tesela.web.portal.timeline import is_narrow

TILES_A_PAGE: Final = 200
TITLES: Final = {
    "dual": "Dual catalogue",
    "zeropoints": "Zero points",
    "valueadded": "Value-added columns",
    "science": "Science database",
}
_BAND_KINDS: Final = ("coadd", "catalogue")


def _states(
    conn: Connection, kinds: tuple[str, ...], keys: list[str]
) -> dict[tuple[str, str], dict[str, Any]]:
    """State, reason, served row and metrics of every kind and key."""
    served = {(row["kind"], row["key"]): row for row in product_queries.current(conn, kinds, keys)}
    pending = product_queries.pending(conn, kinds, keys)
    found = {}
    for kind in kinds:
        for key in keys:
            row = served.get((kind, key))
            state, reason = _judge(row, pending.get((kind, key)))
            found[kind, key] = {
                "kind": kind,
                "key": key,
                "row": row,
                "state": state,
                "reason": reason,
                "metrics": _measured(kind, row["metrics_json"]) if row else {},
                "url": links.product_alone(kind, key),
                "lineage": links.lineage(kind, key),
            }
    return found


def _measured(kind: str, metrics_json: str | None) -> dict[str, Any]:
    """The metrics of a product; those of the science database count the rows of its tables."""
    found = metrics.read(metrics_json)
    if kind != "science":
        return found
    return {
        f"rows_of_{name[2:]}" if name.startswith("n_") else name: value
        for name, value in found.items()
    }


def _judge(row: Row | None, pending: tuple[str, str] | None) -> tuple[State, str]:
    if pending is not None:
        return PRODUCT_STATES[pending[0]], pending[1]
    if row is None:
        return PRODUCT_STATES["absent"], ""
    if row["passed"] is not None and not row["passed"]:
        return PRODUCT_STATES["rejected"], row["quality_reason"]
    return PRODUCT_STATES["served"], row["stale"] and f"stale: {row['stale']}"


def list_page(conn: Connection, number: int) -> dict[str, Any]:
    """Tiles that frames touch, with how many bands have a coadd and what else is made."""
    total = product_queries.count_tiles(conn)
    offset = (number - 1) * TILES_A_PAGE
    rows = product_queries.tiles(conn, limit=TILES_A_PAGE, offset=offset)
    made: dict[str, Counter[str]] = {row["name"]: Counter() for row in rows}
    if rows:
        kinds = ("coadd", *links.TILE_KINDS)
        for row in product_queries.keys_between(conn, kinds, rows[0]["name"], rows[-1]["name"]):
            name = row["key"].rpartition(".")[0] if row["kind"] == "coadd" else row["key"]
            if name in made:
                made[name][row["kind"]] += 1
    return {
        "tiles": [{**row, "made": made[row["name"]]} for row in rows],
        "titles": TITLES,
        "total": total,
        "page": number,
        "pages": max(1, -(-total // TILES_A_PAGE)),
    }


def page(site: OpenSite, conn: Connection, name: str) -> dict[str, Any]:
    """What a tile's page shows; raises `NotFound` for a name that the grid does not have."""
    grid = product_queries.tile(conn, name)
    if grid is None:
        raise NotFound(
            f"tile {name}", found="no tile of that name in the survey's grid", do="see the tiles"
        )
    observed = product_queries.frames_by_band(conn, name)
    bands = [band for band in site.bands if band in observed]
    made = _states(conn, _BAND_KINDS, [coadd_key(name, band) for band in bands])
    whole = _states(conn, links.TILE_KINDS, [name])
    solution = whole["zeropoints", name]["metrics"]
    return {
        "tile": grid,
        "bands": [
            {**_band(name, band, observed[band], made), **_published(solution, band)}
            for band in bands
        ],
        "whole": [
            {
                **found,
                "title": TITLES[found["kind"]],
                "measured": metrics.arrange(found["metrics"], site.bands),
            }
            for found in (whole[kind, name] for kind in links.TILE_KINDS)
        ],
        "releases": product_queries.releases_with(conn, name),
    }  # fmt: skip


def _band(
    name: str, band: str, n_frames: int, made: dict[tuple[str, str], dict[str, Any]]
) -> dict[str, Any]:
    key = coadd_key(name, band)
    coadd, catalogue = made["coadd", key], made["catalogue", key]
    version = coadd["row"]["checksum"][:12] if coadd["row"] else ""
    return {
        "band": band,
        "narrow": is_narrow(band),
        "frames": n_frames,
        "coadd": coadd,
        "catalogue": catalogue,
        "picture": links.picture("coadd", key, version, Look(mask="none")) if version else "",
    }


def _published(solution: Mapping[str, Any], band: str) -> dict[str, Any]:
    """A band's zero point of the tile's photometric solution, with its error."""
    return {
        "zeropoint_mag": solution.get(f"zeropoint_mag_{band}"),
        "zeropoint_err_mag": solution.get(f"zeropoint_err_mag_{band}"),
    }


def product_page(site: OpenSite, conn: Connection, kind: str, key: str) -> dict[str, Any]:
    """What the page of a master, coadd, catalogue ... shows; raises `NotFound`."""
    versions, happened = dossier.past(conn, key)
    versions = [row for row in versions if row["kind"] == kind]
    if kind not in (*why.EXPLAINED, "release") or not (
        versions or why.state_lines(conn, kind, key)
    ):
        raise NotFound(f"{kind} {key}", found="no product of that name", do="see the tiles")
    current = products.current(conn, kind, key)
    quality = {} if current is None else product_queries.quality(conn, current["id"])
    look = Look(size=640)
    shown = (
        product_subject(site, conn, kind, key) if current is not None and kind in KINDS else None
    )
    return {
        "kind": kind,
        "key": key,
        "current": current,
        "said": why.state_lines(conn, kind, key),
        "picture": links.picture(kind, key, shown.version, look) if shown else "",
        "orientation": orientation.said(shown) if shown else "",
        "metrics": metrics.arrange(_measured(kind, quality.get("metrics_json")), site.bands),
        "inputs": [] if current is None else dossier.inputs(conn, current["id"]),
        "users": dossier.users(conn, kind, key),
        "lineage": links.both_lineages(kind, key),
        "versions": versions,
        "happened": happened,
    }


def product_subject(site: OpenSite, conn: Connection, kind: str, key: str) -> Subject:
    """What a product's picture shows; raises `NotFound` if there is nothing to show."""
    found = products.current(conn, kind, key) if kind in KINDS else None
    if found is None:
        raise NotFound(f"{kind} {key}", found="no image of that name is served", do="see the tiles")
    return Subject.of(site.folder, found)


def releases_page(site: OpenSite, conn: Connection) -> dict[str, Any]:
    """Releases that were built, and which of them are published."""
    shelf = Shelf(paths.releases_folder(site.folder))
    try:
        published, problem = shelf.published(), ""
    except (TeselaError, OSError) as error:
        published, problem = [], str(error)
    rows = [
        {
            **row,
            "made": iso(row["made_mjd"]),
            "state": _judge(row, None)[0],
            "published": row["key"] in published and row["is_current"],
            "warnings": json.loads(row["warnings_json"]),
        }
        for row in product_queries.releases(conn)
    ]
    known = {row["key"] for row in rows}
    return {
        "releases": rows,
        "published": published,
        "unknown": [name for name in published if name not in known],
        "problem": problem,
    }
