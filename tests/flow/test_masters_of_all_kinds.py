"""Every kind of master: when it is due, what it is made from, who uses it, what it waits for."""

from __future__ import annotations

from pathlib import Path

import pytest
import sqlalchemy as sa

from tesela.config import Calibration, Intervention, SkyFrames
from tesela.flow.plan import downstream, flags, planner, proposals
from tesela.flow.plan.choice import choose
from tesela.flow.plan.rules import Rules
from tesela.flow.plan.shelf import Shelf
from tesela.flow.plan.why import explain
from tesela.ledger import calsets, masters, products, queries, schema, status, tasks
from tesela.ledger.engine import Ledger
from tesela.ledger.keys import Configuration
from tesela.products.frame import FrameFacts

from . import toys

CCD = "JAST80.toycam.01.-.fast"
FILTER = "JAST80.toycam.01.r_R1.fast"
NIGHT = "20170703"
BAFFLE = Intervention("2017-07-10", "baffle")
_EVERY = schema.product.select().where(schema.product.c.kind != "calset")


def rules(**changes: object) -> Rules:
    """All kinds are made; illumination of frames of RASTER, fringes of BLANK."""
    values: dict[str, object] = {
        "illumination": SkyFrames(bands=("r",), objects=("RASTER",)),
        "fringe": SkyFrames(bands=("r",), objects=("BLANK*",), most=4),
        "cadence_days": {"ILLUMINATION": 1.0, "FRINGE": 1.0, "CROSSTALK": 1.0, "BADPIXEL": 1.0},
        **changes,
    }
    return toys.rules(
        calibration=Calibration(**values),  # type: ignore[arg-type]
        amplifiers={"toycam": 2},
    )


def ramp(n: int = 6) -> list[FrameFacts]:
    return [
        toys.facts(f"ramp{i}", "flat", flat_kind="dome", exptime_s=2.0 * 2**i) for i in range(n)
    ]


def raster(n: int = 3) -> list[FrameFacts]:
    return [toys.facts(f"raster{i}", "science", ra=30.1, object="RASTER") for i in range(n)]


def blanks(n: int = 3) -> list[FrameFacts]:
    return [
        toys.facts(f"blank{i}", "science", ra=40.1 + 10 * i, object=f"BLANK-{i}") for i in range(n)
    ]


def full_night() -> list[FrameFacts]:
    dark = toys.facts("dark1", "dark", exptime_s=300.0)
    return [*toys.small_night(), dark, *ramp(), *raster(), *blanks()]


@pytest.fixture
def site(tmp_path: Path) -> Path:
    return tmp_path / "site"


@pytest.fixture
def made(site: Path) -> Ledger:
    ledger = toys.new_site(site)
    toys.add_frames(ledger, site, full_night(), rules())
    summary = toys.controller(ledger, site, rules()).run()
    assert (summary.dead, summary.skipped) == (0, 0)
    return ledger


def sources(ledger: Ledger, kind: str, key: str, role: str) -> set[str]:
    """Keys of what a current product was made from."""
    with ledger.read() as conn:
        row = products.current(conn, kind, key)
        assert row is not None, key
        return {r["key"] for r in products.inputs(conn, row["id"]) if r["role"] == role}


def calset_of(ledger: Ledger, kind: str, key: str, profile: str) -> set[str]:
    """Kinds of masters in the calset of a product."""
    with ledger.read() as conn:
        row = products.current(conn, kind, key)
        assert row is not None, key
        found = [
            r["id"]
            for r in products.inputs(conn, row["id"])
            if r["kind"] == "calset" and f".{profile}." in r["key"]
        ]
        return {m["key"].partition(".")[0] for i in found for m in calsets.members(conn, i)}


def ran(ledger: Ledger, site: Path, the_rules: Rules) -> set[tuple[str, str]]:
    """(kind, key) of what a run made anew."""
    with ledger.read() as conn:
        before = {row.id for row in conn.execute(_EVERY)}
    toys.controller(ledger, site, the_rules).run()
    with ledger.read() as conn:
        return {(r.kind, r.key) for r in conn.execute(_EVERY) if r.id not in before}


def test_a_full_night_has_a_master_of_every_kind_that_its_frames_allow(made: Ledger) -> None:
    masters_made = {key for kind, key in toys.served(made) if kind == "master"}
    assert masters_made == {
        f"{kind}.{CCD}.{NIGHT}" for kind in ("BIAS", "DARK", "LINEARITY", "CROSSTALK", "BADPIXEL")
    } | {
        f"{kind}.{FILTER}.{NIGHT}" for kind in ("FLAT", "DOMEFLAT", "ILLUMINATION", "FRINGE")
    }  # fmt: skip


def test_masters_are_corrected_with_those_that_come_before_them(made: Ledger) -> None:
    flat = f"FLAT.{FILTER}.{NIGHT}"
    assert calset_of(made, "master", flat, "flat") == {"BIAS", "DARK", "LINEARITY"}
    assert calset_of(made, "reduced", "sci1", "reduced") == {
        "BIAS", "DARK", "LINEARITY", "CROSSTALK", "FLAT", "BADPIXEL", "ILLUMINATION", "FRINGE",
    }  # fmt: skip
    assert calset_of(made, "detrended", "raster0", "detrended") == {
        "BIAS", "DARK", "LINEARITY", "CROSSTALK", "FLAT", "BADPIXEL",
    }  # fmt: skip
    assert sources(made, "master", f"BADPIXEL.{CCD}.{NIGHT}", "input") == {
        f"BIAS.{CCD}.{NIGHT}", f"DARK.{CCD}.{NIGHT}", flat, f"DOME{flat}",
    }  # fmt: skip


def test_only_frames_of_its_objects_are_detrended_and_built_into_a_master(made: Ledger) -> None:
    detrended = {key for kind, key in toys.served(made) if kind == "detrended"}
    assert detrended == {f"raster{i}" for i in range(3)} | {f"blank{i}" for i in range(3)}
    illumination = sources(made, "master", f"ILLUMINATION.{FILTER}.{NIGHT}", "evidence")
    assert illumination == {f"raster{i}" for i in range(3)}
    assert calset_of(made, "master", f"FRINGE.{FILTER}.{NIGHT}", "fringe") == {"ILLUMINATION"}


def test_a_master_built_from_images_depends_on_the_flats_behind_them(
    made: Ledger, site: Path
) -> None:
    with made.rehearse() as conn:
        found = flags.of_flag(conn, rules(), "raw", f"flat1-{NIGHT}")
    again = {key.partition(".")[0] for kind, key in found.targets if kind == "master"}
    assert again == {"FLAT", "BADPIXEL", "ILLUMINATION", "FRINGE"}
    with made.write() as conn:
        flags.flag(conn, rules(), "raw", f"flat1-{NIGHT}", reason="clouds", who="test")
    made_again = ran(made, site, rules())
    assert {key.partition(".")[0] for kind, key in made_again if kind == "master"} == again
    assert ("reduced", "sci1") in made_again


def test_a_flagged_science_frame_remakes_no_master(made: Ledger, site: Path) -> None:
    """It is evidence of them: a night is not made again for one bad image."""
    with made.write() as conn:
        found = flags.flag(conn, rules(), "raw", "raster1", reason="clouds", who="test")
    assert not any(kind == "master" for kind, _ in found.targets)
    assert not any(kind == "master" for kind, _ in ran(made, site, rules()))


def test_planning_everything_again_changes_nothing(made: Ledger) -> None:
    for fresh in (False, True):
        with made.write() as conn:
            downstream.everything(conn, rules(), "check", fresh=fresh)
        report = planner.plan(made, rules(), now=float("inf"))
        assert (report.tasks, report.retired, report.waiting) == ([], [], {})


def test_dome_flats_of_one_exposure_time_are_no_ramp(site: Path) -> None:
    ledger = toys.new_site(site)
    dome = [toys.facts(f"dome{i}", "flat", flat_kind="dome") for i in range(8)]
    toys.add_frames(ledger, site, [*toys.calibration_night(), *dome], rules())
    toys.controller(ledger, site, rules()).run()
    kinds = {key.partition(".")[0] for kind, key in toys.served(ledger) if kind == "master"}
    assert "DOMEFLAT" in kinds
    assert "LINEARITY" not in kinds


def test_a_dome_flat_stands_in_where_there_is_no_sky_flat(site: Path) -> None:
    ledger = toys.new_site(site)
    night = [f for f in toys.small_night() if not f.name.startswith("flat")]
    dome = [toys.facts(f"dome{i}", "flat", flat_kind="dome") for i in range(3)]
    toys.add_frames(ledger, site, [*night, *dome], rules())
    toys.controller(ledger, site, rules()).run()
    assert "DOMEFLAT" in calset_of(ledger, "reduced", "sci1", "reduced")
    with ledger.rehearse() as conn:
        needs = explain(conn, rules(), "sci1")["calibrations"]
    flat = next(need for need in needs if need["master_kind"] == "FLAT")
    assert flat["stands_in"]
    assert flat["chosen"] == f"DOMEFLAT.{FILTER}.{NIGHT} version 1"


def test_a_frame_goes_without_what_nobody_makes_and_waits_for_what_is_required(
    site: Path,
) -> None:
    ledger = toys.new_site(site)
    toys.add_frames(ledger, site, toys.small_night(), rules())
    toys.controller(ledger, site, rules()).run()
    used = calset_of(ledger, "reduced", "sci1", "reduced")
    assert {"BIAS", "FLAT"} <= used
    assert "FRINGE" not in used
    demanding = rules(required=("BIAS", "FLAT", "FRINGE"))
    toys.add_frames(ledger, site, [toys.facts("sci9", "science", ra=20.3)], demanding)
    toys.controller(ledger, site, demanding).run()
    with ledger.read() as conn:
        waits = tasks.waiting(conn, "reduced", "sci9")
    assert waits is not None
    assert waits["reason"].startswith(f"no certified FRINGE of {FILTER}")


def test_a_failed_fringe_master_holds_nobody_up(site: Path) -> None:
    ledger = toys.new_site(site)
    toys.add_frames(ledger, site, full_night(), rules())
    faults = {f"FRINGE.{FILTER}.{NIGHT}": "quality"}
    summary = toys.controller(ledger, site, rules(), settings={"faults": faults}).run()
    assert (summary.skipped, summary.dead) == (1, 0)
    assert ("reduced", "sci1") in toys.served(ledger)
    assert "FRINGE" not in calset_of(ledger, "reduced", "sci1", "reduced")


def test_an_unused_kind_is_neither_made_nor_applied(site: Path) -> None:
    ledger = toys.new_site(site)
    without = rules(unused=("CROSSTALK", "DARK"))
    toys.add_frames(ledger, site, full_night(), without)
    toys.controller(ledger, site, without).run()
    kinds = {key.partition(".")[0] for kind, key in toys.served(ledger) if kind == "master"}
    assert not kinds & {"CROSSTALK", "DARK"}


# ---------------------------------------------------------------- periods


def test_more_frames_remake_a_master_of_many_nights_until_it_has_enough(site: Path) -> None:
    the_rules = rules(cadence_days={"ILLUMINATION": 30.0}, wanted={"ILLUMINATION": 4})
    ledger = toys.new_site(site)
    toys.add_frames(ledger, site, [*toys.calibration_night(), *raster(3)], the_rules)
    toys.controller(ledger, site, the_rules).run()
    (key,) = [k for kind, k in toys.served(ledger) if kind == "master" and k.startswith("ILLU")]
    for n, again in ((4, True), (5, False)):
        new = toys.facts(f"raster{n}", "science", ra=30.1, object="RASTER")
        toys.add_frames(ledger, site, [new], the_rules)
        # What it depends on is the same, so more of the same are taken only while it has too few.
        assert (("master", key) in ran(ledger, site, the_rules)) is again


def test_two_nights_of_a_period_share_a_master_unless_an_intervention_lies_between(
    site: Path,
) -> None:
    ledger = toys.new_site(site)
    the_rules = rules(cadence_days={"ILLUMINATION": 365.0}, interventions=(BAFFLE,))
    for night in ("2017-07-03", "2017-07-05", "2017-07-12"):
        stem = night[-2:]
        frames = [
            toys.facts(f"raster-{stem}", "science", night=night, ra=30.1, object="RASTER"),
            *toys.calibration_night(night),
        ]
        toys.add_frames(ledger, site, frames, the_rules)
    toys.controller(ledger, site, the_rules).run()
    keys = sorted(k for kind, k in toys.served(ledger) if kind == "master" and "ILLU" in k)
    assert [key[-8:] for key in keys][1:] == ["20170710"]
    assert sources(ledger, "master", keys[0], "evidence") >= {"raster-03", "raster-05"}
    assert "raster-12" in sources(ledger, "master", keys[1], "evidence")


def test_a_flat_does_not_cross_an_intervention_and_an_illumination_does_as_a_last_choice(
    site: Path,
) -> None:
    ledger = toys.new_site(site)
    the_rules = rules(interventions=(BAFFLE,))
    toys.add_frames(ledger, site, [*toys.calibration_night("2017-07-09"), *[
        toys.facts(f"r{i}", "science", night="2017-07-09", ra=30.1, object="RASTER")
        for i in range(2)
    ]], the_rules)  # fmt: skip
    after = toys.facts("after", "science", night="2017-07-10", ra=10.2)
    toys.add_frames(ledger, site, [after], the_rules)
    toys.controller(ledger, site, the_rules).run()
    with ledger.rehearse() as conn:
        waits = tasks.waiting(conn, "reduced", "after")
        needs = {n["master_kind"]: n for n in explain(conn, the_rules, "after")["calibrations"]}
    assert waits is not None and "no certified FLAT" in waits["reason"]
    assert "another epoch: baffle of 2017-07-10" in needs["FLAT"]["rejected"][0]["reason"]
    assert needs["ILLUMINATION"]["crosses"] == "baffle of 2017-07-10"
    assert needs["ILLUMINATION"]["chosen"] is not None
    toys.add_frames(ledger, site, toys.calibration_night("2017-07-10"), the_rules)
    toys.controller(ledger, site, the_rules).run()
    with ledger.read() as conn:
        row = products.current(conn, "reduced", "after")
        assert row is not None
        assert "across baffle of 2017-07-10" in row["warnings_json"]


def test_validity_ends_with_an_intervention(site: Path) -> None:
    ledger = toys.new_site(site)
    the_rules = rules(interventions=(BAFFLE,))
    toys.add_frames(ledger, site, [*toys.calibration_night("2017-07-09"), *[
        toys.facts(f"r{i}", "science", night="2017-07-09", ra=30.1, object="RASTER")
        for i in range(2)
    ]], the_rules)  # fmt: skip
    toys.controller(ledger, site, the_rules).run()
    with ledger.read() as conn:
        row = products.current(conn, "master", f"ILLUMINATION.{FILTER}.20170709")
        assert row is not None
        found = masters.get(conn, row["id"])
    assert found["valid_end"] == the_rules.calendar.noon("toycam", "2017-07-10")


def test_an_intervention_written_down_later_ends_validities_and_tells_what_is_stale(
    site: Path,
) -> None:
    ledger = toys.new_site(site)
    before, after = (
        rules(validity_days={"FLAT": 9.0}),
        rules(validity_days={"FLAT": 9.0}, interventions=(Intervention("2017-07-05", "baffle"),)),
    )
    toys.add_frames(ledger, site, toys.calibration_night("2017-07-03"), before)
    late = toys.facts("late", "science", night="2017-07-06", ra=10.2)
    toys.add_frames(ledger, site, [late], before)
    toys.controller(ledger, site, before).run()
    served = toys.served(ledger)
    toys.controller(ledger, site, after).run()
    assert toys.served(ledger) == served  # nothing is made again by itself
    with ledger.read() as conn:
        flat = products.current(conn, "master", f"FLAT.{FILTER}.{NIGHT}")
        image = products.current(conn, "reduced", "late")
        assert flat is not None and image is not None
        end = masters.get(conn, flat["id"])["valid_end"]
    assert end == after.calendar.noon("toycam", "2017-07-05")
    assert "of another epoch: baffle of 2017-07-05" in image["stale"]


# ---------------------------------------------------------------- what must not happen


def state(ledger: Ledger, key: str) -> str:
    with ledger.read() as conn:
        row = products.current(conn, "master", key)
        assert row is not None, key
        return str(masters.get(conn, row["id"])["state"])


def stale(ledger: Ledger, key: str, kind: str = "master") -> str:
    with ledger.read() as conn:
        row = products.current(conn, kind, key)
        assert row is not None, key
        return str(row["stale"])


def test_too_few_images_left_take_no_master_away(site: Path) -> None:
    """A verdict on one image remakes neither the masters that it is evidence of nor a night."""
    the_rules = rules(minimum={"ILLUMINATION": 3, "CROSSTALK": 11})
    ledger = toys.new_site(site)
    toys.add_frames(ledger, site, full_night(), the_rules)
    toys.controller(ledger, site, the_rules).run()
    before = {pair for pair in toys.served(ledger) if pair[0] == "master"}
    assert any("CROSSTALK" in key for _, key in before)
    with ledger.write() as conn:
        flags.flag(conn, the_rules, "raw", "raster1", reason="clouds", who="test")
    made_again = ran(ledger, site, the_rules)
    assert {pair for pair in toys.served(ledger) if pair[0] == "master"} == before
    assert not any(kind in ("master", "reduced") for kind, _ in made_again)


def test_a_flat_across_an_intervention_written_down_late_is_called_stale(site: Path) -> None:
    ledger = toys.new_site(site)
    toys.add_frames(ledger, site, toys.calibration_night("2017-07-03"), rules())
    late = toys.facts("late", "science", night="2017-07-12", ra=10.2)
    toys.add_frames(ledger, site, [late], rules())
    toys.controller(ledger, site, rules()).run()
    toys.controller(ledger, site, rules(interventions=(BAFFLE,))).run()
    assert "of another epoch: baffle of 2017-07-10" in stale(ledger, "late", "reduced")


def test_a_master_of_two_epochs_is_called_stale_and_the_new_epoch_gets_its_own(
    site: Path,
) -> None:
    long = {
        "cadence_days": {"ILLUMINATION": 365.0, "CROSSTALK": 1.0},
        "wanted": {"ILLUMINATION": 2},
    }
    before, after = rules(**long), rules(**long, interventions=(BAFFLE,))
    ledger = toys.new_site(site)
    for night in ("2017-07-03", "2017-07-12"):
        frames = [
            toys.facts(f"r{night[-2:]}", "science", night=night, ra=30.1, object="RASTER"),
            *toys.calibration_night(night),
        ]
        toys.add_frames(ledger, site, frames, before)
    toys.controller(ledger, site, before).run()
    (mixed,) = [key for kind, key in toys.served(ledger) if kind == "master" and "ILLU" in key]
    assert sources(ledger, "master", mixed, "evidence") == {"r03", "r12"}
    toys.controller(ledger, site, after).run()
    assert ("master", f"ILLUMINATION.{FILTER}.20170710") in toys.served(ledger)
    assert sources(ledger, "master", f"ILLUMINATION.{FILTER}.20170710", "evidence") >= {"r12"}
    assert "its period ended with 2017-07-10" in stale(ledger, mixed)


def test_a_master_that_failed_its_gates_is_tried_again_with_more_frames(site: Path) -> None:
    the_rules = rules(wanted={"ILLUMINATION": 2})
    key = f"ILLUMINATION.{FILTER}.{NIGHT}"
    ledger = toys.new_site(site)
    toys.add_frames(ledger, site, [*toys.calibration_night(), *raster(3)], the_rules)
    settings = {"rejections": {key: "scatter"}}
    toys.controller(ledger, site, the_rules, settings=settings).run()
    assert state(ledger, key) == "proposed"
    more = toys.facts("raster8", "science", ra=30.1, object="RASTER")
    toys.add_frames(ledger, site, [more], the_rules)
    toys.controller(ledger, site, the_rules).run()
    assert state(ledger, key) == "certified"
    assert "raster8" in sources(ledger, "master", key, "evidence")


def test_bad_pixels_wait_for_no_flat_and_take_it_when_it_comes(site: Path) -> None:
    the_rules = rules(cadence_days={"BADPIXEL": 30.0})
    ledger = toys.new_site(site)
    night = toys.calibration_night()
    toys.add_frames(ledger, site, [f for f in night if f.obstype == "bias"], the_rules)
    toys.controller(ledger, site, the_rules).run()
    (key,) = [k for kind, k in toys.served(ledger) if kind == "master" and "BADPIXEL" in k]
    kinds = {k.partition(".")[0] for k in sources(ledger, "master", key, "input")}
    assert kinds == {"BIAS"}
    toys.add_frames(ledger, site, [f for f in night if f.obstype == "flat"], the_rules)
    toys.controller(ledger, site, the_rules).run()
    kinds = {k.partition(".")[0] for k in sources(ledger, "master", key, "input")}
    assert kinds == {"BIAS", "FLAT"}
    toys.add_frames(ledger, site, toys.calibration_night("2017-07-04"), the_rules)
    assert ("master", key) not in ran(ledger, site, the_rules)  # the same kinds and filters


@pytest.mark.parametrize("by_hand", [False, True])
def test_a_worse_version_does_not_displace_the_one_that_serves(site: Path, by_hand: bool) -> None:
    ledger = toys.new_site(site)
    flat = f"FLAT.{FILTER}.{NIGHT}"
    toys.add_frames(ledger, site, toys.small_night(), rules())
    toys.controller(ledger, site, rules()).run()
    new = toys.facts(f"flat3-{NIGHT}", "flat")
    toys.add_frames(ledger, site, [new, toys.facts("sci9", "science", ra=20.3)], rules())
    settings = {} if by_hand else {"rejections": {flat: "slope"}}
    toys.controller(ledger, site, rules(certify=not by_hand), settings=settings).run()
    assert state(ledger, flat) == "proposed"
    assert ("reduced", "sci9") in toys.served(ledger)  # with the first version
    with ledger.write() as conn:
        proposals.certify(conn, rules(), flat, who="eva")
    with ledger.read() as conn:
        states = [
            masters.get(conn, products.version(conn, "master", flat, n)["id"])["state"]
            for n in (1, 2)
        ]
    assert states == ["superseded", "certified"]


def test_masters_made_with_a_superseded_one_are_called_stale(made: Ledger, site: Path) -> None:
    toys.add_frames(made, site, [toys.facts(f"flat3-{NIGHT}", "flat")], rules())
    toys.controller(made, site, rules()).run()
    flat = f"FLAT.{FILTER}.{NIGHT}"
    for kind in ("FRINGE", "ILLUMINATION"):
        assert stale(made, f"{kind}.{FILTER}.{NIGHT}") in (
            f"{flat} version 1 is superseded", f"nearer master: {flat} version 2",
        ) or stale(made, "raster0", "detrended")  # fmt: skip
    assert "version 2" in stale(made, "raster0", "detrended")


def test_a_new_reference_catalogue_makes_an_illumination_stale_and_no_more(
    made: Ledger, site: Path
) -> None:
    toys.add_refcat(made, site, "better stars")
    with made.write() as conn:
        downstream.everything(conn, rules(), "check")
    report = planner.plan(made, rules(), now=float("inf"))
    assert report.tasks == []
    assert "newer reference catalogue" in stale(made, f"ILLUMINATION.{FILTER}.{NIGHT}")


def test_a_key_that_the_calendar_counts_to_another_period_is_left_as_it_is(
    site: Path,
) -> None:
    ledger = toys.new_site(site)
    for night in ("2017-07-03", "2017-07-04"):
        toys.add_frames(ledger, site, toys.calibration_night(night), rules())
    toys.controller(ledger, site, rules()).run()
    weekly = rules(cadence_days={"BIAS": 7.0, "FLAT": 7.0, "BADPIXEL": 1.0, "CROSSTALK": 1.0})
    with ledger.write() as conn:
        downstream.everything(conn, weekly, "check")
    before = toys.served(ledger)
    toys.controller(ledger, site, weekly).run()
    after = toys.served(ledger)
    assert {k: v for k, v in after.items() if k in before} == before
    assert len([k for k in after if k[1].startswith("BIAS")]) == 3  # the week's is new


def test_a_certification_after_an_intervention_ends_with_it(site: Path) -> None:
    by_hand = rules(certify=False, validity_days={"BIAS": 100.0})
    ledger = toys.new_site(site)
    toys.add_frames(ledger, site, toys.calibration_night(), by_hand)
    toys.controller(ledger, site, by_hand).run()
    warm = Intervention("2017-07-10", "warm-up", kinds=("BIAS",))
    later = rules(certify=False, validity_days={"BIAS": 100.0}, interventions=(warm,))
    key = f"BIAS.{CCD}.{NIGHT}"
    with ledger.write() as conn:
        proposals.certify(conn, later, key, who="eva")
        row = products.current(conn, "master", key)
        assert row is not None
        end = masters.get(conn, row["id"])["valid_end"]
    assert end == later.calendar.noon("toycam", "2017-07-10")


def test_nobody_waits_for_a_flat_of_another_epoch(site: Path) -> None:
    the_rules = rules(interventions=(BAFFLE,))
    ledger = toys.new_site(site)
    toys.add_frames(ledger, site, toys.calibration_night("2017-07-09"), the_rules)
    own = Configuration("JAST80", "toycam", "01", "r_R1", "fast")
    with ledger.read() as conn:
        mjd = the_rules.calendar.noon("toycam", "2017-07-10") + 0.4
        assert choose(Shelf(conn), the_rules, "FLAT", own, mjd).waits_for == ()
        assert choose(Shelf(conn), the_rules, "FLAT", own, mjd - 1.0).waits_for != ()


def test_no_frame_is_detrended_for_a_master_that_has_enough(site: Path) -> None:
    the_rules = rules(wanted={"FRINGE": 3})
    ledger = toys.new_site(site)
    toys.add_frames(ledger, site, [*toys.calibration_night(), *blanks(3)], the_rules)
    toys.controller(ledger, site, the_rules).run()
    more = [toys.facts(f"more{i}", "science", ra=80.1, object="BLANK-9") for i in range(3)]
    toys.add_frames(ledger, site, more, the_rules)
    made_now = ran(ledger, site, the_rules)
    assert ("reduced", "more0") in made_now
    assert not any(kind == "detrended" for kind, _ in made_now)


def test_the_nights_lead_in_the_questions_about_a_period(made: Ledger) -> None:
    """Not the whole history of a CCD is read for one night of it."""
    if made.is_shared:
        pytest.skip("SQLite's plan is asked for; test_ledger_big.py asks both")
    asked = {
        "low": f"{CCD[:-6]}", "high": f"{CCD[:-6]}/", "first": "2017-07-03", "end": "2017-07-04",
        "last": "2017-07-04", "obstype": "flat", "configuration": FILTER, "camera": "toycam",
    }  # fmt: skip
    with made.read() as conn:
        for query in (
            queries.FRAMES_OF_MASTER, queries.DETRENDED_OF_PERIOD, queries.IMAGES_NEAR,
            queries.IMAGES_OF_CAMERA,
        ):  # fmt: skip
            steps = conn.execute(sa.text(f"EXPLAIN QUERY PLAN {query.text}"), asked).all()
            first = next(str(s.detail) for s in steps if s.detail.startswith(("SEARCH", "SCAN")))
            assert first.startswith("SEARCH x"), (query.text, first)
            assert "ix_exposure_night" in first, (query.text, first)


def test_a_master_whose_frames_all_lie_beyond_a_late_intervention_is_stale_then_goes(
    site: Path,
) -> None:
    long = {
        "cadence_days": {"ILLUMINATION": 365.0, "CROSSTALK": 1.0},
        "wanted": {"ILLUMINATION": 9},
    }
    before, after = rules(**long), rules(**long, interventions=(BAFFLE,))
    ledger = toys.new_site(site)
    frames = [
        *toys.calibration_night("2017-07-12"),
        *(
            toys.facts(f"late{i}", "science", night="2017-07-12", ra=30.1, object="RASTER")
            for i in range(3)
        ),
    ]
    toys.add_frames(ledger, site, frames, before)
    toys.controller(ledger, site, before).run()
    (early,) = [key for kind, key in toys.served(ledger) if kind == "master" and "ILLU" in key]
    toys.controller(ledger, site, after).run()
    assert "its period ended with 2017-07-10" in stale(ledger, early)
    assert ("master", f"ILLUMINATION.{FILTER}.20170710") in toys.served(ledger)
    with ledger.write() as conn:
        tasks.mark_dirty(conn, [("master", early)], "reprocess", fresh=True)
    toys.controller(ledger, site, after).run()
    assert ("master", early) not in toys.served(ledger)


def test_nothing_is_stale_for_a_master_that_was_taken_out_of_service(
    made: Ledger, site: Path
) -> None:
    key = f"BIAS.{CCD}.20170705"
    toys.add_frames(ledger := made, site, toys.calibration_night("2017-07-05"), rules())
    near = toys.facts("near", "science", night="2017-07-04", ra=10.2)
    toys.add_frames(ledger, site, [near], rules())
    toys.controller(ledger, site, rules()).run()
    with ledger.write() as conn:
        products.set_stale(
            conn, products.current(conn, "reduced", "near")["id"], f"nearer master: {key} version 1"
        )
        flags.flag(conn, rules(), "master", key, reason="light", who="test")
    toys.controller(ledger, site, rules()).run()
    assert key not in stale(ledger, "near", "reduced")


def test_a_frame_says_that_the_master_it_waits_for_is_flagged(site: Path) -> None:
    ledger = toys.new_site(site)
    toys.add_frames(ledger, site, toys.small_night(), rules())
    toys.controller(ledger, site, rules()).run()
    with ledger.write() as conn:
        key = f"FLAT.{FILTER}.{NIGHT}"
        flags.flag(conn, rules(), "master", key, reason="leak", who="test")
    toys.controller(ledger, site, rules()).run()
    with ledger.rehearse() as conn:
        lines = explain(conn, rules(), "sci1")["state"]
    (said,) = [line for line in lines if "waits for" in line]
    assert said.endswith("made anew only after `tesela unflag --kind master`: leak")
    with ledger.read() as conn:
        view = status.overview(conn)
    assert view["waiting"] and all(row["served"] == row["n"] for row in view["waiting"])
    assert {row["kind"] for row in view["stale"]} & {"reduced", "detrended"} == set()


def test_a_master_that_is_made_beyond_reach_is_not_waited_for(site: Path) -> None:
    ledger = toys.new_site(site)
    toys.add_frames(ledger, site, toys.calibration_night(), rules())
    own = Configuration("JAST80", "toycam", "01", "r_R1", "fast")
    mjd = rules().calendar.noon("toycam", "2027-07-03")
    with ledger.read() as conn:
        assert choose(Shelf(conn), rules(), "FLAT", own, mjd).waits_for == ()


def test_why_says_which_frames_the_builder_left_out(site: Path) -> None:
    ledger = toys.new_site(site)
    toys.add_frames(ledger, site, toys.calibration_night(), rules())
    key = f"BIAS.{CCD}.{NIGHT}"
    with ledger.rehearse() as conn:
        early = explain(conn, rules(), key)["frames"]
    assert {row["state"] for row in early} == {"candidate"}
    toys.controller(ledger, site, rules()).run()
    with ledger.write() as conn:
        current = products.current(conn, "master", key)
        assert current is not None
        held = '{"rejected": {"bias1-20170703": "mean rows"}}'
        conn.execute(
            schema.quality.update()
            .where(schema.quality.c.product_id == current["id"])
            .values(metrics_json=held)
        )
    with ledger.rehearse() as conn:
        rows = {row["frame"]: row for row in explain(conn, rules(), key)["frames"]}
    assert rows["bias1-20170703"]["state"] == "left out"
    assert rows["bias1-20170703"]["reason"] == "mean rows"
    assert rows["bias2-20170703"]["state"] == "used"
