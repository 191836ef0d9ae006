"""`tesela status`: where the site stands."""

from __future__ import annotations

import os
import socket
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tesela.cli.common import (
    HERE,
    JsonOption,
    SiteOption,
    duration,
    emit,
    plural,
    some,
    stale_lines,
    waiting_lines,
    warning_lines,
    worded,
)
from tesela.cli.watching import ends_quietly
from tesela.errors import ConfigError

if TYPE_CHECKING:
    from sqlalchemy.engine import Connection

    from tesela.ledger.stale import Now

_LATEST = 10
_FRESH_S = 1.0
_SILENT_S = 120.0
_SLOW_S = 3600.0
_WATCH_S = 5.0


def add_to(app: typer.Typer) -> None:
    """Add the verb."""
    app.command("status")(status)


def status(
    night: Annotated[
        str,
        typer.Option(
            "--night",
            help="One night, such as 2017-07-03.",
            show_default=False,
            callback=worded,
        ),
    ] = "",
    last: Annotated[bool, typer.Option("--last", help="The last night with a frame.")] = False,
    count: Annotated[
        bool,
        typer.Option("--count", help="Count anew, which takes seconds for millions of frames."),
    ] = False,
    watch: Annotated[
        bool, typer.Option("--watch", help="Show it again every few seconds, until Ctrl-C.")
    ] = False,
    site: SiteOption = HERE,
    as_json: JsonOption = False,
) -> None:
    """Count frames of the latest nights, products and tasks; list what is paused and what runs,
    exposures without some of their CCDs, what quick looks said of frames that are not reduced yet,
    and what is proposed, waits, is flagged, was refused, failed, raised a monitor, came with
    warnings or is stale, each with its reason.

    Of a night: what was observed, what became of it, how good it was, and what it took. A large
    ledger is counted by its controller, and status says how long ago. A survey.toml that a run
    would refuse is told of first.
    """
    from tesela.cli import status_night
    from tesela.ledger import night as nights
    from tesela.ledger import status as counts
    from tesela.ledger import tallies
    from tesela.ledger.place import folder_of, open_ledger

    if night and last:
        raise ConfigError("status", found="--night and --last", expected="one of them")
    if watch and as_json:
        raise ConfigError("status", found="--watch and --json", expected="one of them")
    ledger = open_ledger(site)
    if count:
        tallies.refresh(ledger)

    def show() -> tuple[dict[str, Any], Callable[[], Iterator[str]]]:
        if night or last:
            with ledger.read() as conn:
                told = nights.summary(conn, night or nights.latest(conn))
            return told, lambda: status_night.lines(told)
        with ledger.read() as conn:
            # Edited settings make stale at once what was made before; the next run writes them
            # down.
            steps, problem = _steps(folder_of(site), conn)
            data = {"problem": problem, **counts.overview(conn, steps)}
        return data, lambda: chain(_invalid(problem), _lines(data))

    if watch:
        _watch(show)
    else:
        data, lines = show()
        emit(data, as_json, lines)


def _watch(show: Callable[[], tuple[Any, Callable[[], Iterator[str]]]]) -> None:
    with ends_quietly() as stopped:
        while not stopped.is_set():
            text = "\n".join(show()[1]())
            if sys.stdout.isatty():
                sys.stdout.write("\033[2J\033[H")  # an empty screen, written from its top
            typer.echo(f"{time.strftime('%Y-%m-%d %H:%M:%S')}; every {_WATCH_S:.0f} s\n\n{text}")
            stopped.wait(_WATCH_S)


def _steps(site: Path, conn: Connection) -> tuple[dict[str, Now] | None, str]:
    """The steps as the settings are now, or None and what is wrong with these."""
    from tesela.flow.run.settings_now import settings_now
    from tesela.ledger import stale

    return settings_now(site, {kind: list(step.scopes) for kind, step in stale.now(conn).items()})


def _invalid(problem: str) -> Iterator[str]:
    if problem:
        yield f"INVALID SETTINGS: {problem}"
        yield "  nothing can be planned or run; what follows is told of the settings before"


def _in_exposures(frames: int, exposures: int) -> str:
    return f" in {plural(exposures, 'exposure')}" if exposures != frames else ""


def _incomplete(rows: list[dict[str, Any]]) -> Iterator[str]:
    """A line for all exposures of a night that lack the same CCDs: one may be dead."""
    lines = []
    for row in rows:
        others = f" and {row['n'] - 1} more of {row['night']}" if row["n"] > 1 else ""
        absent = ", ".join(row["missing"])
        here = f"{row['arrived']} of {row['expected']} CCDs here"
        lines.append(f"exposure {row['exposure']}{others}: {here}, no {absent}")
    yield from some(lines)


def _quick_looks(rows: list[dict[str, Any]], total: dict[str, int]) -> Iterator[str]:
    """Of frames that are not reduced yet: how many were looked at, and which did not pass."""
    if not total["frames"]:
        return
    yield (
        f"quick look: {plural(total['frames'], 'frame')} not reduced, "
        f"{total['rejected']} did not pass"
    )
    bad = [row for row in rows if not row["passed"]]
    yield from _part(
        [f"quick look: {row['name']}: {row['reason']}" for row in bad], total["rejected"]
    )


def _part(lines: list[str], total: int) -> Iterator[str]:
    """The first of a list that may itself be a part."""
    yield from lines[:_LATEST]
    if total > min(len(lines), _LATEST):
        yield f"  ... and {total - min(len(lines), _LATEST)} more"


def _working(data: dict[str, Any]) -> Iterator[str]:
    """What is paused, and what runs where."""
    from tesela.ledger.clock import iso
    from tesela.ledger.pauses import Pause

    for row in data["paused"]:
        yield (
            f"PAUSED: {Pause(**row).name} by {row['who']} since {iso(row['at_mjd'])[:16]}: "
            f"{row['reason']}"
        )
    for step, n in data["held"].items():
        yield f"  {n} {step} tasks are held for their project"
    for row in data["controllers"]:
        silent = row["seen_s"] > _SILENT_S
        seen = f", SILENT for {duration(row['seen_s'])}" if silent else ""
        seen = ", GONE: what it ran is taken up by the next" if _is_gone(row) else seen
        yield (
            f"controller: {row['host']} process {row['pid']}, {row['engine']}, for "
            f"{duration(row['age_s'])}{seen}"
        )
    n = data["totals"]["running"]
    if n:
        hosts = Counter(row["host"] for row in data["running"])
        where = ", ".join(f"{k} on {host}" for host, k in hosts.most_common(5))
        yield f"running: {plural(n, 'task')} ({where}{', ...' if n > sum(hosts.values()) else ''})"
        slow = [row for row in data["running"] if row["age_s"] > _SLOW_S]
        for row in slow[:_LATEST]:
            yield (
                f"  {row['step']} {row['key']} on {row['host']} for {duration(row['age_s'])}, "
                f"attempt {row['attempt']}, {row['memory_mb']:.0f} MB asked for"
            )


def _is_gone(row: dict[str, Any]) -> bool:
    """Whether a process of this host is no more."""
    if row["host"] != socket.gethostname():
        return False
    try:
        os.kill(row["pid"], 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        pass  # of somebody else, and alive
    return False


def _proposed(rows: list[dict[str, Any]]) -> Iterator[str]:
    if rows:
        kinds = ", ".join(f"{n} {k}" for k, n in Counter(r["master_kind"] for r in rows).items())
        yield (
            f"proposed: {plural(len(rows), 'master')} ({kinds}) that a person has to judge; see "
            "`tesela masters list --state proposed`"
        )


def _lines(data: dict[str, Any]) -> Iterator[str]:
    totals = data["totals"]
    if data["counted_s"] > _FRESH_S:
        yield f"counted {duration(data['counted_s'])} ago; --count counts anew"
    yield from _working(data)
    for row in data["nights"]:
        frames = ", ".join(
            f"{n} {kind}" + _in_exposures(n, row["exposures"][kind])
            for kind, n in row["frames"].items()
        )
        yield f"night {row['night']}: {frames}, {row['reduced']} reduced"
    yield from _incomplete(data["incomplete"])
    yield from _quick_looks(data["quick_looks"], totals["quick_looks"])
    made = ", ".join(f"{n} {kind}" for kind, n in data["products"].items())
    yield f"products: {made or 'none'}"
    for row in data["tasks"]:
        yield f"tasks: {row['step']:8s} {row['state']:8s} {row['n']:6d}"
    yield from _proposed(data["proposed"])
    yield from waiting_lines(data["waiting"][:_LATEST])
    if len(data["waiting"]) > _LATEST:
        yield f"waiting: and for {len(data['waiting']) - _LATEST} other reasons (--json has them)"
    yield from _flagged(data["flagged"], totals["flagged"])
    for row in data["refused"][:_LATEST]:
        yield f"refused: {row['reason']}"
    if totals["refused"] > _LATEST:
        yield f"refused: and {totals['refused'] - _LATEST} files before"
    yield from _ended_badly(data["causes"], totals)
    words = ("", "warning", "alarm")
    yield from some(
        [f"{words[row['level']]}: {row['night']}: {row['reason']}" for row in data["alerts"]]
    )
    yield from warning_lines(data["warnings"])
    yield from stale_lines(data["stale"])


def _flagged(rows: list[dict[str, Any]], totals: list[dict[str, Any]]) -> Iterator[str]:
    for row in rows[:_LATEST]:
        comment = f" ({row['comment']})" if row["comment"] else ""
        yield f"flagged: {row['kind']} {row['key']} by {row['who']}: {row['reason']}{comment}"
    if sum(row["n"] for row in totals) > min(len(rows), _LATEST):
        yield from _flagged_in_all(totals)


def _flagged_in_all(totals: list[dict[str, Any]]) -> Iterator[str]:
    """What is flagged, and apart from it the groups: their frames are counted already."""
    from tesela.ledger.verdicts import GROUPS, WHERE

    def said(row: dict[str, Any]) -> str:
        noun = {"raw": "frame", WHERE: "condition"}.get(row["kind"], row["kind"])
        return f"{plural(row['n'], noun)} {row['reason']}"

    single = [row for row in totals if row["kind"] not in GROUPS]
    if single:
        n = sum(row["n"] for row in single)
        yield f"flagged: {n} in all: {', '.join(map(said, single[:_LATEST]))}"
    groups = [row for row in totals if row["kind"] in GROUPS]
    if groups:
        yield f"flagged as groups: {', '.join(map(said, groups[:_LATEST]))}"


def _ended_badly(causes: list[dict[str, Any]], totals: dict[str, int]) -> Iterator[str]:
    """The dead, then the skipped, those of one cause told together."""
    from tesela.ledger.status import advice

    for state in ("dead", "skipped"):
        rows = [row for row in causes if row["state"] == state]
        for row in rows[:_LATEST]:
            key, n = row["example"], row["n"]
            if n == 1:
                yield f"{state}: {row['step']} {key}: {row['reason']}; {advice(key)}"
            else:
                yield (
                    f"{state}: {n} {row['step']} ({key} ...): {row['reason']}; when that is "
                    f"mended, `tesela retry --{state} --step {row['step']}`"
                )
        left = totals[state] - sum(row["n"] for row in rows[:_LATEST])
        if left > 0:
            yield f"{state}: and {left} more"
