"""Masters judged by people: certified or rejected, with what follows; and which are due."""

from __future__ import annotations

from pathlib import Path

import pytest

from tesela.config import Calibration, Intervention
from tesela.errors import LedgerError, NotFound
from tesela.flow.plan import proposals
from tesela.flow.plan.needs import needs
from tesela.flow.plan.rules import Rules
from tesela.ledger import masters, products, status, tasks
from tesela.ledger.engine import Ledger

from . import toys

FLAT = "FLAT.JAST80.toycam.01.r_R1.fast.20170703"
BIAS = "BIAS.JAST80.toycam.01.-.fast.20170703"


def by_hand(**changes: object) -> Rules:
    """No master is certified without a person."""
    calibration = Calibration(certify=False, unused=("BADPIXEL",), **changes)  # type: ignore[arg-type]
    return toys.rules(calibration=calibration)


@pytest.fixture
def site(tmp_path: Path) -> Path:
    return tmp_path / "site"


@pytest.fixture
def proposed(site: Path) -> Ledger:
    ledger = toys.new_site(site)
    toys.add_frames(ledger, site, toys.small_night(), by_hand())
    toys.controller(ledger, site, by_hand()).run()
    return ledger


def state(ledger: Ledger, key: str) -> str:
    with ledger.read() as conn:
        row = products.current(conn, "master", key)
        assert row is not None
        return str(masters.get(conn, row["id"])["state"])


def test_a_proposal_is_used_by_nobody_until_it_is_certified(proposed: Ledger, site: Path) -> None:
    assert state(proposed, BIAS) == "proposed"
    with proposed.read() as conn:
        assert [row["key"] for row in status.overview(conn)["proposed"]] == [BIAS]
        waits = tasks.waiting(conn, "reduced", "sci1")
    assert waits is not None and f"{BIAS} is not certified" in waits["reason"]
    with proposed.write() as conn:
        proposals.certify(conn, by_hand(), BIAS, who="eva")
    toys.controller(proposed, site, by_hand()).run()
    assert state(proposed, FLAT) == "proposed"  # it waited for the bias
    with proposed.write() as conn:
        assert [row["key"] for row in status.overview(conn)["proposed"]] == [FLAT]
        proposals.certify(conn, by_hand(), FLAT, who="eva")
    toys.controller(proposed, site, by_hand()).run()
    assert ("reduced", "sci1") in toys.served(proposed)


def test_what_a_certification_makes_due_is_known_before(proposed: Ledger, site: Path) -> None:
    new = toys.calibration_night("2017-08-01")
    toys.add_frames(proposed, site, new, by_hand())  # due, but not for this
    with proposed.rehearse() as conn:
        report = proposals.consequences(
            conn, by_hand(), lambda conn: proposals.certify(conn, by_hand(), BIAS, who="eva")
        )
    assert [(step, key) for step, key, _ in report.tasks] == [("master", FLAT)]
    assert state(proposed, BIAS) == "proposed"


def test_a_rejected_proposal_is_named_to_those_who_wait(proposed: Ledger, site: Path) -> None:
    with proposed.write() as conn:
        proposals.reject(conn, BIAS, reason="light leak", who="eva")
    toys.controller(proposed, site, by_hand()).run()
    assert state(proposed, BIAS) == "rejected"
    with proposed.read() as conn:
        waits = tasks.waiting(conn, "reduced", "sci1")
    assert waits is not None and f"{BIAS} was rejected: light leak" in waits["reason"]


def test_a_certified_master_is_flagged_and_not_rejected(site: Path) -> None:
    ledger = toys.new_site(site)
    toys.add_frames(ledger, site, toys.small_night(), toys.rules())
    toys.controller(ledger, site).run()
    with pytest.raises(LedgerError, match=r"it is certified.*tesela flag"), ledger.write() as conn:
        proposals.reject(conn, BIAS, reason="light leak", who="eva")
    with pytest.raises(NotFound, match="no current master"), ledger.write() as conn:
        proposals.certify(conn, toys.rules(), BIAS.replace("20170703", "20170704"), who="eva")


def test_a_rejection_by_mistake_is_taken_back_by_certifying(proposed: Ledger) -> None:
    with proposed.write() as conn:
        proposals.reject(conn, BIAS, reason="light leak", who="eva")
        proposals.certify(conn, by_hand(), BIAS, who="eva")
    assert state(proposed, BIAS) == "certified"


@pytest.mark.parametrize(
    ("night", "state_of_flat", "said"),
    [
        ("2017-07-03", "valid", ""),
        ("2017-07-06", "fallback", "used 2.5 d after its validity ended"),
        ("2017-07-12", "missing", "no certified FLAT"),  # of another epoch, which a flat is not for
        ("2017-12-24", "missing", "no certified FLAT"),
    ],
)
def test_what_a_night_needs_and_lacks_is_said(
    site: Path, night: str, state_of_flat: str, said: str
) -> None:
    the_rules = toys.rules(
        calibration=Calibration(
            unused=("BADPIXEL",), interventions=(Intervention("2017-07-10", "baffle"),)
        )
    )
    ledger = toys.new_site(site)
    toys.add_frames(ledger, site, toys.small_night(), the_rules)
    toys.controller(ledger, site, the_rules).run()
    with ledger.rehearse() as conn:
        mjd = the_rules.calendar.noon("toycam", night) + 0.5
        found = {need.master_kind: need for need in needs(conn, the_rules, mjd)}
    assert found["FLAT"].state == state_of_flat
    assert said in found["FLAT"].reason
    assert found["DARK"].state == "missing"
    assert not found["DARK"].is_required
