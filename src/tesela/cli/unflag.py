"""`tesela unflag`: take a verdict back."""

from __future__ import annotations

from typing import Any

import typer

from tesela.cli.common import HERE, DryRunOption, JsonOption, SiteOption, YesOption, person
from tesela.cli.flag import KindOption, NamesArgument, judge


def add_to(app: typer.Typer) -> None:
    """Add the verb."""
    app.command("unflag")(unflag)


def unflag(
    names: NamesArgument,
    kind: KindOption = "raw",
    site: SiteOption = HERE,
    dry_run: DryRunOption = False,
    yes: YesOption = False,
    as_json: JsonOption = False,
) -> None:
    """Take flags back; what may use the frames again is due again."""
    from tesela.flow.plan import flags

    def change(conn: Any, rules: Any, name: str) -> None:
        flags.unflag(conn, rules, kind, name, who=person())

    judge(site, names, (kind, flags.of_unflag, change), dry_run, yes, as_json)
