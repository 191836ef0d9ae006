"""`tesela transfer free`: raw files deleted at the observatory."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Annotated, Any

import typer

from tesela.cli.common import (
    HERE,
    DryRunOption,
    JsonOption,
    SiteOption,
    YesOption,
    emit,
    person,
    plural,
    progress_bar,
    some,
)
from tesela.errors import ConfigError


def free(
    older: Annotated[
        float,
        typer.Option("--older-than", min=0.0, help="Only frames taken in so many days ago."),
    ] = 7.0,
    fresh: Annotated[
        float,
        typer.Option("--fresh", min=0.0, help="Copies count if verified in the last so many days."),
    ] = 90.0,
    site: SiteOption = HERE,
    dry_run: DryRunOption = False,
    yes: YesOption = False,
    as_json: JsonOption = False,
) -> None:
    """Delete raw files at an observatory of which two other sites have verified copies.

    Each file is hashed before it goes, and stays if it is not the one that was copied. The frame
    stays in the ledger with all its history, and so does its small picture. Ends with 1 if a file
    had to stay.
    """
    from tesela.config import load_survey
    from tesela.products import paths
    from tesela.sites import free as freeing
    from tesela.sites.installation import Installation

    here = Installation.open(site)
    limits = freeing.Limits(older, fresh)
    chosen = list(freeing.candidates(here, limits))
    data: dict[str, Any] = {
        "frames": len(chosen), "bytes": sum(one.bytes for one in chosen), "done": not dry_run,
        "keys": [one.key for one in chosen], "freed": 0, "freed_bytes": 0, "kept": [],
    }  # fmt: skip
    if not dry_run:
        limit = load_survey(paths.survey_file(here.folder)).flow.confirm_above
        _confirm(len(chosen), limit, yes)
        with progress_bar(as_json) as bar:
            line = bar.add_task("free", total=len(chosen)) if bar else None
            for one in chosen:
                done = freeing.free(here, one, limits, person())
                if done.reason:
                    data["kept"].append(dataclasses.asdict(done))
                else:
                    data["freed"] += 1
                    data["freed_bytes"] += done.bytes
                if bar is not None and line is not None:
                    bar.advance(line)
    emit(data, as_json, lambda: _lines(data))
    if data["kept"]:
        raise typer.Exit(1)


def _confirm(n: int, limit: int, yes: bool) -> None:
    if n > limit and not yes:
        raise ConfigError(
            f"{plural(n, 'raw file')} would be deleted",
            found="no --yes",
            expected=f"--yes above {limit} (flow.confirm_above)",
            do="look at the list with --dry-run first",
        )


def _lines(data: dict[str, Any]) -> Iterator[str]:
    if not data["done"]:
        yield (
            f"would delete {plural(data['frames'], 'raw file')}, {data['bytes'] / 1e9:.2f} GB: "
            "each with two verified copies elsewhere"
        )
        yield from some([f"  {key}" for key in data["keys"]])
        return
    yield from some([f"kept {one['key']}: {one['reason']}" for one in data["kept"]], 20)
    yield f"{plural(data['freed'], 'raw file')} deleted, {data['freed_bytes'] / 1e9:.2f} GB"
