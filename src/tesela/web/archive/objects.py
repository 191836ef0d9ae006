"""The page of a source: spectrum, redshift, stamps, numbers, neighbours."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any
from urllib.parse import quote

import numpy as np
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Route

from tesela.products.columns import MEASURED
from tesela.sciencedb.release import Release
from tesela.sky import healpix
from tesela.vo import files
from tesela.web.archive import facts, position, stamps, words
from tesela.web.archive.context import Archive, Missing, is_alias, object_path
from tesela.web.shared import redshift, sed
from tesela.web.shared.sed import SedPoint

KINDS = (
    ("psfcor", "PSF-corrected"),
    ("auto", "AUTO (Kron ellipse)"),
    ("aper_3_0", "3\N{DOUBLE PRIME} aperture"),
)
NEIGHBOURS_ARCSEC = 20.0
_NEIGHBOURS = 12
_STAR = 0.5
"""A source that is more likely a star than this has a redshift only under a condition."""
_ROW = dict[str, Any]


def routes(archive: Archive) -> list[Route]:
    """Routes of the page and its JSON."""
    base = "/{release}/object/{ident}"

    def page(request: Request) -> Response:
        return _page(archive, request)

    def as_json(request: Request) -> Response:
        return _json(archive, request)

    return [
        Route(f"{base}.json", as_json),
        Route(base, page),
    ]


def find(release: Release, text: str) -> int:
    """Number of the source that a path or a form names; `Missing` if there is none."""
    named = position.source_name(text)
    if named is None:
        raise Missing(
            f"{text[:60]!r} is not the name of a source.",
            "A source is named by its number, or by its tile and its number in it, as "
            f"{_example(release)}.",
        )
    if not named.tile:
        return named.number
    number = _in_tile(release, named.tile, named.number)
    if number is None:
        raise Missing(
            f"Release {release.model.name} has no source {named.number} in tile {named.tile[:60]}.",
            "Its tiles are "
            + ", ".join(t.name for t in release.model.tiles[:12])
            + (" \N{HORIZONTAL ELLIPSIS}" if len(release.model.tiles) > 12 else "."),
        )
    return number


def _example(release: Release) -> str:
    return f"{release.model.tiles[0].name}-17" if release.model.tiles else "TILE-17"


def _in_tile(release: Release, tile: str, number: int) -> int | None:
    """Look a source up by tile and number: among those in a circle around the tile."""
    for known in release.model.tiles:
        if known.name == tile:
            break
    else:
        return None
    corners = np.asarray(known.corners_deg, np.float64).reshape(-1, 2)
    apart = healpix.separation_deg(corners[:, 0], corners[:, 1], known.ra_deg, known.dec_deg)
    radius = min(1.05 * float(np.max(apart, initial=0.05)), 180.0)
    names = ["source_id", "tile", "number"]
    for batch in release.cone("objects", known.ra_deg, known.dec_deg, radius, names):
        row = np.flatnonzero(
            (batch.column(1).to_numpy(zero_copy_only=False) == tile)
            & (batch.column(2).to_numpy(zero_copy_only=False) == number)
        )
        if row.size:
            return int(batch.column(0)[int(row[0])].as_py())
    return None


def _row(archive: Archive, request: Request) -> tuple[Release, _ROW]:
    release = archive.release(request)
    number = find(release, request.path_params["ident"])
    row = release.by_id("objects", number)
    if row is None:
        raise Missing(
            f"Release {release.model.name} has no source {number}.",
            "Look for it by its position:",
            (("Search", f"/{release.model.name}/search"),),
        )
    return release, row


def of_band(values: Any, place: int) -> Any:
    """One band's value out of a row, None if there is none."""
    return values[place] if values else None


def _page(archive: Archive, request: Request) -> Response:
    release, row = _row(archive, request)
    model = release.model
    address = object_path(model, row["source_id"])
    if is_alias(request) or request.path_params["ident"] != str(row["source_id"]):
        return RedirectResponse(address, 307)
    name = f"{row['tile']}-{row['number']}"
    plots = _plots(release, row, name)
    detection = model.band_names.index(model.detection_band)
    context = {
        "row": row,
        "name": name,
        "address": address,
        "plots": plots,
        "sed_kinds": [(k, label) for k, label in KINDS if f"flux_{k}" in row],
        "pz": _distribution(row),
        "has_photoz": _finite(row.get("photoz")) is not None,
        "like_a_star": (_finite(row.get("prob_star")) or 0.0) > _STAR,
        "detection": detection,
        "narrow": {b.band for b in facts.of(release).bands if b.narrow},
        "bands": facts.of(release).bands,
        "flags": _flags(release, row),
        "kind": words.star_or_galaxy(row.get("prob_star")),
        "neighbours": _neighbours(release, row),
        "links": outside_links(row["ra"], row["dec"]),
        "columns": _all_columns(release, row),
        "stamp_size": stamps.DEFAULT_ARCSEC,
        "version": files.stamp(model),
        "imaged": {t.name: t.bands for t in model.tiles}.get(row["tile"], ()),
        "scale": "flux" if request.query_params.get("scale") == "flux" else "noise",
        "has_colour": stamps.colour_bands(model.band_names) is not None,
    }
    return archive.render(request, "object.html", release, context)


def _points(release: Release, row: _ROW, kind: str) -> list[SedPoint]:
    """Bands of a source in one kind of photometry."""
    flux, error = row[f"flux_{kind}"], row[f"flux_{kind}_err"]
    points = []
    for k, band in enumerate(release.model.bands):
        code = row["status"][k]
        detected = bool(code == MEASURED and flux[k] > 0)
        points.append(
            SedPoint(
                band.name,
                band.pivot_nm if band.pivot_nm is not None else math.nan,
                band.fwhm_nm if band.fwhm_nm is not None else math.nan,
                float(flux[k]),
                float(error[k]),
                detected,
                words.status(code),
            )
        )
    return points


def _plots(release: Release, row: _ROW, name: str) -> list[dict[str, Any]]:
    """One plot for each kind and unit, all of a unit on one axis so that they compare."""
    series = {kind: _points(release, row, kind) for kind, _ in KINDS if f"flux_{kind}" in row}
    made = []
    for unit in ("mag", "flux"):
        axis = sed.limits(list(series.values()), unit)
        for kind, label in KINDS:
            if kind in series:
                plot = sed.draw(
                    series[kind],
                    unit=unit,
                    ident=f"sed-{kind}-{unit}",
                    title=f"{label} photometry of {name}",
                    axis=axis,
                )
                made.append({"kind": kind, "label": label, "unit": unit, "plot": plot})
    return made


def _distribution(row: _ROW) -> Any:
    quantiles = row.get("photoz_quantiles")
    if quantiles is None:
        return None
    return redshift.draw(
        list(quantiles),
        best=_finite(row.get("photoz")),
        low=_finite(row.get("photoz_low")),
        high=_finite(row.get("photoz_high")),
        ident="pz",
    )


def _finite(value: Any) -> float | None:
    return None if words.absent(value) else float(value)


def _flags(release: Release, row: _ROW) -> list[tuple[str, list[str]]]:
    """Sentences and the bands for which they hold."""
    told: dict[str, list[str]] = {}
    for k, band in enumerate(release.model.band_names):
        status = words.status(row["status"][k])
        said = [] if status == words.STATUS[MEASURED] else [status]
        said += words.flags(row["flags"][k]) if "flags" in row else []
        masks = words.mask_flags(row["mask_flags"][k]) if "mask_flags" in row else []
        for sentence in (*said, *(f"mask: {text}" for text in masks)):
            told.setdefault(sentence, []).append(band)
    return list(told.items())


def _neighbours(release: Release, row: _ROW) -> list[dict[str, Any]]:
    """Primary sources nearby, the nearest first, without the source itself."""
    names = ["source_id", "tile", "number", "ra", "dec", "is_primary", "mag_auto", "prob_star"]
    known = {c.name for c in release.table("objects").columns}
    found = release.cone(
        "objects",
        row["ra"],
        row["dec"],
        NEIGHBOURS_ARCSEC / 3600,
        [n for n in names if n in known],
        limit=2 * _NEIGHBOURS + 1,
        order_by_distance=True,
    ).table()
    detection = release.model.band_names.index(release.model.detection_band)
    near = []
    for other in found.to_pylist():
        # Of what two tiles see, one is enough here.
        if other["source_id"] == row["source_id"] or not other["is_primary"]:
            continue
        apart = healpix.separation_deg(other["ra"], other["dec"], row["ra"], row["dec"])
        mags = other.get("mag_auto")
        near.append(
            {
                **other,
                "name": f"{other['tile']}-{other['number']}",
                "path": object_path(release.model, other["source_id"]),
                "distance_arcsec": 3600 * float(apart),
                "mag": of_band(mags, detection),
            }
        )
    return near[:_NEIGHBOURS]


def outside_links(ra_deg: float, dec_deg: float) -> tuple[tuple[str, str], ...]:
    """Plain links to other archives; no page of ours waits for them."""
    place = quote(f"{ra_deg:.6f} {dec_deg:+.6f}")
    return (
        ("SIMBAD", f"https://simbad.cds.unistra.fr/simbad/sim-coo?Coord={place}&Radius=10"
         "&Radius.unit=arcsec"),
        ("NED", "https://ned.ipac.caltech.edu/conesearch?search_type=Near%20Position%20Search"
         f"&coordinates={quote(f'{ra_deg:.6f}d {dec_deg:+.6f}d')}&radius=0.2"),
        ("SDSS", "https://skyserver.sdss.org/dr18/VisualTools/navi?"
         f"ra={ra_deg:.6f}&dec={dec_deg:.6f}"),
        ("VizieR", f"https://vizier.cds.unistra.fr/viz-bin/VizieR-4?-c={place}&-c.rs=5"),
    )  # fmt: skip


def _all_columns(release: Release, row: _ROW) -> list[dict[str, Any]]:
    """Every column with its value, unit and description."""
    return [
        {"model": column, "value": row[column.name], "vector": column.is_vector}
        for column in release.table("objects").columns
    ]


def _json(archive: Archive, request: Request) -> Response:
    release, row = _row(archive, request)
    model = release.model
    content = {
        "release": model.name,
        "bands": list(model.band_names),
        "units": {c.name: c.unit for c in release.table("objects").columns if c.unit},
        "object": {name: plain(value) for name, value in row.items()},
    }
    return JSONResponse(content, headers={"Access-Control-Allow-Origin": "*"})


def plain(value: Any) -> Any:
    """A value as JSON has it: NaN and infinities are null."""
    if isinstance(value, np.ndarray):
        return [plain(v) for v in value.tolist()]
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [plain(v) for v in value]
    if isinstance(value, np.generic):
        value = value.item()
    return None if isinstance(value, float) and not math.isfinite(value) else value
