"""The way between machines: rsync through a private ssh server on the loopback."""

from __future__ import annotations

import getpass
import os
import shlex
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tesela.config import Send
from tesela.errors import SiteAway
from tesela.sites.audit import Audit
from tesela.sites.repair import repair

from . import three


@dataclass(frozen=True)
class Server:
    """How to get there."""

    shell: str
    process: subprocess.Popen[bytes]
    allowed: Path
    """Keys that may come in, and what they may do."""

    def shut_into(self, folder: Path) -> None:
        """Let who comes use rsync below a folder, and nothing else."""
        rrsync = shutil.which("rrsync")
        if rrsync is None:
            pytest.skip("no rrsync here: it comes with rsync")
        key = self.allowed.read_text()
        self.allowed.write_text(f'command="{rrsync} {folder}",restrict {key}')


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    """A server with a key of its own, for this user alone; it ends with the test."""
    sshd = shutil.which("sshd") or "/usr/sbin/sshd"
    if not Path(sshd).exists() or not shutil.which("ssh") or not shutil.which("ssh-keygen"):
        pytest.skip("no ssh server here: install openssh-server to test with it")
    apart = Path("/run/sshd")  # an empty folder that a server of root's wants
    is_ours = os.geteuid() == 0 and not apart.exists()
    if is_ours:
        apart.mkdir(mode=0o755)
    folder = tmp_path / "ssh"
    folder.mkdir(mode=0o700)
    for name in ("host", "user"):
        words = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / name)]
        subprocess.run(words, check=True)
    shutil.copy(folder / "user.pub", folder / "allowed")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    (folder / "config").write_text(
        f"Port {port}\nListenAddress 127.0.0.1\nHostKey {folder}/host\nPidFile none\n"
        f"AuthorizedKeysFile {folder}/allowed\nStrictModes no\nUsePAM no\n"
        "PasswordAuthentication no\nPermitRootLogin prohibit-password\n"
    )
    process = subprocess.Popen(
        [sshd, "-D", "-e", "-f", str(folder / "config")],
        stdout=subprocess.DEVNULL,
        stderr=(folder / "log").open("wb"),
    )
    options = {"BatchMode": "yes", "StrictHostKeyChecking": "no", "UserKnownHostsFile": "/dev/null"}
    words = ["ssh", "-q", "-p", str(port), "-i", str(folder / "user")]
    words += [word for name, value in options.items() for word in ("-o", f"{name}={value}")]
    try:
        _wait(port, process, folder / "log")
        yield Server(shlex.join(words), process, folder / "allowed")
    finally:
        process.terminate()
        process.wait()
        if is_ours:
            apart.rmdir()


def _wait(port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    for _ in range(100):
        if process.poll() is not None:
            pytest.skip(f"the ssh server does not start here: {log.read_text()[-200:]}")
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    pytest.skip("the ssh server does not answer")


def test_an_account_that_is_shut_into_the_inbox_can_send(server: Server, tmp_path: Path) -> None:
    core = three.make(tmp_path / "core", "core", "core")
    server.shut_into(core.inbox)
    way = Send("core", f"{getpass.getuser()}@127.0.0.1:/", shell=server.shell)
    obs = three.make(tmp_path / "obs", "obs", "observatory", [way])
    three.observe(obs, "sci1")
    assert three.send(obs, "core").files == 1
    assert [one.outcome for one in three.receive(core)] == ["verified"]
    assert three.send(obs, "core").verified == 1
    for site in (obs, core):
        three.ledger_of(site).close()


def test_a_frame_goes_and_a_copy_comes_back_over_ssh(server: Server, tmp_path: Path) -> None:
    core = three.make(tmp_path / "the core", "core", "core")
    where = f"{getpass.getuser()}@127.0.0.1:{core.inbox}"
    way = Send("core", where, shell=server.shell)
    obs = three.make(tmp_path / "obs", "obs", "observatory", [way])
    three.observe(obs, "sci1", size=200_000)
    assert three.send(obs, "core").files == 1
    assert [one.outcome for one in three.receive(core)] == ["verified"]
    assert three.send(obs, "core").verified == 1
    (obs.folder / three.raw("sci1")).unlink()
    (fault,) = Audit(obs).faults()
    repair(obs, fault)
    assert list(Audit(obs, checksum=True).faults()) == []
    server.process.terminate()
    server.process.wait()
    three.observe(obs, "sci2")
    with pytest.raises(SiteAway):
        three.send(obs, "core")
    for site in (obs, core):
        three.ledger_of(site).close()
