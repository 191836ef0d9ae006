"""Where tasks run. The seam is `concurrent.futures.Executor`; `local` means processes here."""

from __future__ import annotations

import concurrent.futures as cf
import multiprocessing
import os
from collections.abc import Callable
from concurrent.futures.process import BrokenProcessPool

from tesela.flow.run import worker
from tesela.flow.run.steps import Order, Outcome, Report


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
        pool, self._pool = self._pool, None
        if pool is not None:
            pool.shutdown(wait=True, cancel_futures=True)

    def stop(self) -> None:
        """End the workers now, without waiting for their tasks."""
        pool, self._pool = self._pool, None
        if pool is None:
            return
        for process in list((pool._processes or {}).values()):
            process.kill()
        pool.shutdown(wait=True, cancel_futures=True)
