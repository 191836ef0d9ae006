"""Tables of sources on pages: which columns are shown, sorted and paged over all rows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from tesela.errors import BadInput
from tesela.products.columns import APERTURES
from tesela.sciencedb import arrow
from tesela.sciencedb.model import ColumnModel
from tesela.sciencedb.release import Release
from tesela.sky import healpix
from tesela.web.archive.context import object_path
from tesela.web.shared import show

_ALWAYS = ("tile", "number", "ra", "dec")
_SUMMARY = {
    "objects": ("mag_auto", "mag_auto_err", "prob_star", "photoz", "photoz_err", "odds", "flags"),
    "detections": (
        "band",
        "mag_auto",
        "mag_auto_err",
        "mag_psf",
        "mag_psf_err",
        "fwhm",
        "ellipticity",
        "flags",
    ),
}
_DETECTION_ONLY = ("mag_auto", "mag_auto_err", "flags")
"""Of these a summary shows the detection band alone."""


@dataclass(frozen=True)
class Shown:
    """A column of a page's table."""

    key: str
    """What sorts by it: a column's name, with a dot and a band for one of its values."""
    label: str
    unit: str
    name: str
    index: int | None = None
    band: str = ""
    digits: int = 3
    error_name: str = ""
    """Column with the error, shown with the value."""
    numeric: bool = True
    description: str = ""


def choices(release: Release, table: str) -> list[tuple[str, str]]:
    """Sets of columns that a reader chooses from: key and label."""
    known = {c.name for c in release.table(table).columns}
    found = [("summary", "Summary")]
    if table == "objects":
        kinds = (("psfcor", "PSF-corrected"), ("auto", "AUTO"), ("psf", "PSF model"))
        apertures = ((f"aper_{a}", f"{a.replace('_', '.')}\N{DOUBLE PRIME} aperture")
                     for a in APERTURES)  # fmt: skip
        found += [
            (kind, f"{label} magnitudes in all bands")
            for kind, label in (*kinds, *apertures)
            if f"mag_{kind}" in known
        ]
        if "photoz" in known:
            found.append(("photoz", "Photometric redshift"))
    if "ellipticity" in known:
        found.append(("shape", "Shape"))
    return found


def columns(release: Release, table: str, key: str) -> list[Shown]:
    """Columns of a set, behind the name, position and distance that every table has."""
    model = release.table(table)
    known = {c.name: c for c in model.columns}
    if key not in {k for k, _ in choices(release, table)}:
        raise BadInput(
            f"columns {key[:20]!r}",
            found="no such set",
            expected=", ".join(k for k, _ in choices(release, table)),
        )
    if f"mag_{key}" in known:
        return _banded(release, known[f"mag_{key}"])
    if key == "summary":
        wanted = [n for n in _SUMMARY[table] if n in known]
    elif key == "photoz":
        wanted = [
            n for n, c in known.items() if not c.is_vector and n.startswith(("photoz", "odds"))
        ]
    else:
        wanted = [n for n, c in known.items() if not c.is_vector and _is_shape(c)]
    return [
        shown
        for name in wanted
        if not (name.endswith("_err") and name.removesuffix("_err") in wanted)
        for shown in _expand(release, known, name, key == "summary")
    ]


def _is_shape(column: ColumnModel) -> bool:
    return column.name in {
        "a", "b", "ellipticity", "position_angle", "flux_radius", "fwhm", "kron_radius", "isoarea",
        "concentration",
    }  # fmt: skip


def _banded(release: Release, column: ColumnModel) -> list[Shown]:
    return [
        Shown(
            f"{column.name}.{band}", band, column.unit, column.name, k, band,
            error_name=f"{column.name}_err", description=f"{column.description} ({band})",
        )
        for k, band in enumerate(release.model.band_names)
    ]  # fmt: skip


def _expand(
    release: Release, known: dict[str, ColumnModel], name: str, summary: bool
) -> list[Shown]:
    column = known[name]
    error = f"{name}_err" if f"{name}_err" in known else ""
    number = column.dtype != "str"
    digits = 0 if column.dtype.startswith(("int", "bool")) else 3
    if not column.is_vector:
        return [
            Shown(name, name, column.unit, name, None, "", digits, error, number,
                  column.description)
        ]  # fmt: skip
    band = release.model.detection_band
    if summary and name in _DETECTION_ONLY and column.per_band:
        k = release.model.band_names.index(band)
        return [
            Shown(f"{name}.{band}", f"{name} {band}", column.unit, name, k, "", digits, error,
                  number, column.description)
        ]  # fmt: skip
    return []


def names(release: Release, table: str, key: str) -> list[str]:
    """Columns of the database that a set shows, whole vectors included."""
    model = release.table(table)
    wanted = {model.id_column, *_ALWAYS}
    for shown in columns(release, table, key):
        wanted |= {shown.name, shown.error_name} - {""}
    return [c.name for c in model.columns if c.name in wanted]


class Listing:
    """The rows of a cone with the columns of a page.

    `cut` is true if there are more rows than `limit`: the nearest were taken. `once` is true if
    second sightings were left out; `read` is the number of rows before.
    """

    def __init__(
        self,
        release: Release,
        table: str,
        shown: list[Shown],
        cone: tuple[float, float, float],
        *,
        limit: int,
        duplicates: bool,
    ) -> None:
        self.release, self.table, self.shown = release, table, shown
        model = release.table(table)
        known = {c.name for c in model.columns}
        wanted = {model.id_column, *_ALWAYS}
        for column in shown:
            wanted |= {column.name, column.error_name} - {""}
        self.once = not duplicates and "is_primary" in known
        if self.once:
            wanted.add("is_primary")
        chosen = [c.name for c in model.columns if c.name in wanted]
        rows = release.cone(table, *cone, chosen, limit=limit + 1, order_by_distance=True).table()
        self.cut = len(rows) > limit
        rows = rows.slice(0, limit)
        self.read = len(rows)
        if self.once:
            rows = rows.filter(rows.column("is_primary"))
        self.rows: pa.Table = rows
        self.distance_arcsec = 3600 * healpix.separation_deg(
            rows.column("ra").to_numpy(), rows.column("dec").to_numpy(), cone[0], cone[1]
        )

    def page(
        self, sort: str, descending: bool, page: int, size: int
    ) -> tuple[list[dict[str, Any]], int]:
        """Rows of one page, sorted over all rows, and the number of all rows.

        Absent values come last in either order.
        """
        values = self._values(sort)
        if values.dtype.kind in "OU":
            order = np.argsort(values.astype(str), kind="stable")
            order = order[::-1] if descending else order
        else:
            present = np.isfinite(values)
            keyed = np.where(present, -values if descending else values, np.inf)
            order = np.lexsort((keyed, ~present))
        chosen = order[(page - 1) * size : page * size]
        rows = self.rows.take(pa.array(chosen)).to_pylist()
        return [self._row(r, self.distance_arcsec[i]) for r, i in zip(rows, chosen)], len(order)

    def _values(self, sort: str) -> NDArray[Any]:
        if sort == "distance":
            return np.asarray(self.distance_arcsec, np.float64)
        if sort == "name":
            return self._number_in_tile()
        for shown in self.shown:
            if shown.key == sort:
                column = arrow.to_numpy(self.rows.column(shown.name))
                values = column if shown.index is None else column[:, shown.index]
                return values if values.dtype.kind in "OU" else values.astype(np.float64)
        if sort in {"ra", "dec"}:
            return np.asarray(self.rows.column(sort).to_numpy(), np.float64)
        known = ", ".join(["distance", "name", "ra", "dec", *(s.key for s in self.shown)])
        raise BadInput(f"sorting by {sort[:40]!r}", found="not shown", expected=known)

    def _number_in_tile(self) -> NDArray[Any]:
        """Numbers that order rows by tile and number."""
        tiles = self.rows.column("tile").to_pylist()
        rank = {tile: k for k, tile in enumerate(sorted(set(tiles)))}
        first = np.array([rank[tile] for tile in tiles], np.float64)
        return first * 1e10 + self.rows.column("number").to_numpy()

    def _row(self, row: dict[str, Any], distance: float) -> dict[str, Any]:
        model = self.release.model
        number = row[self.release.table(self.table).id_column]
        return {
            "name": f"{row['tile']}-{row['number']}",
            "path": object_path(model, number) if self.table == "objects" else "",
            "ra": row["ra"],
            "dec": row["dec"],
            "distance_arcsec": float(distance),
            "cells": [cell(row, shown) for shown in self.shown],
        }


def cell(row: dict[str, Any], shown: Shown) -> tuple[str, str]:
    """Value and error of a cell as text."""
    value, error = row.get(shown.name), row.get(shown.error_name) if shown.error_name else None
    if shown.index is not None:
        value = value[shown.index] if value is not None else None
        error = error[shown.index] if error is not None else None
    if not shown.numeric:
        return show.significant(value), ""
    text = show.number(value, shown.digits)
    beside = show.number(error, shown.digits) if error is not None else ""
    return text, "" if show.MISSING in {beside, text} else beside
