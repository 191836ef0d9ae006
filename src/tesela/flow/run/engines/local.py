"""Processes on this machine."""

from __future__ import annotations

import concurrent.futures as cf
import os
import queue
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from tesela.flow.run.engines.engine import Run
from tesela.flow.run.engines.supervised import Supervised
from tesela.flow.run.steps import Order, Report, WorkerDied

_Job = tuple[cf.Future[Report], Run, Order]


class LocalEngine:
    """Processes on this machine, one task each at a time, single-threaded inside.

    Each process belongs to one thread of the controller's process, which alone starts it, talks to
    it over a pipe of its own, and sees it die: a worker that is killed at whatever moment loses the
    one task it had, and no lock or queue that others use.

    Parameters
    ----------
    workers : int
        Processes; 0 takes one a core.
    memory_mb : float
        What the tasks that run at a time may ask for together; 0 sets no limit. One that asks for
        more than all of it runs alone.
    """

    def __init__(self, workers: int = 0, memory_mb: float = 0.0) -> None:
        self.slots = workers or os.cpu_count() or 1
        self._memory = _Memory(memory_mb)
        self._jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._open: set[cf.Future[Report]] = set()
        self._keepers: list[_Keeper] = []

    def submit(self, run: Run, order: Order) -> cf.Future[Report]:
        """Hand an order to a worker; processes start when first needed."""
        self._open = {future for future in self._open if not future.done()}
        if len(self._open) >= len(self._keepers) < self.slots:
            self._keepers.append(_Keeper(self._jobs, self._memory))
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
            keeper.worker.kill()
        for keeper in keepers:
            keeper.join()


class _Memory:
    """What running tasks asked for; one that does not fit waits until others have ended."""

    def __init__(self, total_mb: float) -> None:
        self.total_mb, self._used_mb, self._running = total_mb, 0.0, 0
        self._changed = threading.Condition()

    @contextmanager
    def held(self, wanted_mb: float) -> Iterator[None]:
        with self._changed:
            self._changed.wait_for(lambda: self._fits(wanted_mb))
            self._used_mb += wanted_mb
            self._running += 1
        try:
            yield
        finally:
            with self._changed:
                self._used_mb -= wanted_mb
                self._running -= 1
                self._changed.notify_all()

    def _fits(self, wanted_mb: float) -> bool:
        alone = self._running == 0
        return alone or not self.total_mb or self._used_mb + wanted_mb <= self.total_mb


class _Keeper(threading.Thread):
    """Keeps one worker process busy."""

    def __init__(self, jobs: queue.SimpleQueue[_Job | None], memory: _Memory) -> None:
        super().__init__(daemon=True)
        self.worker = Supervised()
        self._jobs, self._memory = jobs, memory
        self.start()

    def run(self) -> None:
        """Take orders one by one until there is a None among them."""
        while (job := self._jobs.get()) is not None:
            future, run, order = job
            try:
                with self._memory.held(order.memory_mb):
                    future.set_result(self.worker.perform(run, order))
            except WorkerDied as died:
                future.set_exception(died)
            except Exception as error:  # noqa: BLE001 - it belongs to who waits for the future
                future.set_exception(error)
        self.worker.end()
