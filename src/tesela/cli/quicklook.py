"""`tesela quicklook`: look at frames as they are taken."""

from __future__ import annotations

import dataclasses
import datetime as dt
import json
import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tesela.cli.common import HERE, JsonOption, SiteOption, finite, plural
from tesela.cli.watching import ends_quietly
from tesela.errors import ConfigError

if TYPE_CHECKING:
    from tesela.flow.run.quicklook import Seen

_MOST_CORES = 4


def add_to(app: typer.Typer) -> None:
    """Add the verb."""
    app.command("quicklook")(quicklook)


def quicklook(
    files: Annotated[
        list[Path] | None, typer.Argument(help="Frames to look at now, known ones again.")
    ] = None,
    watch: Annotated[
        Path | None, typer.Option("--watch", help="Folder to look at for new frames.")
    ] = None,
    once: Annotated[
        bool, typer.Option("--once", help="Take what is in that folder, and end.")
    ] = False,
    site: SiteOption = HERE,
    settle: Annotated[
        float, typer.Option(min=0.0, help="Seconds for which a complete file has not changed.")
    ] = 1.0,
    give_up: Annotated[
        float, typer.Option(min=0.0, help="Seconds after which an incomplete file is told of.")
    ] = 120.0,
    cores: Annotated[
        int, typer.Option(min=0, help="Cores for a frame; 0 takes all, four at the most.")
    ] = 0,
    as_json: JsonOption = False,
) -> None:
    """Take frames in and measure at once seeing, sky, zero point and shape of the stars, with the
    nearest masters there are; a file that is still being written is waited for.

    A line a frame (with --json an object a line). A watch ends with Ctrl-C, and with 0 whatever
    came. Otherwise ends with 1 if a look failed, with 2 if a file was refused. Ends with 3 if
    another quick look is running.
    """
    _check(files or [], watch, once)
    from tesela.flow.run.arrivals import Arrivals, Waits
    from tesela.flow.run.quicklook import QuickLook
    from tesela.flow.run.site import open_site

    counts: Counter[str] = Counter()
    forever = watch is not None and not once
    with (
        ends_quietly() as stopped,
        QuickLook(open_site(site), cores or _all_cores()).at_work() as quick,
    ):
        if forever and not as_json:
            typer.echo(f"watching {watch}; Ctrl-C ends it", err=True)
        arrivals = Arrivals(watch, tuple(files or ()), quick.known, Waits(settle, give_up))
        for seen in quick.watch(arrivals, forever=forever, stopped=stopped.is_set):
            counts[seen.outcome] += 1
            _say(seen, as_json)
    if not as_json:
        typer.echo(_summary(counts))
    if not forever and (counts["failed"] or counts["refused"]):
        raise typer.Exit(1 if counts["failed"] else 2)


def _check(files: list[Path], watch: Path | None, once: bool) -> None:
    if bool(files) == (watch is not None) or (once and watch is None):
        raise ConfigError(
            "quicklook",
            found="files and --watch" if files and watch else "neither files nor --watch",
            expected="files, or --watch DIR, the latter with --once if you like",
        )
    if watch is not None and not watch.is_dir():
        raise ConfigError(str(watch), found="no such folder", expected="a folder to watch")


def _all_cores() -> int:
    return min(os.cpu_count() or 1, _MOST_CORES)


def _say(seen: Seen, as_json: bool) -> None:
    if as_json:
        row = json.dumps(finite(dataclasses.asdict(seen)), default=str, allow_nan=False)
        print(row, flush=True)
        return
    typer.echo("\n".join(lines(seen, dt.datetime.now(dt.UTC))))


def lines(seen: Seen, now: dt.datetime) -> Iterator[str]:
    """What a person reads of a frame: when (UTC), the outcome with the numbers, how long after the
    file was closed, then every reason."""
    from tesela.flow.plan.quick_words import numbers

    said = ", ".join([seen.outcome, *numbers(seen.metrics)])
    closed = seen.since_closed_s
    late = "" if closed is None else f"; {closed:.0f} s after it was closed"
    yield f"{now:%H:%M:%S} {seen.frame}: {said}{late}"
    yield from (f"  {reason}" for reason in seen.reasons)
    yield from (f"  warning: {text}" for text in seen.warnings)


def _summary(counts: Counter[str]) -> str:
    others = [f"{counts[word]} {word}" for word in ("rejected", "refused", "failed")]
    total = counts["passed"] + counts["rejected"]
    return f"{plural(total, 'frame')} looked at: {counts['passed']} passed, " + ", ".join(others)
