"""`tesela audit`: is every file there, and is it right?"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tesela.cli.common import (
    HERE,
    JsonOption,
    SiteOption,
    YesOption,
    emit,
    plural,
    progress_bar,
    refuse_unknown,
    some,
    worded,
)
from tesela.errors import BadInput, ConfigError, TeselaError

if TYPE_CHECKING:
    from tesela.sites.audit import Audit, Fault
    from tesela.sites.expected import Choice
    from tesela.sites.installation import Installation

_MOST_TOLD = 10_000
_CONFIRM_ABOVE = 100


def add_to(app: typer.Typer) -> None:
    """Add the verb."""
    app.command("audit")(audit)


def audit(
    kind: Annotated[
        list[str] | None,
        typer.Option(
            "--kind",
            help="Only products of this kind (raw, master, reduced ...); may be repeated.",
            callback=worded,
        ),
    ] = None,
    since: Annotated[
        str, typer.Option("--since", help="Only what was made since a date, such as 2017-07-03.")
    ] = "",
    sample: Annotated[
        int, typer.Option("--sample", min=0, help="Only so many products, drawn at random; 0: all.")
    ] = 0,
    checksum: Annotated[
        bool, typer.Option("--checksum", help="Read every byte; otherwise sizes are compared.")
    ] = False,
    repair: Annotated[
        bool, typer.Option("--repair", help="Fetch what is damaged or gone from another site.")
    ] = False,
    sweep: Annotated[
        bool,
        typer.Option(
            "--sweep",
            help="Move files that nobody knows into quarantine/, and remove half-written ones.",
        ),
    ] = False,
    site: SiteOption = HERE,
    yes: YesOption = False,
    as_json: JsonOption = False,
) -> None:
    """Look whether every file of every product is there, of the right size, and, with --checksum,
    of the right content; and for files under raw/ and products/ that nobody knows.

    What was removed on purpose is no fault. Files that nobody knows are looked for if no product is
    left out, and told of if they are older than an hour. Ends with 1 if something is wrong and was
    not mended.
    """
    from tesela.flow.plan.rules import STEPS
    from tesela.products.masterkind import QUICK
    from tesela.sites.audit import Audit
    from tesela.sites.expected import Choice, count
    from tesela.sites.installation import Installation
    from tesela.sites.manifest import RAW, RELEASE

    for one in kind or ():
        refuse_unknown("--kind", one, (RAW, "refcat", *STEPS, QUICK, RELEASE))
    here = Installation.open(site)
    choice = Choice(tuple(kind or ()), _mjd(since), sample)
    if sweep and not choice.is_all:
        raise ConfigError(
            "--sweep", found="--kind, --since or --sample", expected="an audit of everything",
            do="leave them out: otherwise known files would look unknown",
        )  # fmt: skip
    looked = Audit(here, choice, checksum=checksum)
    with progress_bar(as_json) as bar:
        line = bar.add_task("audit", total=count(here, choice)) if bar else None

        def show(done: int) -> None:
            if bar is not None and line is not None:
                bar.update(line, completed=done)

        faults, n_faults, n_mended = _faults(here, looked, repair, show)
    orphans = _orphans(here, looked, choice, sweep, yes)
    data = {
        "products": looked.products, "files": looked.files, "bytes": looked.bytes,
        "checksum": checksum, "dropped": looked.dropped, "without_checksum": looked.unsummed,
        "n_faults": n_faults, "n_mended": n_mended, "faults": faults,
        "orphans": orphans, "orphans_looked_for": choice.is_all,
    }  # fmt: skip
    emit(data, as_json, lambda: _lines(data))
    unswept = [one for one in orphans if not one["done"]]
    if n_faults > n_mended or unswept:
        raise typer.Exit(1)


def _mjd(since: str) -> float:
    import datetime as dt

    from tesela.ledger.clock import SECONDS_A_DAY, UNIX_EPOCH_MJD

    if not since:
        return 0.0
    try:
        day = dt.datetime.fromisoformat(since).replace(tzinfo=dt.UTC)
    except ValueError:
        raise BadInput(
            "--since", found=repr(since), expected="a date such as 2017-07-03", do="correct it"
        ) from None
    return UNIX_EPOCH_MJD + day.timestamp() / SECONDS_A_DAY


def _faults(
    here: Installation, looked: Audit, mend: bool, show: Callable[[int], None]
) -> tuple[list[dict[str, Any]], int, int]:
    """Faults for the report, not all of very many; how many there are, and how many were mended."""
    told: list[dict[str, Any]] = []
    n = n_mended = 0
    for fault in looked.faults(show):
        n += 1
        row = dataclasses.asdict(fault) | {"mended": "", "not_mended": ""}
        if mend:
            try:
                row["mended"] = _mend(here, fault)
                n_mended += 1
            except TeselaError as error:
                row["not_mended"] = str(error)
        if len(told) < _MOST_TOLD:
            told.append(row)
    return told, n, n_mended


def _mend(here: Installation, fault: Fault) -> str:
    """Fetch a file from another site; the picture of a raw frame is drawn again."""
    from tesela.sites.repair import repair

    if fault.kind != "raw" or fault.is_main:
        return repair(here, fault)
    from tesela.flow.run.ingest import Intake
    from tesela.flow.run.pictures import draw_again
    from tesela.flow.run.site import open_site

    return draw_again(Intake.of(open_site(here.folder)), fault)


def _orphans(
    here: Installation, looked: Audit, choice: Choice, sweep: bool, yes: bool
) -> list[dict[str, Any]]:
    from tesela.sites import orphans

    if not choice.is_all:
        return []
    found = list(orphans.find(here.folder, looked.names, looked.ended))
    if sweep and len(found) > _CONFIRM_ABOVE and not yes:
        raise ConfigError(
            f"{plural(len(found), 'file')} that nobody knows would be moved away",
            found="no --yes",
            expected=f"--yes above {_CONFIRM_ABOVE}",
            do="look at the list without --sweep first: is this the ledger of these files?",
        )
    return [
        dataclasses.asdict(one) | {"done": orphans.sweep(here, one) if sweep else ""}
        for one in found
    ]


def _lines(data: dict[str, Any]) -> Iterator[str]:
    yield from some([_fault_line(one) for one in data["faults"]], 20)
    yield from some([_orphan_line(one) for one in data["orphans"]], 20)
    how = "read" if data["checksum"] else "looked at"
    yield (
        f"{plural(data['files'], 'file')} of {plural(data['products'], 'product')} {how}, "
        f"{data['bytes'] / 1e9:.2f} GB: {plural(data['n_faults'], 'fault')}"
        + (f", {data['n_mended']} mended" if data["n_mended"] else "")
        + (f"; {plural(len(data['orphans']), 'orphan')}" if data["orphans_looked_for"] else "")
        + (f"; files of {data['dropped']} were removed on purpose" if data["dropped"] else "")
    )


def _fault_line(one: dict[str, Any]) -> str:
    said = f"{one['what']}: {one['kind']} {one['key']}: {one['path']}: {one['found']}; expected "
    said += one["expected"]
    if one["mended"]:
        return f"{said}; mended: {one['mended']}"
    return said + (f"; not mended: {one['not_mended']}" if one["not_mended"] else "")


def _orphan_line(one: dict[str, Any]) -> str:
    from tesela.sites.inside import shown

    what = "half-written" if one["is_temporary"] else "known to nobody"
    return f"{what}: {shown(one['path'])}, {one['bytes']} bytes" + (
        f"; {one['done']}" if one["done"] else ""
    )
