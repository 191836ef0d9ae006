"""The quick look at a site: from a file that was closed to numbers in the ledger.

It runs beside the controller. Frames are taken in as by `ingest`, so their reduction becomes due;
what the look itself makes is used by nothing, and nobody remakes it.
"""

from __future__ import annotations

import concurrent.futures as cf
import contextlib
import shutil
import time
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tesela.flow.run import quick_body
from tesela.flow.run.arrivals import Arrival, Arrivals, newest_first
from tesela.flow.run.engines import LocalEngine
from tesela.flow.run.ingest import Intake, printable, take_in
from tesela.flow.run.lock import only_one
from tesela.flow.run.quick_commit import commit, failed, outcome_of
from tesela.flow.run.quick_orders import QuickOrders
from tesela.flow.run.site import Site
from tesela.flow.run.steps import Order, Report, WorkerDied
from tesela.ledger import frames
from tesela.products import paths
from tesela.products.rawfile import frame_name

_WARM = "warm up"
_TICK_S = 0.5


@dataclass(frozen=True)
class Seen:
    """What became of one file."""

    path: str
    frame: str
    outcome: str
    """passed, rejected, refused (not taken in) or failed."""
    reasons: tuple[str, ...] = ()
    """Why it did not pass."""
    metrics: dict[str, Any] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    picture: str = ""
    """The thumbnail, relative to the site."""
    seconds: float = 0.0
    """From taking the file up to the ledger."""
    since_closed_s: float | None = None
    """From the last change of the file to the ledger."""


class QuickLook:
    """Looks at files one after the other, in a worker that stays warm.

    Parameters
    ----------
    site : Site
    cores : int
        Threads that share a frame.
    """

    def __init__(self, site: Site, cores: int) -> None:
        self.site = site
        self._intake = Intake.of(site)
        self._orders = QuickOrders(site, cores)
        self._engine = LocalEngine(1)
        self._work = paths.quick_work_folder(site.folder)
        self._interrupted: set[str] = set()

    @contextlib.contextmanager
    def at_work(self) -> Iterator[QuickLook]:
        """Hold the site's quick look; its worker is loaded meanwhile, and ends with it.

        Raises `Busy` if another process has it.
        """
        rule = "one quick look at a time on a site"
        with only_one(paths.quicklook_lock(self.site.folder), rule):
            self._sweep()
            self._engine.submit(quick_body.warm_up, self._orders.of_nothing(_WARM))
            try:
                yield self
            finally:
                self._engine.stop()
                shutil.rmtree(self._work / _WARM, ignore_errors=True)
                with contextlib.suppress(OSError):  # a look was interrupted: its folder tells
                    self._work.rmdir()

    def known(self, files: list[Path]) -> set[Path]:
        """Of files that were there before, those that are in the ledger: taken in, or refused and
        unchanged since. One whose look was interrupted is not among them."""
        with self.site.ledger.read() as conn:
            refused = frames.refused_at(conn)
            new = [path for path in files if frame_name(path) not in self._interrupted]
            return {
                path
                for path in new
                if frames.by_name(conn, frame_name(path)) is not None
                or _last_change(path) < refused.get(printable(path), 0.0)
            }

    def watch(
        self,
        arrivals: Arrivals,
        *,
        forever: bool,
        stopped: Callable[[], bool] = lambda: False,
    ) -> Iterator[Seen]:
        """Look at what arrives, the newest first, until `stopped`; without `forever` until nothing
        is left."""
        ready: list[Arrival] = []

        def gather() -> None:
            ready[:] = newest_first([*ready, *arrivals.poll()])

        while not stopped():
            gather()
            if ready:
                yield self.look(ready.pop(0), gather)
            elif forever or arrivals.waiting:
                time.sleep(arrivals.waits.poll_s)
            else:
                return

    def look(self, arrival: Arrival, meanwhile: Callable[[], None] = lambda: None) -> Seen:
        """Take a file in and look at it; `meanwhile` is called again and again.

        Whatever happens to one frame is told of that frame, and stops nothing else.
        """
        name = frame_name(arrival.path)
        try:
            return self._look(arrival, name, meanwhile)
        except Exception as error:  # noqa: BLE001 - one frame must not stop the night
            with contextlib.suppress(Exception), self.site.ledger.write() as conn:
                failed(conn, name, traceback.format_exc())
            reason = f"the quick look failed: {type(error).__name__}: {error}"
            return Seen(printable(arrival.path), name, "failed", (reason,))

    def _look(self, arrival: Arrival, name: str, meanwhile: Callable[[], None]) -> Seen:
        started = time.monotonic()
        folder = self._work / name
        folder.mkdir(parents=True, exist_ok=True)  # if we die it is left, and the frame known by it
        (taken,) = take_in(self._intake, [arrival.path])
        if taken.outcome in ("refused", "failed"):
            shutil.rmtree(folder, ignore_errors=True)
            reasons = tuple(filter(None, (arrival.problem, taken.message)))
            return Seen(taken.path, name, taken.outcome, reasons)
        made = self._orders.of_frame(name)
        report = self._perform(made.order, meanwhile)
        commit(self.site, made, report, time.monotonic() - started)
        shutil.rmtree(folder, ignore_errors=True)
        outcome = outcome_of(report)
        passed = "rejected" if outcome.rejections else "passed"
        return Seen(
            path=taken.path,
            frame=name,
            outcome="failed" if report.outcome is None else passed,
            reasons=outcome.rejections,
            metrics=dict(outcome.metrics),
            warnings=(*made.warnings, *outcome.warnings),
            picture=next((f.final for f in report.files if f.final.endswith(".jpg")), ""),
            seconds=round(time.monotonic() - started, 2),
            since_closed_s=round(time.time() - arrival.mtime, 2),
        )

    def _perform(self, order: Order, meanwhile: Callable[[], None]) -> Report:
        future = self._engine.submit(self._orders.step.run, order)
        while not cf.wait([future], timeout=_TICK_S).done:
            meanwhile()
        try:
            return future.result()
        except WorkerDied:
            return Report(None, fault_class="memory", message="its worker was killed")

    def _sweep(self) -> None:
        """Empty the folders of looks that died; by their names their frames are known. A file that
        was not taken in yet comes as a new one, and its folder goes."""
        self._work.mkdir(parents=True, exist_ok=True)
        with self.site.ledger.read() as conn:
            for folder in list(self._work.iterdir()):
                shutil.rmtree(folder, ignore_errors=True)
                if frames.by_name(conn, folder.name) is not None:
                    folder.mkdir()
                    self._interrupted.add(folder.name)


def _last_change(path: Path) -> float:
    """Unix time; a file that is gone changed just now."""
    try:
        return path.stat().st_mtime
    except OSError:
        return time.time()
