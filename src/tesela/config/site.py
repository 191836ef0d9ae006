"""`site.toml`: this installation. Its role, its ledger, its cluster, whom it sends to.

A site without the file is a core with SQLite and local processes.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from tesela.config.toml import build, load_toml
from tesela.errors import ConfigError

OBSERVATORY, CORE, ARCHIVE = ROLES = ("observatory", "core", "archive")
CLUSTER_KINDS = ("sge", "slurm")
SITE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,31}")


@dataclass(frozen=True)
class LedgerPlace:
    """Where the administrative database is."""

    url: str = ""
    """`postgresql://user@host/database`; empty: `ledger.sqlite` in the site's folder. A password
    belongs into `~/.pgpass` or the variable PGPASSWORD."""


@dataclass(frozen=True)
class Cluster:
    """A batch system on which workers run."""

    kind: str
    """`sge` or `slurm`: the cluster of dask-jobqueue by which jobs are submitted (dask-sge,
    dask-slurm)."""
    max_jobs: int = 10
    """Most batch jobs at a time; each is a worker."""
    min_jobs: int = 0
    """Kept also when nothing is due."""
    memory_mb: float = 4000.0
    """Of the smallest batch job. A step that asks for more gets one of 2, 4, 8 ... times that."""
    max_memory_mb: float = 64000.0
    """Of the largest; a step that asks for more is dead at once, with this reason."""
    cores: int = 1
    """Of a batch job: threads that a step may use."""
    walltime: str = "24:00:00"
    queue: str = ""
    """Queue, or partition."""
    project: str = ""
    """Project, or account, that jobs are charged to."""
    directives: tuple[str, ...] = ()
    """More options of qsub or sbatch, one each: `-l h_rss=4G`."""
    memory_headroom_mb: float = 2000.0
    """Asked for on top, for the pilot itself; where addresses are counted, as by h_vmem, more."""
    memory_resource: str = "h_vmem"
    """Grid Engine's name of the memory that a job asks for; empty: none is asked for."""
    parallel_environment: str = "smp"
    """Grid Engine's for jobs of several cores."""
    python: str = ""
    """Interpreter on the nodes; empty: this one."""
    prologue: tuple[str, ...] = ()
    """Lines of shell that a job begins with."""
    scratch: str = ""
    """Folder on the nodes for what workers spill; empty: the system's."""
    interface: str = ""
    """Network interface or address on which workers reach the controller; empty: found out."""
    idle_s: float = 60.0
    """A job is given back after so long without work."""
    keep_logs_days: float = 30.0
    """Logs of jobs that are older are removed, once a day while there is work."""


@dataclass(frozen=True)
class Send:
    """Another site that gets files from this one."""

    to: str
    """Its name."""
    where: str
    """Its inbox as rsync knows it: `/data/inbox`, or `user@host:/data/inbox`."""
    kinds: tuple[str, ...] = ("raw",)
    """Kinds of products; without any, it only serves repairs."""
    limit_kib_s: int = 0
    """Most KiB a second; 0: no limit."""
    base: str = ""
    """The folder of that site as rsync knows it, from which repairs fetch copies; empty: the folder
    in which its inbox lies."""
    shell: str = ""
    """Remote shell with its options: `ssh -p 2222`; empty: rsync's."""
    batch_files: int = 200
    """Files of one shipment: so many are verified and receipted together."""


@dataclass(frozen=True)
class Alerts:
    """Whom to tell that a person is needed."""

    command: tuple[str, ...] = ()
    """Program and arguments; the alert is JSON on its standard input."""
    url: str = ""
    """The alert is posted there as JSON."""
    on: tuple[str, ...] = (
        "task dead",
        "monitor alarm",
        "disk low",
        "archive read-only",
        "ledger lost",
        "transfer failed",
    )
    """What is told of."""
    at_most_every_s: float = 300.0
    """Alerts of one sort within this time are told together."""


@dataclass(frozen=True)
class SiteSettings:
    """The contents of `site.toml`."""

    name: str = "site"
    """As other sites call it."""
    role: str = "core"
    """`observatory`, `core` or `archive`."""
    ledger: LedgerPlace = field(default_factory=LedgerPlace)
    engine: str = "local"
    """`local`, or the name of one of the clusters."""
    clusters: dict[str, Cluster] = field(default_factory=dict)
    limits: dict[str, int] = field(default_factory=dict)
    """Most tasks of a step at a time."""
    arrivals: tuple[str, ...] = ()
    """Folders that `tesela run --continuous` watches for new frames."""
    inbox: str = "inbox"
    """Folder into which other sites send; relative to the site."""
    keep_free_gb: float = 2.0
    """With less free space on the disk nothing new is begun."""
    memory_mb: float = 0.0
    """Memory that local workers may ask for together; 0: nine tenths of the machine's."""
    send: tuple[Send, ...] = ()
    alerts: Alerts = field(default_factory=Alerts)


def load_site(path: Path) -> SiteSettings:
    """Read and validate a site.toml; without the file the settings are the defaults."""
    if not path.exists():
        return SiteSettings()
    site = build(SiteSettings, load_toml(path), path.name)
    _one_of(f"{path.name}.role", site.role, ROLES)
    _check_name(f"{path.name}.name", site.name)
    _check_ledger(site.ledger, f"{path.name}.ledger.url")
    _one_of(f"{path.name}.engine", site.engine, ("local", *site.clusters))
    for name, cluster in site.clusters.items():
        _check_cluster(cluster, f"{path.name}.clusters.{name}")
    for step, limit in site.limits.items():
        _at_least(f"{path.name}.limits.{step}", limit, 0)
    _at_least(f"{path.name}.keep_free_gb", site.keep_free_gb, 0)
    _at_least(f"{path.name}.memory_mb", site.memory_mb, 0)
    names = [one.to for one in site.send]
    for one in site.send:
        _at_least(f"{path.name}.send.limit_kib_s", one.limit_kib_s, 0)
        _at_least(f"{path.name}.send.batch_files", one.batch_files, 1)
        _check_name(f"{path.name}.send.to", one.to)
        if names.count(one.to) > 1 or one.to == site.name:
            raise ConfigError(
                f"{path.name}.send.to",
                found=repr(one.to),
                expected="the name of another site, once",
            )
    for sort in site.alerts.on:
        _one_of(f"{path.name}.alerts.on", sort, Alerts().on)
    if site.alerts.url and urlsplit(site.alerts.url).scheme not in ("http", "https"):
        raise ConfigError(
            f"{path.name}.alerts.url", found=repr(site.alerts.url), expected="http:// or https://"
        )
    return site


def _check_ledger(place: LedgerPlace, where: str) -> None:
    if not place.url:
        return
    parts = urlsplit(place.url)
    if parts.scheme not in ("postgresql", "postgresql+psycopg"):
        raise ConfigError(where, found=place.url, expected="postgresql://user@host/database")
    if parts.password:
        raise ConfigError(
            where,
            found="a password",
            expected="none: this file is read by many",
            do="put it into ~/.pgpass, or the variable PGPASSWORD",
        )


def _check_cluster(cluster: Cluster, where: str) -> None:
    _one_of(f"{where}.kind", cluster.kind, CLUSTER_KINDS)
    _at_least(f"{where}.max_jobs", cluster.max_jobs, 1)
    _at_least(f"{where}.min_jobs", cluster.min_jobs, 0)
    _at_least(f"{where}.cores", cluster.cores, 1)
    _at_least(f"{where}.memory_mb", cluster.memory_mb, 100)
    _at_least(f"{where}.max_memory_mb", cluster.max_memory_mb, cluster.memory_mb)
    _at_least(f"{where}.memory_headroom_mb", cluster.memory_headroom_mb, 0)
    _at_least(f"{where}.idle_s", cluster.idle_s, 1)
    _at_least(f"{where}.keep_logs_days", cluster.keep_logs_days, 1)
    if cluster.min_jobs > cluster.max_jobs:
        raise ConfigError(
            f"{where}.min_jobs", found=f"{cluster.min_jobs}", expected=f"at most {cluster.max_jobs}"
        )


def _check_name(where: str, name: str) -> None:
    if not SITE_NAME.fullmatch(name):
        raise ConfigError(
            where,
            found=repr(name),
            expected="up to 32 letters, digits, '-' and '_': it names folders at other sites",
        )


def _one_of(where: str, word: str, known: tuple[str, ...]) -> None:
    if word not in known:
        raise ConfigError(where, found=repr(word), expected=f"one of {', '.join(known)}")


def _at_least(where: str, number: float, least: float) -> None:
    if not least <= number < math.inf:
        raise ConfigError(where, found=f"{number:g}", expected=f"at least {least:g}")
