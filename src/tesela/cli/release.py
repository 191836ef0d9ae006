"""`tesela release build | validate | publish | withdraw | list`."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tesela.cli.common import (
    HERE,
    DryRunOption,
    JsonOption,
    SiteOption,
    emit,
    person,
    plural,
    progress_bar,
)
from tesela.errors import ConfigError

if TYPE_CHECKING:
    from tesela.sciencedb.shelf import Shelf
    from tesela.stages.release import Validation
    from tesela.stages.release.settings import Progress

verbs = typer.Typer(no_args_is_help=True, help="Releases: frozen, validated, published.")

NameArgument = Annotated[str, typer.Argument(help="Name of the release, such as dr1.")]


def add_to(app: typer.Typer) -> None:
    """Add the verbs."""
    app.add_typer(verbs, name="release")


@verbs.callback()
def _group() -> None:
    """Releases."""


ReleasesOption = Annotated[
    Path | None,
    typer.Option("--releases", help="Folder of releases, on a machine without a site."),
]


@verbs.command("build")
def build(
    name: NameArgument,
    site: SiteOption = HERE,
    title: Annotated[str, typer.Option("--title", help="What pages call it.")] = "",
    without: Annotated[
        list[str] | None, typer.Option("--without", help="Leave out a tile that is not ready.")
    ] = None,
    dry_run: DryRunOption = False,
    as_json: JsonOption = False,
) -> None:
    """Freeze everything that is current into a release, and validate it.

    Refused, with the reasons, if a tile is missing or unfinished, was made with other settings
    than survey.toml has now, or a check fails. A release is never changed afterwards; nothing is
    published yet. With --dry-run: the tiles that would be frozen, their rows, and what refuses.
    """
    from tesela.flow.run import release, release_choice
    from tesela.flow.run.site import open_site

    opened = open_site(site)
    if dry_run:
        choice = release.rehearse(opened, name, without or ())
        tiles = [
            {"tile": c.tile, "version": c.version, "rows": release_choice.rows_of(opened, c)}
            for c in choice.tiles
        ]
        refused = list(choice.refused)
        emit({"tiles": tiles, "refused": refused}, as_json, lambda: _chosen(tiles, refused))
        if refused or not tiles:
            raise typer.Exit(1)
        return
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
def validate(
    name: NameArgument,
    site: SiteOption = HERE,
    releases: ReleasesOption = None,
    as_json: JsonOption = False,
) -> None:
    """Check a release from its files; ends with 1 if a check fails."""
    from tesela.flow.run import publication, release
    from tesela.flow.run.site import open_site

    with progress(as_json) as show:
        if releases is not None:
            found = publication.validate(_shelf(releases), name, show)
        else:
            found = release.validate(open_site(site), name, show)
    emit(found.as_dict(), as_json, lambda: validation_lines(found))
    if not found.passed:
        raise typer.Exit(1)


@verbs.command("publish")
def publish(
    name: NameArgument,
    site: SiteOption = HERE,
    releases: ReleasesOption = None,
    dry_run: DryRunOption = False,
    as_json: JsonOption = False,
) -> None:
    """Serve a release that passed its validation as the latest; the one before stays served."""
    from tesela.flow.run import publication, release
    from tesela.flow.run.site import open_site

    if releases is not None:
        served = publication.publish(_shelf(releases), name, dry_run=dry_run)
    elif dry_run:
        served = publication.publish(release.shelf_of(open_site(site)), name, dry_run=True)
    else:
        served = release.publish(open_site(site), name, person())
    emit({"served": served}, as_json, lambda: _served(served, dry_run))


@verbs.command("withdraw")
def withdraw(
    name: NameArgument,
    site: SiteOption = HERE,
    releases: ReleasesOption = None,
    dry_run: DryRunOption = False,
    as_json: JsonOption = False,
) -> None:
    """Serve a release no longer; its files stay."""
    from tesela.flow.run import publication, release
    from tesela.flow.run.site import open_site

    if releases is not None:
        served = publication.withdraw(_shelf(releases), name, dry_run=dry_run)
    elif dry_run:
        served = publication.withdraw(release.shelf_of(open_site(site)), name, dry_run=True)
    else:
        served = release.withdraw(open_site(site), name, person())
    emit({"served": served}, as_json, lambda: _served(served, dry_run))


@verbs.command("list")
def list_(
    site: SiteOption = HERE, releases: ReleasesOption = None, as_json: JsonOption = False
) -> None:
    """List the releases of the site, or of a folder, the oldest first."""
    from tesela.flow.run import publication, release
    from tesela.flow.run.site import open_site

    if releases is not None:
        rows = publication.listed(_shelf(releases))
    else:
        rows = release.listed(open_site(site))
    emit(rows, as_json, lambda: _listed(rows))


def _shelf(folder: Path) -> Shelf:
    """The releases in a folder, which must be there."""
    from tesela.sciencedb.shelf import Shelf

    if not folder.is_dir():
        raise ConfigError(str(folder), found="no such folder", expected="a folder of releases")
    return Shelf(folder)


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


def _chosen(tiles: list[dict[str, Any]], refused: list[str]) -> Iterator[str]:
    for one in tiles:
        rows = ", ".join(f"{n} {table}" for table, n in one["rows"].items())
        yield f"would freeze {one['tile']} version {one['version']}: {rows}"
    for reason in refused:
        yield f"refused: {reason}"
    yield (
        f"{plural(len(tiles), 'tile')}, {sum(t['rows']['objects'] for t in tiles)} objects; "
        + (f"{plural(len(refused), 'reason')} against it" if refused else "nothing was written")
    )


def _served(names: list[str], dry_run: bool) -> Iterator[str]:
    yield f"{'would be served' if dry_run else 'served now'}: {', '.join(names) or 'no release'}"


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
