"""Dirty keys in, tasks out: compare what is wanted with what was made.

Planning is idempotent: marking everything dirty and planning again changes nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy.engine import Connection

from tesela.flow.plan import catalogues, coadds, downstream, masters, reduced, tile_products
from tesela.flow.plan.batch import Batch, Known
from tesela.flow.plan.rules import STEPS, Rules
from tesela.flow.plan.wanted import Wanted
from tesela.ledger import masters as master_rows
from tesela.ledger import products, steps, tasks
from tesela.ledger.clock import now_mjd
from tesela.ledger.engine import Ledger

WANTED: dict[str, Callable[[Connection, Rules, tasks.Due, Known], Wanted]] = {
    "master": masters.wanted,
    "detrended": reduced.wanted,
    "reduced": reduced.wanted,
    "coadd": coadds.wanted,
    "catalogue": catalogues.wanted,
    "dual": tile_products.dual,
    "zeropoints": tile_products.zeropoints,
    "valueadded": tile_products.valueadded,
    "science": tile_products.science,
}

BATCH = 200
ROLES = ("input", "evidence")


@dataclass
class Report:
    """What planning did."""

    tasks: list[tuple[str, str, str]] = field(default_factory=list)
    """(step, key, why) made ready."""
    waiting: dict[tuple[str, str], str] = field(default_factory=dict)
    """(kind, key) -> reason, as last seen."""
    retired: list[tuple[str, str, str]] = field(default_factory=list)
    """(kind, key, reason) taken out of service."""
    unchanged: int = 0
    is_whole: bool = True
    """Everything was looked at whose time has come."""


def plan(
    ledger: Ledger,
    rules: Rules,
    *,
    now: float | None = None,
    enough: Callable[[], bool] = lambda: False,
) -> Report:
    """Look at every dirty key whose time has come; transactions of `BATCH` keys.

    `now` is an MJD; infinity ignores quiet periods. It ends early when `enough` says so between two
    transactions: others have to commit, too.
    """
    report = Report()
    while _is_any_due(ledger, now):
        with ledger.write() as conn:
            plan_batch(conn, rules, report, now=now)
        if enough():
            report.is_whole = not _is_any_due(ledger, now)
            break
    return report


def _is_any_due(ledger: Ledger, now: float | None) -> bool:
    """A writer is alone: nobody has to wait to learn that there is nothing."""
    with ledger.read() as conn:
        return bool(tasks.due(conn, now_mjd() if now is None else now, 1))


def plan_batch(conn: Connection, rules: Rules, report: Report, *, now: float | None = None) -> bool:
    """Look at up to `BATCH` dirty keys; False if there was none."""
    items = tasks.due(conn, now_mjd() if now is None else now, BATCH)
    batch = Batch(conn, items)
    for found in items:
        known = batch.known(found)
        # Until its turn it is due, and others wait for it. One that is made dirty again by one
        # after it is looked at again.
        item = tasks.clear(conn, found).joined(known.waits)
        retired = len(report.retired)
        _consider(conn, rules, item, known, report)
        if item.kind != "reduced" or len(report.retired) > retired:
            batch.forget_masters()
    return bool(items)


def _consider(
    conn: Connection, rules: Rules, item: tasks.Due, known: Known, report: Report
) -> None:
    """Compare one key's wanted inputs with its current version's, and act."""
    wanted = _wanted(conn, rules, item, known)
    current, task = known.current, known.task
    report.waiting.pop((item.kind, item.key), None)
    if known.waits is not None and not wanted.missing:
        tasks.stop_waiting(conn, item.kind, item.key)
    if wanted.nothing or wanted.keep:
        tasks.withdraw(conn, task, wanted.nothing or "no work wanted")
        if current is not None and wanted.nothing:
            retire(conn, rules, item, current, wanted.nothing)
            report.retired.append((item.kind, item.key, wanted.nothing))
        downstream.settled(conn, rules, item.kind, item.key)
    elif wanted.missing:
        tasks.withdraw(conn, task, wanted.missing)
        _wait(conn, rules, item, wanted, report)
    elif task is not None and task["state"] == "running":
        if task["wanted_hash"] != wanted.digest:
            again = "a task with other inputs is running; looked at again when it ends"
            waits = Wanted(missing=again, pending=True, family=wanted.family)
            _wait(conn, rules, item, waits, report)
    else:
        _compare(conn, rules, item, wanted, (current, task), report)


def _wanted(conn: Connection, rules: Rules, item: tasks.Due, known: Known) -> Wanted:
    if known.flagged is not None:
        return Wanted(nothing=f"flagged by {known.flagged['who']}: {known.flagged['reason']}")
    return WANTED[item.kind](conn, rules, item, known)


def _wait(conn: Connection, rules: Rules, item: tasks.Due, wanted: Wanted, report: Report) -> None:
    tasks.set_waiting(conn, item, wanted.missing, pending=wanted.pending, family=wanted.family)
    report.waiting[item.kind, item.key] = wanted.missing
    if not wanted.pending:
        downstream.settled(conn, rules, item.kind, item.key)


def _compare(
    conn: Connection,
    rules: Rules,
    item: tasks.Due,
    wanted: Wanted,
    made: tuple[dict[str, Any] | None, dict[str, Any] | None],
    report: Report,
) -> None:
    """Make a task if the current version was made from something else; if it is to be looked at
    afresh, also if it was made by other code or settings."""
    current, task = made
    same = current is not None and _is_made_of(conn, current, wanted)
    ended_so = task is not None and task["wanted_hash"] == wanted.digest
    # A task for the same inputs was made because somebody asked for other code or settings.
    is_asked = item.fresh or (
        task is not None and ended_so and task["state"] in ("ready", "skipped", "dead")
    )
    if current is not None and same and not (is_asked and steps.is_outdated(conn, current)):
        products.set_stale(conn, current["id"], wanted.stale)
        tasks.withdraw(conn, task, "the current version has these inputs")
        report.unchanged += 1
        downstream.settled(conn, rules, item.kind, item.key)
        return
    if task is not None and ended_so and task["state"] in ("ready", "skipped", "dead"):
        report.unchanged += 1
        if task["state"] != "ready":
            downstream.settled(conn, rules, item.kind, item.key)
        return
    new = tasks.NewTask(
        step=STEPS[item.kind],
        kind=item.kind,
        key=item.key,
        wanted_hash=wanted.digest,
        sources=wanted.sources,
        why=item.why,
        megapixels=wanted.megapixels,
        priority=max(item.priority, tasks.INVALIDATION if item.fresh else tasks.BULK),
    )
    tasks.put(conn, new)
    report.tasks.append((new.step, new.key, new.why))


def _is_made_of(conn: Connection, current: dict[str, Any], wanted: Wanted) -> bool:
    """Whether a version was made of what is wanted now; images fewer than it has are no reason."""
    rows = products.inputs(conn, current["id"])
    has = {role: {row["id"] for row in rows if row["role"] == role} for role in ROLES}
    return has["input"] == wanted.inputs and wanted.grows_with <= has["evidence"]


def retire(
    conn: Connection, rules: Rules, item: tasks.Due, current: dict[str, Any], reason: str
) -> None:
    """Take a version out of service that nothing replaces, and have its users looked at."""
    products.retire(conn, current["id"], reason)
    if item.kind == "master":
        row = master_rows.get(conn, current["id"])
        for version in {current["id"], *master_rows.certified_versions(conn, row)}:
            master_rows.set_state(conn, version, "invalid", reason)
    downstream.retired(conn, rules, item.kind, item.key, reason)
