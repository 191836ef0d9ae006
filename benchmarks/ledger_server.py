"""A PostgreSQL server of the benchmark's own, in a folder of its own, which goes with it."""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

LOADING = {
    "fsync": "off",
    "wal_level": "minimal",  # what is loaded into a table emptied before is not logged
    "max_wal_senders": "0",
    "max_wal_size": "4GB",
    "autovacuum": "off",
    "maintenance_work_mem": "1GB",
    "work_mem": "256MB",
}
DURABLE = {"fsync": "on", "synchronous_commit": "on", "full_page_writes": "on", "work_mem": "32MB"}
"""Nothing that was committed is lost in a power cut, as in an installation."""


@dataclass
class Server:
    """It listens on a port of the loopback, and on a socket in its folder."""

    folder: Path
    shared_buffers: str
    log: Path = field(init=False)
    _port: int = 0

    def __post_init__(self) -> None:
        self.log = self.folder / "log"
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self._port = probe.getsockname()[1]
        self._as = ["runuser", "-u", "postgres", "--"] if os.geteuid() == 0 else []
        if self._as:  # the server refuses to be run by root
            user = pwd.getpwnam("postgres")
            os.chown(self.folder, user.pw_uid, user.pw_gid)
        self._run(
            "initdb", "-D", self._data, "-A", "trust", "-U", "tesela", "--no-sync", "-E", "UTF8"
        )

    @property
    def _data(self) -> Path:
        return self.folder / "data"

    def start(self, settings: Mapping[str, str]) -> None:
        """Start with these settings, again if it runs."""
        self.stop()
        common = {
            "listen_addresses": "127.0.0.1",
            "shared_buffers": self.shared_buffers,
            "effective_cache_size": "8GB",
            "random_page_cost": "1.1",
            "max_connections": "60",
        }
        words = [f"-c {name}={value}" for name, value in {**common, **settings}.items()]
        options = f"-k {self.folder} -p {self._port} {' '.join(words)}"
        self._run(
            "pg_ctl", "-D", self._data, "-w", "-t", "300", "-l", self.log, "-o", options, "start"
        )

    def stop(self) -> None:
        """Stop, if it runs."""
        if (self._data / "postmaster.pid").exists():
            self._run("pg_ctl", "-D", self._data, "-w", "-t", "600", "-m", "fast", "stop")

    def new_database(self, name: str) -> str:
        """Make an empty database and return its URL."""
        self._run(
            "createdb", "-h", self.folder, "-p", self._port, "-U", "tesela", "-T", "template0", name
        )
        return f"postgresql://tesela@127.0.0.1:{self._port}/{name}"

    def drop_database(self, name: str) -> None:
        """Remove a database and its files."""
        self._run("dropdb", "-h", self.folder, "-p", self._port, "-U", "tesela", name)

    def _run(self, program: str, *arguments: object) -> None:
        command = [*self._as, str(binary(program)), *map(str, arguments)]
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            text=True, check=False, cwd=self.folder,
        )  # fmt: skip
        if done.returncode:
            raise RuntimeError(f"{program}: {done.stdout}")


def binary(name: str) -> Path | None:
    """A program of PostgreSQL's server, wherever this system keeps it."""
    on_path = shutil.which(name)
    found = [Path(on_path)] if on_path else []
    found += sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"), reverse=True)
    return found[0] if found else None


@contextlib.contextmanager
def server(parent: Path, shared_buffers: str) -> Iterator[Server]:
    """Give a new server below a folder; it is stopped and removed at the end."""
    folder = Path(tempfile.mkdtemp(prefix="tesela-bench-pg-", dir=parent))
    folder.chmod(0o755)
    made = Server(folder, shared_buffers)
    try:
        yield made
    finally:
        made.stop()
        shutil.rmtree(folder)
