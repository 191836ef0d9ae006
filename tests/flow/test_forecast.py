"""The forecast counts all that a run will do, before it does it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tesela.config import Calibration, SkyFrames
from tesela.flow.plan import planner
from tesela.flow.plan.forecast import forecast
from tesela.ledger import queries, schema, tasks
from tesela.ledger.engine import Ledger

from . import toys

MPIX = 0.01
BADPIXEL = "BADPIXEL.JAST80.toycam.01.-.fast.20170626"
TILE_STEPS = ("dual", "calibrate", "valueadded", "load")
DECLARED = {"master": 1.0, "reduce": 2.0, "coadd": 3.0, "catalog": 4.0}


@pytest.fixture
def site(tmp_path: Path) -> Path:
    return tmp_path / "site"


@pytest.fixture
def planned(site: Path) -> Ledger:
    ledger = toys.new_site(site)
    toys.add_frames(ledger, site, toys.small_night(), toys.rules())
    planner.plan(ledger, toys.rules())
    return ledger


def work(ledger: Ledger) -> dict[str, tuple[int, float, float]]:
    with ledger.read() as conn:
        found = forecast(conn, toys.rules(), DECLARED)
    return {a.step: (a.tasks, round(a.megapixels, 6), round(a.seconds, 6)) for a in found}


def test_what_waits_for_the_due_tasks_is_counted(planned: Ledger, site: Path) -> None:
    in_coadds = 6 * MPIX  # sci3 touches two tiles
    expected = work(planned)
    assert expected == {
        "master": (2, 4 * MPIX, 4 * MPIX),
        "reduce": (5, 5 * MPIX, 10 * MPIX),
        "coadd": (3, in_coadds, 3 * in_coadds),
        "catalog": (3, in_coadds, 4 * in_coadds),
        **dict.fromkeys(TILE_STEPS, (3, in_coadds, in_coadds)),
    }
    done = toys.controller(planned, site).run().done
    assert done == sum(n for n, _, _ in expected.values())
    assert work(planned) == {}


def test_past_attempts_count_more_than_what_was_declared(planned: Ledger, site: Path) -> None:
    toys.controller(planned, site).run()
    with planned.write() as conn:  # 5 s a frame of 0.01 Mpix, and one that took very long
        conn.execute(schema.attempt.update().values(seconds=5.0))
        conn.execute(schema.attempt.update().where(schema.attempt.c.id == 3).values(seconds=999.0))
    toys.add_frames(planned, site, [toys.facts("sci9", "science", ra=30.1)], toys.rules())
    tasks_, mpix, seconds = work(planned)["reduce"]
    assert (tasks_, mpix) == (1, MPIX)
    assert seconds == pytest.approx(5.0)


def test_what_waits_for_nothing_under_way_is_not_counted(site: Path) -> None:
    ledger = toys.new_site(site)
    toys.add_frames(ledger, site, [toys.facts("sci1", "science")], toys.rules())
    planner.plan(ledger, toys.rules())
    assert work(ledger) == {}


def test_masters_of_images_and_of_masters_are_counted_by_what_they_are_made_from(
    site: Path,
) -> None:
    calibration = Calibration(
        illumination=SkyFrames(bands=("r",), objects=("RASTER",)),
        fringe=SkyFrames(bands=("r",), objects=("BLANK",), most=2),
        wanted={"FRINGE": 2},
    )
    the_rules = toys.rules(calibration=calibration)
    ledger = toys.new_site(site)
    sky = [
        toys.facts(f"{name}{i}", "science", ra=30.1 + i, object=name)
        for name, n in (("RASTER", 3), ("BLANK", 4))
        for i in range(n)
    ]
    toys.add_frames(ledger, site, [*toys.calibration_night(), *sky], the_rules)
    planner.plan(ledger, the_rules)
    with ledger.write() as conn:
        tasks.mark_dirty(conn, [("master", BADPIXEL)], "a test")
    with ledger.read() as conn:
        ahead = {row.key.partition(".")[0] for row in conn.execute(queries.MASTERS_AHEAD)}
        (found,) = [a for a in forecast(conn, the_rules, DECLARED) if a.step == "master"]
    assert ahead == {"BIAS", "FLAT", "BADPIXEL", "ILLUMINATION", "FRINGE"}
    # Two biases, two flats, the masters of both, three images of the raster, two of four blanks.
    assert found.tasks == 5
    assert found.megapixels == pytest.approx((2 + 2 + 2 + 3 + 2) * MPIX)
