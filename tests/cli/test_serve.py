"""`tesela serve`: servers as processes, and what they refuse."""

from __future__ import annotations

import os
import re
import select
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from flow import released
from tesela.cli.serve import checked_base_url
from verbs import RUN_ENV, tesela, well

_PATIENCE_S = 60.0


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A site that serves the release dr1; look, but do not touch."""
    made = released.make(tmp_path_factory.mktemp("served"))
    made.ledger.close()
    well("release", "build", "dr1", "--title", "The first", "--site", made.folder)
    well("release", "publish", "dr1", "--site", made.folder)
    return made.folder


@contextmanager
def _running(*words: object) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A server and the first line that it prints."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tesela.cli.main", "serve", *map(str, words)],
        env=RUN_ENV,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        ready, _, _ = select.select([process.stdout], [], [], _PATIENCE_S)
        assert ready, "it said nothing"
        yield process, process.stdout.readline()
    finally:
        process.kill()
        process.communicate()


def _read(url: str) -> tuple[int, str]:
    """Ask at once: the address that was printed is one that answers."""
    answer = httpx.get(url, timeout=_PATIENCE_S, trust_env=False)
    return answer.status_code, answer.text


def _listens_on(port: int) -> set[str]:
    """Addresses, in hexadecimal, on which this machine listens at a port."""
    found = set()
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        if not Path(table).exists():
            continue
        for line in Path(table).read_text().splitlines()[1:]:
            local, state = line.split()[1], line.split()[3]
            address, _, number = local.partition(":")
            if state == "0A" and int(number, 16) == port:
                found.add(address)
    return found


@pytest.mark.parametrize(("what", "end"), [("archive", signal.SIGINT), ("portal", signal.SIGTERM)])
def test_a_server_answers_on_this_machine_alone_and_ends_when_told(
    site: Path, what: str, end: signal.Signals
) -> None:
    with _running(what, "--port", 0, "--site", site) as (process, line):
        said = re.search(r"http://127\.0\.0\.1:(\d+)/", line)
        assert said, line
        assert line.startswith(f"{what} of ")
        status, page = _read(said[0])
        assert status == 200
        assert "<html" in page
        if Path("/proc/net/tcp").exists():
            assert _listens_on(int(said[1])) == {"0100007F"}
        process.send_signal(end)
        out, err = process.communicate(timeout=_PATIENCE_S)
        assert process.returncode in (0, 130, -end), err
        assert "Traceback" not in out + err


def test_the_archive_needs_the_folder_of_releases_alone(site: Path, tmp_path: Path) -> None:
    """It runs where there is no ledger, and says when a release is withdrawn."""
    folder = tmp_path / "releases"
    released.clone(site / "releases", folder)
    with _running("archive", "--port", 0, "--releases", folder) as (_, line):
        said = re.search(r"http://127\.0\.0\.1:\d+/", line)
        assert said
        assert "The first" in _read(said[0])[1]


@pytest.mark.parametrize("what", ["archive", "portal"])
def test_a_wrong_folder_is_one_sentence(tmp_path: Path, what: str) -> None:
    said = tesela("serve", what, "--port", 0, "--site", tmp_path / "nowhere")
    assert said.code == 2
    assert said.err.startswith("tesela: ")
    assert said.err.count("\n") == 1
    assert "nowhere" in said.err


@pytest.mark.parametrize("what", ["archive", "portal"])
def test_a_port_in_use_is_one_sentence(site: Path, what: str) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        said = tesela("serve", what, "--port", port, "--site", site)
    assert said.code == 2
    assert said.err.count("\n") == 1
    assert f"127.0.0.1:{port}" in said.err
    assert "free port" in said.err


@pytest.mark.parametrize("host", ["192.0.2.1", "no host", "::zz"])
def test_an_address_that_is_not_ours_is_one_sentence(site: Path, host: str) -> None:
    said = tesela("serve", "archive", "--host", host, "--port", 0, "--site", site)
    assert said.code == 2
    assert said.err.count("\n") == 1
    assert host in said.err


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "0", "::0"])  # noqa: S104 - refused
@pytest.mark.parametrize("what", ["archive", "portal"])
def test_listening_everywhere_needs_a_name_to_answer_to(site: Path, what: str, host: str) -> None:
    said = tesela("serve", what, "--host", host, "--port", 0, "--site", site)
    assert said.code == 2
    assert said.err.count("\n") == 1
    assert "--base-url" in said.err


@pytest.mark.parametrize("what", ["archive", "portal"])
def test_who_listens_everywhere_answers_to_the_stated_name(site: Path, what: str) -> None:
    stated = ("--host", "0.0.0.0", "--base-url", "https://archive.example/")  # noqa: S104
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        port = other.getsockname()[1]
    with _running(what, *stated, "--port", port, "--site", site) as (_, line):
        assert "https://archive.example/ " in line
        url = f"http://127.0.0.1:{port}/"
        for host, status in (("archive.example", 200), ("localhost", 200), ("other.example", 400)):
            answer = httpx.get(url, headers={"Host": host}, timeout=_PATIENCE_S, trust_env=False)
            assert answer.status_code == status, host


@pytest.mark.parametrize("host", ["127.0.0.2", "::1"])
def test_an_address_of_this_machine_is_answered_to(site: Path, host: str) -> None:
    with _running("portal", "--host", host, "--port", 0, "--site", site) as (_, line):
        said = re.search(r"http://\S+/", line)
        assert said, line
        assert host in said[0]
        assert _read(said[0])[0] == 200


@pytest.mark.parametrize(
    "url",
    ["archive.example", "ftp://archive.example", "https://", "https://a.example/tesela",
     "https://a.example/?x=1", "https://a.example/#x", "https://user@a.example",
     "https://a.example:port", "https://a.example:99999", "https://[::1", "https://*.example",
     "https://a b.example", "javascript:alert(1)"],
)  # fmt: skip
def test_an_address_that_no_server_has_is_one_sentence(site: Path, url: str) -> None:
    for what in ("archive", "portal"):
        said = tesela("serve", what, "--base-url", url, "--port", 0, "--site", site)
        assert said.code == 2
        assert said.err.count("\n") == 1
        assert "--base-url" in said.err


@pytest.mark.parametrize(
    ("url", "kept"),
    [("", ""), ("https://Archive.example/", "https://Archive.example"),
     ("http://[::1]:8080", "http://[::1]:8080"), ("http://10.0.0.1", "http://10.0.0.1")],
)  # fmt: skip
def test_a_stated_address_is_kept_without_its_slash(url: str, kept: str) -> None:
    assert checked_base_url(url) == kept


def test_setup_without_npm_says_what_to_install(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    environment = {**os.environ, "PATH": str(tmp_path / "empty"), "XDG_DATA_HOME": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-m", "tesela.cli.main", "serve", "setup"],
        env=environment, capture_output=True, text=True, timeout=_PATIENCE_S, check=False,
    )  # fmt: skip
    assert done.returncode == 1, done
    assert "npm" in done.stdout
    assert "Traceback" not in done.stdout + done.stderr


def test_a_portal_for_programs_alone_has_no_pages(site: Path) -> None:
    with _running("portal", "--api-only", "--port", 0, "--site", site) as (_, line):
        said = re.search(r"http://127\.0\.0\.1:\d+/", line)
        assert said
        assert _read(said[0])[0] == 404
        status, answer = _read(f"{said[0]}api/frames")
        assert status == 401
        assert "Authorization: Bearer" in answer
