"""Files that are not taken in: each is told with its reason, then and later."""

from __future__ import annotations

from pathlib import Path

import pytest

from verbs import SMALL_SURVEY, new_site, tesela, well


@pytest.fixture
def site(tmp_path: Path) -> Path:
    (tmp_path / "survey.toml").write_text(SMALL_SURVEY)
    return new_site(tmp_path / "site", tmp_path / "survey.toml")


def test_why_tells_of_a_file_that_was_not_taken_in(site: Path, tmp_path: Path) -> None:
    path = tmp_path / "a1.fits.fz"
    path.write_text("no frame at all")
    assert tesela("ingest", path, "--site", site).code == 2
    for name in ("a1", "a1.fits.fz", path):
        (line,) = well("why", name, "--site", site).out.splitlines()
        assert line.startswith("refused 20")
        assert f"Z, {path}: a1.fits.fz: a file that begins with" in line
    (row,) = well("why", "a1", "--site", site, "--json").data["refused"]
    assert row["path"] == str(path)
    unknown = tesela("why", "a", "--site", site)
    assert unknown.code == 2
    assert "no frame, exposure, product or refused file of that name" in unknown.err
