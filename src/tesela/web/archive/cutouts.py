"""Answers with stamps of a source, all on one stretch."""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from tesela.errors import BadInput, ProductError
from tesela.sciencedb.release import Release
from tesela.vo import files
from tesela.web.archive import facts, objects, stamps
from tesela.web.archive.context import Archive, Missing, is_versioned

_LOG = logging.getLogger(__name__)
_ROW = dict[str, Any]


def routes(archive: Archive) -> list[Route]:
    """The route of the stamps of a source; the band `colour` is a picture in colour."""
    return [Route("/{release}/object/{ident}/stamp/{band}.jpg", partial(_stamp, archive))]


def _stamp(archive: Archive, request: Request) -> Response:
    release = archive.release(request)
    number = objects.find(release, request.path_params["ident"])
    row = release.by_id("objects", number, ["source_id", "tile", "ra", "dec"])
    if row is None:
        raise Missing(f"Release {release.model.name} has no source {number}.")
    size = _size(request.query_params)
    band = request.path_params["band"]
    zeropoints = facts.of(release).zeropoints(row["tile"])
    try:
        if band == "colour":
            content = _colour(release, row, size, zeropoints)
        else:
            content = _grey(release, row, band, size, zeropoints, request.query_params.get("scale"))
    except ProductError:
        _LOG.exception("stamp of source %s in %s of %s", number, band[:20], release.model.name)
        return _no_stamp()
    caching = files.IMMUTABLE if is_versioned(request, release.model) else files.ASK_AGAIN
    return Response(content, media_type="image/jpeg", headers={"Cache-Control": caching})


def _no_stamp() -> Response:
    """A picture that says why there is none: where it stands on a page nothing else could."""
    content = (
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 168 168" width="168" height="168">'
        '<rect width="168" height="168" fill="#181828"/>'
        '<g fill="#e9ebf0" font-family="sans-serif" font-size="14" text-anchor="middle">'
        '<text x="84" y="74">This image is damaged;</text>'
        '<text x="84" y="96">the operator has</text><text x="84" y="118">the reason.</text>'
        "</g></svg>"
    )
    headers = {"Cache-Control": "no-store"}
    return Response(content, 503, media_type="image/svg+xml", headers=headers)


def _size(query: Mapping[str, str]) -> float:
    text = query.get("size", str(stamps.DEFAULT_ARCSEC))
    try:
        size = float(text)
    except ValueError:
        size = math.nan
    if not stamps.MIN_ARCSEC <= size <= stamps.MAX_ARCSEC:
        raise BadInput(
            f"size {text[:20]!r}",
            expected=f"{stamps.MIN_ARCSEC:g} to {stamps.MAX_ARCSEC:g} arcsec",
        )
    return size


def image_path(release: Release, tile: str, band: str) -> Path:
    """File of a coadd; `Missing` if the release has none."""
    for known in release.model.tiles:
        # Both names are compared with those of the release before they become a path.
        if known.name == tile and band in known.bands:
            return release.folder / "images" / tile / f"{tile}.{band}.fits"
    raise Missing(
        f"Release {release.model.name} has no image of tile {tile[:40]!r} in band {band[:20]!r}.",
        f"Its bands are {', '.join(release.model.band_names)}.",
    )


def _grey(
    release: Release, row: _ROW, band: str, size: float, zeropoints: Mapping[str, float],
    scale: str | None,
) -> bytes:  # fmt: skip
    part = stamps.cut(image_path(release, row["tile"], band), row["ra"], row["dec"], size)
    unit = part.noise
    if scale == "flux":
        unit = _common_unit(release, row, size, zeropoints, band)
    return stamps.grey(part, unit)


def _common_unit(
    release: Release, row: _ROW, size: float, zeropoints: Mapping[str, float], band: str
) -> float:
    """The noise of the detection band as a flux, in counts of this band."""
    reference = release.model.detection_band
    if band not in zeropoints or reference not in zeropoints:
        return math.nan
    path = image_path(release, row["tile"], reference)
    noise = stamps.cut(path, row["ra"], row["dec"], size).noise
    in_ujy = noise / stamps.microjansky(1.0, zeropoints[reference])
    return stamps.microjansky(in_ujy, zeropoints[band])


def _colour(release: Release, row: _ROW, size: float, zeropoints: Mapping[str, float]) -> bytes:
    bands = stamps.colour_bands(release.model.band_names)
    if bands is None or any(band not in zeropoints for band in bands):
        raise Missing("There are not three calibrated bands for a picture in colour.")
    parts = []
    for band in bands:
        path = image_path(release, row["tile"], band)
        parts.append((stamps.cut(path, row["ra"], row["dec"], size), zeropoints[band]))
    return stamps.colour(parts)
