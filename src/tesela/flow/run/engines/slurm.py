"""Slurm."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tesela.config import Cluster


def make(settings: Cluster, size_mb: int, shared: Mapping[str, Any]) -> Any:
    """Make a cluster whose jobs ask Slurm for `size_mb` of memory.

    One that dies is not started again behind our back: the ledger decides what is tried again.
    """
    from dask_jobqueue import SLURMCluster

    return SLURMCluster(
        **shared,
        account=settings.project or None,
        job_mem=f"{size_mb + settings.memory_headroom_mb:.0f}M",
        job_cpu=settings.cores,
        job_extra_directives=["--no-requeue", *settings.directives],
        job_name="tesela",
    )
