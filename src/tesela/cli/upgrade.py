"""`tesela upgrade`: bring a site's ledger up to the tables of this version."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any

import typer

from tesela.cli.common import HERE, DryRunOption, JsonOption, SiteOption, emit


def add_to(app: typer.Typer) -> None:
    """Add the verb."""
    app.command("upgrade")(upgrade)


def upgrade(
    site: SiteOption = HERE, dry_run: DryRunOption = False, as_json: JsonOption = False
) -> None:
    """Bring the ledger of a site, written by an older version, up to date; a copy is kept."""
    from tesela.flow.run.upgrade import upgrade as bring_up

    data = dataclasses.asdict(bring_up(site.resolve(), dry_run=dry_run))
    emit(data, as_json, lambda: _lines(data))


def _lines(data: dict[str, Any]) -> Iterator[str]:
    if data["before"] == data["after"]:
        yield f"the ledger has revision {data['after']}, the newest"
    elif data["copy"]:
        yield f"revision {data['before']} is now {data['after']}; as it was: {data['copy']}"
    else:
        yield f"revision {data['before']} would become {data['after']}"
