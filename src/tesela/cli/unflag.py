"""`tesela unflag`: take verdicts back."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from tesela.cli.common import (
    HERE,
    DryRunOption,
    JsonOption,
    SiteOption,
    WhereOption,
    YesOption,
    person,
)
from tesela.cli.flag import KindOption, NamesArgument, judge

if TYPE_CHECKING:
    from sqlalchemy.engine import Connection

    from tesela.flow.plan.flags import Consequences, Told
    from tesela.flow.run.site import Site
    from tesela.ledger.where import Condition


def add_to(app: typer.Typer) -> None:
    """Add the verb."""
    app.command("unflag")(unflag)


def unflag(
    names: NamesArgument = None,
    kind: KindOption = "raw",
    where: WhereOption = "",
    site: SiteOption = HERE,
    dry_run: DryRunOption = False,
    yes: YesOption = False,
    as_json: JsonOption = False,
) -> None:
    """Take flags back; what may use the frames again is due again.

    With an exposure, a night or a condition that was flagged go the flags that came with it. Any
    other condition takes those of the frames that meet it.
    """
    from tesela.flow.plan import flags

    chosen, who = names or [], person()

    def ask(conn: Connection, opened: Site, condition: Condition | None) -> Consequences:
        return flags.of_unflag(conn, opened.rules, kind, chosen, condition)

    def change(opened: Site, condition: Condition | None, told: Told | None) -> object:
        return flags.unflag_all(
            opened.ledger, opened.rules, kind, chosen, condition, who=who, told=told
        )

    judge("unflag", site, (chosen, kind, where), (ask, change), dry_run, yes, as_json)
