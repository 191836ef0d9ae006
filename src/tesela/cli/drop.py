"""`tesela drop`: remove large files that can be made again exactly."""

from __future__ import annotations

from collections.abc import Iterator
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
    emit,
    person,
    plural,
    refuse_unknown,
    some,
    worded,
)

if TYPE_CHECKING:
    from sqlalchemy.engine import Connection

KindOption = Annotated[
    str, typer.Option("--kind", help="detrended, reduced or coadd.", callback=worded)
]
VersionOption = Annotated[
    int, typer.Option("--version", min=0, help="Number of the version; 0: the one served.")
]
_GB = 1e9


def add_to(app: typer.Typer) -> None:
    """Add the verb."""
    app.command("drop")(drop)


def drop(
    keys: Annotated[
        list[str] | None,
        typer.Argument(help="Keys of products.", show_default=False, callback=worded),
    ] = None,
    kind: KindOption = "",
    old: Annotated[
        bool, typer.Option("--old", help="All versions of the kind that are served no more.")
    ] = False,
    where: WhereOption = "",
    site: SiteOption = HERE,
    dry_run: DryRunOption = False,
    yes: YesOption = False,
    as_json: JsonOption = False,
) -> None:
    """Remove the main files of products that can be made again exactly; pictures, star lists and
    all that is known of them stay.

    What needs one later makes it again for itself; `tesela restore` puts it back. Kept is what
    other code made, what a task needs now, and what was made from something that is gone.
    """
    from tesela.errors import ConfigError
    from tesela.flow.run import drop as files
    from tesela.flow.run.bodies import steps_of
    from tesela.flow.run.site import open_site

    given = [word for word, on in (("KEYs", keys), ("--old", old), ("--where", where)) if on]
    if len(given) != 1 or not (keys or kind):
        raise ConfigError(
            "drop",
            found=" and ".join(given) + ("" if kind or keys else " without --kind")
            if given
            else "nothing named",
            expected="KEYs, or --kind KIND with either --old or --where",
            do="see with --dry-run what would go",
        )
    refuse_unknown("--kind", kind, files.DROPPABLE)
    opened = open_site(site)
    steps = steps_of(opened)
    with opened.ledger.read() as conn:
        rows = _rows(conn, keys or [], kind, where)
        found = list(files.candidates(conn, opened, steps, rows))
    going = [one for one in found if not one.why_not]
    if not dry_run:
        confirm(len(going), opened.survey.flow.confirm_above, yes)
        files.drop(opened, going, person())
    data = {
        "done": not dry_run,
        "bytes": sum(one.size for one in going),
        "dropped": [_plain(one) for one in going],
        "kept": [{**_plain(one), "why": one.why_not} for one in found if one.why_not],
    }
    emit(data, as_json, lambda: _lines(data))


def _rows(conn: Connection, keys: list[str], kind: str, where: str) -> list[dict[str, Any]]:
    """The versions that are named, that meet a condition, or that are served no more."""
    from tesela.flow.run.drop import version_of
    from tesela.ledger import products
    from tesela.ledger.chosen import Products
    from tesela.ledger.where import parse
    from tesela.ledger.where_columns import ABOUT_PRODUCTS

    if keys:
        return [version_of(conn, key, kind, 0) for key in keys]
    if not where:
        return products.all_past(conn, kind)
    meant = Products((kind,), condition=parse(where, ABOUT_PRODUCTS))
    return [products.by_id(conn, row["id"]) for row in meant.every(conn)]


def _plain(one: Any) -> dict[str, Any]:
    names = ("kind", "key", "version", "path", "size")
    return {name: getattr(one, name) for name in names}


def _lines(data: dict[str, Any]) -> Iterator[str]:
    verb = "dropped" if data["done"] else "would be dropped"
    n, size = len(data["dropped"]), data["bytes"] / _GB
    yield f"{verb}: {plural(n, 'file')}, {size:.3g} GB; `tesela restore KEY` puts one back"
    yield from some([f"  {r['kind']} {r['key']} version {r['version']}" for r in data["dropped"]])
    kept = [
        f"kept: {r['kind']} {r['key']} version {r['version']}: {r['why']}" for r in data["kept"]
    ]
    yield from some(kept)
