"""The demonstration goes on wherever it was stopped: each step asks what is there."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tesela.cli import demo, doctor, ingest, init, refcat, run
from tesela.simulate.survey import REFCAT

SURVEY = """
name = "test"
cameras = ["mini80"]
[filters.rSDSS]
[grid]
scheme = "list"
pixel_scale_arcsec = 0.55
size_px = [1200, 1200]
centres = { "T-1" = [211.8, 55.1] }
"""


@pytest.fixture
def night(tmp_path: Path) -> Path:
    """A night of settings and a reference catalogue."""
    folder = tmp_path / "night"
    folder.mkdir()
    (folder / "survey.toml").write_text(SURVEY)
    stars = {"ra": np.array([211.8]), "dec": np.array([55.1]), "mag_r": np.array([15.0])}
    pq.write_table(pa.table(stars), folder / "refcat.parquet")
    return folder


@pytest.mark.parametrize("stopped", ["at the start", "before the reference", "after it"])
def test_each_step_is_done_once_wherever_it_was_stopped(
    tmp_path: Path, night: Path, monkeypatch: pytest.MonkeyPatch, stopped: str
) -> None:
    site = tmp_path / "site"
    if stopped != "at the start":
        init.init(site, night / "survey.toml", as_json=True)
    if stopped == "after it":
        refcat.add(REFCAT, night / "refcat.parquet", site, as_json=True)
    done: list[str] = []
    for module, verb in ((doctor, "doctor"), (ingest, "ingest"), (run, "run")):
        monkeypatch.setattr(module, verb, lambda *_, verb=verb, **__: done.append(verb))
    said: list[str] = []
    demo._process(site, night, 1, True, said.append)
    assert done == ["doctor", "ingest", "run"]
    words = [line.split()[2] for line in said]
    before = {"at the start": ["init", "refcat"], "before the reference": ["refcat"]}
    assert words == [*before.get(stopped, []), "doctor", "ingest", "run"]
    assert demo._has_reference(site, REFCAT)
