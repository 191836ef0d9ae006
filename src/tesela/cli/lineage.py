"""`tesela lineage`: what a version was made from, and what was made with it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tesela.cli.common import HERE, JsonOption, SiteOption, worded
from tesela.errors import ConfigError

if TYPE_CHECKING:
    from tesela.ledger.lineage import Lineage, Start

_FORMATS = ("text", "json", "svg")


def add_to(app: typer.Typer) -> None:
    """Add the verb."""
    app.command("lineage")(lineage)


def lineage(
    key: Annotated[
        str,
        typer.Argument(
            help="A frame, a master's key, a tile, <tile>.<band> or a release.", callback=worded
        ),
    ],
    kind: Annotated[
        str,
        typer.Option("--kind", help="raw, master, reduced, coadd ...; else the most derived one."),
    ] = "",
    version: Annotated[
        int | None, typer.Option("--version", help="Else the one that is served, or the last.")
    ] = None,
    forward: Annotated[
        bool, typer.Option("--forward", help="What was made with it, not what it was made from.")
    ] = False,
    depth: Annotated[
        int | None, typer.Option("--depth", help="Only so many steps away.", min=1)
    ] = None,
    every: Annotated[
        bool, typer.Option("--all", help="A line each, also for many that are alike.")
    ] = False,
    form: Annotated[
        str | None,
        typer.Option("--format", help="text, json or svg; default: text.", show_default=False),
    ] = None,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="A new file, instead of the terminal.")
    ] = None,
    site: SiteOption = HERE,
    as_json: JsonOption = False,
) -> None:
    """Print everything that a version of a product was made from, masters and raw frames
    included, or with --forward everything that was made with it, past versions too.

    Evidence (what it was only compared with or built from) is told apart and not followed. Siblings
    that are alike are taken together, in pictures always.
    """
    from tesela.ledger import lineage as walking
    from tesela.ledger.place import open_ledger

    if as_json and form not in (None, "json"):
        raise ConfigError("lineage", found=f"--json and --format {form}", expected="one of them")
    form = "json" if as_json else "text" if form is None else form
    if form not in _FORMATS:
        raise ConfigError("--format", found=repr(form), expected=f"one of {', '.join(_FORMATS)}")
    if output is not None and output.exists():
        raise ConfigError(
            str(output), found="a file of that name", expected="a new one",
            do="choose another name: nothing is overwritten",
        )  # fmt: skip
    with open_ledger(site).read() as conn:
        start = walking.find(conn, key, kind=kind, version=version, forward=forward)
        found = walking.walk(conn, start.id, forward=forward, depth=depth)
    text = _written(found, start, form, every=every)
    if output is None:
        typer.echo(text)
        return
    _keep(output, text)
    typer.echo(f"wrote {output}")


def _written(found: Lineage, start: Start, form: str, *, every: bool) -> str:
    if form == "json":
        return json.dumps(found.plain(), indent=2)
    if form == "text":
        return "\n".join(_lines(found, start, every=every))
    from tesela.ledger.lineage_groups import fitted
    from tesela.web.shared.lineage_svg import draw

    plain = fitted(found).plain()
    what = "What was made with" if found.forward else "What made"
    title = f"{what} {start.kind} {found.start.key} version {start.version}"
    return str(draw(plain["nodes"], plain["edges"], title, alone=True)).rstrip()


def _lines(found: Lineage, start: Start, *, every: bool) -> Iterator[str]:
    from tesela.ledger.lineage_groups import tree

    yield from tree(found, every=every)
    if len(found.nodes) == 1:
        yield (
            "nothing was made with it"
            if found.forward
            else "it was made from nothing that the ledger knows: it came in from outside"
        )
    if start.others:
        yield f"of this name there is also {', '.join(start.others)}: choose with --kind"


def _keep(path: Path, text: str) -> None:
    from tesela.products.files import atomic_copy_target

    with atomic_copy_target(path) as temporary:
        temporary.write_text(text + "\n", encoding="utf-8")
