"""The columns that a condition may name, and where each is in the ledger.

Statements call the tables by these letters: x exposure, f frame, p product, q quality, s step with
o its settings in a scope, t task.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from tesela.ledger.products import MEASURED

TEXT, NIGHT, NUMBER, WHOLE, TIME, YES_NO = "text", "night", "number", "whole", "time", "yes or no"
"""Types of columns."""

FRAME, PRODUCT, QUALITY, STEP, TASK = "frame", "product", "quality", "step", "task"
"""Tables that a statement has to join."""


@dataclass(frozen=True)
class Column:
    """One column of conditions."""

    name: str
    sql: str
    type: str
    groups: tuple[str, ...]
    within: str = ""
    """For what many rows stand behind: the comparison goes into its place `{}`."""


def _columns(group: str, **columns: tuple[str, str]) -> dict[str, Column]:
    return {name: Column(name, sql, type_, (group,)) for name, (sql, type_) in columns.items()}


_FRAME = {
    **_columns(
        FRAME,
        name=("f.name", TEXT),
        exposure=("x.name", TEXT),
        night=("x.night", NIGHT),
        mjd=("x.mjd_start", NUMBER),
        band=("f.band", TEXT),
        filter=("f.filter_serial", TEXT),
        camera=("x.camera", TEXT),
        ccd=("f.ccd", TEXT),
        telescope=("x.telescope", TEXT),
        project=("x.project", TEXT),
        obstype=("x.obstype", TEXT),
        object=("x.object", TEXT),
        exptime=("x.exptime_s", NUMBER),
        airmass=("x.airmass", NUMBER),
        flagged=(
            "EXISTS (SELECT 1 FROM verdict v WHERE v.kind = 'raw' AND v.key = f.name"
            " AND v.withdrawn_mjd IS NULL)",
            YES_NO,
        ),
    ),
    "tile": Column(
        "tile",
        "ft.tile",
        TEXT,
        (FRAME,),
        within="f.product_id IN (SELECT ft.frame_id FROM frame_tile ft WHERE {})",
    ),
}

_MADE = {
    **_columns(
        PRODUCT,
        version=("p.version", WHOLE),
        code=("p.code_version", TEXT),
        settings=("p.settings_hash", TEXT),
        made=("p.made_mjd", TIME),
    ),
    "stale": Column(
        "stale",
        "p.stale <> '' OR p.code_version <> s.code_version"
        " OR p.settings_hash <> COALESCE(o.settings_hash, s.settings_hash)",
        YES_NO,
        (PRODUCT, STEP),
    ),
}

_QUALITY = {
    name: Column(name, f"q.{name}", WHOLE if name.startswith("n_") else NUMBER, (PRODUCT, QUALITY))
    for name in MEASURED
} | {"passed": Column("passed", "q.passed", YES_NO, (PRODUCT, QUALITY))}

ABOUT_FRAMES: Mapping[str, Column] = {**_FRAME, **_MADE, **_QUALITY}
"""Of raw frames; what is made and measured is that of the reduced image which is served."""

ABOUT_PRODUCTS: Mapping[str, Column] = {
    **_columns(PRODUCT, kind=("p.kind", TEXT), key=("p.key", TEXT)),
    **_FRAME,
    **_MADE,
    **_QUALITY,
}
"""Of products that are served; those of frames only have a frame."""

ABOUT_TASKS: Mapping[str, Column] = {
    **_columns(
        TASK,
        kind=("t.kind", TEXT),
        key=("t.key", TEXT),
        step=("t.step", TEXT),
        state=("t.state", TEXT),
        attempts=("t.attempts", WHOLE),
        reason=("t.reason", TEXT),
    ),
    **_FRAME,
}
"""Of tasks; those that make an image of a frame only have a frame."""
