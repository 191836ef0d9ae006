"""One synthetic release for the tests of this folder, which never change it."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.sciencedb import synthetic

from tesela.sciencedb.release import Release

BANDS = ("uJAVA", "gSDSS", "rSDSS")


@pytest.fixture(scope="session")
def release_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A release of 1500 objects in three bands."""
    return synthetic.make_release(
        tmp_path_factory.mktemp("releases") / "dr1", rows=1500, bands=BANDS
    )


@pytest.fixture(scope="session")
def release(release_folder: Path) -> Iterator[Release]:
    """The same, opened."""
    opened = Release.open(release_folder)
    yield opened
    opened.close()


@pytest.fixture
def own_folder(release_folder: Path, tmp_path: Path) -> Path:
    """A copy of the release's tables that a test may damage."""
    shutil.copytree(release_folder, tmp_path / "dr1", ignore=shutil.ignore_patterns("images"))
    return tmp_path / "dr1"
