"""The worker's half: run one step, write temporary files, tell how it went.

A worker never opens the ledger and never touches a final name, so one that outlives its
controller can do no harm.
"""

from __future__ import annotations

import ctypes
import os
import resource
import signal
import socket
import sys
import time
import traceback
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path

from tesela.errors import BadInput, ProductError, QualityError, TeselaError
from tesela.flow.run.remake import with_inputs_remade
from tesela.flow.run.steps import Order, Outcome, Report, WrittenFile
from tesela.products.environment import environment_now
from tesela.products.files import sha256_of, sync

SINGLE_THREADED = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "NUMBA_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
)
"""One frame a core: parallelism is between frames."""

_PR_SET_PDEATHSIG = 1
_KIB_A_MB = 1024.0


class InputGone(ProductError):
    """A file that an order names is not there; it may come back."""


def initialise(controller_pid: int) -> None:
    """Make this process die with its controller, leave Ctrl-C to it, and write no core if it
    crashes: that would be gigabytes of pixels wherever the controller was started."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if sys.platform.startswith("linux"):
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if os.getppid() != controller_pid:  # it died before the request took effect
            os._exit(1)


def serve(orders: Connection, controller_pid: int) -> None:
    """What a worker process does: perform orders until the other end of the pipe is closed."""
    initialise(controller_pid)
    while True:
        try:
            run, order = orders.recv()
        except EOFError:
            return
        orders.send(perform(run, order))


def perform(run: Callable[[Order], Outcome], order: Order) -> Report:
    """Run one step and report; only a killed process reports nothing."""
    started = time.perf_counter()
    try:
        Path(order.out_dir).mkdir(parents=True, exist_ok=True)
        _check_inputs(order)
        outcome = run(with_inputs_remade(order))
        files = tuple(_finish(temporary, final) for temporary, final in outcome.files)
    except Exception as error:  # noqa: BLE001 - the one edge where everything is caught and kept
        return Report(
            None,
            fault_class=classify(error),
            message=_sentence(error),
            log=traceback.format_exc(),
            seconds=time.perf_counter() - started,
            peak_memory_mb=_peak_memory_mb(),
            host=socket.gethostname(),
        )
    return Report(
        outcome,
        files=files,
        environment=environment_now().versions,
        seconds=time.perf_counter() - started,
        peak_memory_mb=_peak_memory_mb(),
        host=socket.gethostname(),
    )


def _check_inputs(order: Order) -> None:
    """A disk that is away must not look like bad data."""
    for ref in (one for top in order.inputs for one in (top, *top.members)):
        if ref.path and ref.remake is None and not Path(ref.path).exists():
            raise InputGone(
                f"{ref.kind} {ref.key}",
                found=f"no file {ref.path}",
                expected="the one that was taken in or made",
                do="if its disk is away, bring it back; if it was deleted, `tesela audit --repair`",
            )


def classify(error: Exception) -> str:
    """Return the class of a fault, which decides whether and how it is tried again."""
    if isinstance(error, (QualityError, BadInput)):
        return "quality"
    if isinstance(error, MemoryError):
        return "memory"
    if isinstance(error, (OSError, InputGone)):
        return "infrastructure"
    return "fault"


def _sentence(error: Exception) -> str:
    """Errors of ours are whole sentences; of others the name says most."""
    if isinstance(error, TeselaError):
        return str(error)
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__


def _finish(temporary: str, final: str) -> WrittenFile:
    path = Path(temporary)
    sync(path)
    return WrittenFile(temporary, final, sha256_of(path), path.stat().st_size)


def _peak_memory_mb() -> float:
    """Highest resident memory of this process so far: an upper limit for its latest task."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / _KIB_A_MB
