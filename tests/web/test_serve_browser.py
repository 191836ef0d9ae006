"""The archive as `tesela serve` starts it, under every name that a browser has for this machine."""

from __future__ import annotations

import os
import re
import select
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from .browser import opened

BESIDE = r"/hips/.*Npix\d+\.jpg$"
_PATIENCE_S = 60.0


@pytest.fixture(scope="module")
def port(shelf: Path, packages: None) -> Iterator[int]:
    """Port of an archive in a process of its own, without a stated address."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tesela.cli.main", "serve", "archive",
         "--releases", str(shelf), "--port", "0"],
        env=dict(os.environ), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
    )  # fmt: skip
    try:
        assert process.stdout is not None
        ready, _, _ = select.select([process.stdout], [], [], _PATIENCE_S)
        assert ready, "it said nothing"
        said = re.search(r"http://127\.0\.0\.1:(\d+)/", process.stdout.readline())
        assert said
        yield int(said[1])
    finally:
        process.kill()
        process.communicate()


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_the_sky_is_drawn_under_each_name_of_this_machine(
    chromium: Any, port: int, host: str
) -> None:
    with opened(chromium, f"http://{host}:{port}/dr2/sky", may_miss=BESIDE) as shown:
        shown.wait("window.ready === true && window.sourcesShown > 0", 60)
        shown.seen.require_nothing()
        own = shown.page.evaluate(
            "performance.getEntriesByType('resource').every("
            "e => !e.name.startsWith('http') || e.name.startsWith(location.origin))"
        )
        assert own, "everything is asked for under the name that was typed"


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_addresses_on_pages_are_those_by_which_they_were_reached(
    chromium: Any, port: int, host: str
) -> None:
    with opened(chromium, f"http://{host}:{port}/dr2/") as shown:
        named = set(re.findall(r"http://([a-z0-9.]+):\d+/dr2", shown.page.content()))
        assert named == {host}
