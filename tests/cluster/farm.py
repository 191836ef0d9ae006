"""Real batch systems of one machine, and what can be done to them."""

from __future__ import annotations

import functools
import json
import os
import re
import signal
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

import pytest

TOOLS = Path(__file__).parents[2] / "tools" / "cluster"
_CANNOT = 3


@dataclass(frozen=True)
class Farm:
    """A batch system that is up."""

    kind: str
    """As site.toml calls it."""
    script: str
    queue: str
    master: str
    """The program of the queue master."""
    pid_file: str
    settled_s: float
    """So long the queue master may take to write down what it was told."""

    def site_toml(self, ledger_url: str, *, max_jobs: int = 2) -> str:
        """Settings of a site that runs on it."""
        path = os.environ.get("PYTHONPATH")
        prologue = [f"export PYTHONPATH={path}"] if path else []
        ledger = f'[ledger]\nurl = "{ledger_url}"\n' if ledger_url else ""
        return (
            f'name = "core"\nengine = "farm"\n{ledger}[clusters.farm]\nkind = "{self.kind}"\n'
            f'queue = "{self.queue}"\ninterface = "127.0.0.1"\nmax_jobs = {max_jobs}\n'
            f"memory_mb = 1500\nidle_s = 10\nprologue = {json.dumps(prologue)}\n"
        )

    def jobs(self) -> list[str]:
        """Numbers of the jobs that the queue knows."""
        if self.kind == "slurm":
            return _said("squeue", "-h", "-o", "%A").split()
        return re.findall(r"^\s*(\d+) ", _said("qstat"), re.MULTILINE)

    def kill_master(self) -> None:
        """Kill the queue master without a word, and bring it up again."""
        pid = int(Path(self.pid_file).read_text())
        assert Path(f"/proc/{pid}/comm").read_text().strip() == self.master
        os.kill(pid, signal.SIGKILL)
        time.sleep(2.0)
        up.cache_clear()
        up(self.script)

    def job_processes(self) -> list[int]:
        """The pilots of all jobs."""
        return _with_command("distributed.cli.dask_worker")

    def step_processes(self) -> list[int]:
        """The processes below pilots, in which steps run."""
        pilots = set(self.job_processes())
        return [pid for pid in _with_command("spawn_main") if _parent(pid) in pilots]


FARMS = {
    "sge": Farm(
        "sge", "gridengine", "all.q", "sge_qmaster", "/var/spool/gridengine/qmaster/qmaster.pid", 1
    ),
    "slurm": Farm("slurm", "slurm", "main", "slurmctld", "/run/slurm/slurmctld.pid", 7),
}


def kill_job(pilot: int) -> None:
    """Kill a batch job: the pilot, and the shell that the batch system began."""
    for pid in (_parent(pilot), pilot):
        if pid > 1:
            os.kill(pid, signal.SIGKILL)


@functools.cache
def up(script: str) -> dict[str, str]:
    """Bring a batch system up, or see that it is; skips where it cannot be had."""
    done = subprocess.run(
        [str(TOOLS / script), "up"], capture_output=True, text=True, check=False, timeout=400
    )
    if done.returncode == _CANNOT:
        pytest.skip(done.stderr.strip().splitlines()[-1])
    assert done.returncode == 0, f"{script} up: {done.returncode}: {done.stdout}{done.stderr}"
    found = dict(re.findall(r"(\w+)=(\S+)", done.stdout.partition("#")[0]))
    os.environ.update(found)
    return found


def _said(*command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout


def _with_command(word: str) -> list[int]:
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            command = (folder / "cmdline").read_bytes()
        except OSError:
            continue
        if word.encode() in command and b"python" in command.split(b"\0")[0]:
            found.append(int(folder.name))
    return found


def _parent(pid: int) -> int:
    try:
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    except OSError:
        return 0
