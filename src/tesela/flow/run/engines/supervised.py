"""A step in a process of its own, which is watched: it may crash, hang or eat memory, and what
started it goes on and says what happened.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess
from pathlib import Path

from tesela.flow.run import worker
from tesela.flow.run.engines.engine import Run
from tesela.flow.run.steps import Order, Report, WorkerDied

_SPAWN = multiprocessing.get_context("spawn")
_ENVIRONMENT = threading.Lock()
_LOOK_S = 0.2
"""Between two looks at the memory and the time of a step."""
_NEARLY = 0.8
"""Killed with so much of its memory in use, a step was probably killed for it."""
_CRASHES = ("SIGSEGV", "SIGBUS", "SIGILL", "SIGFPE", "SIGABRT", "SIGSYS")
_MIB = 1024.0 * 1024.0


@contextmanager
def single_threaded() -> Iterator[None]:
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


class Supervised:
    """A worker process that does one order after another, and is replaced when it dies."""

    def __init__(self) -> None:
        self._process: SpawnProcess | None = None
        self._pipe: Connection | None = None
        self._stopped = False
        self._lock = threading.Lock()

    def perform(self, run: Run, order: Order) -> Report:
        """Have an order done; a process that dies over it is a report, too.

        Raises `WorkerDied` if it was stopped meanwhile, and what pickle raises if the order cannot
        be sent.
        """
        if self._pipe is None or self._process is None or not self._process.is_alive():
            self.end()
            self._pipe = self._start()
        started, kills = time.monotonic(), _kills_for_memory()
        try:
            self._pipe.send((run, order))
            report = self._awaited(order, started)
        except (EOFError, OSError):
            report = self._autopsy(order, started, kills)
        if report.outcome is None and report.is_last_word:
            self.end()
        if self._stopped:
            raise WorkerDied(f"the worker of {order.step} {order.key}")
        return report

    def kill(self) -> None:
        """End the process whatever it does, and let no other begin."""
        with self._lock:
            self._stopped = True
            if self._process is not None:
                self._process.kill()

    def end(self) -> None:
        """End the process; the next order starts another."""
        with self._lock:
            process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.join()
        if self._pipe is not None:
            self._pipe.close()
            self._pipe = None

    def _start(self) -> Connection:
        ours, theirs = _SPAWN.Pipe()
        with self._lock:
            if self._stopped:
                raise WorkerDied("a worker that was stopped")
            process = _SPAWN.Process(target=worker.serve, args=(theirs, os.getpid()), daemon=True)
            with single_threaded():
                process.start()
            self._process = process
        theirs.close()  # the worker's own copy is the last: with it the pipe ends
        return ours

    def _awaited(self, order: Order, started: float) -> Report:
        """The report, or that of a step which took too much memory or time."""
        if self._pipe is None:
            raise EOFError
        self._seen_mb = 0.0
        while not self._pipe.poll(_LOOK_S):
            self._seen_mb = max(self._seen_mb, self._memory_mb())
            ran = time.monotonic() - started
            if order.limit_mb and self._seen_mb > order.limit_mb:
                said = (
                    f"it took {self._seen_mb:.0f} MB of memory, and may have {order.limit_mb:.0f}"
                )
                return self._given_up("memory", said, ran)
            if order.timeout_s and ran > order.timeout_s:
                said = f"it ran for {ran:.0f} s, and may for {order.timeout_s:.0f}: it hangs"
                return self._given_up("fault", said, ran)
        try:
            report: Report = self._pipe.recv()
        except (EOFError, OSError):
            raise
        except Exception as error:  # noqa: BLE001 - whatever unpickling raises
            said = f"its report cannot be read: {type(error).__name__}: {error}"
            return self._given_up("fault", said, time.monotonic() - started)
        return report

    def _given_up(self, fault_class: str, said: str, seconds: float) -> Report:
        return Report(
            None,
            fault_class=fault_class,
            message=said,
            log="Its process was ended from outside.",
            seconds=seconds,
            peak_memory_mb=self._seen_mb,
            is_last_word=True,
        )

    def _autopsy(self, order: Order, started: float, kills: int) -> Report:
        """Say why the process ended without a report, as far as that can be told."""
        process = self._process
        if process is not None:
            process.join(5.0)
        code = process.exitcode if process is not None else None
        name = _signal_name(code)
        fault_class = "infrastructure"
        if name in _CRASHES:
            fault_class, said = "fault", f"its process crashed ({name})"
        elif code is not None and code >= 0:
            fault_class, said = "fault", f"its process ended itself (exit status {code})"
        elif _kills_for_memory() > kills:
            fault_class, said = "memory", f"the system ended its process for memory ({name})"
        elif order.limit_mb and self._seen_mb > _NEARLY * order.limit_mb:
            fault_class = "memory"
            said = f"its process was killed ({name}) with {self._seen_mb:.0f} MB in use"
        else:
            said = f"its process was killed ({name or 'nobody knows how'})"
        return self._given_up(fault_class, said, time.monotonic() - started)

    _seen_mb = 0.0

    def _memory_mb(self) -> float:
        """Resident memory of the process now; 0 where the system does not tell."""
        pid = self._process.pid if self._process is not None else None
        try:
            pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
        except (OSError, ValueError, IndexError):
            return 0.0
        return pages * os.sysconf("SC_PAGE_SIZE") / _MIB


def _signal_name(code: int | None) -> str:
    if code is None or code >= 0:
        return ""
    with contextlib.suppress(ValueError):
        return signal.Signals(-code).name
    return f"signal {-code}"


def _kills_for_memory() -> int:
    """Processes that the kernel has killed for memory since the machine started."""
    with contextlib.suppress(OSError, ValueError):
        for line in Path("/proc/vmstat").read_text().splitlines():
            if line.startswith("oom_kill "):
                return int(line.split()[1])
    return 0
