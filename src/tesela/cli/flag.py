"""`tesela flag`: condemn a frame or product, and have everything made from it made again."""

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
)

KindOption = Annotated[
    str,
    typer.Option(
        "--kind", help="raw (a frame), exposure (all its frames), master, reduced or coadd."
    ),
]
NamesArgument = Annotated[list[str], typer.Argument(help="Frames, exposures, or keys of products.")]


def add_to(app: typer.Typer) -> None:
    """Add the verb."""
    app.command("flag")(flag)


def flag(
    names: NamesArgument,
    reason: Annotated[str, typer.Option("--reason", help="Class of defect, one word.")],
    comment: Annotated[str, typer.Option("--comment", help="What was seen.")] = "",
    kind: KindOption = "raw",
    site: SiteOption = HERE,
    dry_run: DryRunOption = False,
    yes: YesOption = False,
    as_json: JsonOption = False,
) -> None:
    """Flag frames as bad; what used them is due again, without them."""
    from tesela.flow.plan import flags

    def change(conn: Any, rules: Any, name: str) -> None:
        flags.flag(conn, rules, kind, name, reason=reason, comment=comment, who=person())

    judge(site, names, (kind, flags.of_flag, change), dry_run, yes, as_json)


def judge(
    site: Any, names: list[str], how: tuple[str, Any, Any], dry_run: bool, yes: bool, as_json: bool
) -> None:
    """Say what a change of verdicts makes due, then make it, in one transaction."""
    from tesela.flow.run.site import open_site

    kind, consequences, change = how
    opened = open_site(site)
    with opened.ledger.rehearse() as conn:
        found = [consequences(conn, opened.rules, kind, name) for name in names]
        targets = sorted({target for one in found for target in one.targets})
        for name in names:
            change(conn, opened.rules, name)  # refuses here what it would refuse later
    data = {
        "names": names,
        "kind": kind,
        "due_again": [{"kind": k, "key": key} for k, key in targets],
        "done": False,
    }
    if not dry_run:
        confirm(len(targets), opened.survey.flow.confirm_above, yes)
        with opened.ledger.write() as conn:
            for name in names:
                change(conn, opened.rules, name)
        data["done"] = True
    emit(data, as_json, lambda: _lines(data, targets))


def _lines(data: dict[str, Any], targets: list[tuple[str, str]]) -> Iterator[str]:
    verb = "due again" if data["done"] else "would be due again"
    parts = ", ".join(f"{n} {kind}" for kind, n in Counter(k for k, _ in targets).items())
    yield f"{verb}: {parts or 'nothing'}"
    for kind, key in targets:
        yield f"  {kind} {key}"
