"""`tesela status`: where the site stands."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from tesela.cli.common import (
    HERE,
    JsonOption,
    SiteOption,
    emit,
    plural,
    some,
    stale_lines,
    waiting_lines,
    warning_lines,
)
from tesela.errors import ConfigError

if TYPE_CHECKING:
    from tesela.flow.run.steps import Registry

_LATEST = 10


def add_to(app: typer.Typer) -> None:
    """Add the verb."""
    app.command("status")(status)


def status(site: SiteOption = HERE, as_json: JsonOption = False) -> None:
    """Count frames of the latest nights, products and tasks; list exposures without some of their
    CCDs, what quick looks said of frames that are not reduced yet, and what is proposed, waits, is
    flagged, was refused, failed, raised a monitor, came with warnings or is stale, each with its
    reason.

    A survey.toml that a run would refuse is told of first.
    """
    from tesela.flow.run.controller import register_steps
    from tesela.flow.run.site import open_ledger
    from tesela.ledger import status as counts

    ledger = open_ledger(site)
    steps, problem = _steps(site)
    with ledger.read() as conn:
        data = {"problem": problem, **counts.overview(conn)}
    if steps is not None:
        # Edited settings make stale at once what was made before; the next run writes them down.
        with ledger.rehearse() as conn:
            register_steps(conn, steps)
            data["stale"] = counts.stale(conn)
    emit(data, as_json, lambda: chain(_invalid(problem), _lines(data)))


def _steps(site: Path) -> tuple[Registry | None, str]:
    """The steps as the settings are now, or None and what is wrong with these."""
    from tesela.flow.run.bodies import steps_of
    from tesela.flow.run.site import open_site

    try:
        return steps_of(open_site(site)), ""
    except ConfigError as error:
        return None, str(error)


def _invalid(problem: str) -> Iterator[str]:
    if problem:
        yield f"INVALID SETTINGS: {problem}"
        yield "  nothing can be planned or run; what follows is told of the settings before"


def _in_exposures(frames: int, exposures: int) -> str:
    return f" in {plural(exposures, 'exposure')}" if exposures != frames else ""


def _incomplete(rows: list[dict[str, Any]]) -> Iterator[str]:
    """A line for all exposures of a night that lack the same CCDs: one may be dead."""
    alike: dict[tuple[Any, ...], list[dict[str, Any]]] = {}
    for row in rows:
        alike.setdefault((row["night"], *row["missing"]), []).append(row)
    lines = []
    for group in alike.values():
        row = group[0]
        others = f" and {len(group) - 1} more of {row['night']}" if len(group) > 1 else ""
        absent = ", ".join(row["missing"])
        here = f"{row['arrived']} of {row['expected']} CCDs here"
        lines.append(f"exposure {row['exposure']}{others}: {here}, no {absent}")
    yield from some(lines)


def _quick_looks(rows: list[dict[str, Any]]) -> Iterator[str]:
    """Of frames that are not reduced yet: how many were looked at, and which did not pass."""
    if not rows:
        return
    bad = [row for row in rows if not row["passed"]]
    yield f"quick look: {plural(len(rows), 'frame')} not reduced, {len(bad)} did not pass"
    yield from some([f"quick look: {row['name']}: {row['reason']}" for row in bad])


def _proposed(rows: list[dict[str, Any]]) -> Iterator[str]:
    if rows:
        kinds = ", ".join(f"{n} {k}" for k, n in Counter(r["master_kind"] for r in rows).items())
        yield (
            f"proposed: {plural(len(rows), 'master')} ({kinds}) that a person has to judge; see "
            "`tesela masters list --state proposed`"
        )


def _lines(data: dict[str, Any]) -> Iterator[str]:
    for row in data["nights"]:
        frames = ", ".join(
            f"{n} {kind}" + _in_exposures(n, row["exposures"][kind])
            for kind, n in row["frames"].items()
        )
        yield f"night {row['night']}: {frames}, {row['reduced']} reduced"
    yield from _incomplete(data["incomplete"])
    yield from _quick_looks(data["quick_looks"])
    made = ", ".join(f"{n} {kind}" for kind, n in data["products"].items())
    yield f"products: {made or 'none'}"
    for row in data["tasks"]:
        yield f"tasks: {row['step']:8s} {row['state']:8s} {row['n']:6d}"
    yield from _proposed(data["proposed"])
    yield from waiting_lines(data["waiting"])
    whole = {(row["key"], row["reason"]) for row in data["flagged"] if row["kind"] == "exposure"}
    for row in data["flagged"]:
        if (row["exposure"], row["reason"]) in whole:
            continue  # said with its exposure
        comment = f" ({row['comment']})" if row["comment"] else ""
        yield f"flagged: {row['kind']} {row['key']} by {row['who']}: {row['reason']}{comment}"
    for row in data["refused"][:_LATEST]:
        yield f"refused: {row['reason']}"
    if len(data["refused"]) > _LATEST:
        yield f"refused: and {len(data['refused']) - _LATEST} files before (--json lists all)"
    for row in data["ended_badly"]:
        yield f"{row['state']}: {row['step']} {row['key']}: {row['reason']}; {row['do']}"
    words = ("", "warning", "alarm")
    yield from some(
        [f"{words[row['level']]}: {row['night']}: {row['reason']}" for row in data["alerts"]]
    )
    yield from warning_lines(data["warnings"])
    yield from stale_lines(data["stale"])
