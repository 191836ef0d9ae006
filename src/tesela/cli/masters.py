"""`tesela masters list | show | due | certify | reject | monitor`."""

from __future__ import annotations

import dataclasses
import datetime as dt
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tesela.cli import master_show
from tesela.cli.common import (
    HERE,
    DryRunOption,
    JsonOption,
    SiteOption,
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
from tesela.errors import BadInput

if TYPE_CHECKING:
    from sqlalchemy.engine import Connection

    from tesela.flow.run.site import Site

verbs = typer.Typer(no_args_is_help=True, help="Calibration frames: judged, due, followed.")

_NIGHTS_BACK = 400

KeysArgument = Annotated[list[str], typer.Argument(help="Keys of masters.", callback=worded)]
KindOption = Annotated[str, typer.Option("--kind", help="BIAS, FLAT, ILLUMINATION ...")]


def add_to(app: typer.Typer) -> None:
    """Add the verbs."""
    app.add_typer(verbs, name="masters")


@verbs.callback()
def _group() -> None:
    """Calibration frames."""


@verbs.command("list")
def list_(
    kind: KindOption = "",
    state: Annotated[
        str,
        typer.Option(
            "--state",
            help="proposed, certified, flagged, superseded, invalid or rejected: every version "
            "in it.",
        ),
    ] = "",
    everything: Annotated[
        bool, typer.Option("--all", help="Also versions that are not served any more.")
    ] = False,
    site: SiteOption = HERE,
    as_json: JsonOption = False,
) -> None:
    """List masters with their state and validity. A version that was retired is invalid."""
    from tesela.flow.run.site import open_site
    from tesela.ledger import master_lists
    from tesela.products.masterkind import KINDS

    refuse_unknown("--kind", kind.upper(), KINDS)
    refuse_unknown("--state", state, master_lists.STATES)
    with open_site(site).ledger.read() as conn:
        every = master_lists.versions(conn, kind.upper(), state)
    rows = [row for row in every if everything or state or row["is_current"]]
    for row in rows:
        row.update(
            is_current=bool(row["is_current"]),
            valid_from=_date(row["valid_begin"]),
            valid_until=_date(row["valid_end"]),
        )
    hidden = len(every) - len(rows)
    emit({"masters": rows, "hidden": hidden}, as_json, lambda: _listed(rows, hidden))


def _listed(rows: list[dict[str, Any]], hidden: int) -> Iterator[str]:
    for row in rows:
        reason = f": {row['reason']}" if row["reason"] else ""
        yield (
            f"{row['key']} version {row['version']}: {row['state']}{reason}"
            f"{'' if row['is_current'] else ', not served'}; "
            f"{plural(row['n_frames'], 'frame')}, {row['valid_from']} to {row['valid_until']}"
        )
    if not rows:
        yield "no such master"
    if hidden:
        yield f"and {plural(hidden, 'version')} not served any more: --all, or --state"


verbs.command("show")(master_show.show)


@verbs.command("due")
def due(
    at: Annotated[
        str, typer.Option("--at", help="Night asked about, such as 2017-07-03; default: now.")
    ] = "",
    everything: Annotated[
        bool,
        typer.Option(
            "--all",
            help="Also what is as it should be, and configurations of which no science frame was "
            "taken in the latest 400 nights.",
        ),
    ] = False,
    site: SiteOption = HERE,
    as_json: JsonOption = False,
) -> None:
    """Say which masters a frame of a night would get, and which are due: none since an
    intervention, outside their validity, or missing."""
    from tesela.flow.plan.needs import VALID, needs
    from tesela.flow.run.site import open_site
    from tesela.ledger import master_lists
    from tesela.ledger.clock import now_mjd
    from tesela.products.frame import night_span

    opened = open_site(site)
    try:
        mjd = night_span(at, opened.cameras[0].longitude_deg)[0] + 0.5 if at else now_mjd()
    except ValueError:
        raise BadInput(
            "--at", found=repr(at), expected="a date such as 2017-07-03", do="correct it"
        ) from None
    with opened.ledger.read() as conn:
        latest = master_lists.latest_science_night(conn)
        since = _before(latest, _NIGHTS_BACK) if latest and not everything else ""
        found = [dataclasses.asdict(need) for need in needs(conn, opened.rules, mjd, since=since)]
    shown = found if everything else [need for need in found if need["state"] != VALID]
    emit({"needs": found}, as_json, lambda: _due(shown, len(found)))


def _due(shown: list[dict[str, Any]], n: int) -> Iterator[str]:
    for need in shown:
        required = "" if need["is_required"] or need["master"] else " (frames go without)"
        yield f"{need['master_kind']} {need['configuration']}: {need['state']}{required}"
        if need["master"]:
            left = f", {need['days']:.1f} d of validity left" if need["days"] >= 0 else ""
            yield f"  {need['master']}{left}"
        if need["reason"]:
            yield f"  {need['reason']}"
    if not shown:
        yield f"all {plural(n, 'need')} met" if n else "no science frame yet, so nothing is needed"


@verbs.command("certify")
def certify(
    keys: KeysArgument,
    site: SiteOption = HERE,
    dry_run: DryRunOption = False,
    yes: YesOption = False,
    as_json: JsonOption = False,
) -> None:
    """Let proposed masters be used; what waits for them is due."""
    from tesela.flow.plan import proposals

    def change(conn: Connection, opened: Site, key: str) -> None:
        proposals.certify(conn, opened.rules, key, who=person())

    _judge(site, keys, change, dry_run, yes, as_json)


@verbs.command("reject")
def reject(
    keys: KeysArgument,
    reason: Annotated[
        str, typer.Option("--reason", help="Why it must not be used.", callback=worded)
    ],
    site: SiteOption = HERE,
    dry_run: DryRunOption = False,
    yes: YesOption = False,
    as_json: JsonOption = False,
) -> None:
    """Turn proposed masters down. A certified one is taken out of service by `tesela flag --kind
    master`."""
    from tesela.flow.plan import proposals

    def change(conn: Connection, _opened: Site, key: str) -> None:
        proposals.reject(conn, key, reason=reason, who=person())

    _judge(site, keys, change, dry_run, yes, as_json)


def _judge(
    site: Path,
    keys: list[str],
    change: Callable[[Connection, Site, str], None],
    dry_run: bool,
    yes: bool,
    as_json: bool,
) -> None:
    """Say what a judgement makes due, then make it, in one transaction."""
    from tesela.flow.plan import proposals
    from tesela.flow.run.site import open_site

    opened = open_site(site)

    def change_all(conn: Connection) -> None:
        for key in keys:
            change(conn, opened, key)

    with opened.ledger.rehearse() as conn:
        report = proposals.consequences(conn, opened.rules, change_all)
    targets = [{"step": step, "key": key} for step, key, _ in report.tasks]
    data = {"keys": keys, "due": targets, "done": False}
    if not dry_run:
        confirm(len(targets), opened.survey.flow.confirm_above, yes)
        with opened.ledger.write() as conn:
            change_all(conn)
        data["done"] = True
    emit(data, as_json, lambda: _judged(data, targets))


def _judged(data: dict[str, Any], targets: list[dict[str, str]]) -> Iterator[str]:
    parts = ", ".join(f"{n} {step}" for step, n in Counter(t["step"] for t in targets).items())
    yield f"{'due now' if data['done'] else 'would be due'}: {parts or 'nothing'}"
    yield from some([f"  {target['step']} {target['key']}" for target in targets])


@verbs.command("monitor")
def monitor(
    since: Annotated[
        str,
        typer.Option(
            "--since",
            help="First night, such as 2017-07-03; default: the latest 30 nights with values.",
        ),
    ] = "",
    metric: Annotated[str, typer.Option("--metric", help="gain, bias_level, flat_ratio ...")] = "",
    plots: Annotated[
        Path | None, typer.Option("--plots", help="Folder to write a plot of each series into.")
    ] = None,
    site: SiteOption = HERE,
    as_json: JsonOption = False,
) -> None:
    """Show what is followed of the detectors, and what was raised; ends with 1 if an alarm is among
    what is shown."""
    from tesela.flow.run import monitors
    from tesela.flow.run.site import open_site
    from tesela.products.monitor import QUANTITIES

    refuse_unknown("--metric", metric, QUANTITIES)
    since = _before(since, 0) if since else ""
    opened = open_site(site)
    found = monitors.overview(opened, since, metric)
    if plots is not None:
        pages, found.notes = monitors.drawable(opened, found.series)
        with progress_bar(as_json) as bar:
            task = bar.add_task("plots", total=len(pages)) if bar else None
            for folder in monitors.draw(opened, pages, plots, found.since):
                found.folders.append(str(folder))
                if bar and task is not None:
                    bar.advance(task)
    data = dataclasses.asdict(found)
    latest = "" if since else f"the latest {monitors.LATEST_NIGHTS} nights with values"
    emit(data, as_json, lambda: _monitored(data, latest))
    if any(row["level"] > 1 for row in found.alerts):
        raise typer.Exit(1)


def _monitored(data: dict[str, Any], latest: str) -> Iterator[str]:
    if latest and data["since"]:
        yield f"since {data['since']}, {latest}; --since NIGHT begins elsewhere"
    for one in data["series"]:
        through = "" if one["filter"] == "-" else f" {one['filter']}"
        yield (
            f"{one['metric']} of {one['source']}{through}, {one['detector']}: "
            f"{plural(one['nights'], 'night')}, latest {one['latest']}"
        )
    words = ("", "warning", "alarm")
    # Alarms first, so that no list is cut before the one that makes the exit code.
    raised = sorted(data["alerts"], key=lambda row: -row["level"])
    yield from some(
        [f"{words[row['level']]}: {row['night']}: {row['reason']}" for row in raised], 20
    )
    if not data["alerts"]:
        yield "nothing was raised" if data["series"] else "nothing is followed yet"
    yield from (f"plots in {folder}" for folder in data["folders"])
    yield from (f"note: {text}" for text in data["notes"])


def _before(night: str, nights: int) -> str:
    """The night so many before another; raises `BadInput` for what is no date."""
    try:
        return (dt.date.fromisoformat(night) - dt.timedelta(days=nights)).isoformat()
    except ValueError:
        raise BadInput(
            "--since", found=repr(night), expected="a date such as 2017-07-03", do="correct it"
        ) from None


def _date(mjd: float) -> str:
    from tesela.ledger.clock import iso

    return iso(mjd)
