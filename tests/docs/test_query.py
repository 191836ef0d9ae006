"""The examples of docs/howto/query.md, each run against an archive that is really served."""

from __future__ import annotations

import hashlib
import importlib.util
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import httpx
import pytest

from sciencedb import synthetic
from tesela.products import columns
from tesela.sciencedb.model import FileModel, ReleaseModel
from tesela.sciencedb.shelf import Shelf
from tesela.web.archive.app import create_app
from tesela.web.archive.settings import ArchiveSettings
from web.browser import serving

from .test_tutorial import missing

PAGE = Path(__file__).parents[2] / "docs" / "howto" / "query.md"
ADDRESS = "http://127.0.0.1:8080"
PLACE = (211.70, 55.10)
_BLOCK = re.compile(
    r"^```(bash|python)\n(.*?)^```\n(?:```text\n(.*?)^```)?", re.MULTILINE | re.DOTALL
)
_SERVICE = re.compile(r"`(/[\w./{}-]+)`")


@dataclass(frozen=True)
class Archive:
    """A release, where it lies and where it is served."""

    release: Path
    address: str


def blocks() -> list[tuple[str, str, str]]:
    """(language, commands, what is shown) of each block of the page."""
    return [found.groups(default="") for found in _BLOCK.finditer(PAGE.read_text("utf-8"))]  # type: ignore[misc]


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Archive]:
    """Twelve bands around the position of the page, every file listed with its checksum."""
    shelf = tmp_path_factory.mktemp("releases")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(synthetic, "CENTRE", PLACE)
        folder = synthetic.make_release(shelf / "dr1", rows=3000, tiles=1)
    listed = tuple(
        FileModel(path.relative_to(folder).as_posix(), _sha256(path), path.stat().st_size)
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != "release.json"
    )
    replace(ReleaseModel.read(folder), files=listed).write(folder)
    Shelf(shelf).publish("dr1")
    with serving(create_app(shelf)) as address:
        yield Archive(folder, address)


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _need(language: str, body: str) -> None:
    """Skip what this machine has no client for."""
    if language == "bash":
        for program in ("curl", "stilts"):
            if re.search(rf"^{program} ", body, re.MULTILINE) and not shutil.which(program):
                pytest.skip(f"{program} is not installed")
    for package in re.findall(r"^import (\w+)", body, re.MULTILINE):
        if importlib.util.find_spec(package) is None:
            pytest.skip(f"the package {package} is not installed")


def _run(language: str, body: str, work: Path, address: str) -> str:
    shell = [sys.executable, "-c"] if language == "python" else ["bash", "-euc"]
    done = subprocess.run(
        [*shell, body.replace(ADDRESS, address)], cwd=work, check=False, timeout=120,
        capture_output=True, text=True, env=os.environ | {"PYTHONWARNINGS": "ignore"},
    )  # fmt: skip
    assert done.returncode == 0, f"{body}\n{done.stderr[-2000:]}"
    return done.stdout


def test_every_example_shows_what_it_prints() -> None:
    assert len(blocks()) >= 8
    assert all(shown for _, _, shown in blocks())
    assert {language for language, _, _ in blocks()} == {"bash", "python"}


@pytest.mark.parametrize("number", range(len(blocks())))
def test_an_example_works(archive: Archive, tmp_path: Path, number: int) -> None:
    language, body, shown = blocks()[number]
    _need(language, body)
    fetches = "write_bytes" in body
    if not fetches:
        for folder in ("hats", "tables"):
            shutil.copytree(archive.release / folder, tmp_path / "dr1" / folder)
    lacking = missing(shown, _run(language, body, tmp_path, archive.address))
    assert not lacking, f"{body}\nlacks {lacking}"
    if fetches:
        part = Path("hats") / "objects" / "dataset" / "_metadata"
        assert (tmp_path / "dr1" / part).read_bytes() == (archive.release / part).read_bytes()


def test_addresses_that_the_page_names_are_served(archive: Archive) -> None:
    named = set(_SERVICE.findall(PAGE.read_text("utf-8")))
    assert {"/dr1/vo/cone", "/dr1/vo/cone/detections"} <= named
    known = {
        "TILE-NUMBER": "SYN-00001-1", "TILE": "SYN-00001", "BAND": "rSDSS", "NUMBER": "1000000001",
    }  # fmt: skip
    for path in sorted(named):
        where = path
        for word, value in known.items():
            where = where.replace(word, value)
        params = {"RA": PLACE[0], "DEC": PLACE[1], "SR": 0.01} if "/vo/cone" in path else {}
        answer = httpx.get(f"{archive.address}{where}", params=params, follow_redirects=True)
        assert answer.status_code == 200, path


def test_limits_and_codes_are_those_of_the_program() -> None:
    text, settings = PAGE.read_text("utf-8"), ArchiveSettings()
    for limit in (settings.vo.default_records, settings.vo.max_records, settings.search_rows):
        assert f"{limit:,}".replace(",", " ") in text
    for code, word in (
        (columns.MEASURED, "measured"),
        (columns.NOT_DETECTED, "not detected"),
        (columns.NOT_OBSERVED, "not observed"),
        (columns.MASKED, "masked"),
    ):
        assert f"| {code} | {word}" in text
    assert f"(k + 1/2) / {columns.QUANTILES}" in text
    assert f"{settings.vo.max_streams} tables" in (PAGE.parent / "release.md").read_text("utf-8")
    for name in re.findall(r"`((?:mag|flux|photoz|prob|psfcor|single|is|mask)_\w+)`", text):
        if not name.endswith(("_X", "_D")):
            assert name in columns.OBJECTS, f"{name} is no column"
