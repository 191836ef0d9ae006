"""The first page, the page of a release, its columns, its tiles and its files."""

from __future__ import annotations

import json
import logging
import math
from collections.abc import Mapping
from datetime import date, timedelta
from functools import partial
from pathlib import Path
from typing import Any

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from tesela.errors import BadInput, ProductError
from tesela.products import paths
from tesela.products.files import sha256_of
from tesela.sciencedb.model import FILE, ReleaseModel, TableModel
from tesela.sciencedb.release import Release
from tesela.sciencedb.shelf import LATEST
from tesela.vo import files
from tesela.web.archive import facts
from tesela.web.archive.context import Archive, Missing, is_alias, is_versioned
from tesela.web.shared.pages import is_fragment

_LOG = logging.getLogger(__name__)


def routes(archive: Archive) -> list[Route]:
    """Routes of these pages."""

    def bound(endpoint: Any) -> Any:
        return partial(endpoint, archive)

    return [
        Route("/", bound(_index)),
        Route("/{release}", bound(_slash)),
        Route("/{release}/", bound(_release)),
        Route("/{release}/columns", bound(_columns)),
        Route("/{release}/image/{tile}", bound(_tile)),
        Route("/{release}/preview.jpg", bound(partial(_file, folder=""))),
        Route("/{release}/release.json", bound(partial(_file, folder=""))),
        Route("/{release}/tiles/{path:path}", bound(partial(_file, folder="tiles"))),
        Route("/{release}/images/{path:path}", bound(partial(_file, folder="images"))),
        Route("/{release}/tables/{path:path}", bound(partial(_file, folder="tables"))),
    ]


def _index(archive: Archive, request: Request) -> Response:
    entries = []
    for name in archive.served.names():
        try:
            entries.append({"name": name, **_summary(archive.served.get(name))})
        except ProductError:
            # One damaged release must not take the others off the page.
            _LOG.exception("release %s", name)
            entries.append({"name": name, "model": None})
        except BadInput:
            continue  # withdrawn since the names were read
    context = {"entries": entries, "contact": archive.settings.contact}
    return archive.pages.render(request, "archive/index.html", context)


def _summary(release: Release) -> dict[str, Any]:
    counted = facts.of(release)
    return {
        "model": release.model,
        "bands": counted.bands,
        "sources": counted.sources,
        "area_deg2": release.model.facts.get("area_deg2"),
        "has_preview": (release.folder / "preview.jpg").is_file(),
        "version": files.stamp(release.model),
    }


def _slash(archive: Archive, request: Request) -> Response:
    name = request.path_params["release"]
    if name not in {*archive.served.names(), LATEST}:
        archive.release(request)
    return RedirectResponse(f"/{name}/", 307)


def _release(archive: Archive, request: Request) -> Response:
    release = archive.release(request)
    model = release.model
    if is_alias(request):
        return RedirectResponse(f"/{model.name}/", 307)
    counted = facts.of(release)
    ra, dec = (model.tiles[0].ra_deg, model.tiles[0].dec_deg) if model.tiles else (0.0, 0.0)
    context = {
        **_summary(release),
        "facts": counted,
        "epochs": _epochs(counted),
        "validation": validation(release),
        "base": archive.base_url(request),
        "example": {"ra": round(ra, 4), "dec": round(dec, 4)},
        "files": _downloads(release),
    }
    return archive.render(request, "release.html", release, context)


def _epochs(counted: facts.Facts) -> str:
    """Dates between which the images were taken."""
    first, last = _date(counted.first_mjd), _date(counted.last_mjd)
    return first if first == last else f"{first} \N{EN DASH} {last}"


def _date(mjd: float) -> str:
    """Calendar date (UTC) of a Modified Julian Date; empty for NaN."""
    if not math.isfinite(mjd):
        return ""
    return (date(1858, 11, 17) + timedelta(days=int(mjd))).isoformat()


def _downloads(release: Release) -> list[dict[str, Any]]:
    """What can be taken as whole files, with sizes where they are known."""
    sizes: dict[str, int] = {}
    for entry in release.model.files:
        top = "/".join(entry.path.split("/")[:2])
        sizes[top] = sizes.get(top, 0) + entry.size
    found = []
    for table in release.model.tables:
        if table.on_sky:
            found.append(
                {
                    "label": f"{table.name}: HATS catalogue (Parquet)",
                    "path": f"hats/{table.name}/properties",
                    "shown": f"hats/{table.name}/",
                    "size": sizes.get(f"hats/{table.name}"),
                }
            )
        else:
            path = f"tables/{table.name}.parquet"
            found.append({"label": f"{table.name}: Parquet", "path": path, "shown": path,
                          "size": sizes.get(path)})  # fmt: skip
    for path, label in (
        ("moc.fits", "coverage (MOC)"),
        ("hips/colour/properties", "pictures in colour (HiPS)"),
        ("release.json", "the contents of the release, with checksums"),
    ):
        if (release.folder / path).is_file():
            found.append({"label": label, "path": path, "shown": path, "size": None})
    return found


def validation(release: Release) -> dict[str, Any] | None:
    """The table of checks that was made when this release was validated, if it lies beside it."""
    try:
        text = paths.validation(release.folder).read_text(encoding="utf-8")
        content = json.loads(text)
        checksum = sha256_of(release.folder / FILE)
    except FileNotFoundError:
        return None
    except (OSError, ValueError):
        _LOG.exception("validation of %s", release.model.name)
        return None
    if not isinstance(content, dict) or content.get("sha256") != checksum:
        return None  # of another release that had this name
    checks = content.get("checks")
    if not isinstance(checks, list) or not all(isinstance(c, Mapping) for c in checks):
        return None
    names = ("name", "passed", "found", "expected", "note")
    rows = [{name: check.get(name) for name in names} for check in checks]
    return {"passed": content.get("passed") is True, "checks": rows}


def _columns(archive: Archive, request: Request) -> Response:
    release = archive.release(request)
    if is_alias(request):
        return RedirectResponse(f"/{release.model.name}/columns", 307)
    words = request.query_params.get("q", "")[:100]
    chosen = request.query_params.get("table", "")
    known = [table.name for table in release.model.tables]
    if chosen not in {"", *known}:
        address = f"/{release.model.name}/columns?table="
        raise Missing(
            f"Release {release.model.name} has no table {chosen[:40]!r}.",
            "Its tables:",
            tuple((name, f"{address}{name}") for name in known),
        )
    tables = [
        (table, matching(table, words))
        for table in release.model.tables
        if chosen in {"", table.name}
    ]
    context = {
        "tables": tables,
        "query": words,
        "chosen": chosen,
        "total": sum(len(columns) for _, columns in tables),
    }
    template = "columns_fragment.html" if is_fragment(request) else "columns.html"
    return archive.render(request, template, release, context)


def matching(table: TableModel, words: str) -> list[Any]:
    """Columns whose name, unit, UCD or description has every word."""
    wanted = words.lower().split()
    return [
        c
        for c in table.columns
        if all(w in f"{c.name} {c.unit} {c.ucd} {c.description}".lower() for w in wanted)
    ]


def _tile(archive: Archive, request: Request) -> Response:
    release = archive.release(request)
    model, name = release.model, request.path_params["tile"]
    tile = next((t for t in model.tiles if t.name == name), None)
    if tile is None:
        raise Missing(
            f"Release {model.name} has no tile {name[:60]!r}.",
            "Its tiles:",
            tuple((t.name, f"/{model.name}/image/{t.name}") for t in model.tiles[:20]),
        )
    if is_alias(request):
        return RedirectResponse(f"/{model.name}/image/{name}", 307)
    counted = facts.of(release)
    rows = {row["band"]: row for row in counted.tiles if row["tile"] == name}
    context = {
        "tile": tile,
        "rows": [(band, rows.get(band.band), _size_of(model, tile.name, band.band))
                 for band in counted.bands],
        "has_picture": (release.folder / "tiles" / f"{tile.name}.jpg").is_file(),
        "version": files.stamp(model),
    }  # fmt: skip
    return archive.render(request, "tile.html", release, context)


def _size_of(model: ReleaseModel, tile: str, band: str) -> int | None:
    path = f"images/{tile}/{tile}.{band}.fits"
    return next((f.size for f in model.files if f.path == path), None)


def _file(archive: Archive, request: Request, folder: str) -> Response:
    """A file of a release, checked by the rules of the services."""
    release = archive.release(request)
    inside = request.path_params.get("path") or request.url.path.rpartition("/")[2]
    relative: Path | str = f"{folder}/{inside}" if folder else inside
    try:
        path = files.locate(release.folder, str(relative))
    except BadInput:
        raise Missing(
            f"Release {release.model.name} has no file {str(relative)[:80]!r}.",
            "Its files are listed on its page:",
            ((release.model.name, f"/{release.model.name}/"),),
        ) from None
    versioned = is_versioned(request, release.model)
    return files.response(path, request.headers, immutable=versioned)
