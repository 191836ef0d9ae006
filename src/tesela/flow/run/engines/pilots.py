"""Pilot workers in batch jobs, by dask-jobqueue.

A batch job is one pilot with one process for steps below it. Jobs come and go with the work. A task
runs in a job that asked for enough memory: there is a pool of jobs for each size that is needed,
twice, four times ... the smallest. All traffic is encrypted, and whoever has not this run's
certificates, which lie in the site for its owner alone, is not listened to.
"""

from __future__ import annotations

import concurrent.futures as cf
import contextlib
import math
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tesela.config import Cluster
from tesela.errors import ConfigError
from tesela.flow.run.engines import pilot
from tesela.flow.run.engines.engine import Run
from tesela.flow.run.steps import Order, Report, WorkerDied
from tesela.ledger.clock import SECONDS_A_DAY

MakeCluster = Callable[[Cluster, int, Mapping[str, Any]], Any]
"""(settings, MB that a job asks for, arguments that all kinds share) -> a dask-jobqueue cluster."""

_LOGS = "jobs"
_QUIET = {
    # A pilot that dies is no verdict on its task: the ledger counts, and decides.
    "distributed.scheduler.allowed-failures": 0,
    # Until one of its kind has run, a task counts as long: so that jobs are asked for at once.
    "distributed.scheduler.unknown-task-duration": "60s",
    "distributed.scheduler.worker-ttl": "60s",
    # One at a time: what waits, waits here, and does not die with a pilot.
    "distributed.scheduler.worker-saturation": 1.0,
    "distributed.scheduler.work-stealing": False,
    "distributed.worker.daemon": False,
    "distributed.comm.timeouts.connect": "30s",
    "distributed.admin.log-format": "%(asctime)s %(levelname)s %(message)s",
    "distributed.logging": {"distributed": "error"},
}


class PilotEngine:
    """Hands orders to pilot workers on a cluster.

    Parameters
    ----------
    settings : Cluster
    make : function
        Makes a cluster of one size of jobs, see `sge` and `slurm`.
    folder : Path
        For logs of jobs and certificates; nodes see it under the same name.
    """

    def __init__(self, settings: Cluster, make: MakeCluster, folder: Path) -> None:
        self.slots = settings.max_jobs
        self._settings, self._make, self._folder = settings, make, folder
        self._pools: dict[int, _Pool] = {}
        self._pruned_at = float("-inf")

    def submit(self, run: Run, order: Order) -> cf.Future[Report]:
        """Hand an order to the smallest jobs that have the memory for it."""
        ours: cf.Future[Report] = cf.Future()
        wanted = max(order.memory_mb, order.limit_mb)
        size = self._size(wanted)
        if size > self._settings.max_memory_mb:
            said = (
                f"it asks for {wanted:.0f} MB, and jobs may have"
                f" {self._settings.max_memory_mb:.0f} (max_memory_mb of the cluster)"
            )
            ours.set_result(Report(None, fault_class="impossible", message=said))
            return ours
        if time.monotonic() - self._pruned_at > SECONDS_A_DAY:
            self._pruned_at = time.monotonic()
            _prune(self._folder / _LOGS, self._settings.keep_logs_days)
        theirs = self._pool(size).submit(run, order)
        theirs.add_done_callback(lambda done: _hand_over(done, ours, order))
        return ours

    def stop(self) -> None:
        """Give all jobs back."""
        pools, self._pools = self._pools, {}
        for pool in pools.values():
            pool.close()

    def _size(self, wanted_mb: float) -> int:
        least = self._settings.memory_mb
        return int(least * 2 ** max(0, math.ceil(math.log2(max(wanted_mb, 1.0) / least))))

    def _pool(self, size_mb: int) -> _Pool:
        if size_mb not in self._pools:
            self._pools[size_mb] = _Pool.open(self._settings, self._make, size_mb, self._folder)
        return self._pools[size_mb]


def _hand_over(theirs: cf.Future[Report], ours: cf.Future[Report], order: Order) -> None:
    """A result is a result; everything else means that nobody knows what became of the order."""
    if theirs.cancelled():
        ours.set_exception(WorkerDied(f"the job of {order.step} {order.key} was given back"))
        return
    error = theirs.exception()
    if error is None:
        ours.set_result(theirs.result())
    elif type(error).__module__.partition(".")[0] in ("distributed", "dask", "concurrent"):
        who = getattr(getattr(error, "last_worker", None), "address", type(error).__name__)
        ours.set_exception(WorkerDied(f"the pilot that had {order.step} {order.key}, {who}"))
    else:
        ours.set_exception(error)


@dataclass
class _Pool:
    """Jobs of one size."""

    cluster: Any
    client: Any
    executor: cf.Executor

    @classmethod
    def open(cls, settings: Cluster, make: MakeCluster, size_mb: int, folder: Path) -> _Pool:
        import dask
        from distributed import Client

        dask.config.set(_QUIET)
        log = folder / _LOGS
        secret = folder / "secret"
        for one in (log, secret):
            one.mkdir(parents=True, exist_ok=True)
        secret.chmod(0o700)
        shared = {
            "cores": settings.cores,
            "processes": 1,
            "memory": f"{size_mb} MB",
            "nanny": False,
            "death_timeout": 60,
            "python": settings.python or sys.executable,
            "log_directory": str(log),
            "local_directory": settings.scratch or None,
            "walltime": settings.walltime,
            "queue": settings.queue or None,
            "job_script_prologue": list(settings.prologue),
            "worker_extra_args": ["--nthreads", "1", "--no-dashboard", *_of_worker(settings)],
            "security": True,
            "shared_temp_directory": str(secret),
            "scheduler_options": {
                "dashboard": False, "dashboard_address": None, **_listening(settings.interface),
            },
        }  # fmt: skip
        try:
            cluster = make(settings, size_mb, {k: v for k, v in shared.items() if v is not None})
        except (OSError, ValueError, RuntimeError) as error:
            raise ConfigError(
                "cluster", found=str(error), expected="a scheduler that workers can reach",
                do="see [clusters] in site.toml: interface, python, prologue",
            ) from error  # fmt: skip
        client = Client(cluster)
        cluster.adapt(
            minimum_jobs=settings.min_jobs,
            maximum_jobs=settings.max_jobs,
            interval="2s",
            target_duration="5s",
            wait_count=max(1, round(settings.idle_s / 2)),
        )
        executor = client.get_executor(pure=False, retries=0)
        return cls(cluster, client, executor)

    def submit(self, run: Run, order: Order) -> cf.Future[Report]:
        future: cf.Future[Report] = self.executor.submit(pilot.perform, run, order)
        return future

    def close(self) -> None:
        for one in (self.client, self.cluster):
            with contextlib.suppress(Exception):  # its jobs end by themselves without it
                one.close()


def _prune(log: Path, days: float) -> None:
    """Remove logs of jobs that nothing was written to for so many days."""
    before = time.time() - days * SECONDS_A_DAY
    for file in log.glob("*"):
        with contextlib.suppress(OSError):  # another controller was quicker, or it is not ours
            if file.is_file() and file.stat().st_mtime < before:
                file.unlink()


def _listening(interface: str) -> dict[str, Any]:
    """An address is where to listen; a name is that of a network interface."""
    if not interface:
        return {}
    return {"host" if _is_address(interface) else "interface": interface}


def _of_worker(settings: Cluster) -> list[str]:
    """On its own node a pilot listens where the controller does, if that is no address."""
    if settings.interface.startswith("127."):
        return ["--host", settings.interface]
    if settings.interface and not _is_address(settings.interface):
        return ["--interface", settings.interface]
    return []


def _is_address(interface: str) -> bool:
    return interface.replace(".", "").isdigit() or ":" in interface
