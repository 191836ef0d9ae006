"""What `tesela doctor` says of a site that is an archive, and of clusters."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tesela.flow.run.engines import choice
from tesela.products import paths
from verbs import tesela

CLUSTERS = """
[clusters.farm]
kind = "sge"
[clusters.hall]
kind = "slurm"
"""


def checks(site: Path, code: int) -> dict[str, dict[str, Any]]:
    said = tesela("doctor", "--no-warm", "--site", site, "--json")
    assert said.code == code
    return {row["check"]: row for row in said.data}


def test_an_archive_is_a_site(tmp_path: Path) -> None:
    paths.site_file(tmp_path).write_text('name = "attic"\nrole = "archive"\n')
    row = checks(tmp_path, 0)["site"]
    assert row["found"].startswith(f"{tmp_path}, attic, an archive, ")
    assert [path.name for path in tmp_path.iterdir()] == ["site.toml"]


def test_what_a_cluster_lacks_is_a_line_each(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths.site_file(tmp_path).write_text(CLUSTERS)
    programs = tmp_path / "bin"
    programs.mkdir()
    (programs / "sbatch").write_text("#!/bin/sh\n")
    (programs / "sbatch").chmod(0o755)
    monkeypatch.setenv("PATH", str(programs))
    rows = checks(tmp_path, 1)
    assert "no qsub on the PATH" in rows["cluster farm"]["found"]
    assert rows["cluster hall"]["ok"]
    assert str(programs / "sbatch") in rows["cluster hall"]["found"]
    monkeypatch.setattr(choice, "_has_jobqueue", lambda: False)
    first, second = checks(tmp_path, 1)["cluster farm"]["found"].splitlines()
    assert "no dask-jobqueue here: pip install 'tesela[cluster]'" in first
    assert "no qsub" in second
