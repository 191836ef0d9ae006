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
    WhereOption,
    YesOption,
    confirm,
    emit,
    person,
    plural,
    progress_bar,
    refuse_unknown,
    some,
    worded,
)
from tesela.errors import ConfigError


def add_to(app: typer.Typer) -> None:
    """Add the verb."""
    app.command("retry")(retry)


def retry(
    keys: Annotated[
        list[str] | None,
        typer.Argument(help="Keys, as `status` prints them.", show_default=False, callback=worded),
    ] = None,
    dead: Annotated[
        bool, typer.Option("--dead", help="All that is dead, or of KEYS what is.")
    ] = False,
    skipped: Annotated[
        bool, typer.Option("--skipped", help="All that was skipped, or of KEYS what was.")
    ] = False,
    step: Annotated[
        list[str] | None,
        typer.Option("--step", help="Of these only what this step makes.", callback=worded),
    ] = None,
    where: WhereOption = "",
    site: SiteOption = HERE,
    dry_run: DryRunOption = False,
    yes: YesOption = False,
    as_json: JsonOption = False,
) -> None:
    """Try skipped and dead tasks again: those named, or all of a state; `run` does them.

    With names and a state only those of the named that are in it. With a condition only those that
    meet it: `--dead --where 'reason ~ "*No space left*"'`. A dry
    run tells them by their causes.
    """
    from tesela.flow.plan import retry as again
    from tesela.flow.plan.rules import STEPS
    from tesela.flow.run.site import open_site
    from tesela.ledger.causes import alike
    from tesela.ledger.where import parse
    from tesela.ledger.where_columns import ABOUT_TASKS

    states = [state for state, on in (("dead", dead), ("skipped", skipped)) if on]
    if not keys and not states:
        raise ConfigError(
            "retry", found="nothing named", expected="a KEY, --dead or --skipped",
            do="see `tesela status` for what is skipped or dead",
        )  # fmt: skip
    for one in step or ():
        refuse_unknown("--step", one, tuple(STEPS.values()))
    opened = open_site(site)
    condition = parse(where, ABOUT_TASKS) if where else None
    with opened.ledger.read() as conn:
        chosen = again.choose(conn, keys or [], states, step or (), condition)
    if not dry_run:
        confirm(len(chosen), opened.survey.flow.confirm_above, yes, "task would be tried again")
        with progress_bar(as_json) as bar:
            task = bar.add_task("retry", total=len(chosen)) if bar else None

            def told(done: int) -> None:
                if bar and task is not None:
                    bar.update(task, completed=done)

            again.retry_all(opened.ledger, chosen, person(), told)
    causes = alike(({**row, "example": row["key"]} for row in chosen), "state", "step")
    data = {
        "done": not dry_run,
        "tasks": chosen,
        "causes": [
            {name: row[name] for name in ("state", "step", "reason", "n", "example")}
            for row in causes
        ],
    }
    emit(data, as_json, lambda: _lines(data))


def _lines(data: dict[str, Any]) -> Iterator[str]:
    chosen = data["tasks"]
    verb = "ready again" if data["done"] else "would be ready again"
    yield f"{verb}: {plural(len(chosen), 'task')}" + ("; now `tesela run`" * data["done"])
    yield from some(
        [
            f"  {row['step']} {row['example']}"
            + (f" and {row['n'] - 1} more" if row["n"] > 1 else "")
            + f", {row['state']}: {row['reason']}"
            for row in data["causes"]
        ]
    )
