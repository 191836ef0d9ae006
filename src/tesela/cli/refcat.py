"""`tesela refcat add`: bring a reference catalogue in."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from tesela.cli.common import HERE, JsonOption, SiteOption, emit

verbs = typer.Typer(no_args_is_help=True, help="Reference catalogues.")


def add_to(app: typer.Typer) -> None:
    """Add the verb."""
    app.add_typer(verbs, name="refcat")


@verbs.callback()
def _group() -> None:
    """Reference catalogues."""


@verbs.command("add")
def add(
    name: Annotated[str, typer.Argument(help="Name, as survey.toml calls it.")],
    file: Annotated[Path, typer.Argument(help="FITS, CSV or Parquet.")],
    site: SiteOption = HERE,
    as_json: JsonOption = False,
) -> None:
    """Add a version of a reference catalogue."""
    from tesela.flow.run import refcat
    from tesela.flow.run.site import open_site
    from tesela.stages.ingest.refcat import read

    opened = open_site(site)

    def checked(path: Path) -> Mapping[str, Any]:
        columns = read(path)
        if name == opened.survey.refcat:
            refcat.require_columns(path.name, columns, opened.survey)
        return columns

    added = refcat.add(opened.folder, opened.ledger, name, file, checked)
    sentence = f"{added.name} version {added.version}: {added.rows} rows"
    emit(dataclasses.asdict(added), as_json, lambda: iter([sentence]))
