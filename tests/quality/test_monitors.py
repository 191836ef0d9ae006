"""A quiet month raises nothing; a drift of one per cent does, and on time."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import replace

import numpy as np
import pytest
from tests.quality.quarters import AMPS, LEVELS, Row, changed, night_names, quarter

from tesela.errors import ConfigError
from tesela.products.monitor import QUANTITIES, WHOLE_CCD, AmpValue
from tesela.quality.bands import ALARM, BANDS, QUIET, WARNING, Band, MonitorSettings, settings_of
from tesela.quality.monitors import judge, judge_all, judge_night
from tesela.quality.series import tabulate

SETTINGS = MonitorSettings()


def levels(values: np.ndarray, errors: np.ndarray, metric: str, start: int) -> np.ndarray:
    """Levels of all nights from `start`, each judged by those before it."""
    return np.array(
        [
            judge_night(
                values[i], errors[i], values[:i], errors[:i], metric=metric, settings=SETTINGS
            ).level
            for i in range(start, len(values))
        ]
    )


def nights_of(metric: str, rng: np.random.Generator, n: int, wider: float) -> list[np.ndarray]:
    level, scatter, error = LEVELS[metric]
    amps = 1 if metric == "temperature" else 16
    return [level + rng.normal(0.0, wider * scatter, (n, amps)), np.full((n, amps), error)]


@pytest.mark.parametrize("wider", [1.0, 1.15])
def test_quiet_months_raise_no_alarm_and_hardly_a_warning(wider: float) -> None:
    """Twenty months, also of noise that is 15 % more than what was stated."""
    rng = np.random.default_rng(20)
    for _ in range(20):
        warnings = 0
        for metric in LEVELS:
            found = levels(*nights_of(metric, rng, 75, wider), metric, 45)
            assert np.all(found < ALARM), metric
            warnings += np.sum(found == WARNING)
        assert warnings <= 1


def test_the_first_nights_of_a_camera_raise_no_alarm() -> None:
    rng = np.random.default_rng(21)
    for metric in LEVELS:
        for _ in range(5):
            assert np.all(levels(*nights_of(metric, rng, 40, 1.0), metric, 0) < ALARM), metric


@pytest.mark.parametrize("history", [25, 60])
def test_a_gain_that_changes_by_one_per_cent_alarms_within_two_nights(history: int) -> None:
    rng = np.random.default_rng(22)
    late = 0
    for _ in range(100):
        values, errors = nights_of("gain", rng, history + 3, 1.0)
        values[history:, 5] *= 0.99
        found = levels(values, errors, "gain", history)
        late += not np.any(found[:, 5] == ALARM)
        assert np.all(np.delete(found, 5, axis=1) < ALARM)
    assert late <= 2


@pytest.mark.parametrize("history", [10, 30, 60])
def test_a_gain_that_drifts_by_one_per_cent_in_a_month_alarms_in_it(history: int) -> None:
    rng = np.random.default_rng(23)
    drift = 1.0 - 0.01 * np.arange(1, 31) / 30.0
    for _ in range(15):
        values, errors = nights_of("gain", rng, history + 30, 1.0)
        values[history:, 5] *= drift
        found = levels(values, errors, "gain", history)
        assert np.any(found[:, 5] == ALARM)
        assert np.all(np.delete(found, 5, axis=1) < ALARM)


def test_one_wild_night_alarms_once() -> None:
    """The nights after it, whose means hold it too, are quiet."""
    values, errors = nights_of("gain", np.random.default_rng(24), 50, 1.0)
    values[45, 5] *= 0.95
    assert list(levels(values, errors, "gain", 45)[:, 5]) == [ALARM, 0, 0, 0, 0]


def test_a_jump_goes_on_alarming_until_the_history_begins_after_it() -> None:
    values, errors = nights_of("bias_level", np.random.default_rng(25), 60, 1.0)
    values[45:, 5] += 30.0
    assert np.all(levels(values, errors, "bias_level", 45)[:, 5] == ALARM)
    assert np.all(levels(values[45:], errors[45:], "bias_level", 0) == QUIET)


CASES = [
    ("bias_level", 21.0, ALARM),
    ("bias_level", -12.0, WARNING),
    ("bias_level", 5.0, QUIET),
    ("readnoise", 0.3 * 3.43, ALARM),
    ("readnoise", 0.15 * 3.43, WARNING),
    ("flat_ratio", 0.009, ALARM),
    ("flat_ratio", -0.0065, WARNING),
    ("flat_level", 30000.0, QUIET),
    ("crosstalk", 1.2e-4, ALARM),
    ("crosstalk", 5e-5, WARNING),
    ("fringe", 0.02, WARNING),
    ("temperature", 3.5, ALARM),
    ("temperature", -1.5, WARNING),
    ("dark", 0.02, ALARM),
    ("dark", 0.0015, QUIET),
]


def test_a_speck_is_an_alarm_every_night_that_it_is_there_and_none_raises_nothing() -> None:
    seen = [0.0, 0.0, 0.02, 0.02, 0.0]
    levels = [
        judge(AmpValue(WHOLE_CCD, "flat_dust", value), seen[:i], [math.nan] * i, SETTINGS).level
        for i, value in enumerate(seen)
    ]
    assert levels == [QUIET, QUIET, ALARM, ALARM, QUIET]


@pytest.mark.parametrize(("metric", "step", "level"), CASES)
def test_each_quantity_has_its_limits(metric: str, step: float, level: int) -> None:
    at, scatter, error = LEVELS[metric]
    past = at + np.random.default_rng(26).normal(0.0, scatter / 2, 45)
    found = judge(AmpValue(1, metric, at + step, error / 2), past, np.full(45, error / 2), SETTINGS)
    assert found.level == level
    assert bool(found.reason) == (level > QUIET)


def test_a_judgement_says_what_is_wrong_by_how_much() -> None:
    past, errors = [0.95] * 45, [0.0005] * 45
    found = judge(AmpValue(1, "gain", 0.9405, 0.0005), past, errors, SETTINGS)
    assert found.reason == "amplifier 1: gain: -1.00 % (limit 0.60 %) from the median of 45 nights"
    assert found.centre == 0.95
    assert found.low == pytest.approx(0.95 * 0.996)
    assert found.high == pytest.approx(0.95 * 1.004)
    jump = judge(AmpValue(1, "bias_level", 1030.0, 0.1), [1000.0] * 20, [0.1] * 20, SETTINGS)
    assert jump.reason == "amplifier 1: bias_level: +30 (limit 20 adu) from the median of 20 nights"


def test_what_is_of_the_whole_ccd_names_no_amplifier() -> None:
    warm = AmpValue(WHOLE_CCD, "temperature", -100.0)
    found = judge(warm, [-110.0] * 20, [math.nan] * 20, SETTINGS)
    assert found.reason == "temperature: +10 (limit 3 deg C) from the median of 20 nights"


def test_without_a_past_only_what_is_wrong_by_itself_is_raised() -> None:
    assert judge(AmpValue(1, "gain", 0.5), [], [], SETTINGS).level == QUIET
    assert math.isnan(judge(AmpValue(1, "gain", 0.5), [], [], SETTINGS).centre)
    assert judge(AmpValue(1, "gain", -0.5), [], [], SETTINGS).level == ALARM
    ratio = judge(AmpValue(1, "flat_ratio", 0.99), [], [], SETTINGS)
    assert (ratio.level, ratio.centre) == (ALARM, 1.0)
    assert "nominal 1" in ratio.reason


def test_a_ratio_that_has_long_been_wrong_is_still_wrong() -> None:
    past = np.full(60, 0.988)
    assert judge(AmpValue(1, "flat_ratio", 0.988), past, past * 0.0, SETTINGS).level == ALARM


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_what_could_not_be_measured_is_a_warning(value: float) -> None:
    found = judge(AmpValue(1, "gain", value), [0.95] * 20, [0.01] * 20, SETTINGS)
    assert (found.level, found.reason) == (WARNING, "amplifier 1: gain could not be measured")


def test_nights_without_a_value_do_not_count_as_a_past() -> None:
    past = [math.nan] * 30 + [0.95] * 6
    assert judge(AmpValue(1, "gain", 0.5), past, [0.001] * 36, SETTINGS).level == QUIET
    past = [math.nan] * 30 + [0.95] * 7
    assert judge(AmpValue(1, "gain", 0.5), past, [0.001] * 37, SETTINGS).level == ALARM


def test_only_the_window_is_compared_with() -> None:
    past = [5.0] * 100 + [0.95] * 60
    assert judge(AmpValue(1, "gain", 0.95), past, [0.001] * 160, SETTINGS).level == QUIET


def named(rows: Iterable[Row], night: str) -> list[AmpValue]:
    return [AmpValue(r.amp, r.metric, r.value, r.error) for r in rows if r.night == night]


def test_all_of_a_product_are_judged_at_once_in_their_order() -> None:
    last = night_names(46)[-1]
    rows = changed(quarter(n_nights=46), "gain", 3, {last: 0.97})
    rows = changed(rows, "bias_level", 7, {last: 1.1})
    tonight = named(rows, last)[::-1]
    found = judge_all(tonight, [row for row in rows if row.night < last], SETTINGS)
    assert [value for value, _, _ in found] == tonight
    raised = {(value.metric, value.amp): why for value, level, why in found if level == ALARM}
    assert set(raised) == {("gain", 3), ("bias_level", 7)}
    assert raised["gain", 3].startswith("amplifier 3: gain")


def test_an_amplifier_without_a_past_is_judged_beside_others_with_one() -> None:
    rows = [row for row in quarter(n_nights=30, metrics=("gain",)) if row.amp != 4]
    tonight = [AmpValue(amp, "gain", 0.5, 0.002) for amp in AMPS]
    found = {value.amp: level for value, level, _ in judge_all(tonight, rows, SETTINGS)}
    assert found == {amp: QUIET if amp == 4 else ALARM for amp in AMPS}


def test_a_table_has_a_place_for_every_night_and_amplifier() -> None:
    rows = [Row("2017-01-02", 2, "gain", 0.9, 0.1, 1), Row("2017-01-01", 1, "gain", math.inf, 0.1)]
    table = tabulate(rows, amps=(3,))
    assert (table.nights, table.amps) == (("2017-01-01", "2017-01-02"), (1, 2, 3))
    assert table.values[1, 1] == 0.9
    assert np.isfinite(table.values).sum() == 1
    assert table.levels.tolist() == [[0, -1, -1], [-1, 1, -1]]


def test_every_default_is_of_a_quantity_that_is_followed() -> None:
    assert set(BANDS) <= set(QUANTITIES)
    for band in BANDS.values():
        assert band.warn_absolute <= band.alarm_absolute
        assert band.warn_relative <= band.alarm_relative
        assert band.warn_sigma <= band.alarm_sigma


def test_what_a_survey_says_of_a_quantity_is_merged_with_its_default() -> None:
    table = {"bands": {"flat_ratio": {"warn_absolute": 0.02, "alarm_absolute": 0.04}}}
    settings = settings_of(table)
    expected = replace(BANDS["flat_ratio"], warn_absolute=0.02, alarm_absolute=0.04)
    assert settings.band("flat_ratio") == expected
    assert expected.nominal == 1.0
    assert settings.band("readnoise") == BANDS["readnoise"]
    assert settings_of({"bands": {"flat_level": {"lowest": 5000.0}}}).band("flat_level") == Band(
        lowest=5000.0
    )
    none = settings_of({"bands": {"flat_ratio": {"nominal": math.nan}}}).band("flat_ratio")
    assert none == replace(BANDS["flat_ratio"], nominal=None)
    assert settings_of({}) == SETTINGS


@pytest.mark.parametrize(
    ("table", "words"),
    [
        ({"bands": {"gian": {}}}, "bands.gian: an unknown quantity; expected bias_level"),
        ({"bands": {"gain": {"sigmas": 3}}}, "bands.gain: unknown setting sigmas"),
        ({"bands": {"gain": 3}}, "bands.gain: 3; expected a table"),
        ({"bands": 3}, "bands: 3; expected a table"),
        ({"bands": {"gain": {"warn_relative": -0.1}}}, "gain.warn_relative: -0.1"),
        ({"bands": {"gain": {"alarm_sigma": math.nan}}}, "gain.alarm_sigma: nan"),
        ({"min_history": 0}, "min_history: 0; expected at least 1"),
        ({"window": 6}, "window: 6; expected at least min_history, which is 7"),
        ({"min_history": 61}, "window: 60; expected at least min_history, which is 61"),
        ({"runs": []}, r"runs: \[\]; expected numbers"),
        ({"runs": [1, 0]}, r"runs: \[1, 0\]; expected numbers"),
        ({"drift_run": 0}, "drift_run: 0; expected at least 1"),
        ({"wnidow": 60}, "unknown setting wnidow"),
    ],
)
def test_senseless_settings_are_refused(table: dict[str, object], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        settings_of(table)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("before", [0, 1, 2, 3, 6])
def test_a_step_of_a_ratio_is_an_alarm_on_the_first_nights(seed: int, before: int) -> None:
    """What a ratio should be is known, however little is of how nights scatter."""
    nights = night_names(before + 1)
    rows = quarter(seed, before + 1, metrics=("flat_ratio",))
    # The amplifier's own noise of that night is taken out, so that the step is one of 1 %.
    (own,) = [r.value for r in rows if (r.night, r.amp) == (nights[-1], 5)]
    rows = changed(rows, "flat_ratio", 5, {nights[-1]: 0.99 / own})
    past = [row for row in rows if row.night < nights[-1]]
    found = {v.amp: level for v, level, _ in judge_all(named(rows, nights[-1]), past, SETTINGS)}
    assert found == {amp: ALARM if amp == 5 else QUIET for amp in AMPS}


@pytest.mark.parametrize("before", [0, 1, 2, 6])
def test_the_limits_of_a_ratio_are_the_floors_while_the_scatter_is_not_known(before: int) -> None:
    values = 1.0 + np.random.default_rng(before).normal(0.0, 0.002, (before + 1, 16))
    night = judge_night(
        values[-1], values[-1] * 0 + 0.001, values[:-1], values[:-1] * 0 + 0.001,
        metric="flat_ratio", settings=SETTINGS,
    )  # fmt: skip
    np.testing.assert_allclose(night.warn, 0.005)
    np.testing.assert_allclose(night.alarm, 0.008)


def test_limits_of_a_ratio_widen_to_a_scatter_that_is_known() -> None:
    values = 1.0 + np.random.default_rng(3).normal(0.0, 0.004, (41, 16))
    found = judge_night(
        values[-1] * 0 + 1.012, values[-1] * 0 + 0.001, values[:-1], values[:-1] * 0 + 0.001,
        metric="flat_ratio", settings=SETTINGS,
    )  # fmt: skip
    assert np.all(found.level == QUIET)
