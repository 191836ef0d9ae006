"""`tesela reprocess`: make products again, the stale ones or any."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tesela.cli.common import (
    HERE,
    DryRunOption,
    JsonOption,
    SiteOption,
    WhereOption,
    YesOption,
    confirm,
    core_time,
    emit,
    person,
    progress_bar,
    refuse_unknown,
    some,
    worded,
)
from tesela.errors import ConfigError

if TYPE_CHECKING:
    from tesela.flow.run.site import Site

_LISTED = 20
_NAMED = 10_000
"""With more products the keys are not told, but their numbers are."""


def add_to(app: typer.Typer) -> None:
    """Add the verb."""
    app.command("reprocess")(reprocess)


def reprocess(
    keys: Annotated[
        list[str] | None,
        typer.Argument(help="Keys of products.", show_default=False, callback=worded),
    ] = None,
    step: Annotated[
        list[str] | None, typer.Option("--step", help="Only what this step makes.", callback=worded)
    ] = None,
    everything: Annotated[bool, typer.Option("--all", help="All that is stale.")] = False,
    where: WhereOption = "",
    anyway: Annotated[
        bool, typer.Option("--anyway", help="Also what is not stale, with a new version of it.")
    ] = False,
    site: SiteOption = HERE,
    dry_run: DryRunOption = False,
    yes: YesOption = False,
    as_json: JsonOption = False,
) -> None:
    """Make stale products again, and what is made from them; `run` does the work.

    Stale are products made by other code, with other settings, or from a choice that has a better
    one by now: `status` lists them. They stay served until new versions are there. With a condition
    only those that meet it, such as `--step reduce --where 'night = 2017-07-03'`.
    """
    from tesela.flow.plan import reprocess as again
    from tesela.flow.plan.rules import STEPS
    from tesela.flow.run.settings_now import settings_now
    from tesela.flow.run.site import open_site
    from tesela.ledger import stale, steps
    from tesela.ledger.where import parse
    from tesela.ledger.where_columns import ABOUT_PRODUCTS

    _check(keys, step, everything, where, anyway)
    for one in step or ():
        refuse_unknown("--step", one, tuple(STEPS.values()))
    opened = open_site(site)
    condition = parse(where, ABOUT_PRODUCTS) if where else None
    with opened.ledger.read() as conn:
        scopes = {kind: list(known.scopes) for kind, known in stale.now(conn).items()}
        now, problem = settings_now(opened.folder, scopes)
        if now is None:
            raise ConfigError(problem)
        meant = again.which(keys or (), step or (), condition, anyway=anyway, now=now)
        n = again.check(conn, meant, step or ())
        work = again.expected(conn, meant, steps.declared(conn))
        chosen = meant.every(conn) if n <= _NAMED else []
        targets = again.consequences(conn, chosen)
    total = sum(one.tasks for one in work)
    if not dry_run:
        from tesela.flow.run.bodies import steps_of
        from tesela.flow.run.registration import register_steps

        confirm(total, opened.survey.flow.confirm_above, yes)
        with opened.ledger.write() as conn:
            register_steps(conn, steps_of(opened))
        _mark(opened, meant, n, as_json)
    data = {
        "n": n,
        "chosen": [
            {name: row[name] for name in ("kind", "key", "version", "why")} for row in chosen
        ],
        "due_again": [{"kind": kind, "key": key} for kind, key in targets],
        "expected": [asdict(one) for one in work],
        "core_hours": sum(one.seconds for one in work) / 3600.0,
        "done": not dry_run,
    }
    emit(data, as_json, lambda: _lines(data))


def _mark(opened: Site, meant: Any, n: int, as_json: bool) -> None:
    from tesela.flow.plan import reprocess as again

    with progress_bar(as_json) as bar:
        task = bar.add_task("reprocess", total=n) if bar else None

        def told(done: int) -> None:
            if bar and task is not None:
                bar.update(task, completed=done)

        again.reprocess_all(opened.ledger, meant, person(), told)


def _check(
    keys: list[str] | None, step: list[str] | None, everything: bool, where: str, anyway: bool
) -> None:
    if not keys and not step and not everything and not where:
        raise ConfigError(
            "reprocess", found="nothing named", expected="a KEY, --step, --where or --all",
            do="see `tesela status` for what is stale",
        )  # fmt: skip
    if everything and anyway:
        raise ConfigError(
            "reprocess --all --anyway", found="every product there is",
            expected="--anyway with a KEY, --step or --where",
            do="name the first step of what shall be made anew: the rest follows",
        )  # fmt: skip


def _lines(data: dict[str, Any]) -> Iterator[str]:
    verb = "due again" if data["done"] else "would be due again"
    parts = ", ".join(f"{one['tasks']} {one['step']}" for one in data["expected"])
    yield f"{verb}: {parts or 'nothing'}" + ("; now `tesela run`" * (data["done"] and bool(parts)))
    if parts:
        yield f"about {core_time(3600.0 * data['core_hours'])}"
    yield from some([f"  {row['kind']} {row['key']}" for row in data["due_again"]], _LISTED)
