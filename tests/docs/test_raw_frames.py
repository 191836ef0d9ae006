"""The programs of the page about raw frames do what it says."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from web import api_site
from web.api_site import NIGHT, ApiSite

PAGE = Path(__file__).parents[2] / "docs" / "howto" / "raw-frames.md"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiSite]:
    made = api_site.make(tmp_path_factory.mktemp("frames"))
    yield made
    made.ledger.close()


def test_the_python_of_the_page_fetches_a_night(
    site: ApiSite, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (code,) = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    (tmp_path / ".tesela-token").write_text(site.tokens["ana"] + "\n")
    assert NIGHT in code
    with api_site.asking(site) as client:
        program = code.replace("https://portal.example", str(client.base_url))
        program = program.replace("obstype=science", "obstype=science&limit=2")
        done = subprocess.run(
            [sys.executable, "-c", program], cwd=tmp_path, check=False, capture_output=True,
            env={"HOME": str(tmp_path), "NO_PROXY": "*"},
        )  # fmt: skip
    assert done.returncode == 0, done.stderr.decode()
    for name in ("ours1", "ours2", "ours3"):
        found = (tmp_path / f"{name}.fits").read_bytes()
        assert (
            hashlib.sha256(found).digest() == hashlib.sha256(site.path(name).read_bytes()).digest()
        )
    assert sorted(path.suffix for path in tmp_path.iterdir()) == ["", ".fits", ".fits", ".fits"]


def test_the_page_names_all_that_is_told_of_a_frame(site: ApiSite) -> None:
    (example,) = re.findall(r"```json\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    with api_site.asking(site) as client:
        answer = client.get("/api/frames?name=ours1", headers=site.as_("ana")).json()
    assert set(re.findall(r'"(\w+)": ', example)) == (
        {"frames", "next", "version", "passed"} | set(answer["frames"][0])
    )


def test_the_page_has_all_that_may_be_asked_for() -> None:
    from tesela.web.portal.frame_query import KNOWN

    table = PAGE.read_text(encoding="utf-8").partition("| ask for |")[2].partition("\n\n")[0]
    named = {word for row in table.splitlines() for word in re.findall(r"`(\w+)`", row[:120])}
    assert set(KNOWN) - {"after"} <= named


def test_the_curl_of_the_page_resumes_where_it_ended(site: ApiSite, tmp_path: Path) -> None:
    """The very line of the page; skipped where there is no curl."""
    if shutil.which("curl") is None:
        pytest.skip("no curl here")
    page = PAGE.read_text(encoding="utf-8")
    blocks = re.findall(r"```\n(curl .*?)```", page, re.DOTALL)
    (line,) = (block for block in blocks if "-C -" in block)
    (frame,) = re.findall(r"/api/frames/([^/]+)/file", line)
    (tmp_path / ".tesela-token").write_text(site.tokens["ana"] + "\n")
    target = tmp_path / "ours1.fits"
    whole = site.path("ours1").read_bytes()
    target.write_bytes(whole[:1000])
    with api_site.asking(site) as client:
        line = line.replace("https://portal.example", str(client.base_url).rstrip("/"))
        done = subprocess.run(
            ["bash", "-c", line.replace(frame, "ours1")], cwd=tmp_path, check=False,
            capture_output=True, env={**os.environ, "HOME": str(tmp_path), "NO_PROXY": "*"},
        )  # fmt: skip
    assert done.returncode == 0, done.stderr.decode()
    assert target.read_bytes() == whole
