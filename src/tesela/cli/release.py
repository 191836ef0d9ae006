"""`tesela release build | validate | publish | withdraw | list`."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tesela.cli.common import (
    HERE,
    JsonOption,
    SiteOption,
    emit,
    person,
    plural,
    progress_bar,
)

if TYPE_CHECKING:
    from tesela.flow.run.release import Progress
    from tesela.stages.release import Validation

verbs = typer.Typer(no_args_is_help=True, help="Releases: frozen, validated, published.")

NameArgument = Annotated[str, typer.Argument(help="Name of the release, such as dr1.")]


def add_to(app: typer.Typer) -> None:
    """Add the verbs."""
    app.add_typer(verbs, name="release")


@verbs.callback()
def _group() -> None:
    """Releases."""


@verbs.command("build")
def build(
    name: NameArgument,
    site: SiteOption = HERE,
    title: Annotated[str, typer.Option("--title", help="What pages call it.")] = "",
    without: Annotated[
        list[str] | None, typer.Option("--without", help="Leave out a tile that is not ready.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Freeze everything that is current into a release, and validate it.

    Refused, with the reasons, if a tile is missing or unfinished or a check fails. A release is
    never changed afterwards; nothing is published yet.
    """
    from tesela.flow.run import release
    from tesela.flow.run.site import open_site

    opened = open_site(site)
    with progress(as_json) as show:
        built = release.build(opened, name, title=title, without=without or (), progress=show)
    data = {
        "name": built.name,
        "folder": str(built.folder),
        "tiles": len(built.model.tiles),
        "rows": built.model.rows,
        "validation": built.validation.as_dict(),
    }
    emit(data, as_json, lambda: _built(data, built.validation))


@verbs.command("validate")
def validate(name: NameArgument, site: SiteOption = HERE, as_json: JsonOption = False) -> None:
    """Check a release from its files; ends with 1 if a check fails."""
    from tesela.flow.run import release
    from tesela.flow.run.site import open_site

    with progress(as_json) as show:
        found = release.validate(open_site(site), name, show)
    emit(found.as_dict(), as_json, lambda: validation_lines(found))
    if not found.passed:
        raise typer.Exit(1)


@verbs.command("publish")
def publish(name: NameArgument, site: SiteOption = HERE, as_json: JsonOption = False) -> None:
    """Serve a release that passed its validation as the latest; the one before stays served."""
    from tesela.flow.run import release
    from tesela.flow.run.site import open_site

    served = release.publish(open_site(site), name, person())
    emit({"served": served}, as_json, lambda: _served(served))


@verbs.command("withdraw")
def withdraw(name: NameArgument, site: SiteOption = HERE, as_json: JsonOption = False) -> None:
    """Serve a release no longer; its files stay."""
    from tesela.flow.run import release
    from tesela.flow.run.site import open_site

    served = release.withdraw(open_site(site), name, person())
    emit({"served": served}, as_json, lambda: _served(served))


@verbs.command("list")
def list_(site: SiteOption = HERE, as_json: JsonOption = False) -> None:
    """List the releases of the site, the oldest first."""
    from tesela.flow.run import release
    from tesela.flow.run.site import open_site

    rows = release.listed(open_site(site))
    emit(rows, as_json, lambda: _listed(rows))


@contextlib.contextmanager
def progress(as_json: bool) -> Iterator[Progress | None]:
    """Show what a release is busy with, on a terminal."""
    with progress_bar(as_json) as bar:
        if bar is None:
            yield None
            return
        line = bar.add_task("release", total=None)

        def show(what: str, done: int, total: int) -> None:
            bar.update(line, description=what, completed=done, total=total or None)

        yield show


def validation_lines(found: Validation) -> Iterator[str]:
    """Give a line a check."""
    words: dict[bool | None, str] = {True: "ok", False: "FAILED", None: "note"}
    for check in found.checks:
        expected = f" (expected {check.expected})" if check.passed is False else ""
        note = f"; {check.note}" if check.note else ""
        yield f"  {words[check.passed]:6s} {check.name}: {check.found}{expected}{note}"
    n_failed = sum(check.passed is False for check in found.checks)
    yield f"{plural(len(found.checks), 'check')}, " + (
        f"{n_failed} failed" if n_failed else "passed"
    )


def _built(data: dict[str, Any], found: Validation) -> Iterator[str]:
    yield from validation_lines(found)
    rows = ", ".join(f"{n} {table}" for table, n in data["rows"].items())
    yield f"release {data['name']}: {plural(data['tiles'], 'tile')}, {rows}"
    yield f"in {data['folder']}; publish it with: tesela release publish {data['name']}"


def _served(names: list[str]) -> Iterator[str]:
    yield f"served now: {', '.join(names) or 'no release'}"


def _listed(rows: list[dict[str, Any]]) -> Iterator[str]:
    if not rows:
        yield "no release yet: make one with `tesela release build dr1`"
    for row in rows:
        state = "latest" if row["latest"] else "served" if row["served"] else "not served"
        yield (
            f"{row['name']}: {row['title']}, {plural(row['tiles'], 'tile')}, "
            f"{row['objects']} objects, made {row['created']}, "
            f"validation {row['validation']}, {state}"
        )
