"""A PostgreSQL of the tests' own: a private server in a temporary folder, a database a test.

Tests that are about the ledger run on SQLite, and with TESELA_TEST_LEDGER=postgresql on this one:
`make test-services` does that.
"""

from __future__ import annotations

import atexit
import functools
import itertools
import os
import pwd
import shutil
import socket
import subprocess
import tempfile
from pathlib import Path

import pytest

from tesela.ledger.engine import Ledger
from tesela.products import paths

_NUMBERS = itertools.count(1)


def is_wanted() -> bool:
    """Whether this run of the tests is to use PostgreSQL."""
    return os.environ.get("TESELA_TEST_LEDGER", "sqlite") == "postgresql"


def new_place(folder: Path) -> Path | str:
    """A place for a new ledger: a file in the folder, or an empty database."""
    return new_database(empty=True) if is_wanted() else paths.ledger_file(folder)


def new_database(*, empty: bool = False) -> str:
    """Make a database and return its URL; one that is not empty has the tables of a ledger."""
    return server().new_database(template="template0" if empty else server().template)


def binary(name: str) -> Path | None:
    """A program of PostgreSQL's server, wherever this system keeps it."""
    on_path = shutil.which(name)
    found = [Path(on_path)] if on_path else []
    found += sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"), reverse=True)
    return found[0] if found else None


class Server:
    """A server that listens on a socket in its own folder and on a port of the loopback."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.data = folder, folder / "data"
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self._as = ["runuser", "-u", "postgres", "--"] if os.geteuid() == 0 else []
        self._run(
            "initdb", "-D", self.data, "-A", "trust", "-U", "tesela", "--no-sync", "-E", "UTF8"
        )
        # Whatever its language: ranges of keys must not depend on it.
        self.start()

    @functools.cached_property
    def template(self) -> str:
        """A database with the tables of an empty ledger."""
        url = self.new_database(template="template0")
        Ledger.create(url).close()
        return url.rpartition("/")[2]

    def start(self) -> None:
        """Start, or start again."""
        options = (
            f"-k {self.folder} -p {self.port} -c listen_addresses=127.0.0.1 -c fsync=off"
            " -c max_connections=60"
        )
        self._run(
            "pg_ctl", "-D", self.data, "-w", "-l", self.folder / "log", "-o", options, "start"
        )

    def stop(self, how: str = "fast") -> None:
        """Stop; `immediate` is as if it had been killed."""
        self._run("pg_ctl", "-D", self.data, "-w", "-m", how, "stop")

    def new_database(self, template: str) -> str:
        """Make a database and return its URL."""
        name = f"tesela_{os.getpid()}_{next(_NUMBERS)}"
        self._run(
            "createdb", "-h", self.folder, "-p", self.port, "-U", "tesela", "-T", template, name
        )
        return f"postgresql://tesela@127.0.0.1:{self.port}/{name}"

    def _run(self, program: str, *arguments: object) -> None:
        command = [*self._as, str(binary(program)), *map(str, arguments)]
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            text=True, check=False, cwd=self.folder,
        )  # fmt: skip
        if done.returncode:
            raise RuntimeError(f"{program}: {done.stdout}")


def new_server() -> Server:
    """Start a server of one's own; the test is skipped where there is none."""
    if binary("initdb") is None:
        pytest.skip("no PostgreSQL server here: install postgresql to test with it")
    folder = Path(tempfile.mkdtemp(prefix="tesela-pg-", dir="/tmp"))
    if os.geteuid() == 0:  # the server refuses to be run by root
        try:
            user = pwd.getpwnam("postgres")
        except KeyError:
            pytest.skip("PostgreSQL is not run by root, and there is no user postgres")
        os.chown(folder, user.pw_uid, user.pw_gid)
    made = Server(folder)

    def end() -> None:
        subprocess.run(
            [*made._as, str(binary("pg_ctl")), "-D", str(made.data), "-m", "immediate", "stop"],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False, cwd="/",
        )  # fmt: skip
        shutil.rmtree(folder, ignore_errors=True)

    atexit.register(end)
    return made


@functools.cache
def server() -> Server:
    """The server that all tests of this process share."""
    return new_server()
