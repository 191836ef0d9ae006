from __future__ import annotations

import json

import pytest
from rich.console import Console

from tesela.score import table
from tesela.score.rows import Row

ROWS = [
    Row("astrometry rms RA", "", 12.34, 0.56, 900, "mas", 40.0, "<=", "7 clipped"),
    Row("pull width", "", 1.3, 0.02, 800, "sigma", 0.1, "1 +-"),
    Row("false trail pixels", "", float("nan"), float("nan"), 0, "1/Mpix"),
    Row("zero point", "gSDSS", -4.0, 1.0, 60, "mmag", 20.0, "abs <=", "a | b"),
    Row("zero point", "rSDSS", 24.0, 1.0, 60, "mmag", 20.0, "abs <="),
    Row("pull width", "rSDSS", 1.0, 0.1, 50, "sigma"),
]


def _printed() -> str:
    console = Console(width=160, record=True, file=None, force_terminal=False, quiet=False)
    with console.capture() as captured:
        console.print(table.terminal(ROWS))
    return captured.get()


def test_the_terminal_shows_numbers_targets_and_verdicts() -> None:
    text = _printed()
    line = next(line for line in text.splitlines() if "astrometry rms RA" in line)
    for part in ("12.3 +- 0.6", "mas", "900", "<= 40", "pass", "7 clipped"):
        assert part in line
    assert "FAIL" in next(line for line in text.splitlines() if "pull width" in line)


def test_bands_stand_against_metrics() -> None:
    lines = _printed().splitlines()
    assert "zero point [mmag]" in next(line for line in lines if "band " in line)
    red = next(line for line in lines if "rSDSS" in line)
    assert "24.0 +- 1.0 (60)" in red
    assert "1.000 +- 0.100 (50)" in red
    green = next(line for line in lines if "gSDSS" in line)
    assert "1.000" not in green


def test_json_is_valid_and_keeps_every_row() -> None:
    content = json.loads(table.to_json(ROWS))
    assert content["passed"] is False
    assert len(content["rows"]) == len(ROWS)
    assert content["rows"][0] == {
        "metric": "astrometry rms RA", "band": "", "value": 12.34, "error": 0.56, "n": 900,
        "unit": "mas", "target": 40.0, "comparison": "<=", "passed": True, "note": "7 clipped",
    }  # fmt: skip
    assert content["rows"][2]["value"] is None


def test_markdown_has_a_line_a_row_and_escapes_bars() -> None:
    lines = table.to_markdown(ROWS).splitlines()
    assert len(lines) == 2 + len(ROWS)
    unescaped = [line.replace(r"\|", "").count("|") for line in lines]
    assert unescaped == [9] * len(lines)
    assert r"|x| <= 20".replace("|", r"\|") in lines[5]


@pytest.mark.parametrize(("chosen", "expected"), [(ROWS, False), (ROWS[:1] + ROWS[2:4], True)])
def test_all_is_passed_if_no_judged_row_fails(chosen: list[Row], expected: bool) -> None:
    assert table.passed(chosen) is expected


def test_a_number_without_error_stands_alone() -> None:
    assert table.number(Row("m", "", 0.5, float("nan"), 1, "")) == "0.500"
    assert table.number(ROWS[2]) == "-"
