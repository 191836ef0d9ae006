"""The engine that a site has settled on."""

from __future__ import annotations

import os
from pathlib import Path

from tesela.config import SiteSettings
from tesela.errors import ConfigError
from tesela.flow.run.engines.engine import Engine
from tesela.flow.run.engines.local import LocalEngine

LOCAL = "local"
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
    try:
        import dask_jobqueue  # noqa: F401 - only to say plainly that it is missing
    except ImportError:
        raise ConfigError(
            f"engine {name}", found="no dask-jobqueue", do="pip install 'tesela[cluster]'"
        ) from None
    import dataclasses

    from tesela.flow.run.engines import sge, slurm
    from tesela.flow.run.engines.pilots import PilotEngine

    make = {"sge": sge.make, "slurm": slurm.make}[cluster.kind]
    if workers:
        cluster = dataclasses.replace(
            cluster, max_jobs=workers, min_jobs=min(cluster.min_jobs, workers)
        )
    return PilotEngine(cluster, make, folder)


def machine_memory_mb() -> float:
    """Memory of this machine."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / _MIB
