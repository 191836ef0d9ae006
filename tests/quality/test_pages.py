"""Pages show what was judged, with the numbers beside them, and the same rows give the same."""

from __future__ import annotations

import datetime as dt
import io
import json
import math
from collections import defaultdict
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from PIL import Image
from tests.quality.quarters import AMPS, Row, changed, night_names, quarter

from tesela.products.monitor import AmpValue
from tesela.quality import pages
from tesela.quality.bands import ALARM, WARNING, MonitorSettings
from tesela.quality.monitors import judge_all, judge_night
from tesela.quality.pages import layout_of, monitor_page
from tesela.quality.series import tabulate

LAYOUT = layout_of({amp: (576 + 1152 * ((amp - 1) % 8), 2308 + 4616 * (amp > 8)) for amp in AMPS})
NIGHTS = night_names(30)
SETTINGS = MonitorSettings()


def judged(rows: list[Row]) -> dict[str, list[Row]]:
    """Rows by quantity with their levels, each night judged by those before it."""
    done: dict[str, list[Row]] = defaultdict(list)
    history: list[Row] = []
    for night in sorted({row.night for row in rows}):
        tonight = [row for row in rows if row.night == night]
        values = [AmpValue(row.amp, row.metric, row.value, row.error) for row in tonight]
        found = judge_all(values, history, SETTINGS)
        history += [replace(r, level=lev, reason=why) for r, (_, lev, why) in zip(tonight, found)]
    for row in history:
        done[row.metric].append(row)
    return dict(done)


@pytest.fixture(scope="module")
def series() -> dict[str, list[Row]]:
    rows = quarter(n_nights=30, metrics=("gain", "temperature"))
    return judged(changed(rows, "gain", 5, {NIGHTS[20]: 0.97}))


@pytest.fixture(scope="module")
def page(series: dict[str, list[Row]]) -> dict[str, bytes]:
    return monitor_page(series, LAYOUT, title="JAST80.t80cam.01.-.fast")


def numbers(page: dict[str, bytes], name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(page[name])
    return found


def test_every_quantity_has_a_plot_and_its_numbers(page: dict[str, bytes]) -> None:
    names = {"gain", "temperature", "alerts"}
    assert set(page) == {f"{name}.{kind}" for name in names for kind in ("png", "json")}
    for name in names:
        with Image.open(io.BytesIO(page[f"{name}.png"])) as picture:
            assert picture.format == "PNG"
            assert picture.width > 600
            assert len(np.unique(np.asarray(picture.convert("L")))) > 10


def test_the_same_rows_give_the_same_bytes(
    series: dict[str, list[Row]], page: dict[str, bytes]
) -> None:
    again = monitor_page(
        {m: series[m] for m in reversed(series)}, LAYOUT, title="JAST80.t80cam.01.-.fast"
    )
    assert again == page


def test_an_alert_is_seen(series: dict[str, list[Row]], page: dict[str, bytes]) -> None:
    quiet = {metric: [replace(row, level=0) for row in rows] for metric, rows in series.items()}
    other = monitor_page(quiet, LAYOUT, title="JAST80.t80cam.01.-.fast")
    assert other["gain.png"] != page["gain.png"]
    assert other["alerts.png"] != page["alerts.png"]
    assert other["temperature.png"] == page["temperature.png"]


def test_the_numbers_are_those_that_were_judged(
    series: dict[str, list[Row]], page: dict[str, bytes]
) -> None:
    data = numbers(page, "gain.json")
    assert data["nights"] == NIGHTS
    assert data["amps"] == list(AMPS)
    assert data["unit"] == "electron/adu"
    values = np.array(data["value"])
    expected = np.array([row.value for row in series["gain"]]).reshape(30, 16)
    np.testing.assert_allclose(values, expected, rtol=1e-8)
    errors = np.array(data["error"])
    night = judge_night(
        values[20], errors[20], values[:20], errors[:20], metric="gain", settings=SETTINGS
    )
    np.testing.assert_allclose(data["warn_low"][20], night.centre - night.warn, rtol=1e-8)
    np.testing.assert_allclose(data["alarm_high"][20], night.centre + night.alarm, rtol=1e-8)
    assert data["centre"][0] == [None] * 16
    assert data["level"][20][4] == ALARM


def test_the_alerts_are_listed_with_their_reasons(page: dict[str, bytes]) -> None:
    data = numbers(page, "alerts.json")
    assert data["amps"] == [0, *AMPS]
    (raised,) = data["raised"]
    assert (raised["night"], raised["amp"], raised["metric"]) == (NIGHTS[20], 5, "gain")
    assert raised["reason"].startswith("amplifier 5: gain")
    worst = np.array(data["worst"])
    assert worst[5, 20] == ALARM
    assert np.sum(worst > 0) == 1


def test_nights_before_the_first_are_not_shown_but_make_the_bands(
    series: dict[str, list[Row]], page: dict[str, bytes]
) -> None:
    late = numbers(monitor_page(series, LAYOUT, first_night=NIGHTS[12]), "gain.json")
    assert late["nights"] == NIGHTS[12:]
    assert late["warn_low"] == numbers(page, "gain.json")["warn_low"][12:]
    assert monitor_page(series, LAYOUT, first_night="2099-01-01") == {}
    assert monitor_page({}, LAYOUT) == {}


def test_what_could_not_be_measured_is_null_and_marked() -> None:
    rows = [Row(night, 1, "gain", math.nan, math.nan, WARNING, "?") for night in NIGHTS[:2]]
    page = monitor_page({"gain": rows}, LAYOUT)
    assert numbers(page, "gain.json")["value"] == [[None], [None]]
    assert [entry["value"] for entry in numbers(page, "alerts.json")["raised"]] == [None, None]
    marked = numbers(page, "alerts.json")["worst"][0]
    assert marked == [WARNING, WARNING]


def test_amplifiers_outside_the_layout_are_drawn_too() -> None:
    rows = [Row(NIGHTS[0], amp, "gain", 0.9, 0.1) for amp in (1, 2, 99)]
    page = monitor_page({"gain": rows}, {1: (0, 0), 2: (0, 1)})
    assert numbers(page, "gain.json")["amps"] == [1, 2, 99]


def test_amplifiers_lie_as_on_the_ccd() -> None:
    """Row 0 is at the top, where y is largest."""
    assert LAYOUT[1] == (1, 0)
    assert LAYOUT[8] == (1, 7)
    assert LAYOUT[9] == (0, 0)
    assert LAYOUT[16] == (0, 7)


def test_nights_before_an_intervention_are_not_compared_with() -> None:
    """The bands are those that were judged: anew from the first night of each epoch."""
    rows = quarter(n_nights=30, metrics=("gain",))
    later = dict.fromkeys(NIGHTS[14:], 0.9)
    rows = [replace(row, value=row.value * later.get(row.night, 1.0)) for row in rows]
    data = numbers(
        monitor_page({"gain": rows}, LAYOUT, epochs=("2001-01-01", NIGHTS[14])), "gain.json"
    )
    few = SETTINGS.min_history
    assert data["centre"][14 : 14 + few] == [[None] * 16] * few
    centre = np.array(data["centre"][14 + few :])
    own = np.array(data["value"])[14:]
    np.testing.assert_allclose(centre[0], np.median(own[:few], axis=0), rtol=1e-8)
    assert np.all(np.abs(centre - np.median(own, axis=0)) < 0.004)
    alone = [row for row in rows if row.night >= NIGHTS[14]]
    expected = numbers(monitor_page({"gain": alone}, LAYOUT), "gain.json")
    for name in ("centre", "warn_low", "alarm_high"):
        assert data[name][14:] == expected[name]


@pytest.mark.parametrize("most", [4, 12])
def test_the_axis_names_few_whole_days_or_months(most: int) -> None:
    assert pages._ticks("2017-01-15", "2017-01-15", most)[1] == ["15 Jan\n2017"]
    assert pages._ticks("2016-12-31", "2017-01-02", most)[1] == [
        "31 Dec\n2016", "1 Jan\n2017", "2 Jan",
    ]  # fmt: skip
    for n in range(1, 4000):
        last = str(dt.date(2016, 11, 20) + dt.timedelta(days=n))
        places, names = pages._ticks("2016-11-20", last, most)
        assert 2 <= len(places) <= most
        assert len(names) == len(places)


def test_error_bars_are_inside_the_axis_and_do_not_fill_it() -> None:
    nothing = np.array([[math.nan] * 3])
    low, high = pages._window(
        np.array([[-1.0, 0, 2]]), np.array([[0.5, 1, 1]]), nothing, nothing, 5.0
    )
    assert low < -1.5
    assert high > 3
    lone = (np.array([[0.0]]), np.array([[0.2]]), nothing, nothing)
    low, high = pages._window(*lone, 5.0)
    assert 0.4 < high == -low < 1
    low, high = pages._window(lone[0], np.array([[math.nan]]), nothing, nothing, 110.0)
    assert 1 < high == -low < 2


def test_the_legend_names_what_is_drawn_and_nothing_else() -> None:
    def told(rows: list[Row], centre: float = math.nan) -> list[str]:
        return [str(h.get_label()) for h in pages._legend(tabulate(rows), np.array([[centre]]))]

    row = Row(NIGHTS[0], 1, "gain", 0.9, 0.1)
    assert told([row]) == ["value, stated error"]
    assert told([replace(row, error=math.nan, level=ALARM)]) == ["value", "raised: alarm"]
    assert len(told([row], 0.9)) == 3
