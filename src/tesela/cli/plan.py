"""`tesela plan`: what is due, and why."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

import typer

from tesela.cli.common import HERE, DryRunOption, JsonOption, SiteOption, emit, plural


def add_to(app: typer.Typer) -> None:
    """Add the verb."""
    app.command("plan")(plan)


def plan(
    site: SiteOption = HERE, as_json: JsonOption = False, dry_run: DryRunOption = False
) -> None:
    """Say what is due now and why, what waits and for what, and how long it will take."""
    from tesela.flow.run.site import open_site

    opened = open_site(site)
    data = planned(opened, dry_run=dry_run)
    emit(data, as_json, lambda: lines(data))


def planned(opened: Any, *, dry_run: bool) -> dict[str, Any]:
    """Plan (or rehearse it) and return due tasks, reasons of waiting and the time expected."""
    from tesela.flow.plan import planner
    from tesela.ledger import status

    if dry_run:
        report = planner.Report()
        with opened.ledger.rehearse() as conn:
            while planner.plan_batch(conn, opened.rules, report):
                pass
            due, load, view = status.due_tasks(conn), status.load(conn), status.overview(conn)
    else:
        report = planner.plan(opened.ledger, opened.rules)
        with opened.ledger.read() as conn:
            due, load, view = status.due_tasks(conn), status.load(conn), status.overview(conn)
    return {
        "due": due,
        "core_seconds": sum(row["seconds"] or 0.0 for row in load),
        "waiting": view["waiting"],
        "stale": view["stale"],
        "retired": [{"kind": k, "key": key, "reason": why} for k, key, why in report.retired],
    }


def lines(data: dict[str, Any]) -> Iterator[str]:
    """Say it for people, at most a dozen lines a part."""
    yield f"{plural(len(data['due']), 'task')} due, about {data['core_seconds']:.0f} core seconds"
    yield from _some([f"  {t['step']} {t['key']}: {t['why']}" for t in data["due"]])
    for row in data["waiting"]:
        yield f"waiting: {row['n']} {row['kind']} ({row['example']}): {row['reason']}"
    for row in data["retired"]:
        yield f"retired: {row['kind']} {row['key']}: {row['reason']}"
    for (kind, why), n in Counter((r["kind"], r["why"]) for r in data["stale"]).items():
        yield f"stale: {n} {kind}: {why}"


def _some(sentences: list[str], limit: int = 12) -> Iterator[str]:
    yield from sentences[:limit]
    if len(sentences) > limit:
        yield f"  ... and {len(sentences) - limit} more (--json lists all)"
