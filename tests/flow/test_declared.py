"""Steps declare what they need on the survey's own cameras and tiles."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from tesela.config import Survey, load_survey
from tesela.flow.run.bodies import registry

SURVEYS = Path(__file__).parents[2] / "examples"


@pytest.fixture
def survey() -> Survey:
    return load_survey(SURVEYS / "cafos_ngc2420" / "survey.toml")


def test_memory_grows_with_the_camera_and_an_unknown_one_counts_as_large(survey: Survey) -> None:
    small = registry(survey)["reduce"].memory_mb
    large = registry(replace(survey, cameras=("t80cam",)))["reduce"].memory_mb
    assert 300 < small < 400  # 1024 x 1024
    assert large == pytest.approx(300 + 33 * 85.08, rel=0.01)
    unknown = registry(replace(survey, cameras=("not yet written",)))["reduce"].memory_mb
    assert unknown == pytest.approx(large, rel=0.01)


def test_memory_of_a_tile_is_that_of_its_grid(survey: Survey) -> None:
    grid = dict(survey.grid)
    grid["size_px"] = [4000, 4000]
    assert registry(replace(survey, grid=grid))["coadd"].memory_mb == pytest.approx(300 + 78 * 16)


def test_only_the_reduction_is_shared_between_cores(survey: Survey) -> None:
    found = registry(replace(survey, flow=replace(survey.flow, cores=2)))
    assert {name for name, spec in found.specs.items() if spec.cores == 2} == {"reduce", "detrend"}
    assert found["reduce"].settings_hash == registry(survey)["reduce"].settings_hash
