"""The page of a master: what it is, what it stands on, how it compares, and who uses it."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from sqlalchemy.engine import Connection

from tesela.errors import LedgerError
from tesela.flow.plan import why
from tesela.ledger import masters as ledger_masters
from tesela.ledger import products
from tesela.ledger.clock import iso
from tesela.ledger.keys import MasterKey
from tesela.products.masterkind import KINDS
from tesela.products.monitor import QUANTITIES, WHOLE_CCD
from tesela.web.portal import calibration_queries as queries
from tesela.web.portal import dossier, links, metrics, product_files, validity
from tesela.web.portal.configured import Configured
from tesela.web.portal.masters import marks_of, wanted
from tesela.web.portal.product_files import Listed
from tesela.web.portal.queries import Row
from tesela.web.portal.site import OpenSite
from tesela.web.portal.states import LEVELS, master_state

_SHOWN_INPUTS: Final = 400
_EACH_SIDE: Final = 30
_NIGHTS_SHOWN: Final = 24
_TABLE_BYTES: Final = 200_000
_TABLE_ROWS: Final = 200

PLOTS: Final[Mapping[str, tuple[str, str]]] = {
    "ratio": ("Stability", "This flat over the first of its epoch: pixels, amplifiers, rings."),
    "map": ("\u0394mag map", "Instrumental less true magnitude: seen, fitted, left, its error."),
    "epochs": ("Epochs", "This map beside that of the epoch's first and the one before."),
    "trumpet": ("Trumpet", "Residuals of single stars against magnitude, before and after."),
    "trumpet_log": ("Trumpet, logarithmic", "The same as counts on a logarithmic scale."),
    "histogram": ("\u0394mag histogram", "Residuals before and after the correction."),
    "reference": ("Catalogue", "Residuals against the reference catalogue's magnitude and colour."),
    "linearity": (
        "Linearity",
        "Residuals before and after, the correction, photon transfer, lamp.",
    ),
    "crosstalk": ("Crosstalk", "Ghost in each amplifier of a source in each other."),
    "pattern": ("Pattern", "The pattern relative to the sky, and what disagrees in it."),
    "example": ("Example", "A frame before and after."),
    "amplitudes": ("Amplitudes", "How strong the pattern is in each frame."),
    "amplifiers": ("Amplifiers", "How strong it is in each amplifier."),
}
"""Title of each plot and what it shows, in the order of the page."""
TABLES: Final[Mapping[str, str]] = {
    "images.csv": "Images used",
    "coefficients.csv": "Coefficients of the fit",
}
"""Tables that are shown on the page."""
_COMPARING: Final = ("change", "compared", "agree", "previous", "correlation", "n_new", "n_gone")
"""Parts of the names of metrics that compare a master with another."""


def page(site: OpenSite, conn: Connection, key: str) -> dict[str, Any] | None:
    """What the page of a master shows; None for a key of which no version was made."""
    row = queries.shown_version(conn, key)
    if row is None:
        return None
    kind, of = row["master_kind"], Configured(row["configuration"])
    quality = products.quality_of(conn, row["id"]) or {}
    measured = metrics.read(quality.get("metrics_json"))
    versions, happened = dossier.past(conn, key)
    followed = queries.amp_values(conn, row["id"])
    single, compared = _parted(measured)
    state = master_state(row["master_state"], row["reason"])
    return {
        "key": key,
        "kind": kind,
        "row": row,
        "of": of,
        "band": of.band(site.bands),
        "narrow": of.is_narrow(site.bands),
        "says": KINDS[kind].says if kind in KINDS else "",
        "state": state,
        "said": [
            line for line in why.state_lines(conn, "master", key) if ": warning: " not in line
        ],
        "warnings": _own_warnings(row, _rejected(measured)),
        "made": iso(row["made_mjd"]),
        "holds": tuple(map(validity.day, (row["valid_begin"], row["valid_end"]))),
        "natural_end": validity.day(row["natural_end"]),
        "wanted": wanted(site, kind),
        "operations": json.loads(row["operations_json"] or "[]"),
        "bar": _bar(site, conn, row, of),
        "previous": _previous(conn, key),
        "single": single,
        "compared": compared,
        "frames": frames_of(conn, row["id"], _rejected(measured)),
        "amplifiers": amplifiers(measured, followed),
        "alerts": [value for value in followed if value["level"]],
        "levels": LEVELS,
        **_files(site, row),
        "nights": _nights(conn, row),
        "nights_title": {
            "ratio": "Stability of the other nights", "map": "Maps of all epochs",
        }.get(_shown_of(kind), ""),
        "users": dossier.users(conn, "master", key),
        "lineage": links.both_lineages("master", key),
        "versions": [one for one in versions if one["kind"] == "master"],
        "happened": happened,
    }  # fmt: skip


def _parted(measured: Mapping[str, Any]) -> tuple[metrics.Measured, metrics.Measured]:
    """What was measured on the master alone, and against another."""
    against = {
        name: value for name, value in measured.items() if any(w in name for w in _COMPARING)
    }
    alone = {name: value for name, value in measured.items() if name not in against}
    return metrics.arrange(alone, ()), metrics.arrange(against, ())


def _rejected(measured: Mapping[str, Any]) -> dict[str, str]:
    """Frames that the builder left out, with the reason."""
    found = measured.get("rejected")
    return {str(name): str(why) for name, why in found.items()} if isinstance(found, dict) else {}


def _own_warnings(row: Row, rejected: Mapping[str, str]) -> list[str]:
    """Warnings but those of frames left out, which have a table."""
    left_out = {f"{name} left out: {reason}" for name, reason in rejected.items()}
    return [text for text in json.loads(row["warnings_json"] or "[]") if text not in left_out]


def _previous(conn: Connection, key: str) -> tuple[str, str] | None:
    """(night, address) of the certified master before."""
    try:
        found = ledger_masters.previous(conn, MasterKey.parse(key))
    except LedgerError:
        return None
    if found is None:
        return None
    other = queries.master_keys(conn, [found])[found][1]
    return ledger_masters.get(conn, found)["night"], links.product("master", other)


def _bar(site: OpenSite, conn: Connection, row: Row, of: Configured) -> Any:
    """The master among its neighbours in time."""
    latest = queries.latest_night(conn)
    length = max(row["natural_end"] - row["valid_begin"], 1.0)
    begin, end = row["valid_begin"] - 3 * length, row["natural_end"] + 3 * length
    found = queries.certified_between(conn, begin, end, [of.text], row["master_kind"])
    spans = [
        validity.Span(other["valid_begin"], other["valid_end"], other["key"],
                      links.product("master", other["key"]), other["key"] == row["key"])
        for other in found
    ]  # fmt: skip
    if not any(span.is_own for span in spans):
        own = links.product("master", row["key"])
        spans.append(
            validity.Span(row["valid_begin"], row["natural_end"], row["key"], own, True, False)
        )
    axis = validity.Axis(
        min(*(s.begin for s in spans), row["valid_begin"] - length / 2),
        max(*(s.end for s in spans), row["natural_end"] + length / 2),
    )
    marks = marks_of(site, row["master_kind"], of.camera, latest)
    return validity.neighbours(f"When {row['key']} and its neighbours hold", spans, marks, axis)


def frames_of(conn: Connection, product_id: int, rejected: Mapping[str, str]) -> dict[str, Any]:
    """What a version was made from and compared with; frames first, those left out before all."""
    rows = products.inputs(conn, product_id)
    frames = [row for row in rows if row["kind"] in ("raw", "detrended", "reduced")]
    names = {row["key"] for row in frames}
    missing = [{"key": name, "kind": "raw", "version": None, "state": "valid"}
               for name in rejected if name not in names]  # fmt: skip
    shown = [
        {**row, "reason": rejected.get(row["key"], ""), "url": links.frame(row["key"])}
        for row in (*frames, *missing)
    ]
    shown.sort(key=lambda row: (not row["reason"], row["key"]))
    return {
        "frames": shown[:_SHOWN_INPUTS],
        "more": max(0, len(shown) - _SHOWN_INPUTS),
        "n_kept": sum(not row["reason"] for row in shown),
        "n_rejected": sum(bool(row["reason"]) for row in shown),
        "others": [
            {**row, "inside": False, "more": 0, "url": links.product(row["kind"], row["key"])}
            for row in rows
            if row["key"] not in names
        ],
    }


def amplifiers(measured: Mapping[str, Any], followed: Sequence[Row]) -> dict[str, Any] | None:
    """A table with a line an amplifier: what the builder found, and what the monitors follow."""
    lines: dict[int, dict[str, Any]] = {}
    columns: dict[str, tuple[str, str]] = {}
    found = measured.get("amplifiers")
    for entry in found if isinstance(found, list) else []:
        if not isinstance(entry, dict) or not isinstance(entry.get("amp"), int):
            continue
        line = lines.setdefault(entry["amp"], {})
        for name, value in entry.items():
            if name != "amp" and isinstance(value, (int, float, str, type(None))):
                columns.setdefault(name, metrics.words(name))
                line[name] = {"value": value, "error": None, "level": LEVELS[0]}
    for row in followed:
        name = f"monitor {row['metric']}"
        unit = QUANTITIES[row["metric"]].unit if row["metric"] in QUANTITIES else ""
        columns.setdefault(name, (row["metric"].replace("_", " "), unit))
        level = LEVELS[min(max(row["level"], 0), 2)]
        cell = {"value": row["value"], "error": row["error"], "level": level}
        lines.setdefault(row["amp"], {})[name] = cell
    if not lines:
        return None
    return {
        "header": [(*columns[name], name.startswith("monitor ")) for name in columns],
        "rows": [
            ("whole CCD" if amp == WHOLE_CCD else str(amp), [line.get(name) for name in columns])
            for amp, line in sorted(lines.items())
        ],
    }


def _files(site: OpenSite, row: Row) -> dict[str, Any]:
    """Plots with the data beside them, tables, and what else was written."""
    files = product_files.pages(row)
    pictures = [one for one in files if one.suffix == ".png"]
    order = {stem: place for place, stem in enumerate(PLOTS)}
    pictures.sort(key=lambda one: (order.get(one.stem, len(order)), one.name))
    beside = {one.name for one in pictures}
    plots = []
    for one in pictures:
        title, caption = PLOTS.get(one.stem, (one.stem.replace("_", " "), ""))
        data = [other for other in files if other.stem == one.stem and other is not one]
        beside |= {other.name for other in data}
        plots.append({"file": one, "title": title, "caption": caption, "data": data})
    by_name = {one.name: one for one in files}
    tables = [
        {"file": by_name[name], "title": title, **read_table(site, by_name[name])}
        for name, title in TABLES.items()
        if name in by_name
    ]
    return {
        "plots": plots,
        "tables": tables,
        "other_files": [
            one for one in product_files.listed(row) if one.name not in {*beside, *TABLES}
        ],
    }


def read_table(site: OpenSite, file: Listed) -> dict[str, Any]:
    """The rows of a file of comma-separated values, the first ones of a long one, each whole."""
    text, whole = product_files.lines(site, file, _TABLE_BYTES)
    rows: list[list[str]] = []
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        for row in reader:
            if len(rows) > _TABLE_ROWS:
                whole = False
                break
            if row:
                rows.append(row)
    except csv.Error:  # a quotation that the cut, or who wrote it, left open
        whole = False
    head = rows[0] if rows else []
    body = [row for row in rows[1 : _TABLE_ROWS + 1] if len(row) == len(head)]
    numeric = [all(_is_number(row[i]) for row in body) for i in range(len(head))]
    return {"head": [(metrics.words(name), n) for name, n in zip(head, numeric)],
            "rows": body, "numeric": numeric, "is_whole": whole}  # fmt: skip


def _is_number(text: str) -> bool:
    try:
        float(text or "0")
    except ValueError:
        return False
    return True


def _shown_of(kind: str) -> str:
    """The plot that is shown of every night of a configuration."""
    return {"FLAT": "ratio", "DOMEFLAT": "ratio", "ILLUMINATION": "map"}.get(kind, "")


def _nights(conn: Connection, row: Row) -> list[dict[str, Any]]:
    """The same plot of the other masters of the configuration, in the order of nights."""
    stem = _shown_of(row["master_kind"])
    if not stem:
        return []
    around = queries.of_configuration(
        conn, row["master_kind"], row["configuration"], around=row["night"], each_side=_EACH_SIDE
    )
    found = [
        {
            "night": other["night"],
            "key": other["key"],
            "url": links.product("master", other["key"]),
            "is_own": other["key"] == row["key"],
            "state": master_state(other["state"], other["reason"]),
            "file": file,
        }
        for other in around
        if (file := _page_of(product_files.pages(other), f"{stem}.png"))
    ]
    own = next((i for i, one in enumerate(found) if one["is_own"]), len(found) - 1)
    first = max(0, min(own - _NIGHTS_SHOWN // 2, len(found) - _NIGHTS_SHOWN))
    found = found[first : first + _NIGHTS_SHOWN]
    return found if any(not one["is_own"] for one in found) else []


def _page_of(files: Iterable[Listed], name: str) -> Listed | None:
    return next((one for one in files if one.name == name), None)
