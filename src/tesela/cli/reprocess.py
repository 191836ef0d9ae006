"""`tesela reprocess`: make stale products again."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Annotated, Any

import typer

from tesela.cli.common import (
    HERE,
    DryRunOption,
    JsonOption,
    SiteOption,
    YesOption,
    confirm,
    emit,
    person,
    some,
)
from tesela.errors import ConfigError


def add_to(app: typer.Typer) -> None:
    """Add the verb."""
    app.command("reprocess")(reprocess)


def reprocess(
    keys: Annotated[
        list[str] | None, typer.Argument(help="Keys of stale products.", show_default=False)
    ] = None,
    step: Annotated[
        list[str] | None, typer.Option("--step", help="Only what this step makes.")
    ] = None,
    everything: Annotated[bool, typer.Option("--all", help="All that is stale.")] = False,
    site: SiteOption = HERE,
    dry_run: DryRunOption = False,
    yes: YesOption = False,
    as_json: JsonOption = False,
) -> None:
    """Make stale products again, and what is made from them; `run` does the work.

    Stale are products made by other code, with other settings, or from a choice that has a better
    one by now: `status` lists them. They stay served until new versions are there.
    """
    from tesela.flow.plan import reprocess as again
    from tesela.flow.run.bodies import steps_of
    from tesela.flow.run.controller import register_steps
    from tesela.flow.run.site import open_site

    if not keys and not step and not everything:
        raise ConfigError(
            "reprocess", found="nothing named", expected="a KEY, --step or --all",
            do="see `tesela status` for what is stale",
        )  # fmt: skip
    opened = open_site(site)
    steps = steps_of(opened)
    with opened.ledger.rehearse() as conn:
        register_steps(conn, steps)
        chosen = again.choose(conn, keys or (), step or ())
        targets = again.consequences(conn, chosen)
    if not dry_run:
        confirm(len(targets), opened.survey.flow.confirm_above, yes)
        with opened.ledger.write() as conn:
            register_steps(conn, steps)
            again.reprocess(conn, chosen, person())
    data = {
        "chosen": chosen,
        "due_again": [{"kind": kind, "key": key} for kind, key in targets],
        "done": not dry_run,
    }
    emit(data, as_json, lambda: _lines(data, targets))


def _lines(data: dict[str, Any], targets: list[tuple[str, str]]) -> Iterator[str]:
    verb = "due again" if data["done"] else "would be due again"
    parts = ", ".join(f"{n} {kind}" for kind, n in Counter(k for k, _ in targets).items())
    yield f"{verb}: {parts or 'nothing'}" + ("; now `tesela run`" * (data["done"] and bool(parts)))
    yield from some([f"  {kind} {key}" for kind, key in targets], 20)
