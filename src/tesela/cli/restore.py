"""`tesela restore`: make a recorded version again, and put it back."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any

import typer

from tesela.cli.common import HERE, JsonOption, SiteOption, emit, person, refuse_unknown, worded
from tesela.cli.drop import VersionOption


def add_to(app: typer.Typer) -> None:
    """Add the verb."""
    app.command("restore")(restore)


def restore(
    key: Annotated[str, typer.Argument(help="Key of a product.", callback=worded)],
    kind: Annotated[
        str,
        typer.Option(
            "--kind",
            help="reduced, coadd, master, catalogue ...: what a step makes.",
            callback=worded,
        ),
    ] = "",
    version: VersionOption = 0,
    site: SiteOption = HERE,
    as_json: JsonOption = False,
) -> None:
    """Make a recorded version again from its recorded inputs and settings, compare the data with
    what was recorded, and put the file back if it is not there.

    Of a file that is there this is a test of reproducibility: nothing is changed. Ends with 1 if
    the data come out otherwise.
    """
    from tesela.flow.plan.rules import STEPS
    from tesela.flow.run import drop as files
    from tesela.flow.run.bodies import steps_of
    from tesela.flow.run.site import open_site

    refuse_unknown("--kind", kind, STEPS)
    opened = open_site(site)
    steps = steps_of(opened)
    with opened.ledger.read() as conn:
        row = files.version_of(conn, key, kind, version, STEPS)
    put_back = files.restore(opened, steps, row, person())
    names = ("kind", "key", "version", "path", "data_hash")
    data: dict[str, Any] = {**{name: row[name] for name in names}, "put_back": put_back}
    emit(data, as_json, lambda: _lines(data))


def _lines(data: dict[str, Any]) -> Iterator[str]:
    what = f"{data['kind']} {data['key']} version {data['version']}"
    said = f"{data['path']} is there again" if data["put_back"] else "the file was there already"
    yield f"{what} was made again, the data are as recorded ({data['data_hash'][:16]}); {said}"
