"""A quick look takes the nearest masters there are, and concerns nobody else."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tesela.config import Intervention
from tesela.flow.plan import planner
from tesela.flow.plan.approximate import Approximate, nearest_masters
from tesela.flow.plan.reduced import mjd_mid
from tesela.flow.plan.rules import Rules
from tesela.ledger import calsets, frames, masters, products, quicklooks, tasks
from tesela.ledger.engine import Ledger
from tesela.ledger.keys import Configuration
from tesela.products.frame import night_span

from . import toys

OF_R = Configuration("JAST80", "toycam", "01", "r_R1", "fast")


@pytest.fixture
def site(tmp_path: Path) -> Iterator[tuple[Ledger, Path]]:
    """Masters of two nights a month apart."""
    ledger = toys.new_site(tmp_path)
    for night in ("2017-05-01", "2017-06-01"):
        toys.add_frames(ledger, tmp_path, toys.calibration_night(night), toys.rules())
    toys.controller(ledger, tmp_path, toys.rules()).run()
    yield ledger, tmp_path
    ledger.close()


def chosen(
    ledger: Ledger, night: str, rules: Rules | None = None, of: Configuration = OF_R
) -> Approximate:
    mjd = night_span(night, 0.0)[0] + 0.45
    with ledger.rehearse() as conn:
        return nearest_masters(conn, rules or toys.rules(), of, mjd)


def keys(found: Approximate) -> list[str]:
    return [f"{row['master_kind']} {row['night']}" for row in found.masters]


def test_the_nearest_is_taken_whatever_its_age(site: tuple[Ledger, Path]) -> None:
    ledger, _ = site
    assert keys(chosen(ledger, "2017-05-04")) == ["BIAS 2017-05-01", "FLAT 2017-05-01"]
    assert keys(chosen(ledger, "2017-05-28")) == ["BIAS 2017-06-01", "FLAT 2017-06-01"]
    late = chosen(ledger, "2019-07-03")
    assert keys(late) == ["BIAS 2017-06-01", "FLAT 2017-06-01"]
    assert late.warnings == (
        "BIAS of 2017-06-01 is 761 days off",
        "FLAT of 2017-06-01 is 761 days off",
    )
    assert chosen(ledger, "2017-06-05").warnings == (), "a master of tonight is seldom there"


def test_one_since_the_last_intervention_comes_first_and_any_will_do(
    site: tuple[Ledger, Path],
) -> None:
    ledger, _ = site
    calibration = replace(
        toys.rules().calibration, interventions=(Intervention("2017-05-10", "baffle"),)
    )
    rules = toys.rules(calibration=calibration)
    assert keys(chosen(ledger, "2017-05-12", rules)) == ["BIAS 2017-05-01", "FLAT 2017-06-01"]
    calibration = replace(calibration, interventions=(Intervention("2017-06-03", "baffle"),))
    found = chosen(ledger, "2017-06-04", toys.rules(calibration=calibration))
    assert keys(found) == ["BIAS 2017-06-01", "FLAT 2017-06-01"]
    assert found.warnings == ("FLAT of 2017-06-01 is from before baffle of 2017-06-03",)


def test_what_is_lacking_is_said_and_not_waited_for(site: tuple[Ledger, Path]) -> None:
    ledger, folder = site
    other = chosen(ledger, "2017-06-02", of=replace(OF_R, filter="u_U1"))
    assert keys(other) == ["BIAS 2017-06-01"]
    assert other.warnings == ("no certified FLAT of JAST80.toycam.01.u_U1.fast: not flattened",)
    nothing = chosen(ledger, "2017-06-02", of=replace(OF_R, ccd="02"))
    assert nothing.masters == ()
    assert "the overscan alone" in nothing.warnings[0]
    # Masters of that very night are under way: the reduction waits for them, this does not.
    toys.add_frames(ledger, folder, toys.calibration_night("2017-07-03"), toys.rules())
    assert keys(chosen(ledger, "2017-07-03")) == ["BIAS 2017-06-01", "FLAT 2017-06-01"]


def test_a_quick_look_changes_no_plan(site: tuple[Ledger, Path]) -> None:
    ledger, folder = site
    rules = toys.rules()
    toys.add_frames(ledger, folder, [toys.facts("sci1", "science", night="2017-06-02")], rules)
    toys.controller(ledger, folder, rules).run()
    before = toys.served(ledger)
    with ledger.write() as conn:
        frame = frames.get(conn, "sci1")
        found = nearest_masters(conn, rules, OF_R, mjd_mid(frame))
        calset = calsets.ensure(conn, OF_R, "quicklook", found.masters)
        new = products.NewProduct("quicklook", "sci1", 1)
        edges = [(frame["product_id"], "evidence"), (calset, "evidence")]
        made = products.insert(conn, new, edges)
        products.add_quality(conn, made, {"zeropoint_mag": 24.0}, rejections=["clouds"])
        flat = next(row for row in found.masters if row["master_kind"] == "FLAT")
        assert ("quicklook", "sci1") not in products.users(conn, "master", flat["key"])
        assert ("quicklook", "sci1") not in products.users(conn, "raw", "sci1")
        tasks.mark_dirty(conn, [("reduced", "sci1"), ("coadd", "T10.r")], "a test")
    report = planner.plan(ledger, rules, now=float("inf"))
    assert (report.tasks, report.retired) == ([], [])
    assert {k: v for k, v in toys.served(ledger).items() if k[0] != "quicklook"} == before
    with ledger.read() as conn:
        assert quicklooks.without_reduction(conn, "2017-06-05") == [], "it is reduced"
        assert masters.get(conn, flat["product_id"])["state"] == "certified"


def test_the_usual_zero_point_is_that_of_clear_nights(site: tuple[Ledger, Path]) -> None:
    ledger, folder = site
    new = [toys.facts(f"sci{n}", "science", night=f"2017-06-{n + 2:02d}") for n in range(11)]
    toys.add_frames(ledger, folder, new, toys.rules())
    end = night_span("2017-06-30", 0.0)[1]

    def usual(before: float = end) -> float | None:
        with ledger.read() as conn:
            return quicklooks.usual_zeropoint(conn, str(OF_R), before)

    assert usual() is None
    with ledger.write() as conn:
        for n in range(11):
            made = products.insert(conn, products.NewProduct("quicklook", f"sci{n}", 1))
            zero = 22.0 if n < 7 else 24.0 + 0.01 * n  # more nights of clouds than without
            products.add_quality(conn, made, {"zeropoint_mag": zero if n else None})
    assert usual() == pytest.approx(24.09, abs=0.02)
    assert usual(new[3].mjd_start) is None, "too few before that"
    with ledger.read() as conn:
        assert len(quicklooks.without_reduction(conn, "2017-06-05")) == 1
