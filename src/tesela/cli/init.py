"""`tesela init`: make a site."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tesela.cli.common import JsonOption, emit, plural


def add_to(app: typer.Typer) -> None:
    """Add the verb."""
    app.command("init")(init)


def init(
    site: Annotated[Path, typer.Argument(help="Folder to make.")],
    survey: Annotated[Path, typer.Option("--survey", help="The survey.toml to use.")],
    settings: Annotated[
        Path | None,
        typer.Option("--settings", help="The site.toml of this installation, if it has one."),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Make a new site from a survey's settings."""
    from tesela.flow.run.site import init_site

    made = init_site(site, survey, settings)
    data = {
        "site": str(made.folder),
        "survey": made.survey.name,
        "cameras": [camera.name for camera in made.cameras],
        "bands": list(made.survey.filters),
        "tiles": len(made.grid),
    }
    made.ledger.close()
    emit(
        data,
        as_json,
        lambda: iter(
            [
                f"site {data['site']}: survey {data['survey']}, {plural(len(made.grid), 'tile')};"
                " now `tesela ingest`"
            ]
        ),
    )
