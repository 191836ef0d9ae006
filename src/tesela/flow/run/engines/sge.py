"""Grid Engine."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tesela.config import Cluster


def make(settings: Cluster, size_mb: int, shared: Mapping[str, Any]) -> Any:
    """Make a cluster whose jobs ask Grid Engine for `size_mb` of memory.

    A job that can never run is refused at once (`-w e`), and one that dies is not started again
    behind our back (`-r n`): the ledger decides what is tried again. Memory is asked for always:
    a site that gives jobs none by default kills them.
    """
    from dask_jobqueue import SGECluster

    directives = ["-w e", "-r n", *settings.directives]
    if settings.cores > 1:
        directives.append(f"-pe {settings.parallel_environment} {settings.cores}")
    return SGECluster(
        **shared,
        project=settings.project or None,
        resource_spec=_memory(settings, size_mb),
        job_extra_directives=directives,
        job_name="tesela",
    )


def _memory(settings: Cluster, size_mb: int) -> str | None:
    """`h_vmem` counts addresses, not memory in use, and for each slot of a job by itself."""
    if not settings.memory_resource:
        return None
    asked = (size_mb + settings.memory_headroom_mb) / settings.cores
    return f"{settings.memory_resource}={asked:.0f}M"
