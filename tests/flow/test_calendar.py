"""Periods of masters, their validity, and interventions that end it."""

from __future__ import annotations

import pytest

from tesela.config import Calibration, Intervention
from tesela.flow.plan.calendar import Calendar
from tesela.ledger.keys import Configuration, MasterKey
from tesela.products.frame import night_span

CCD = Configuration("JAST80", "toycam", "01", "r_R1", "fast")
BAFFLE = Intervention("2016-05-26", "baffle")
WARM_UP = Intervention("2016-06-01T10:30:00", "warm-up", kinds=("BIAS", "DARK", "FLAT"))


def calendar(*interventions: Intervention, **changes: object) -> Calendar:
    values = {"cadence_days": {"FRINGE": 10.0}, "validity_days": {"FRINGE": 20.0}, **changes}
    return Calendar(Calibration(interventions=interventions, **values))  # type: ignore[arg-type]


def noon(night: str) -> float:
    return night_span(night, 0.0)[0]


@pytest.mark.parametrize("kind", ["BIAS", "FLAT", "LINEARITY"])
def test_a_kind_of_one_day_has_a_period_a_night(kind: str) -> None:
    period = calendar().period(kind, "toycam", "2016-05-20")
    assert (period.first, period.end) == ("2016-05-20", "2016-05-21")


def test_every_night_of_a_period_has_the_same() -> None:
    first = calendar().period("FRINGE", "toycam", "2016-05-15")
    nights = [f"2016-05-{day:02d}" for day in range(1, 32)]
    within = [n for n in nights if first.first <= n < first.end]
    assert len(within) == 10
    assert {calendar().period("FRINGE", "toycam", n) for n in within} == {first}


def test_an_intervention_cuts_periods_and_validity() -> None:
    cut = calendar(BAFFLE)
    before = cut.period("FRINGE", "toycam", "2016-05-25")
    after = cut.period("FRINGE", "toycam", "2016-05-26")
    assert before.end == after.first == "2016-05-26"
    key = MasterKey("FRINGE", CCD, before.first)
    assert cut.validity(key).end == noon("2016-05-26")
    assert calendar().validity(key).end == noon(before.first) + 20.0


def test_an_intervention_concerns_its_kinds_and_cameras_alone() -> None:
    assert calendar(BAFFLE).epoch("BIAS", "toycam", noon("2016-05-26"))[0] == -float("inf")
    other = Intervention("2016-05-26", "baffle", cameras=("othercam",))
    assert calendar(other).epoch("FLAT", "toycam", noon("2016-05-30"))[0] == -float("inf")
    assert calendar(other).epoch("FLAT", "othercam", noon("2016-05-30"))[0] == noon("2016-05-26")


def test_an_instant_counts_from_the_next_noon() -> None:
    begin, _ = calendar(WARM_UP).epoch("FLAT", "toycam", noon("2016-06-10"))
    assert begin == noon("2016-06-01")  # half past ten in the morning of that day
    late = Intervention("2016-06-01T23:00:00", "mirror", kinds=("FLAT",))
    begin, _ = calendar(late).epoch("FLAT", "toycam", noon("2016-06-10"))
    assert begin == noon("2016-06-02")  # in the night of that evening, which stays of one piece


@pytest.mark.parametrize(
    ("one", "other", "said"),
    [
        ("2016-05-20", "2016-05-25", ""),
        ("2016-05-25", "2016-05-26", "baffle of 2016-05-26"),
        ("2016-06-10", "2016-05-01", "baffle of 2016-05-26, warm-up of 2016-06-01T10:30:00"),
    ],
)
def test_what_lies_between_two_nights_is_named(one: str, other: str, said: str) -> None:
    assert calendar(BAFFLE, WARM_UP).crossed("FLAT", "toycam", noon(one), noon(other)) == said


def test_a_night_on_the_other_side_of_the_earth_changes_at_its_own_noon() -> None:
    east = Calendar(Calibration(interventions=(BAFFLE,)), {"toycam": 150.0})
    begin, _ = east.epoch("FLAT", "toycam", noon("2016-06-10"))
    assert begin == pytest.approx(night_span("2016-05-26", 150.0)[0])
