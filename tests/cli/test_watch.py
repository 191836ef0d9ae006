"""`tesela status --watch`: shown again until it is told to end."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tesela.ledger.engine import Ledger
from tesela.ledger.place import place_of
from verbs import RUN_ENV, SMALL_SURVEY, tesela


@pytest.fixture
def site(tmp_path: Path) -> Path:
    Ledger.create(place_of(tmp_path)).close()
    (tmp_path / "survey.toml").write_text(SMALL_SURVEY)
    return tmp_path


@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGTERM])
def test_it_is_shown_until_it_is_told_to_end(site: Path, stop: signal.Signals) -> None:
    words = [sys.executable, "-m", "tesela.cli.main", "status", "--watch", "--site", str(site)]
    process = subprocess.Popen(
        words, env=RUN_ENV, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    try:
        assert process.stdout.readline().endswith("; every 5 s\n")
        process.send_signal(stop)
        rest, said = process.stdout.read(), process.communicate(timeout=60)[1]
    finally:
        process.kill()
    assert (process.returncode, said) == (0, "")
    assert "products: none" in rest
    assert "\033" not in rest, "no terminal, no control codes"


def test_programs_are_told_once(site: Path) -> None:
    said = tesela("status", "--watch", "--json", "--site", site)
    assert said.code == 2
    assert "--watch and --json" in said.err
