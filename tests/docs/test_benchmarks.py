"""The tables of docs/benchmarks.md are put where they belong and say what the score says."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from tesela.score.rows import Row

FOLDER = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture(scope="module")
def demo_table() -> Iterator[ModuleType]:
    sys.path.insert(0, str(FOLDER))
    try:
        import demo_table as module

        yield module
    finally:
        sys.path.remove(str(FOLDER))


def test_a_table_replaces_what_is_between_its_marks_alone(demo_table: ModuleType) -> None:
    text = "a\n<!-- x: begin -->\nold\n<!-- x: end -->\nb\n<!-- y: begin -->\n<!-- y: end -->\n"
    once = demo_table.pages.replaced(text, "x", "new\n")
    assert once.startswith("a\n<!-- x: begin -->\nnew\n<!-- x: end -->\nb\n")
    assert "old" not in once
    assert once.endswith("<!-- y: begin -->\n<!-- y: end -->\n")
    assert demo_table.pages.replaced(once, "x", "new") == once
    with pytest.raises(ValueError, match="expected once"):
        demo_table.pages.replaced(text, "z", "new")


def test_the_page_has_every_mark(demo_table: ModuleType) -> None:
    text = demo_table.pages.PAGE.read_text(encoding="utf-8")
    measured = (
        "demo",
        "demo-cost",
        "photoz",
        "serving",
        "votable",
        "sources",
        "quicklook",
        "ledger",
        "bench",
    )
    masters = ("masters", "monitors", "combine", "illumination", "fringe")
    for name in (*measured, *masters):
        assert "new" in demo_table.pages.replaced(text, name, "new")


def test_a_row_keeps_its_number_and_its_verdict(demo_table: ModuleType) -> None:
    rows = [
        Row("zero point", "", 7.64, 2.61, 5466, "mmag", 20.0, "abs <=", "J0378").as_dict(),
        Row("pull width", "", 1.169, 0.018, 5261, "sigma", 0.1, "1 +-").as_dict(),
        Row("rms", "rSDSS", 9.3, 0.2, 765, "mas", 40.0, "<=").as_dict(),
        Row("rms", "uJAVA", float("nan"), float("nan"), 0, "mas").as_dict(),
    ]
    together = demo_table.summary(rows)
    assert "| zero point | 7.6 +- 2.6 mmag | 5466 | within +- 20 | pass | J0378 |" in together
    assert "| pull width | 1.169 +- 0.018 sigma | 5261 | 1 +- 0.1 | **missed** |" in together
    assert "rSDSS" not in together
    banded = demo_table.by_band(rows)
    assert "| rSDSS | 9.3 +- 0.2 (765) |" in banded
    assert "| uJAVA | - (0) |" in banded


def test_the_cost_is_read_from_gnu_time(demo_table: ModuleType) -> None:
    said = (
        "\tUser time (seconds): 420.51\n"
        "\tElapsed (wall clock) time (h:mm:ss or m:ss): 5:43.10\n"
        "\tMaximum resident set size (kbytes): 734003\n"
    )
    table = demo_table.cost(said)
    assert "| 5:43.10 (h:m:s) |" in table
    assert "| 421 s |" in table
    assert "| 0.70 GiB |" in table
