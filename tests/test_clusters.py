"""The clusters for tests: what their scripts say where they cannot be had, are down, or misused."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[1] / "tools" / "cluster"
CLUSTERS = ("gridengine", "slurm")
UP, DOWN, MISUSED, CANNOT = 0, 1, 2, 3


@pytest.fixture
def public() -> Iterator[Path]:
    """The scripts where every user may read them."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        yield Path(shutil.copytree(FOLDER, Path(folder) / "cluster"))


def ask(
    cluster: str, *words: str, user: str = "", folder: Path = FOLDER
) -> subprocess.CompletedProcess[str]:
    as_user = ["runuser", "-u", user, "--"] if user else []
    command = [*as_user, "bash", str(folder / cluster), *words]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


@pytest.mark.parametrize("cluster", CLUSTERS)
@pytest.mark.parametrize("words", [(), ("start",), ("down", "--all"), ("up", "now")])
def test_words_it_does_not_know_start_nothing(cluster: str, words: tuple[str, ...]) -> None:
    done = ask(cluster, *words)
    assert (done.returncode, done.stdout) == (MISUSED, "")
    assert "up | status | down [--purge]" in done.stderr


@pytest.mark.parametrize("cluster", CLUSTERS)
def test_who_may_not_install_is_told_so_in_a_sentence(cluster: str, public: Path) -> None:
    user = "nobody" if os.geteuid() == 0 else ""
    done = ask(cluster, "up", user=user, folder=public)
    assert (done.returncode, done.stdout) == (CANNOT, "")
    assert done.stderr.startswith(f"{cluster}: cannot be had here: ")
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize("cluster", CLUSTERS)
def test_one_that_is_up_says_its_environment_and_one_that_is_not_says_why(cluster: str) -> None:
    done = ask(cluster, "status")
    assert done.returncode in (UP, DOWN)
    if done.returncode == UP:
        assert all(line.startswith(("export ", "# ")) for line in done.stdout.splitlines())
        assert "slots" in done.stdout or "processors" in done.stdout
    else:
        assert done.stdout == ""
        assert len(done.stderr.splitlines()) == 1
