"""The sky of a release: a viewer over our HiPS, and a still picture where none can run."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Route

from tesela.errors import BadInput, TeselaError
from tesela.sciencedb import arrow
from tesela.sciencedb.release import Release
from tesela.sky import healpix
from tesela.sky.wcs import Wcs
from tesela.vo import files
from tesela.web.archive import position
from tesela.web.archive.context import Archive, is_alias, object_path
from tesela.web.archive.objects import of_band, plain
from tesela.web.shared import assets

SHOWN = 400
"""Sources drawn over the sky at once, the brightest of the view."""
LOOKED_AT = 20_000
_SHOWN_WIDTH, _SHOWN_HEIGHT = 1200, 900
_WIDEST_DEG = 90.0
"""Field of the widest view: beyond, the projection on a plane shows nothing that can be used."""
_CLICK_PX = 12
"""A click finds a source within so many pixels of the still picture."""


@dataclass(frozen=True)
class Still:
    """The picture of the whole release: where its pixels are, and the tiles' outlines in them."""

    wcs: Wcs
    tiles: tuple[tuple[str, tuple[tuple[float, float], ...]], ...]

    @property
    def width(self) -> int:
        """Pixels."""
        return self.wcs.shape[1]

    @property
    def height(self) -> int:
        """Pixels."""
        return self.wcs.shape[0]

    @property
    def shown_width(self) -> int:
        """Width on the page, fixed there so that a click means the same without any script."""
        return min(self.width, _SHOWN_WIDTH, int(_SHOWN_HEIGHT * self.width / self.height))

    @property
    def shown_height(self) -> int:
        """Height on the page."""
        return round(self.height * self.shown_width / self.width)

    def outlines(self) -> list[tuple[str, str]]:
        """Tiles by name, as the points of a polygon in the picture as it is shown."""
        factor = self.shown_width / self.width
        return [
            (name, " ".join(f"{x * factor:.1f},{y * factor:.1f}" for x, y in corners))
            for name, corners in self.tiles
        ]


def routes(archive: Archive) -> list[Route]:
    """Routes of these pages."""

    def bound(endpoint: Any) -> Any:
        return partial(endpoint, archive)

    return [
        Route("/{release}/sky", bound(_page)),
        Route("/{release}/sky/objects.json", bound(_objects)),
        Route("/{release}/sky/at", bound(_at)),
    ]


def still(folder: Path) -> Still | None:
    """The still picture of a release, None if it has none that can be used."""
    if not (folder / "preview.jpg").is_file():
        return None
    try:
        place = json.loads((folder / "preview.json").read_text(encoding="utf-8"))
        wcs = Wcs(
            np.array(place["crval"], np.float64),
            np.array(place["crpix"], np.float64),
            np.array(place["cd"], np.float64),
            None,
            (int(place["shape"][0]), int(place["shape"][1])),
        )
        tiles = tuple(
            (str(t["name"]), tuple((float(x), float(y)) for x, y in t["outline"]))
            for t in place["tiles"]
        )
    except (OSError, ValueError, KeyError, TypeError, IndexError, TeselaError):
        return None
    return Still(wcs, tiles)


def _page(archive: Archive, request: Request) -> Response:
    release = archive.release(request)
    model = release.model
    if is_alias(request):
        return RedirectResponse(f"/{model.name}/sky?{request.url.query}".rstrip("?"), 307)
    ra, dec, field = _start(release, request)
    hips = release.folder / "hips" / "colour"
    packages = assets.available()
    reasons = []
    if "aladin.js" not in packages:
        reasons.append("the sky viewer is not installed on this server (`tesela serve setup`)")
    if not (hips / "properties").is_file():
        reasons.append("this release has no pictures for it")
    live = not reasons and request.query_params.get("still") is None
    context = {
        "still": still(release.folder),
        "live": live,
        "reasons": reasons,
        "ra": ra,
        "dec": dec,
        "field": field,
        "version": files.stamp(model),
        "hips": f"/{model.name}/hips/colour",
        "place": request.query_params.get("pos", "").strip()[:60],
    }
    return archive.render(request, "sky.html", release, context, sky_viewer=live)


def _start(release: Release, request: Request) -> tuple[float, float, float]:
    """Where the view begins: as the address says, else on the first tile."""
    tiles = release.model.tiles
    ra, dec, field = (tiles[0].ra_deg, tiles[0].dec_deg, 0.3) if tiles else (0.0, 0.0, 60.0)
    picture = still(release.folder)
    if picture is not None:
        middle = picture.wcs.pix_to_sky(picture.width / 2, picture.height / 2)
        ra, dec = float(middle[0]), float(middle[1])
        field = 1.05 * max(picture.width, picture.height) * picture.wcs.pixel_scale_arcsec / 3600
    text = request.query_params.get("pos", "")
    if text.strip():
        ra, dec = position.position(text)
        field = 0.05
    asked = request.query_params.get("fov", "")
    if asked:
        field = position.radius_deg(asked, "deg")
    return ra, dec, min(field, _WIDEST_DEG)


def _number(request: Request, name: str, low: float, high: float) -> float:
    text = request.query_params.get(name, "")
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not low <= value <= high:
        raise BadInput(
            f"{name} {text[:20]!r}", found="not a number there", expected=f"{low:g} to {high:g}"
        )
    return value


_OVERLAY = (
    "source_id",
    "tile",
    "number",
    "ra",
    "dec",
    "mag_auto",
    "prob_star",
    "photoz",
    "is_primary",
)


def _objects(archive: Archive, request: Request) -> Response:
    """The brightest sources of a view, as JSON."""
    release = archive.release(request)
    ra, dec = _number(request, "ra", 0, 360) % 360, _number(request, "dec", -90, 90)
    radius = _number(request, "radius", 0, 180)
    known = {c.name for c in release.table("objects").columns}
    with archive.searches.place():
        rows = release.cone(
            "objects", ra, dec, radius, [n for n in _OVERLAY if n in known], limit=LOOKED_AT
        ).table()
    complete = len(rows) < LOOKED_AT
    rows = rows.filter(rows.column("is_primary"))
    total = len(rows)
    detection = release.model.band_names.index(release.model.detection_band)
    mags = np.asarray(arrow.to_numpy(rows.column("mag_auto")), np.float64)
    mags = mags.reshape(len(rows), -1)[:, detection] if total else np.zeros(0)
    order = np.argsort(np.where(np.isfinite(mags), mags, np.inf), kind="stable")[:SHOWN]
    sources = [_source(release, row, detection) for row in rows.take(order).to_pylist()]
    content = {"sources": sources, "in_view": total, "complete": complete}
    return JSONResponse(content, headers={"Cache-Control": "no-cache"})


def _source(release: Release, row: dict[str, Any], detection: int) -> dict[str, Any]:
    mags = row.get("mag_auto")
    return {
        "name": f"{row['tile']}-{row['number']}",
        "path": object_path(release.model, row["source_id"]),
        "ra": row["ra"],
        "dec": row["dec"],
        "mag": plain(of_band(mags, detection)),
        "prob_star": plain(row.get("prob_star")),
        "photoz": plain(row.get("photoz")),
    }


def nearest(
    release: Release, ra_deg: float, dec_deg: float, radius_deg: float
) -> dict[str, Any] | None:
    """The source that lies nearest to a position, None if there is none within the radius."""
    known = {c.name for c in release.table("objects").columns}
    rows = release.cone(
        "objects",
        ra_deg,
        dec_deg,
        radius_deg,
        [n for n in _OVERLAY if n in known],
        limit=1,
        order_by_distance=True,
    ).table()
    if not len(rows):
        return None
    row = rows.to_pylist()[0]
    detection = release.model.band_names.index(release.model.detection_band)
    apart = healpix.separation_deg(row["ra"], row["dec"], ra_deg, dec_deg)
    return {**_source(release, row, detection), "distance_arcsec": 3600 * float(apart)}


def _at(archive: Archive, request: Request) -> Response:
    """A click on the still picture: the nearest source, or what lies there."""
    release = archive.release(request)
    picture = still(release.folder)
    if picture is None:
        raise BadInput("map", found="no still picture", expected="preview.jpg and preview.json")
    factor = picture.width / picture.shown_width
    # The browser counts pixels of the picture as it is shown, from its left upper corner.
    x = factor * _number(request, "map.x", 0, picture.shown_width)
    y = factor * _number(request, "map.y", 0, picture.shown_height)
    if x == y == 0:
        # What a browser sends if the picture was chosen by a key: no place was meant.
        return archive.render(request, "nothing.html", release, {"by_key": True})
    ra, dec = (float(v) for v in picture.wcs.pix_to_sky(x, y))
    radius = factor * _CLICK_PX * picture.wcs.pixel_scale_arcsec / 3600
    found = nearest(release, ra % 360, dec, radius)
    if found is not None:
        return RedirectResponse(found["path"], 303)
    context = {
        "ra": ra % 360,
        "dec": dec,
        "radius_arcsec": 3600 * radius,
        "by_key": False,
    }
    return archive.render(request, "nothing.html", release, context)
