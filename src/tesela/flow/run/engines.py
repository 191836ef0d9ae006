"""Where tasks run. An engine gives a future for each order; `local` means processes here."""

from __future__ import annotations

import concurrent.futures as cf
import multiprocessing
import os
import queue
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess

from tesela.flow.run import worker
from tesela.flow.run.steps import Order, Outcome, Report, WorkerDied

Run = Callable[[Order], Outcome]
_SPAWN = multiprocessing.get_context("spawn")
_ENVIRONMENT = threading.Lock()


@contextmanager
def _single_threaded() -> Iterator[None]:
    """What is started within has libraries of one thread; this process keeps its own.

    Libraries read it when they are imported. Numba looks again at every compilation, and fails if
    the number has changed since it started its threads: so nothing may be left behind.
    """
    with _ENVIRONMENT:
        before = {name: os.environ.get(name) for name in worker.SINGLE_THREADED}
        os.environ.update(dict.fromkeys(before, "1"))
        try:
            yield
        finally:
            for name, value in before.items():
                if value is None:
                    del os.environ[name]
                else:
                    os.environ[name] = value


class LocalEngine:
    """Processes on this machine, one task each at a time, single-threaded inside.

    Each process belongs to one thread of the controller's process, which alone starts it, talks to
    it over a pipe of its own, and sees it die: a worker that is killed at whatever moment loses the
    one task it had, and no lock or queue that others use.
    """

    def __init__(self, workers: int = 0) -> None:
        self.slots = workers or os.cpu_count() or 1
        self._jobs: queue.SimpleQueue[tuple[cf.Future[Report], Run, Order] | None] = (
            queue.SimpleQueue()
        )
        self._open: set[cf.Future[Report]] = set()
        self._keepers: list[_Keeper] = []

    def submit(self, run: Run, order: Order) -> cf.Future[Report]:
        """Hand an order to a worker; processes start when first needed.

        The future raises `WorkerDied` if the process ends before its report.
        """
        self._open = {future for future in self._open if not future.done()}
        if len(self._open) >= len(self._keepers) < self.slots:
            self._keepers.append(_Keeper(self._jobs))
        future: cf.Future[Report] = cf.Future()
        self._open.add(future)
        self._jobs.put((future, run, order))
        return future

    def stop(self) -> None:
        """End the workers now, without waiting for their tasks."""
        keepers, self._keepers = self._keepers, []
        with suppress(queue.Empty):  # a keeper may take the last one before us
            while True:
                self._jobs.get_nowait()
        self._open.clear()
        for keeper in keepers:
            self._jobs.put(None)
            keeper.kill()
        for keeper in keepers:
            keeper.join()


class _Keeper(threading.Thread):
    """Keeps one worker process busy, and replaces it when it dies."""

    def __init__(
        self, jobs: queue.SimpleQueue[tuple[cf.Future[Report], Run, Order] | None]
    ) -> None:
        super().__init__(daemon=True)
        self._jobs = jobs
        self._process: SpawnProcess | None = None
        self._pipe: Connection | None = None
        self._stopped = False
        self._lock = threading.Lock()
        self.start()

    def run(self) -> None:
        """Take orders one by one until there is a None among them."""
        while (job := self._jobs.get()) is not None:
            future, run, order = job
            try:
                future.set_result(self._ask(run, order))
            except (EOFError, OSError):
                self._end_process()
                future.set_exception(WorkerDied(f"the worker of {order.step} {order.key}"))
            except Exception as error:  # noqa: BLE001 - it belongs to who waits for the future
                future.set_exception(error)
        self._end_process()

    def kill(self) -> None:
        """End the process whatever it does, and let no other begin."""
        with self._lock:
            self._stopped = True
            if self._process is not None:
                self._process.kill()

    def _ask(self, run: Run, order: Order) -> Report:
        if self._pipe is None or self._process is None or not self._process.is_alive():
            self._end_process()
            self._pipe = self._start_process()
        self._pipe.send((run, order))
        try:
            report: Report = self._pipe.recv()
        except Exception as error:
            # A dead worker, or one that sends what is no report: neither can be asked again.
            raise EOFError(f"no report: {error}") from error
        return report

    def _start_process(self) -> Connection:
        ours, theirs = _SPAWN.Pipe()
        with self._lock:
            if self._stopped:
                raise EOFError
            process = _SPAWN.Process(target=worker.serve, args=(theirs, os.getpid()), daemon=True)
            with _single_threaded():
                process.start()
            self._process = process
        theirs.close()  # the worker's own copy is the last: with it the pipe ends
        return ours

    def _end_process(self) -> None:
        with self._lock:
            process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.join()
        if self._pipe is not None:
            self._pipe.close()
            self._pipe = None
