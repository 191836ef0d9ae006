"""Pages hold together: links lead somewhere, TOML is understood, nothing is of one machine."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = sorted([ROOT / "README.md", *(ROOT / "docs").rglob("*.md")])
_LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
_FENCE = re.compile(r"^```(\w*)[^\n]*\n(.*?)^```", re.MULTILINE | re.DOTALL)


def _id(path: Path) -> str:
    return str(path.relative_to(ROOT))


def _headings(path: Path) -> set[str]:
    """Anchors as forges make them: lower case, spaces to hyphens, no other signs."""
    lines = re.findall(r"^#+ (.+)$", path.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", line.lower()).strip().replace(" ", "-") for line in lines}


@pytest.mark.parametrize("page", PAGES, ids=_id)
def test_relative_links_lead_somewhere(page: Path) -> None:
    text = _FENCE.sub("", page.read_text(encoding="utf-8"))
    for link in _LINK.findall(text):
        if re.match(r"[a-z]+:", link):
            continue
        target, _, anchor = link.partition("#")
        path = (page.parent / target).resolve() if target else page
        assert path.exists(), f"{link} leads nowhere"
        assert path.is_relative_to(ROOT), f"{link} leads out of the project"
        if anchor:
            assert anchor in _headings(path), f"{link}: no such heading"


@pytest.mark.parametrize("page", PAGES, ids=_id)
def test_toml_blocks_are_toml(page: Path) -> None:
    for language, body in _FENCE.findall(page.read_text(encoding="utf-8")):
        if language == "toml":
            tomllib.loads(body)


@pytest.mark.parametrize("page", PAGES, ids=_id)
def test_pages_know_no_particular_machine(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    roots = {path.name for path in Path("/").iterdir() if path.is_dir()} | {"home", "tmp"}
    named = re.findall(r"(?<![\w.~/])/([a-z]+)/", text)
    assert not roots & set(named) - {"data", "path", "proc", "dev"}, f"absolute paths: {named}"
    assert not re.search(r"https?://\S*/simple/", text)


def test_every_page_can_be_found_from_the_readme() -> None:
    seen, ahead = set(), [ROOT / "README.md"]
    while ahead:
        page = ahead.pop()
        if page in seen or page.suffix != ".md":
            continue
        seen.add(page)
        links = _LINK.findall(page.read_text(encoding="utf-8"))
        local = (link.partition("#")[0] for link in links if not re.match(r"[a-z]+:", link))
        ahead += [(page.parent / link).resolve() for link in local]
    assert seen >= set(PAGES)


def test_pictures_are_small() -> None:
    for path in (ROOT / "docs").rglob("pictures/*"):
        assert path.stat().st_size < 150_000
