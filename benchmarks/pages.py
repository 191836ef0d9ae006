"""Tables of measurements, and the places in docs/benchmarks.md that hold them.

python benchmarks/votable.py | python benchmarks/pages.py votable
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "benchmarks.md"


@dataclass(frozen=True)
class Result:
    """One measurement."""

    what: str
    value: str
    note: str = ""


def table(results: Iterable[Result]) -> str:
    """The measurements as Markdown."""
    lines = ["| what | value | note |", "|---|---:|---|"]
    lines += [f"| {r.what} | {r.value} | {r.note} |" for r in results]
    return "\n".join(lines) + "\n"


def replaced(text: str, name: str, content: str) -> str:
    """`text` with `content` between the marks of that name."""
    begin, end = f"<!-- {name}: begin -->", f"<!-- {name}: end -->"
    pattern = re.compile(f"{re.escape(begin)}.*?{re.escape(end)}", re.DOTALL)
    if len(pattern.findall(text)) != 1:
        raise ValueError(f"marks of {name!r}: expected once, {begin} before {end}")
    return pattern.sub(lambda _: f"{begin}\n{content.strip()}\n{end}", text)


def write(name: str, content: str) -> None:
    """Put `content` between the marks of that name in docs/benchmarks.md."""
    PAGE.write_text(replaced(PAGE.read_text(encoding="utf-8"), name, content), encoding="utf-8")


def main() -> None:
    """Put the table on the standard input between the marks of the name given."""
    write(sys.argv[1], sys.stdin.read())


if __name__ == "__main__":
    main()
