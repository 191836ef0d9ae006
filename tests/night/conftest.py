"""A night of two bands and two tiles, simulated once and processed once."""

from __future__ import annotations

from pathlib import Path

import pytest

from tesela.simulate import night as simulated
from tesela.simulate import survey
from tesela.simulate.settings import NightSettings
from verbs import well

from .ledgers import fresh

SETTINGS = NightSettings(
    bands=("rSDSS", "J0378"),
    n_bias=4,
    n_flat=3,
    stars_per_field=650.0,
    galaxies_per_field=1000.0,
)


@pytest.fixture(scope="session")
def night(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Raw frames, reference, truth and survey.toml."""
    folder = tmp_path_factory.mktemp("night")
    simulated.make(folder, SETTINGS, workers=2)
    fewer = "\n[steps.catalog]\ninjections = 300\n"
    (folder / "survey.toml").write_text(survey.survey_toml(SETTINGS) + fewer)
    return folder


@pytest.fixture(scope="session")
def done(night: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site after an undisturbed run; look, but do not touch."""
    site = fresh(tmp_path_factory.mktemp("done") / "site", night)
    well("ingest", night / "raw", "--site", site)
    summary = well("run", "--site", site, "--workers", 2, "--json").data
    assert summary["dead"] == summary["skipped"] == summary["failed_attempts"] == 0
    return site
