"""The tutorial is executed: every command of the page, in its order, says what the page shows."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

PAGE = Path(__file__).parents[2] / "docs" / "tutorial.md"
_BLOCK = re.compile(
    r"^```(bash|python)\n(.*?)^```\n(?:```text\n(.*?)^```)?", re.MULTILINE | re.DOTALL
)


def blocks() -> list[tuple[str, str, str]]:
    """(language, commands, what is shown) of each block of the page."""
    return [found.groups(default="") for found in _BLOCK.finditer(PAGE.read_text("utf-8"))]  # type: ignore[misc]


def missing(shown: str, printed: str) -> list[str]:
    """Lines of the page that the output lacks, looked for in their order."""
    rest, lacking = printed, []
    for line in (line.strip() for line in shown.splitlines()):
        before, found, after = rest.partition(line)
        if found:
            rest = after
        else:
            lacking.append(f"{line!r} in {before!r}")
    return lacking


def test_the_comparison_can_fail() -> None:
    assert missing("one\ntwo", "zero one, two three") == []
    assert missing("two\none", "one two") != []


def test_every_command_of_the_page_is_followed_by_what_it_shows() -> None:
    assert len(blocks()) > 15
    shown = [text for _, body, text in blocks() if "tesela" in body]
    assert all(shown)


@pytest.mark.night
@pytest.mark.timeout(600)
def test_the_tutorial_works_as_it_is_written(tmp_path: Path) -> None:
    """One shell for the whole page, so that variables last; a mark ends the output of a block."""
    tools = tmp_path / "tools"
    tools.mkdir()
    for name, module in (("tesela", "-m tesela.cli.main"), ("python", "")):
        tool = tools / name
        tool.write_text(f'#!/bin/sh\nexec "{sys.executable}" {module} "$@"\n')
        tool.chmod(0o755)
    (tmp_path / "work").mkdir()
    mark = "=====end-of-block====="
    script = "set -eu\ntrap 'kill $(jobs -p) 2>/dev/null || true' EXIT\n"
    for language, body, _ in blocks():
        command = body if language == "bash" else f"python - <<'PAGE'\n{body}PAGE\n"
        script += f"{command}echo {mark}\n"
    environment = os.environ | {"PATH": f"{tools}{os.pathsep}{os.environ['PATH']}"}
    environment.pop("TESELA_SITE", None)
    ended = subprocess.run(
        ["bash", "-c", script], cwd=tmp_path / "work", env=environment,
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    printed = ended.stdout.split(mark)
    for (_, body, shown), text in zip(blocks(), printed):
        lacking = missing(shown, text)
        assert not lacking, f"{body}\nlacks {lacking}\nstderr: {ended.stderr[-2000:]}"
    assert ended.returncode == 0, ended.stderr[-2000:]
    assert len(printed) == len(blocks()) + 1
