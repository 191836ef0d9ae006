"""`tesela transfer send | receive | status | free`."""

from __future__ import annotations

import contextlib
import dataclasses
import datetime as dt
import json
import time
from collections import Counter
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tesela.cli import transfer_free
from tesela.cli.common import (
    HERE,
    DryRunOption,
    JsonOption,
    SiteOption,
    emit,
    finite,
    plural,
    some,
)
from tesela.cli.watching import ends_quietly
from tesela.errors import ConfigError, TransferError

if TYPE_CHECKING:
    from tesela.flow.run.alerts import Alerts
    from tesela.sites.installation import Installation
    from tesela.sites.keep import Keeper
    from tesela.sites.receive import Told
    from tesela.sites.rounds import Round
    from tesela.sites.send import Sender

verbs = typer.Typer(no_args_is_help=True, help="Files between sites: sent, verified, freed.")

_TICK_S = 0.2
_MOST_ASKED = 100_000

ToOption = Annotated[
    list[str] | None, typer.Option("--to", help="Only this site; may be given again.")
]


def add_to(app: typer.Typer) -> None:
    """Add the verbs."""
    app.add_typer(verbs, name="transfer")


@verbs.callback()
def _group() -> None:
    """Files between sites."""


@verbs.command("send")
def send(
    to: ToOption = None,
    watch: Annotated[
        bool, typer.Option("--watch", help="Go on sending what is new, until Ctrl-C.")
    ] = False,
    every: Annotated[
        float, typer.Option(min=0.1, help="Seconds between two looks of a watch.")
    ] = 5.0,
    verify: Annotated[
        float,
        typer.Option(
            "--verify",
            min=0.0,
            help="Also ask for copies to be hashed again that were verified more than so many days "
            "ago; 0 asks for none.",
        ),
    ] = 0.0,
    site: SiteOption = HERE,
    dry_run: DryRunOption = False,
    as_json: JsonOption = False,
) -> None:
    """Send what other sites (`[[send]]` in site.toml) have no verified copy of, and fetch their
    receipts. What was cut off goes on where it was.

    A watch tells a line a shipment (with --json an object a line), tries again what fails, and ends
    with Ctrl-C. Otherwise ends with 1 if a site could not be reached or a product could not be
    sent, with 3 if another process sends to that site.
    """
    from tesela.sites.installation import Installation

    here = Installation.open(site)
    senders = _senders(here, to or ())
    if dry_run:
        rows = [_due(sender) for sender in senders]
        emit({"due": rows}, as_json, lambda: _due_lines(rows))
        return
    if watch:
        _send_for_ever(here, senders, every, verify, as_json)
        return
    rows, failed = _send_once(here, senders, verify)
    with alerts_of(here) as alerts:
        for row in rows:
            if row["error"]:
                alerts.tell("transfer failed", f"to {row['to']}: {row['error']}")
    emit({"sent": rows}, as_json, lambda: _sent_lines(rows))
    if failed:
        raise typer.Exit(1)


@contextlib.contextmanager
def alerts_of(here: Installation) -> Iterator[Alerts]:
    """Tell whom site.toml names that a person is needed."""
    from tesela.flow.run.alerts import Alerts
    from tesela.flow.run.journal import Journal
    from tesela.products import paths

    journal = Journal(paths.log_folder(here.folder))
    alerts = Alerts(here.settings.alerts, here.settings.name, journal)
    try:
        yield alerts
    finally:
        alerts.close()


def _senders(here: Installation, to: list[str] | tuple[str, ...]) -> list[Sender]:
    from tesela.sites.send import Sender

    known = [one.to for one in here.settings.send]
    unknown = sorted(set(to) - set(known))
    if unknown or not known:
        raise ConfigError(
            "transfer",
            found=f"no [[send]] to {', '.join(unknown)}" if unknown else "no [[send]]",
            expected=", ".join(known) or "the sites to send to, in site.toml",
            do="see docs/howto/sites.md",
        )
    return [Sender(here, one) for one in here.settings.send if not to or one.to in to]


def _due(sender: Sender) -> dict[str, Any]:
    kinds: Counter[str] = Counter()
    files = n_bytes = 0
    problems = []
    for one in sender.due():
        if isinstance(one, str):
            problems.append(one)
            continue
        kinds[one.files[0].kind] += 1
        files += len(one.files)
        n_bytes += one.n_bytes
    return {
        "to": sender.send.to, "products": dict(kinds), "files": files, "bytes": n_bytes,
        "problems": problems,
    }  # fmt: skip


def _due_lines(rows: list[dict[str, Any]]) -> Iterator[str]:
    for row in rows:
        of = ", ".join(f"{n} {kind}" for kind, n in row["products"].items()) or "nothing"
        yield f"would go to {row['to']}: {of}; {plural(row['files'], 'file')}, {mb(row['bytes'])}"
        yield from some([f"  cannot go: {text}" for text in row["problems"]])


def _send_once(
    here: Installation, senders: list[Sender], verify: float
) -> tuple[list[dict[str, Any]], bool]:
    from tesela.ledger.clock import now_mjd
    from tesela.sites.rounds import FAILED, goes_on, note
    from tesela.sites.send import PATIENCE_S

    rows: list[dict[str, Any]] = []
    failed = False
    for sender in senders:
        row: dict[str, Any] = {"to": sender.send.to, "error": "", "asked": 0}
        try:
            with sender.at_work():
                if verify:
                    row["asked"] = sender.ask(now_mjd() - verify, _MOST_ASKED)
                sent = sender.once(patience_s=PATIENCE_S)
            row |= dataclasses.asdict(sent)
            goes_on(here, sender.send.to, "with another call")
        except (TransferError, OSError) as error:  # the other sites are served all the same
            row["error"] = str(error)
            note(here, FAILED, sender.send.to, str(error))
        failed = failed or bool(row["error"] or row["problems"])
        rows.append(row)
    return rows, failed


def _sent_lines(rows: list[dict[str, Any]]) -> Iterator[str]:
    for row in rows:
        if row["error"]:
            yield f"{row['to']}: {row['error']}; what is due stays due"
            continue
        yield _sent_line(row)
        yield from some([f"  problem: {text}" for text in row["problems"]])


def _sent_line(row: dict[str, Any]) -> str:
    line = (
        f"{row['to']}: {plural(row['files'], 'file')} sent in "
        f"{plural(row['shipments'], 'shipment')}, {mb(row['bytes'])}; "
        f"{plural(row['verified'], 'product')} verified"
    )
    if row["elsewhere"]:
        line += f"; {plural(row['elsewhere'], 'product')} verified at a site behind it"
    if row["under_way"]:
        line += f"; of {plural(row['under_way'], 'shipment')} no receipt yet"
    return line


def _send_for_ever(
    here: Installation, senders: list[Sender], every: float, verify: float, as_json: bool
) -> None:
    from tesela.ledger.clock import now_mjd
    from tesela.sites.rounds import rounds

    with ends_quietly() as stopped, contextlib.ExitStack() as held:
        alerts = held.enter_context(alerts_of(here))
        for sender in senders:
            held.enter_context(sender.at_work())
            if verify:
                sender.ask(now_mjd() - verify, _MOST_ASKED)
        if not as_json:
            typer.echo("sending; Ctrl-C ends it", err=True)
        for one in rounds(here, senders, every, stopped=stopped.is_set):
            if one.is_news:
                _say_round(one, as_json)
                if one.error:
                    alerts.tell("transfer failed", f"to {one.to}: {one.error}")
            alerts.flush()


def _say_round(one: Round, as_json: bool) -> None:
    if as_json:
        print(json.dumps(finite(dataclasses.asdict(one)), allow_nan=False), flush=True)
        return
    if one.sent is None:
        typer.echo(f"{_clock()} {one.to}: {one.error}; it will be tried again")
        return
    row = dataclasses.asdict(one.sent)
    for line in (_sent_line(row), *(f"  problem: {text}" for text in one.sent.problems)):
        typer.echo(f"{_clock()} {line}")


@verbs.command("receive")
def receive(
    watch: Annotated[
        bool, typer.Option("--watch", help="Go on taking in what comes, until Ctrl-C.")
    ] = False,
    every: Annotated[
        float, typer.Option(min=0.1, help="Seconds between two looks of a watch.")
    ] = 2.0,
    site: SiteOption = HERE,
    as_json: JsonOption = False,
) -> None:
    """Take in what other sites sent into the inbox: every file is hashed, raw frames are ingested,
    all else is put in its place, nothing is overwritten. The senders fetch receipts of it.

    A watch tells a line a product (with --json an object a line) and ends with Ctrl-C. Otherwise
    ends with 2 if something was refused or came damaged, with 1 if something could not be stored
    now, with 3 if another process receives.
    """
    from tesela.sites.installation import Installation
    from tesela.sites.receive import Receiver

    here = Installation.open(site)
    receiver = Receiver(here, _keeper(here))
    if watch:
        with ends_quietly() as stopped, receiver.at_work():
            if not as_json:
                typer.echo(f"watching {here.inbox}; Ctrl-C ends it", err=True)
            _receive_for_ever(receiver, every, stopped.is_set, as_json)
        return
    with receiver.at_work():
        told = list(receiver.once())
        waiting = [row for row in receiver.waiting() if row["missing"] or row["reason"]]
    data = {"products": [dataclasses.asdict(one) for one in told], "waiting": waiting}
    emit(data, as_json, lambda: _told_lines(told, waiting))
    outcomes = {one.outcome for one in told}
    if "later" in outcomes:
        raise typer.Exit(1)
    if outcomes & {"refused", "damaged"}:
        raise typer.Exit(2)


def _keeper(here: Installation) -> Keeper:
    """Who keeps what comes: an archive has neither survey nor ledger."""
    if here.ledger is None:
        from tesela.sites.keep import Places

        return Places(here.folder, apart=False)
    from tesela.flow.run.receive import keeper_of
    from tesela.flow.run.site import open_site

    return keeper_of(open_site(here.folder))


def _receive_for_ever(receiver: Any, every: float, stopped: Any, as_json: bool) -> None:
    while not stopped():
        begun = time.monotonic()
        for told in receiver.once():
            if as_json:
                print(json.dumps(finite(dataclasses.asdict(told)), allow_nan=False), flush=True)
            else:
                typer.echo(f"{_clock()} {_told_line(told)}")
            if stopped():
                return
        while time.monotonic() - begun < every and not stopped():
            time.sleep(min(_TICK_S, every))


def _told_line(told: Told) -> str:
    what = " ".join(filter(None, (told.kind, told.key))) or f"shipment {told.shipment}"
    reason = f": {told.reason}" if told.reason else ""
    return f"{told.outcome} {what} from {told.sender}{reason}"


def _told_lines(told: list[Told], waiting: list[dict[str, Any]]) -> Iterator[str]:
    yield from some([_told_line(one) for one in told if one.outcome != "verified"], 20)
    good = [one for one in told if one.outcome == "verified"]
    n_bytes = sum(one.bytes for one in good)
    yield f"{plural(len(good), 'product')} verified and kept, {mb(n_bytes)}"
    yield from _waiting_lines(waiting)


def _waiting_lines(waiting: list[dict[str, Any]]) -> Iterator[str]:
    yield from some(
        [f"in the inbox: {row['shipment']}: {row['reason'] or _how_far(row)}" for row in waiting]
    )


def _how_far(row: dict[str, Any]) -> str:
    if not row["missing"]:
        return f"complete ({plural(row['files'], 'file')}), not received yet"
    return f"{row['missing']} of {plural(row['files'], 'file')} not there yet"


@verbs.command("status")
def status(site: SiteOption = HERE, as_json: JsonOption = False) -> None:
    """Say what is still to go to which site, what is on its way, and what is in the inbox."""
    from tesela.sites.installation import Installation
    from tesela.sites.status import overview

    here = Installation.open(site)
    data = overview(here)
    emit(data, as_json, lambda: _status_lines(data))


def _status_lines(data: dict[str, Any]) -> Iterator[str]:
    yield f"site {data['site']}, {data['role']}"
    for row in data["send"]:
        yield (
            f"to {row['to']}: {plural(row['waiting'], 'product')} to go, "
            f"{plural(row['under_way'], 'shipment')} without a receipt"
            + (f", the last verified {row['last_verified']}" if row["last_verified"] else "")
        )
        yield from some([f"  tried again later: {text}" for text in row["again"]])
        if row["trouble"]:
            yield f"  trouble: {row['trouble']}"
        if row["last_failed"]:
            yield f"  the last shipment that failed: {row['last_failed']}"
    if not data["send"]:
        yield "it sends to no other site"
    yield from _waiting_lines(data["inbox"])
    if not data["inbox"]:
        yield "nothing in the inbox"


verbs.command("free")(transfer_free.free)


def mb(n_bytes: int) -> str:
    """Bytes for people."""
    return f"{n_bytes / 1e9:.2f} GB" if n_bytes >= 10**9 else f"{n_bytes / 1e6:.1f} MB"


def _clock() -> str:
    return f"{dt.datetime.now(dt.UTC):%H:%M:%S}"
