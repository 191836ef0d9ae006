"""Controllers that are killed: nothing is lost, nothing is doubled, and work goes on soon.

A controller is a process of its own, `python ledger_kills.py PLACE SITE`, with two workers and
steps that take a moment and write a small file.
"""

from __future__ import annotations

import contextlib
import random
import select
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import ledger_calls as calls
import ledger_survey as survey
import sqlalchemy as sa
from ledger_measure import Case, Measured, say

from tesela.flow.run.controller import Progress
from tesela.flow.run.engines import LocalEngine
from tesela.ledger.engine import Ledger
from tesela.products import paths

_WORKERS, _DELAY_S = 2, 0.02
_FULL, _PATIENCE_S = "all workers are busy", 300.0


def measure(case: Case, place: Path | str, kills: int, share: survey.Share) -> Iterator[Measured]:
    """Kill controllers at seeded moments while they make a night that follows the survey."""
    moments = random.Random(kills)  # noqa: S311 - moments, no secrets
    number = survey.nights_of(case.frames) + 3
    rules = survey.rules()
    before = _last_product(case.ledger)
    for facts in survey.facts_of_night(number, share):
        calls.take_in(case.ledger, rules, facts)
    with tempfile.TemporaryDirectory() as folder:
        site = Path(folder)
        paths.work_folder(site).mkdir(parents=True)
        again, left = [], True
        for kill in range(kills):
            at = moments.uniform(0.0, 3.0)
            busy_after, left = _killed(place, site, at)
            if not left:
                raise RuntimeError(f"the work was done after {kill} kills: ask for more of a night")
            again.append(busy_after)
            say(f"kill {kill + 1}: busy after {busy_after:.1f} s, killed {at:.1f} s later")
        started = time.perf_counter()
        subprocess.run(_command(place, site), check=True, stdout=subprocess.DEVNULL)
        say(f"the rest took {time.perf_counter() - started:.0f} s")
        wrong = _wrong(case.ledger, site, before, number, share)
    yield case.measured(
        f"lost or doubled after {kills} kills", len(wrong), "products, tasks or files", at_most=0,
        note="; ".join(wrong[:3]),
    )  # fmt: skip
    yield case.measured(
        "full work again after a kill, the worst", max(again[1:] or again), "s", at_most=30.0,
        note="from the start of the next controller until all its workers are busy",
    )  # fmt: skip


def _command(place: Path | str, site: Path) -> list[str]:
    return [sys.executable, __file__, str(place), str(site)]


def _killed(place: Path | str, site: Path, after_s: float) -> tuple[float, bool]:
    """Start a controller, and kill it a while after its workers are all busy; returns how long
    these took, and whether it was still at work."""
    started = time.perf_counter()
    process = subprocess.Popen(_command(place, site), stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    ready, _, _ = select.select([process.stdout], [], [], _PATIENCE_S)
    said = process.stdout.readline().strip() if ready else "nothing"
    busy_after = time.perf_counter() - started
    if said == _FULL:
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(timeout=after_s)
    left = process.poll() is None
    process.kill()
    process.wait()
    return busy_after, left


def _last_product(ledger: Ledger) -> int:
    with ledger.read() as conn:
        return int(conn.scalar(sa.text("SELECT MAX(id) FROM product")))


def _wrong(ledger: Ledger, site: Path, before: int, number: int, share: survey.Share) -> list[str]:
    """What is missing of the night, there twice, open, or a file without a row."""
    frames = list(survey.facts_of_night(number, share))
    with ledger.read() as conn:
        rows = conn.execute(
            sa.text("SELECT kind, key, path FROM product WHERE id > :before"), {"before": before}
        ).all()
        done = conn.execute(
            sa.text(
                "SELECT t.kind, t.key, COUNT(*) AS n FROM attempt a JOIN task t ON t.id = a.task_id"
                " WHERE a.outcome = 'done' AND a.id IN"
                " (SELECT attempt_id FROM product WHERE id > :before) GROUP BY t.kind, t.key"
            ),
            {"before": before},
        ).all()
        states = "SELECT step, key FROM task WHERE state IN ('ready', 'running', 'dead')"
        unfinished = conn.execute(sa.text(states)).all()
        running = conn.execute(sa.text("SELECT id FROM attempt WHERE outcome = 'running'")).all()
        left = conn.execute(sa.text("SELECT kind, key FROM dirty")).all()
    made = {(row.kind, row.key) for row in rows}
    on_disk = {path for path in (site / "products").rglob("*") if path.is_file()}
    recorded = {site / row.path for row in rows if row.path.startswith("products/")}
    return [
        *(f"lost: {kind} {key}" for kind, key in sorted(_expected(frames) - made)),
        *(f"made twice: {row.kind} {row.key}" for row in done if row.n > 1),
        *(["products twice"] if len(made) < len(rows) else []),
        *(f"open: {row.step} {row.key}" for row in unfinished),
        *(f"attempt {row.id} runs" for row in running),
        *(f"due: {row.kind} {row.key}" for row in left),
        *(f"without a row: {path}" for path in sorted(on_disk - recorded)),
        *(f"without its file: {path}" for path in sorted(recorded - on_disk)),
    ]


def _expected(frames: list[survey.FrameFacts]) -> set[tuple[str, str]]:
    """The images, and the coadds of the tiles, of a night."""
    science = [one for one in frames if one.footprint is not None]
    tiles = {
        (tile, one.band)
        for one in science
        for tile in survey.tiles_touching(one.footprint or (), 0.0)
    }
    bands = {(kind, f"{tile}.{band}") for tile, band in tiles for kind in ("coadd", "catalogue")}
    return {("reduced", one.name) for one in science} | bands


def _run(place: Path | str, site: Path) -> None:
    """Control until nothing is due, and say when all workers are busy for the first time."""
    ledger = Ledger.open(place)
    known = calls.registry(calls.small_file, {"delay_s": _DELAY_S})
    said: list[str] = []

    def tell(progress: Progress) -> None:
        if len(progress.running) >= _WORKERS and not said:
            said.append(_FULL)
            print(_FULL, flush=True)

    engine = LocalEngine(_WORKERS)
    calls.new_controller(ledger, site, survey.rules(), engine, known).run(on_progress=tell)
    ledger.close()


if __name__ == "__main__":
    _run(sys.argv[1] if "://" in sys.argv[1] else Path(sys.argv[1]), Path(sys.argv[2]))
