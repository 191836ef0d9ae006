"""What is due is said for the night that is asked about, in words that tell before from after."""

from __future__ import annotations

from pathlib import Path

import pytest

from tesela.config import Calibration
from tesela.flow.plan.needs import needs

from . import toys


@pytest.mark.parametrize(
    ("night", "days", "said"),
    [
        ("2017-07-01", -1.5, "used 1.5 d before its validity begins"),
        ("2017-07-03", 0.5, ""),
        ("2017-07-06", -2.5, "used 2.5 d after its validity ended"),
    ],
)
def test_how_far_a_master_is_used_from_its_validity(
    tmp_path: Path, night: str, days: float, said: str
) -> None:
    the_rules = toys.rules(calibration=Calibration(unused=("BADPIXEL",)))
    ledger = toys.new_site(tmp_path)
    toys.add_frames(ledger, tmp_path, toys.small_night(), the_rules)
    toys.controller(ledger, tmp_path, the_rules).run()
    with ledger.read() as conn:
        mjd = the_rules.calendar.noon("toycam", night) + 0.5
        flat = {need.master_kind: need for need in needs(conn, the_rules, mjd)}["FLAT"]
    assert flat.days == pytest.approx(days)
    assert flat.reason == said
