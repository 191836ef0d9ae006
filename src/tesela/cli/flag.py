"""`tesela flag`: condemn frames or products, and have everything made from them made again."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
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
    plural,
    progress_bar,
    some,
    worded,
)
from tesela.errors import ConfigError

if TYPE_CHECKING:
    from sqlalchemy.engine import Connection

    from tesela.flow.plan.flags import Consequences, Told
    from tesela.flow.run.site import Site
    from tesela.ledger.where import Condition

KindOption = Annotated[
    str,
    typer.Option(
        "--kind",
        help="raw (a frame), exposure or night (all its frames), master, detrended, reduced or "
        "coadd.",
    ),
]
NamesArgument = Annotated[
    list[str] | None,
    typer.Argument(
        help="Frames, exposures, nights, or keys of products.",
        show_default=False,
        callback=worded,
    ),
]

_LISTED = 20
_OF_FRAMES = ("raw", "exposure", "night")

Ask = Callable[["Connection", "Site", "Condition | None"], "Consequences"]
Change = Callable[["Site", "Condition | None", "Told | None"], object]


def add_to(app: typer.Typer) -> None:
    """Add the verb."""
    app.command("flag")(flag)


def flag(
    reason: Annotated[
        str, typer.Option("--reason", help="Class of defect, one word.", callback=worded)
    ],
    names: NamesArgument = None,
    comment: Annotated[str, typer.Option("--comment", help="What was seen.")] = "",
    kind: KindOption = "raw",
    where: WhereOption = "",
    site: SiteOption = HERE,
    dry_run: DryRunOption = False,
    yes: YesOption = False,
    as_json: JsonOption = False,
) -> None:
    """Flag frames as bad: those named, those of an exposure or a night, or all that meet a
    condition. What used them is due again, without them.

    A dry run says exactly what will be made again, or retired if nothing is left to make it from,
    and what that costs. Many are flagged in several transactions; interrupted, do it again.
    """
    from tesela.flow.plan import flags

    chosen, who = names or [], person()

    def ask(conn: Connection, opened: Site, condition: Condition | None) -> Consequences:
        return flags.of_flag(conn, opened.rules, kind, chosen, condition, reason=reason, who=who)

    def change(opened: Site, condition: Condition | None, told: Told | None) -> object:
        return flags.flag_all(
            opened.ledger, opened.rules, kind, chosen, condition,
            reason=reason, comment=comment, who=who, told=told,
        )  # fmt: skip

    judge("flag", site, (chosen, kind, where), (ask, change), dry_run, yes, as_json)


def judge(
    verb: str,
    site: Path,
    whom: tuple[list[str], str, str],
    how: tuple[Ask, Change],
    dry_run: bool,
    yes: bool,
    as_json: bool,
) -> None:
    """Say what a change of verdicts makes due and costs, then make it."""
    from tesela.flow.plan import subjects
    from tesela.flow.plan.cost import core_hours, cost
    from tesela.flow.run.site import open_site
    from tesela.ledger import steps

    names, kind, where = whom
    ask, change = how
    if bool(names) == bool(where):
        raise ConfigError(
            verb,
            found="names and a condition" if names else "nothing named",
            expected="names, or --where with a condition",
        )
    opened = open_site(site)
    condition = subjects.condition(kind, where) if where else None
    with opened.ledger.read() as conn:
        found = ask(conn, opened, condition)
        work = cost(conn, found.due, steps.declared(conn))
    targets = sorted(found.made_again)
    data = {
        "names": names,
        "kind": kind,
        "where": str(condition or ""),
        "judged": found.judged,
        "subjects": sorted(found.subjects),
        "due_again": [{"kind": k, "key": key} for k, key in targets],
        "retired": [{"kind": k, "key": key} for k, key in sorted(found.retired)],
        "waiting": [{"kind": k, "key": key} for k, key in sorted(found.waiting)],
        "made_now": [{"kind": k, "key": key} for k, key in found.own],
        "expected": [asdict(one) for one in work],
        "core_hours": core_hours(work),
        "done": False,
    }
    if not dry_run:
        confirm(
            max(len(found.targets), len(found.due), found.judged),
            opened.survey.flow.confirm_above,
            yes,
        )
        with progress_bar(as_json) as bar:
            task = bar.add_task(verb, total=found.judged) if bar else None

            def told(done: int, total: int) -> None:
                if bar and task is not None:
                    bar.update(task, completed=done, total=total)

            change(opened, condition, told)
        data["done"] = True
    emit(data, as_json, lambda: _lines(verb, data))


def _lines(verb: str, data: dict[str, Any]) -> Iterator[str]:
    done = data["done"]
    what = "frame" if data["kind"] in _OF_FRAMES else "product"
    yield f"{'' if done else 'would be '}{verb}ged: {plural(data['judged'], what)}"
    yield from some([f"  {name}" for name in data["subjects"]])
    targets = [(row["kind"], row["key"]) for row in data["due_again"]]
    parts = ", ".join(f"{n} {kind}" for kind, n in Counter(k for k, _ in targets).items())
    yield f"{'due again' if done else 'would be due again'}: {parts or 'nothing'}"
    if data["retired"]:
        kinds = Counter(row["kind"] for row in data["retired"])
        parts = ", ".join(f"{n} {kind}" for kind, n in kinds.items())
        yield f"{'retired' if done else 'would be retired'}, nothing is left of it: {parts}"
    if data["waiting"]:
        kinds = Counter(row["kind"] for row in data["waiting"])
        parts = ", ".join(f"{n} {kind}" for kind, n in kinds.items())
        yield f"{parts} {'without' if done else 'would be without'} a master, and wait for others"
    if data["made_now"]:
        yield f"and made now: {len(data['made_now'])} reduced"
    if data["expected"]:
        yield f"about {core_time(3600.0 * data['core_hours'])}"
    yield from some([f"  {kind} {key}" for kind, key in targets], _LISTED)
