"""`tesela plan`: what is due, and why."""

from __future__ import annotations

import csv
import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tesela.cli.common import (
    HERE,
    DryRunOption,
    JsonOption,
    SiteOption,
    core_time,
    emit,
    plural,
    some,
    stale_lines,
    waiting_lines,
)
from tesela.errors import BadInput

if TYPE_CHECKING:
    from sqlalchemy.engine import Connection

    from tesela.flow.run.site import Site


def add_to(app: typer.Typer) -> None:
    """Add the verb."""
    app.command("plan")(plan)


def plan(
    site: SiteOption = HERE,
    planned_frames: Annotated[
        Path | None,
        typer.Option(
            "--planned",
            help="First take in a CSV of tile,band,frames: with so many good frames a coadd is"
            " complete, and waits for no quiet period.",
        ),
    ] = None,
    as_json: JsonOption = False,
    dry_run: DryRunOption = False,
) -> None:
    """Say what is due now and why, what waits and for what, and how long it will take."""
    from tesela.flow.run.site import open_site

    opened = open_site(site)
    if planned_frames is not None:
        take_planned(opened, planned_frames, dry_run=dry_run)
    data = planned(opened, dry_run=dry_run)
    emit(data, as_json, lambda: lines(data))


def take_planned(opened: Site, file: Path, *, dry_run: bool) -> int:
    """Write down how many frames are planned for tiles and bands; returns for how many."""
    from tesela.ledger import frames

    rows = list(_planned_rows(file, list(opened.survey.filters)))
    with opened.ledger.rehearse() if dry_run else opened.ledger.write() as conn:
        return frames.set_planned(conn, rows)


def _planned_rows(file: Path, bands: list[str]) -> Iterator[tuple[str, str, int]]:
    try:
        text = file.read_text(encoding="utf-8-sig")
    except FileNotFoundError as error:
        raise BadInput(
            str(file), found="no such file", expected="a CSV of tile,band,frames",
            do="check the path",
        ) from error  # fmt: skip
    except OSError as error:
        raise BadInput(
            str(file),
            found=f"it cannot be read ({error.strerror})",
            expected="a CSV of tile,band,frames",
        ) from error
    except UnicodeDecodeError as error:
        raise BadInput(str(file), found=str(error), expected="a CSV of tile,band,frames") from error
    for n, row in enumerate(csv.reader(text.splitlines()), start=1):
        words = [word.strip() for word in row]
        if not any(words) or (n == 1 and words == ["tile", "band", "frames"]):
            continue
        if len(words) != 3 or words[1] not in bands or not words[2].isdigit() or words[2] == "0":
            raise BadInput(
                f"{file.name}, line {n}",
                found=",".join(row),
                expected=f"tile,band,frames with a band of {', '.join(bands)} and a whole number",
                do="correct the line; nothing was taken in",
            )
        yield words[0], words[1], int(words[2])


def planned(opened: Site, *, dry_run: bool) -> dict[str, Any]:
    """Plan (or rehearse it) and return due tasks, reasons of waiting and the work expected."""
    from tesela.flow.plan import calendar_change, planner
    from tesela.flow.run.bodies import steps_of
    from tesela.flow.run.registration import register_steps

    steps = steps_of(opened)  # first: settings that a run refuses are no plan
    if dry_run:
        report = planner.Report()
        with opened.ledger.rehearse() as conn:
            register_steps(conn, steps)
            calendar_change.apply(conn, opened.rules)
            while planner.plan_batch(conn, opened.rules, report):
                pass
            data = _found(conn, opened)
    else:
        with opened.ledger.write() as conn:
            register_steps(conn, steps)
            calendar_change.apply(conn, opened.rules)
        report = planner.plan(opened.ledger, opened.rules)
        with opened.ledger.read() as conn:
            data = _found(conn, opened)
    retired = [{"kind": k, "key": key, "reason": why} for k, key, why in report.retired]
    return {**data, "retired": retired}


def _found(conn: Connection, opened: Site) -> dict[str, Any]:
    from tesela.flow.plan.forecast import forecast
    from tesela.ledger import counts, pauses, status, steps

    ahead = forecast(conn, opened.rules, steps.declared(conn))
    return {
        "paused": [dataclasses.asdict(one) for one in pauses.in_force(conn)],
        "due": status.due_tasks(conn),
        "n_due": counts.count_open(conn),
        "expected": [dataclasses.asdict(work) for work in ahead],
        "core_seconds": sum(work.seconds for work in ahead),
        "waiting": status.waiting(conn),
        "stale": status.stale_groups(conn),
    }


def lines(data: dict[str, Any]) -> Iterator[str]:
    """Say it for people, at most a dozen lines a part."""
    from tesela.ledger.pauses import Pause

    for row in data["paused"]:
        yield f"PAUSED: {Pause(**row).name} by {row['who']}: {row['reason']}"
    due = data["n_due"]
    behind = max(sum(work["tasks"] for work in data["expected"]) - due, 0)
    sentence = f"{plural(due, 'task')} due"
    if behind:
        which = {0: "what is under way", 1: "it"}.get(due, "them")
        sentence += f"; {behind} more {'waits' if behind == 1 else 'wait'} for {which}"
    yield sentence + (f"; about {core_time(data['core_seconds'])} in all" if due + behind else "")
    yield from some([f"  {t['step']} {t['key']}: {t['why']}" for t in data["due"]], 12, due)
    yield from waiting_lines(data["waiting"])
    for row in data["retired"]:
        yield f"retired: {row['kind']} {row['key']}: {row['reason']}"
    yield from stale_lines(data["stale"])
