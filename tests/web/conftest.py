"""A browser, and the packages that pages and tests use."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tesela.sciencedb.shelf import Shelf
from tesela.web.archive.app import create_app
from tesela.web.archive.settings import ArchiveSettings
from tesela.web.shared import assets

from . import browser as harness
from .release import build


@pytest.fixture(scope="session")
def packages(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[None]:
    """Browser packages in the cache of pytest, fetched once; skips if npm cannot serve."""
    cache = getattr(request.config, "cache", None)
    kept = cache.mkdir("tesela-web") if cache else tmp_path_factory.mktemp("tesela-web")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_DATA_HOME", str(kept))
        for pins in (assets.PAGES, assets.TESTS):
            report = assets.fetch(pins=pins)
            if not report.ok:
                pytest.skip(report.message)
        yield


@pytest.fixture(scope="session")
def chromium(packages: None) -> Iterator[Any]:
    """Chromium without a window; skips if the machine has none."""
    path = harness.chromium_path()
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(
            executable_path=path, headless=True, args=list(harness.FLAGS)
        )
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the published releases dr1 and dr2, the latest."""
    folder = tmp_path_factory.mktemp("releases")
    for seed, name in enumerate(("dr1", "dr2"), 1):
        build(folder, name, seed=seed)
        Shelf(folder).publish(name)
    return folder


@pytest.fixture(scope="session")
def archive(shelf: Path) -> Iterator[str]:
    """Address of the archive of `shelf`, with pages of 20 rows."""
    with harness.serving(create_app(shelf, ArchiveSettings(page_rows=20))) as address:
        yield address


@pytest.fixture(scope="session")
def client(archive: str) -> Iterator[httpx.Client]:
    """Asks the archive and does not follow redirects."""
    with httpx.Client(base_url=archive, timeout=60) as asking:
        yield asking


@pytest.fixture(scope="session")
def fragment(client: httpx.Client) -> Callable[[str], httpx.Response]:
    """Asks as htmx does."""

    def ask(path: str) -> httpx.Response:
        return client.get(path, headers={"HX-Request": "true", "HX-Request-Type": "partial"})

    return ask
