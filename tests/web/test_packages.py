"""The real packages, where npm can serve them: they are what our source says."""

from __future__ import annotations

import hashlib
import json

import pytest

from tesela.web.shared import assets


@pytest.mark.parametrize("pins", [assets.PAGES, assets.TESTS])
def test_every_pinned_file_is_kept_with_its_licence(
    packages: None, pins: tuple[assets.Pin, ...]
) -> None:
    files = assets.available(pins)
    manifest = json.loads((assets.folder(pins) / assets.MANIFEST).read_text())
    assert {row["file"] for row in manifest} == set(files)
    for row in manifest:
        assert hashlib.sha256(files[row["file"]].read_bytes()).hexdigest() == row["sha256"]


def test_the_sky_viewer_is_the_version_that_we_name(packages: None) -> None:
    source = assets.available()["aladin.js"].read_text(encoding="utf-8")
    assert "3.8.2" in source


def test_pages_and_tests_do_not_mix(packages: None) -> None:
    assert "axe.min.js" not in assets.available()
