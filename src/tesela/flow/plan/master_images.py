"""Masters that are built from detrended images: illumination, fringes, patterns.

The images are evidence, never walked: a master must not make its own inputs stale for ever. What
it depends on are the masters with which they were detrended.
"""

from __future__ import annotations

import statistics
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy.engine import Connection

from tesela.flow.plan.batch import Known
from tesela.flow.plan.reference import reference
from tesela.flow.plan.rules import Rules
from tesela.flow.plan.spread import spread
from tesela.ledger import masters, products, queries
from tesela.ledger.keys import Configuration, MasterKey
from tesela.ledger.tasks import Due
from tesela.products.masterkind import IMAGES, KINDS


@dataclass(frozen=True)
class Sources:
    """What a master is combined from, or why it cannot be yet."""

    inputs: frozenset[int] = frozenset()
    evidence: frozenset[int] = frozenset()
    megapixels: float = 1.0
    missing: str = ""
    pending: bool = False
    n: int = 0
    mjd: float | None = None
    """Median of the times at which its frames were taken."""
    stale: str = ""
    """A newer choice exists, to be taken only on request."""


@dataclass(frozen=True)
class Candidate:
    """A science frame of the period and what it means for the master."""

    name: str
    image_id: int | None
    excluded: str = ""
    is_bad: bool = False
    """Flagged, failed or not passed: it will be in no master."""
    awaited: bool = False
    megapixels: float = 0.0
    mjd: float = 0.0


def sources(conn: Connection, rules: Rules, key: MasterKey, item: Due, known: Known) -> Sources:
    """Say which detrended images a master is built from, spread over its period."""
    chosen_frames = rules.sky_frames(key.master_kind)
    most = chosen_frames.most if chosen_frames is not None else 0
    found = spread([c for c in candidates(conn, rules, key) if not c.excluded], most)
    awaited = sum(c.awaited for c in found)
    if awaited:
        return Sources(missing=f"{awaited} detrended images, being made", pending=True)
    taken = [c for c in found if c.image_id is not None]
    images = {c.image_id for c in taken if c.image_id is not None}
    minimum = rules.minimum(key.master_kind)
    if len(images) < minimum or not images:
        said = f"{len(images)} detrended images of the period of {key.night}"
        return Sources(missing=f"{said}, at least {minimum} expected", n=len(images))
    inputs = {
        row["id"]
        for image in images
        for row in products.inputs(conn, image)
        if row["kind"] == "calset"
    }
    stale = ""
    if key.master_kind == "ILLUMINATION":
        refcat, _, stale = reference(known.shelf, rules, item, known.current)
        inputs |= refcat
    return Sources(
        frozenset(inputs),
        frozenset(images),
        megapixels=sum(c.megapixels for c in found),
        n=len(images),
        mjd=statistics.median(c.mjd for c in taken),
        stale=stale,
    )


def candidates(conn: Connection, rules: Rules, key: MasterKey) -> list[Candidate]:
    """Return every science frame of a master's filter and period that it may take."""
    period = rules.calendar.period(key.master_kind, key.configuration.camera, key.night)
    asked = {"configuration": str(key.configuration), "first": period.first, "end": period.end}
    rows = [dict(row) for row in conn.execute(queries.DETRENDED_OF_PERIOD, asked).mappings()]
    return [
        _judge(row)
        for row in rows
        if rules.takes(key.master_kind, key.configuration, row["object"])
    ]


def _judge(row: dict[str, Any]) -> Candidate:
    name, megapixels = row["name"], row["nx"] * row["ny"] / 1e6
    if row["flagged"] is not None:
        return Candidate(name, None, excluded=f"flagged: {row['flagged']}", is_bad=True)
    if row["is_dirty"] or row["task_state"] in ("ready", "running") or row["is_pending"]:
        return Candidate(name, None, awaited=True, megapixels=megapixels)
    if row["image_id"] is None:
        reason = row["waiting_reason"] or row["task_reason"] or "not detrended: enough others are"
        return Candidate(
            name, None, excluded=reason, is_bad=row["task_state"] in ("dead", "skipped")
        )
    if not row["passed"]:
        said = f"did not pass: {row['quality_reason']}"
        return Candidate(name, None, excluded=said, is_bad=True)
    return Candidate(name, row["image_id"], megapixels=megapixels, mjd=row["mjd_start"])


def is_needed(conn: Connection, rules: Rules, frame: Mapping[str, Any]) -> bool:
    """Whether a master lacks the detrended image of a frame: it has too few, and would take it."""
    own = Configuration(*frame["configuration"].split("."))
    for key in built_from(rules, own, frame["night"], frame["object"]):
        made = products.current(conn, "master", str(key))
        if made is not None:
            found = masters.get(conn, made["id"])
            enough = found["n_frames"] >= rules.wanted(key.master_kind)
            if enough and found["state"] == "certified":
                continue
        chosen = rules.sky_frames(key.master_kind)
        most = chosen.most if chosen is not None else 0
        usable = [c.name for c in candidates(conn, rules, key) if not c.is_bad]
        if frame["name"] in spread(usable, most):
            return True
    return False


def built_from(rules: Rules, configuration: Configuration, night: str, obj: str) -> list[MasterKey]:
    """Return the masters that a science frame may be built into."""
    return [
        MasterKey(
            kind.name,
            configuration,
            rules.calendar.period(kind.name, configuration.camera, night).first,
        )
        for kind in KINDS.values()
        if kind.source == IMAGES and rules.takes(kind.name, configuration, obj)
    ]
