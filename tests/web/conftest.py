"""A browser, and the packages that pages and tests use."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tesela.web.shared import assets

from . import browser as harness


@pytest.fixture(scope="session")
def packages(request: pytest.FixtureRequest) -> Iterator[None]:
    """Browser packages in the cache of pytest, fetched once; skips if npm cannot serve."""
    cache = request.config.cache
    assert cache is not None
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_DATA_HOME", str(cache.mkdir("tesela-web")))
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
