"""`tesela ingest`: take raw frames in."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tesela.cli.common import HERE, JsonOption, SiteOption, emit, plural, progress_bar, worded

if TYPE_CHECKING:
    from tesela.flow.run.ingest import FileResult


def add_to(app: typer.Typer) -> None:
    """Add the verb."""
    app.command("ingest")(ingest)


def ingest(
    sources: Annotated[
        # Words, not paths: an empty word is no path, but `Path("")` is the current folder.
        list[str], typer.Argument(help="Files, or folders of FITS files.", callback=worded)
    ],
    site: SiteOption = HERE,
    as_json: JsonOption = False,
) -> None:
    """Take raw frames in; what cannot be taken is refused with its reason.

    Ends with 2 if a file was refused or there was none, with 1 if one could not be stored.
    """
    from tesela.flow.run.ingest import Intake, files_in, take_in
    from tesela.flow.run.site import open_site

    intake = Intake.of(open_site(site))
    files = list(files_in(map(Path, sources)))
    results = []
    with progress_bar(as_json) as bar:
        line = bar.add_task("ingest", total=len(files)) if bar else None
        for result in take_in(intake, files):
            results.append(result)
            if bar is not None and line is not None:
                bar.advance(line)
    data = [dataclasses.asdict(result) for result in results]
    emit(data, as_json, lambda: _lines(results, sources))
    outcomes = {result.outcome for result in results}
    if "failed" in outcomes:
        raise typer.Exit(1)
    if "refused" in outcomes or not results:
        raise typer.Exit(2)


def _lines(results: list[FileResult], sources: list[str]) -> Iterator[str]:
    if not results:
        yield f"0 frames taken in: no FITS file in {', '.join(sources)}"
        return
    for result in results:
        if result.outcome in ("refused", "failed"):
            yield f"{result.outcome}: {result.message}"
    taken, known, refused, failed = (
        sum(result.outcome == outcome for result in results)
        for outcome in ("taken", "known", "refused", "failed")
    )
    sentence = f"{plural(taken, 'frame')} taken in, {known} known already, {refused} refused"
    yield sentence + (f", {failed} failed" if failed else "")
