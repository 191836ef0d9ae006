"""`tesela run`: do what is due."""

from __future__ import annotations

import dataclasses
import signal
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tesela.cli.common import (
    HERE,
    DryRunOption,
    JsonOption,
    SiteOption,
    emit,
    plural,
    progress_bar,
    some,
    waiting_lines,
    warning_lines,
)

if TYPE_CHECKING:
    from rich.progress import Progress as Bar

    from tesela.flow.run.controller import Progress, Summary

_SAY_EVERY_S = 30.0
_REASONS = 3


def add_to(app: typer.Typer) -> None:
    """Add the verb."""
    app.command("run")(run)


def run(
    site: SiteOption = HERE,
    workers: Annotated[
        int, typer.Option("--workers", min=0, help="Processes; 0 takes survey.toml's.")
    ] = 0,
    engine: Annotated[
        str, typer.Option("--engine", help="local, or a cluster of site.toml; else site.toml's.")
    ] = "",
    continuous: Annotated[
        bool, typer.Option("--continuous", help="Go on, and take in what arrives, until stopped.")
    ] = False,
    as_json: JsonOption = False,
    dry_run: DryRunOption = False,
) -> None:
    """Run until nothing is due, or on and on. Safe to stop or kill at any moment, and to start
    again.

    Ends with 1 if a task is dead, also one of an earlier run, with 3 if another controller is
    running (of a ledger on PostgreSQL several may). A skipped task is said and is no failure.
    Stopped by Ctrl-C or SIGTERM, what runs is interrupted and is ready for the next run.
    """
    from tesela.flow.run.site import open_site

    opened = open_site(site)
    if dry_run:
        from tesela.cli.plan import lines, planned

        data = planned(opened, dry_run=True)
        emit(data, as_json, lambda: lines(data))
        return
    from tesela.flow.run.daily import controller_of

    controller = controller_of(opened, engine=engine, workers=workers, continuous=continuous)
    signal.signal(signal.SIGTERM, lambda *_: controller.stop())
    quiet = None if as_json else _said_now_and_then()
    with progress_bar(as_json) as bar:
        try:
            summary = controller.run(_shown_on(bar) if bar else quiet)
        except KeyboardInterrupt:
            typer.echo("tesela: stopped; what ran is ready for the next run", err=True)
            raise typer.Exit(130) from None
    emit(dataclasses.asdict(summary), as_json, lambda: _lines(summary))
    if summary.all_dead:
        raise typer.Exit(1)


def _said_now_and_then() -> Callable[[Progress], None]:
    """Where there is no terminal (cron, a log file): a line on stderr every half minute."""
    said, before = time.monotonic(), ""

    def show(progress: Progress) -> None:
        nonlocal said, before
        if time.monotonic() - said < _SAY_EVERY_S:
            return
        now = f", now {progress.running[0]}" if progress.running else ""
        now = f", {progress.note}" if progress.note else now
        done = f"{progress.done} of {progress.done + progress.open} tasks done"
        if done + now != before:  # at rest it says so once
            typer.echo(f"tesela: {done}{now}", err=True)
        said, before = time.monotonic(), done + now

    return show


def _shown_on(bar: Bar) -> Callable[[Progress], None]:
    line = bar.add_task("run", total=None)

    def show(progress: Progress) -> None:
        what = progress.running[0] if progress.running else "planning"
        what = progress.note or what
        bar.update(
            line,
            description=what,
            completed=progress.done,
            total=progress.done + progress.open,
        )

    return show


def _lines(summary: Summary) -> Iterator[str]:
    yield from some(summary.problems, 100)
    yield from warning_lines(summary.warnings)
    text = f"{plural(summary.done, 'task')} done in {summary.seconds:.1f} s"
    if summary.skipped or summary.dead:
        text += f", {summary.skipped} skipped, {summary.dead} dead"
    if summary.recovered:
        text += f"; {plural(summary.recovered, 'attempt')} of a killed controller taken up again"
    yield text
    if summary.all_dead:
        yield f"{plural(summary.all_dead, 'task')} dead in all; see `tesela status`"
    if summary.all_skipped:
        yield f"{plural(summary.all_skipped, 'task')} skipped in all; see `tesela status`"
    yield from summary.held
    yield from _waiting(summary.waiting)


def _waiting(rows: list[dict[str, Any]]) -> Iterator[str]:
    """How many wait, and the most frequent reasons: a run with nothing to do has one."""
    if rows:
        n = sum(row["n"] for row in rows)
        yield from list(waiting_lines(rows))[:_REASONS]
        yield (
            f"{plural(n, 'product')} {'waits' if n == 1 else 'wait'} in all; see `tesela status`"
            f", and `tesela why {rows[0]['example']}` for one"
        )
