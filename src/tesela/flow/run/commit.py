"""Making a result permanent: final names first, then one transaction.

The journal of an attempt lists the final names before any is given. After a crash, names without
a row are found there, without looking through the whole archive.
"""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

from sqlalchemy.engine import Connection

from tesela.errors import LedgerError, LedgerLost, ProductError
from tesela.flow.plan import downstream
from tesela.flow.plan.rules import Rules
from tesela.flow.run import watch
from tesela.flow.run.steps import Order, Outcome, Report, WrittenFile
from tesela.ledger import (
    attempts,
    frames,
    masters,
    products,
    provenance,
    queries,
    steps,
    tasks,
)
from tesela.ledger.engine import Ledger
from tesela.ledger.keys import MasterKey, Scope
from tesela.products import paths
from tesela.products.files import publish, sync
from tesela.products.masterkind import IMAGES, KINDS, MASTERS, RAW
from tesela.quality.bands import MonitorSettings

JOURNAL = "commit.json"


class Late(Exception):
    """Another attempt holds the task by now: this result is dropped. It never leaves `commit`."""


def commit(
    ledger: Ledger,
    rules: Rules,
    site: Path,
    claim: tasks.Claim,
    work: tuple[Order, Report],
    monitors: MonitorSettings,
) -> list[str] | None:
    """Publish the files of a report and commit product, edges, quality and consequences.

    Returns what the monitors raised; None if the attempt came late, then nothing of it is left.
    After `LedgerLost` it is called again with the same: names that were given stay, and rows that
    were committed after all are found.
    """
    order, report = work
    try:
        # Before any name is given: the winner of a task may have the very names already.
        if _is_committed(ledger, claim):
            discard(order)
            return []
        _write_journal(order, _entry_of(order, claim.attempt_id, report))
        for file in report.files:
            _give_name(ledger, site, claim, file)
        # Two masters of one configuration decide of each other's validity: one after the other.
        with ledger.write(how="alone" if order.kind == "master" else "shared") as conn:
            raised = _commit_rows(conn, rules, claim, order, report, monitors)
    except LedgerLost:
        raise
    except Late:
        _leave(ledger, site, claim, order, report)
        return None
    except Exception:
        _take_back(ledger, site, _entry_of(order, claim.attempt_id, report))
        raise
    discard(order)
    return raised


def _leave(ledger: Ledger, site: Path, claim: tasks.Claim, order: Order, report: Report) -> None:
    """Take back a result that came late, and close its attempt.

    What cannot be taken back now, because the task runs again, stays in the journal: it is written
    anew, for another controller may have swept it just before the names were given.
    """
    entry = _entry_of(order, claim.attempt_id, report)
    gave = any(_is_given(Path(file.temporary), site / file.final) for file in report.files)
    is_clear = not gave or _take_back(ledger, site, entry)
    if not is_clear:
        _write_journal(order, entry)
    with ledger.write(how="shared") as conn:
        attempts.close(conn, claim.attempt_id, attempts.Ending("late"))
    if is_clear:
        discard(order)


def _give_name(ledger: Ledger, site: Path, claim: tasks.Claim, file: WrittenFile) -> None:
    """Publish a file; one that this attempt published before the database went is left alone, and
    what a dead attempt left under the name is removed first."""
    temporary, final = Path(file.temporary), site / file.final
    if not temporary.exists() and final.is_file() and final.stat().st_size == file.size:
        return
    if final.exists() and not temporary.samefile(final):
        sweep(ledger, site, mine=claim.attempt_id)
    publish(temporary, final)


def _is_committed(ledger: Ledger, claim: tasks.Claim) -> bool:
    """Whether this result was committed after all; `Late` is raised if another has its task."""
    with ledger.glance() as conn:  # what is not held any more never is again
        if tasks.is_held(conn, claim):
            return False
        if products.is_made_by(conn, claim.attempt_id):
            return True
    raise Late


def _entry_of(order: Order, attempt_id: int, report: Report) -> dict[str, Any]:
    """What the journal of an attempt says."""
    return {
        "attempt": attempt_id,
        "kind": order.kind,
        "key": order.key,
        "version": order.version,
        "files": [[file.temporary, file.final] for file in report.files],
    }


def _take_back(ledger: Ledger, site: Path, entry: dict[str, Any], *, mine: int = 0) -> bool:
    """Remove the names that an attempt gave without committing its rows.

    Names are those of a version, whoever makes it: they stay if the version was committed, and
    while an attempt runs that is neither the one of the entry nor `mine`. Returns False in that
    case: that attempt takes them back when it meets them. Nobody claims or commits meanwhile.
    """
    version = {name: entry[name] for name in ("kind", "key", "version")}
    with ledger.write() as conn:
        if products.is_there(conn, **version):
            return True
        holder = tasks.holder(conn, entry["kind"], entry["key"])
        if holder not in (None, entry["attempt"], mine):
            return False
        for temporary, final in entry["files"]:
            if _is_product_name(final) and _is_given(Path(temporary), site / final):
                (site / final).unlink(missing_ok=True)
    return True


def _is_given(temporary: Path, final: Path) -> bool:
    """Whether a name was given by who wrote the temporary file: to nothing that was there before.

    One that is half done has both names.
    """
    return not temporary.exists() or (final.exists() and temporary.samefile(final))


def _write_journal(order: Order, entry: dict[str, Any]) -> None:
    for _, final in entry["files"]:
        if not _is_product_name(final):
            raise ProductError(
                final, found="a name outside products/", do="take names from products.paths"
            )
    path = Path(order.out_dir) / JOURNAL
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(entry))
    sync(path)
    sync(path.parent)


def _is_product_name(final: object) -> bool:
    """Whether a name is one that an attempt may give, and so one that may be taken back."""
    parts = Path(final).parts if isinstance(final, str) else ()
    return parts[:1] == ("products",) and ".." not in parts


def _commit_rows(
    conn: Connection,
    rules: Rules,
    claim: tasks.Claim,
    order: Order,
    report: Report,
    monitors: MonitorSettings,
) -> list[str]:
    outcome = _result(order, report)
    ending = attempts.Ending("done", "", report.seconds, report.peak_memory_mb)
    if not tasks.end(conn, claim, "done", ending):
        raise Late
    provenance.put_settings(conn, order.settings_hash, order.settings)
    environment = provenance.put_environment(conn, report.environment)
    row = replace(_row_of(claim, order, report), environment=environment)
    product_id = products.insert(conn, row)
    tasks.hand_over_inputs(conn, claim.task_id, product_id)
    products.add_quality(
        conn,
        product_id,
        outcome.metrics,
        rejections=outcome.rejections,
        seconds=report.seconds,
        peak_memory_mb=report.peak_memory_mb,
    )
    if order.scope:
        steps.note_settings(conn, order.step, Scope.parse(order.scope), order.settings_hash)
    where: downstream.Touched | None = None
    raised: list[str] = []
    if order.kind == "master":
        _commit_master(conn, rules, order, product_id)
        key = MasterKey.parse(order.key)
        raised = watch.record(conn, rules, product_id, key, outcome.monitored, monitors)
    elif order.kind == "reduced":
        where = _commit_tiles(conn, rules, order, outcome.footprint)
    tasks.wake(conn, [(order.kind, order.key)], "its task ended")
    downstream.made(conn, rules, order.kind, order.key, where)
    return raised


def _result(order: Order, report: Report) -> Outcome:
    if report.outcome is None:
        raise LedgerError(
            f"{order.kind} {order.key}",
            found=f"a report of a fault: {report.message}",
            expected="a result to commit",
        )
    return report.outcome


def _row_of(claim: tasks.Claim, order: Order, report: Report) -> products.NewProduct:
    outcome = _result(order, report)
    main = report.files[0] if report.files else None
    return products.NewProduct(
        kind=order.kind,
        key=order.key,
        version=order.version,
        path=main.final if main else "",
        files=tuple((file.final, file.sha256, file.size) for file in report.files),
        checksum=main.sha256 if main else "",
        data_hash=outcome.data_hash,
        code_version=order.code_version,
        settings_hash=order.settings_hash,
        scope=order.scope,
        attempt_id=claim.attempt_id,
        warnings=outcome.warnings,
        operations=outcome.operations,
    )


def _commit_master(conn: Connection, rules: Rules, order: Order, product_id: int) -> None:
    """Enter the master; certify it if its gates let it and the settings say so.

    Until a new version is certified the one before goes on serving, unless it is condemned.
    """
    key = MasterKey.parse(order.key)
    quality = products.quality_of(conn, product_id)
    rejected = quality["reason"] if quality is not None and not quality["passed"] else ""
    reason = rejected or ("" if rules.calibration.certify else "waits for a person to certify it")
    validity = rules.validity(key)
    left_out = _result_metrics(quality).get("rejected") or ()
    masters.add(
        conn,
        product_id,
        key,
        masters.Interval(validity.begin, validity.end),
        n_frames=_n_frames(order, key.master_kind) - len(left_out),
        reason=reason,
    )
    for before in masters.certified_versions(conn, masters.get(conn, product_id)):
        condemn(conn, before)
    if not reason:
        masters.certify(conn, product_id)


def _result_metrics(quality: dict[str, Any] | None) -> dict[str, Any]:
    return {} if quality is None else dict(json.loads(quality["metrics_json"]))


def _n_frames(order: Order, master_kind: str) -> int:
    """How many frames, images or masters a master was given."""
    kind = {RAW: "raw", IMAGES: "detrended", MASTERS: "master"}[KINDS[master_kind].source]
    is_compared = kind == "master"  # those that it was compared with are evidence
    return sum(
        ref.kind == kind and not (is_compared and ref.role == "evidence") for ref in order.inputs
    )


def condemn(conn: Connection, product_id: int) -> None:
    """Call a version invalid that holds a frame flagged since."""
    flagged = [
        row["key"]
        for row in products.inputs(conn, product_id)
        if row["kind"] == "raw"
        and row["role"] == "input"
        and conn.execute(queries.STANDING_VERDICT, {"kind": "raw", "key": row["key"]}).first()
    ]
    if flagged:
        products.invalidate(conn, product_id)
        reason = f"made with flagged {', '.join(flagged)}"
        masters.set_state(conn, product_id, "invalid", reason)


def _commit_tiles(
    conn: Connection,
    rules: Rules,
    order: Order,
    footprint: tuple[tuple[float, float], ...] | None,
) -> downstream.Touched:
    """Let the solved footprint replace the tiles of the pointing; returns both."""
    frame = frames.get(conn, order.key)
    before = now = tuple(frames.tiles_of(conn, frame["product_id"]))
    if footprint is not None:
        now = tuple(sorted(set(rules.tiles_of(frame["project"], footprint, 0.0))))
        frames.set_tiles(conn, frame["product_id"], frame["band"], now, source="wcs")
    return downstream.Touched(frame["band"], now, before)


def discard(order: Order) -> None:
    """Remove the temporary files of a failed attempt."""
    shutil.rmtree(order.out_dir, ignore_errors=True)


def sweep(ledger: Ledger, site: Path, *, mine: int = 0) -> int:
    """Remove what dead attempts left: temporary files, and final names without a row.

    Returns the number of attempts swept. Raw frames, and attempts that run, are never touched.
    `mine` is the attempt that sweeps, if it is one that met such a name.
    """
    work = paths.work_folder(site)
    work.mkdir(parents=True, exist_ok=True)
    folders = sorted(path for path in work.iterdir() if path.is_dir())
    with ledger.read() as conn:  # after the look at the folders: what begins now is not among them
        alive = {str(attempt) for attempt in attempts.running(conn)}
    swept = 0
    for folder in folders:
        if folder.name in alive or folder.name in paths.NOT_ATTEMPTS:
            continue
        entry = _read_journal(folder / JOURNAL)
        if entry is not None and not _take_back(ledger, site, entry, mine=mine):
            continue
        shutil.rmtree(folder, ignore_errors=True)
        swept += 1
    return swept


def _read_journal(journal: Path) -> dict[str, Any] | None:
    """What an attempt was about to give; None if it gave no name yet."""
    try:
        entry = dict(json.loads(journal.read_text()))
    except (FileNotFoundError, ValueError):
        return None
    # One of an older version of the program does not say which product: the audit finds its files.
    return entry if "version" in entry else None
