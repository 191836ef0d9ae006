"""The engine that a site has settled on."""

from __future__ import annotations

import importlib.util
import os
import shutil
from pathlib import Path

from tesela.config import Cluster, SiteSettings
from tesela.errors import ConfigError
from tesela.flow.run.engines.engine import Engine
from tesela.flow.run.engines.local import LocalEngine

LOCAL = "local"
SUBMITS = {"sge": "qsub", "slurm": "sbatch"}
"""What dask-jobqueue submits a job with, by the kind of a cluster."""
_JOBQUEUE, _EXTRA = "dask-jobqueue", "tesela[cluster]"
_MOST = 0.9
"""Of the machine's memory, for local workers."""
_MIB = 1024.0 * 1024.0


def engine_for(settings: SiteSettings, name: str, workers: int, folder: Path) -> Engine:
    """Make an engine by its name: `local`, or one of `[clusters]`.

    Parameters
    ----------
    workers : int
        Local processes, or most batch jobs at a time; 0 takes what is set.
    folder : Path
        For what an engine keeps.
    """
    if name == LOCAL:
        return LocalEngine(workers, settings.memory_mb or _MOST * machine_memory_mb())
    cluster = settings.clusters.get(name)
    if cluster is None:
        raise ConfigError(
            f"engine {name}",
            found="no such engine",
            expected=", ".join((LOCAL, *settings.clusters)),
            do=f"describe it as [clusters.{name}] in site.toml",
        )
    if not _has_jobqueue():
        raise ConfigError(f"engine {name}", found=f"no {_JOBQUEUE}", do=f"pip install '{_EXTRA}'")
    import dataclasses

    from tesela.flow.run.engines import sge, slurm
    from tesela.flow.run.engines.pilots import PilotEngine

    make = {"sge": sge.make, "slurm": slurm.make}[cluster.kind]
    if workers:
        cluster = dataclasses.replace(
            cluster, max_jobs=workers, min_jobs=min(cluster.min_jobs, workers)
        )
    return PilotEngine(cluster, make, folder)


def lacks(cluster: Cluster) -> list[str]:
    """Return what this machine lacks to use a cluster, a sentence each; nothing is submitted."""
    found = []
    if not _has_jobqueue():
        found.append(f"no {_JOBQUEUE} here: pip install '{_EXTRA}'")
    command = SUBMITS[cluster.kind]
    if shutil.which(command) is None:
        found.append(
            f"no {command} on the PATH, which kind = {cluster.kind!r} submits jobs with: "
            "run on a host of the cluster that may submit"
        )
    return found


def _has_jobqueue() -> bool:
    return importlib.util.find_spec("dask_jobqueue") is not None


def machine_memory_mb() -> float:
    """Memory of this machine."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / _MIB
