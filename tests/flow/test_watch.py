"""What a master says of its detector is judged, and forgotten when a newer version says less."""

from __future__ import annotations

from pathlib import Path

import pytest

from tesela.config import Calibration, Intervention
from tesela.flow.plan.rules import Rules
from tesela.flow.run import watch
from tesela.ledger import amp_quality, masters, products
from tesela.ledger.engine import Ledger
from tesela.ledger.keys import Configuration, MasterKey
from tesela.products.monitor import AmpValue
from tesela.quality.bands import MonitorSettings

from . import toys

CCD = Configuration("JAST80", "toycam", "01", "-", "fast")
NIGHT = "2017-07-03"


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return toys.new_site(tmp_path / "site")


def say(
    ledger: Ledger, values: list[AmpValue], night: str = NIGHT, the_rules: Rules | None = None
) -> list[str]:
    """A new version of the bias of a night says this; gives what was raised."""
    key = MasterKey("BIAS", CCD, night)
    the_rules = the_rules or toys.rules()
    with ledger.write() as conn:
        before = products.current(conn, "master", str(key))
        version = products.next_version(conn, "master", str(key))
        product_id = products.insert(conn, products.NewProduct("master", str(key), version))
        validity = the_rules.validity(key)
        interval = masters.Interval(validity.begin, validity.end)
        masters.add(conn, product_id, key, interval, n_frames=9)
        if before is not None:
            masters.set_state(conn, before["id"], "superseded", "by a new version")
        return watch.record(conn, the_rules, product_id, key, values, MonitorSettings())


def followed(ledger: Ledger) -> list[tuple[int, str, float]]:
    with ledger.read() as conn:
        rows = amp_quality.series(conn, str(CCD))
        alerts = amp_quality.alerts(conn)
        assert {(row.night, row.amp) for row in alerts} <= {(row.night, row.amp) for row in rows}
    return [(row.amp, row.metric, row.value) for row in rows]


def test_a_new_version_says_all_that_is_followed_of_a_night(ledger: Ledger) -> None:
    say(ledger, [AmpValue(1, "gain", -1.0), AmpValue(2, "gain", 0.95)])
    say(ledger, [AmpValue(2, "gain", 0.96), AmpValue(2, "readnoise", 3.4)])
    assert followed(ledger) == [(2, "gain", 0.96), (2, "readnoise", 3.4)]


def test_a_new_version_that_says_nothing_takes_back_what_the_old_one_said(ledger: Ledger) -> None:
    assert say(ledger, [AmpValue(1, "gain", -1.0)]) == [
        "alarm: amplifier 1: gain -1 electron/adu is below 0 electron/adu"
    ]
    assert say(ledger, []) == []
    assert followed(ledger) == []
    say(ledger, [AmpValue(1, "gain", 0.95)])
    assert followed(ledger) == [(1, "gain", 0.95)]


def test_nights_before_an_intervention_are_no_measure_of_those_after(ledger: Ledger) -> None:
    nights = [f"2017-07-{day:02d}" for day in range(1, 12)]
    for night in nights:
        assert say(ledger, [AmpValue(1, "bias_level", 1000.0, 0.1)], night) == []
    jumped = [AmpValue(1, "bias_level", 1100.0, 0.1)]
    warm_up = Intervention("2017-07-12", "warm-up", kinds=("BIAS",))
    changed = toys.rules(calibration=Calibration(interventions=(warm_up,)))
    assert say(ledger, jumped, "2017-07-12", changed) == []
    (raised,) = say(ledger, jumped, "2017-07-12")
    assert raised.startswith("alarm: amplifier 1: bias_level: +100")
