"""Fixtures shared by all tests."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest


@pytest.fixture
def rng() -> np.random.Generator:
    """The one seeded source of randomness."""
    return np.random.default_rng(20170703)


@pytest.fixture(scope="session")
def real_data() -> Path:
    """Folder of real observations; the test is skipped where there is none."""
    default = Path(__file__).parents[1].parent / "shared" / "data"
    folder = Path(os.environ.get("TESELA_REAL_DATA", default))
    if not folder.is_dir():
        pytest.skip("no real observations: set TESELA_REAL_DATA to their folder")
    return folder


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests that ask for a browser are a suite of their own: `make test-web`."""
    for item in items:
        if "chromium" in getattr(item, "fixturenames", ()):
            item.add_marker("browser")
