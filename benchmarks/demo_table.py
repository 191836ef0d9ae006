"""Bring docs/benchmarks.md and the README's picture up to date with a finished demonstration.

    /usr/bin/time -v -o time.txt make demo
    python benchmarks/demo_table.py [demo [time.txt]]

Takes `score.json` and `pictures/colour_tile.png` of the demonstration's folder, and what GNU time
measured if it is given.
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any

import pages
from PIL import Image

PICTURE = pages.ROOT / "docs" / "pictures" / "colour_tile.jpg"
_PICTURE_PX = 640
_QUALITY = 82
_DIGITS = {"mas": 1, "mmag": 1, "1/Mpix": 0}


def main() -> None:
    """Rewrite the tables and the picture."""
    demo = Path(sys.argv[1] if len(sys.argv) > 1 else "demo")
    score = json.loads((demo / "score.json").read_text(encoding="utf-8"))
    pages.write("demo", summary(score["rows"]) + "\n" + by_band(score["rows"]))
    if len(sys.argv) > 2:
        pages.write("demo-cost", cost(Path(sys.argv[2]).read_text(encoding="utf-8")))
    shrink(demo / "pictures" / "colour_tile.png", PICTURE)
    print(f"wrote {pages.PAGE.name} and {PICTURE.name}, {PICTURE.stat().st_size / 1000:.0f} kB")


def summary(rows: list[dict[str, Any]]) -> str:
    """The rows of all bands together."""
    lines = ["| what | value | N | target | | note |", "|---|---:|---:|---|---|---|"]
    for row in rows:
        if not row["band"]:
            verdict = {True: "pass", False: "**missed**", None: ""}[row["passed"]]
            value = f"{number(row)} {row['unit']}".strip()
            goal = target(row)
            lines.append(
                f"| {row['metric']} | {value} | {row['n']} | {goal} | {verdict} | {row['note']} |"
            )
    return "\n".join(lines) + "\n"


def by_band(rows: list[dict[str, Any]]) -> str:
    """Bands against what is measured in each: value, error and N."""
    banded = [row for row in rows if row["band"]]
    metrics = list(dict.fromkeys(row["metric"] for row in banded))
    cells = {(row["band"], row["metric"]): row for row in banded}
    units = {row["metric"]: row["unit"] for row in banded}
    heads = [f"{m} [{units[m]}]" if units[m] else m for m in metrics]
    lines = ["| band | " + " | ".join(heads) + " |", "|---|" + "---:|" * len(heads)]
    for band in dict.fromkeys(row["band"] for row in banded):
        found = [cells.get((band, metric)) for metric in metrics]
        shown = (f"{number(row)} ({row['n']})" if row else "" for row in found)
        lines.append(f"| {band} | " + " | ".join(shown) + " |")
    return "\n".join(lines) + "\n"


def number(row: dict[str, Any]) -> str:
    """Value and error with the digits that they deserve."""
    if row["value"] is None:
        return "-"
    digits = _DIGITS.get(row["unit"], 3)
    error = "" if row["error"] is None else f" +- {row['error']:.{digits}f}"
    return f"{row['value']:.{digits}f}{error}"


def target(row: dict[str, Any]) -> str:
    """What was to be reached, in words that Markdown does not take for a table."""
    if row["target"] is None:
        return ""
    words = {
        "<=": "at most {:g}",
        ">=": "at least {:g}",
        "abs <=": "within +- {:g}",
        "abs - 2 err <=": "within +- {:g}, beyond 2 errors",
        "1 +-": "1 +- {:g}",
    }
    return words[row["comparison"]].format(row["target"])


def cost(text: str) -> str:
    """Wall time and the largest process, from what GNU time prints."""
    wall = re.search(r"Elapsed \(wall clock\).*: ([\d:.]+)", text)
    memory = re.search(r"Maximum resident set size \(kbytes\): (\d+)", text)
    processor = re.search(r"User time \(seconds\): ([\d.]+)", text)
    results = []
    if wall:
        results.append(pages.Result("wall time of `make demo`", f"{wall[1]} (h:m:s)"))
    if processor:
        results.append(pages.Result("processor time", f"{float(processor[1]):.0f} s"))
    if memory:
        results.append(pages.Result("largest process", f"{int(memory[1]) / 1024**2:.2f} GiB"))
    return pages.table(results)


def shrink(source: Path, target: Path) -> None:
    """The middle of the colour tile, as a small JPEG."""
    with Image.open(source) as picture:
        left, top = (picture.width - _PICTURE_PX) // 2, (picture.height - _PICTURE_PX) // 2
        middle = picture.convert("RGB").crop((left, top, left + _PICTURE_PX, top + _PICTURE_PX))
    target.parent.mkdir(exist_ok=True)
    middle.save(target, quality=_QUALITY, optimize=True)


if __name__ == "__main__":
    main()
