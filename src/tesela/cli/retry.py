"""`tesela retry`: try again what was skipped or is dead."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any

import typer

from tesela.cli.common import (
    HERE,
    DryRunOption,
    JsonOption,
    SiteOption,
    emit,
    person,
    plural,
    some,
)
from tesela.errors import ConfigError


def add_to(app: typer.Typer) -> None:
    """Add the verb."""
    app.command("retry")(retry)


def retry(
    keys: Annotated[
        list[str] | None, typer.Argument(help="Keys, as `status` prints them.", show_default=False)
    ] = None,
    dead: Annotated[bool, typer.Option("--dead", help="All that is dead.")] = False,
    skipped: Annotated[bool, typer.Option("--skipped", help="All that was skipped.")] = False,
    site: SiteOption = HERE,
    dry_run: DryRunOption = False,
    as_json: JsonOption = False,
) -> None:
    """Try skipped and dead tasks again: those named, or all of a state; `run` does them."""
    from tesela.flow.plan import retry as again
    from tesela.flow.run.site import open_site

    states = [state for state, on in (("dead", dead), ("skipped", skipped)) if on]
    if not keys and not states:
        raise ConfigError(
            "retry", found="nothing named", expected="a KEY, --dead or --skipped",
            do="see `tesela status` for what is skipped or dead",
        )  # fmt: skip
    opened = open_site(site)
    with opened.ledger.rehearse() if dry_run else opened.ledger.write() as conn:
        chosen = again.choose(conn, keys or [], states)
        again.retry(conn, chosen, person())
    data = {"done": not dry_run, "tasks": chosen}
    emit(data, as_json, lambda: _lines(data))


def _lines(data: dict[str, Any]) -> Iterator[str]:
    chosen = data["tasks"]
    verb = "ready again" if data["done"] else "would be ready again"
    yield f"{verb}: {plural(len(chosen), 'task')}" + ("; now `tesela run`" * data["done"])
    yield from some([f"  {row['step']} {row['key']}, {row['state']}" for row in chosen])
