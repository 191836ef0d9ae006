"""Where tasks run. The seam is `concurrent.futures.Executor`; `local` means processes here."""

from __future__ import annotations

import concurrent.futures as cf
import multiprocessing
import os
from collections.abc import Callable
from concurrent.futures.process import BrokenProcessPool
from typing import Any

from tesela.flow.run import worker
from tesela.flow.run.steps import Order, Outcome, Report

_JOIN_S = 0.1


class LocalEngine:
    """Processes on this machine, one task each at a time, single-threaded inside."""

    def __init__(self, workers: int = 0) -> None:
        self.slots = workers or os.cpu_count() or 1
        self._pool: cf.ProcessPoolExecutor | None = None

    def submit(self, run: Callable[[Order], Outcome], order: Order) -> cf.Future[Report]:
        """Hand an order to a worker; processes start when first needed."""
        if self._pool is None:
            self._pool = self._start()
        try:
            return self._pool.submit(worker.perform, run, order)
        except BrokenProcessPool as error:
            broken: cf.Future[Report] = cf.Future()
            broken.set_exception(error)
            return broken

    def _start(self) -> cf.ProcessPoolExecutor:
        for name in worker.SINGLE_THREADED:
            os.environ[name] = "1"  # read by libraries when a worker imports them
        return cf.ProcessPoolExecutor(
            self.slots,
            mp_context=multiprocessing.get_context("spawn"),
            initializer=worker.initialise,
            initargs=(os.getpid(),),
        )

    def rebuild(self) -> None:
        """Throw a broken pool away; the next order starts a new one."""
        self.stop()

    def stop(self) -> None:
        """End the workers now, without waiting for their tasks."""
        pool, self._pool = self._pool, None
        if pool is None:
            return
        processes = pool._processes or {}
        manager: Any = pool._executor_manager_thread
        pool.shutdown(wait=False, cancel_futures=True)
        # A process started while the pool was breaking is never told to end, and the pool's
        # thread would wait for it for ever: so all are killed until that thread is through.
        while True:
            for process in list(processes.values()):
                process.kill()
            if manager is None:
                return
            manager.join(_JOIN_S)
            if not manager.is_alive():
                return
