from __future__ import annotations

import pytest

from tesela.errors import ConfigError
from tesela.score.rows import COMPARISONS, Row


@pytest.mark.parametrize(
    ("value", "comparison", "target", "expected"),
    [
        (40.0, "<=", 40.0, True),
        (40.1, "<=", 40.0, False),
        (-50.0, "<=", 40.0, True),
        (-50.0, "abs <=", 40.0, False),
        (0.95, ">=", 0.95, True),
        (0.94, ">=", 0.95, False),
        (-40.2, "abs - 2 err <=", 40.0, True),
        (-40.3, "abs - 2 err <=", 40.0, False),
        (1.09, "1 +-", 0.1, True),
        (0.89, "1 +-", 0.1, False),
    ],
)
def test_verdict(value: float, comparison: str, target: float, expected: bool) -> None:
    assert Row("m", "", value, 0.1, 3, "", target, comparison).passed is expected


@pytest.mark.parametrize("comparison", COMPARISONS)
def test_what_could_not_be_measured_has_not_passed(comparison: str) -> None:
    row = Row("m", "", float("nan"), float("nan"), 0, "", 1.0, comparison)
    assert row.passed is False
    assert row.as_dict()["value"] is None


def test_without_target_there_is_no_verdict() -> None:
    row = Row("m", "", 1.0, 0.1, 3, "")
    assert row.passed is None
    assert row.goal == ""


def test_the_goal_says_that_errors_are_taken_off() -> None:
    assert Row("m", "", 1.0, 0.1, 3, "", 30.0, "abs - 2 err <=").goal == "|x| <= 30 + 2 err"


def test_an_unknown_comparison_is_refused() -> None:
    with pytest.raises(ConfigError, match="expected one of <="):
        Row("m", "", 1.0, 0.1, 3, "", 1.0, "about")
