"""`tesela backup`: copy the ledger, and put a copy back."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Annotated

import typer

from tesela.cli.common import HERE, JsonOption, SiteOption, emit
from tesela.errors import ConfigError


def add_to(app: typer.Typer) -> None:
    """Add the verb."""
    app.command("backup")(backup)


def backup(
    folder: Annotated[
        Path | None, typer.Argument(help="Folder for the copy.", show_default=False)
    ] = None,
    restore: Annotated[
        Path | None, typer.Option("--restore", help="Put this copy back as the site's ledger.")
    ] = None,
    site: SiteOption = HERE,
    as_json: JsonOption = False,
) -> None:
    """Copy the ledger as one consistent state, while work goes on; or put a copy back.

    On PostgreSQL it needs that database's own pg_dump and pg_restore. Nothing is overwritten: a
    ledger on SQLite is moved aside, a database on PostgreSQL has to be empty.
    """
    from tesela.flow.run import backup as copies

    if (folder is None) == (restore is None):
        raise ConfigError(
            "backup", found="nothing named" if folder is None else "a folder and --restore",
            expected="a FOLDER for the copy, or --restore FILE",
        )  # fmt: skip
    if folder is not None:
        made = copies.backup(site.resolve(), folder)
        emit(
            dataclasses.asdict(made),
            as_json,
            lambda: iter([f"{made.path}: {made.size} bytes, sha256 {made.sha256[:16]}"]),
        )
    elif restore is not None:
        aside = copies.restore(site.resolve(), restore)
        kept = f"; the one before is {aside}" if aside else ""
        emit(
            {"restored": str(restore), "before": aside},
            as_json,
            lambda: iter(
                [
                    f"the ledger is that of {restore}{kept}",
                    "what was made since has no row: now `tesela audit --sweep`, then"
                    " `tesela ingest SITE/raw` and `tesela run`",
                ]
            ),
        )
