"""From frames to catalogues with toy steps: what is made, when, and what never is twice."""

from __future__ import annotations

from pathlib import Path

import pytest

from tesela.errors import Busy
from tesela.flow.plan import downstream, flags, planner
from tesela.flow.run.lock import only_controller
from tesela.ledger import calsets, events, history, products, schema, status, tasks
from tesela.ledger.engine import Ledger
from tesela.products import paths

from . import toys


@pytest.fixture
def site(tmp_path: Path) -> Path:
    return tmp_path / "site"


@pytest.fixture
def ledger(site: Path) -> Ledger:
    return toys.new_site(site)


@pytest.fixture
def made(ledger: Ledger, site: Path) -> Ledger:
    """A site where everything of the small night is made."""
    toys.add_frames(ledger, site, toys.small_night(), toys.rules())
    toys.controller(ledger, site).run()
    return ledger


def counts(ledger: Ledger) -> dict[str, int]:
    with ledger.read() as conn:
        found = status.overview(conn)["products"]
    return {kind: n for kind, n in found.items() if kind not in ("raw", "refcat")}


def test_a_night_becomes_masters_images_coadds_and_catalogues(made: Ledger) -> None:
    assert counts(made) == {
        "master": 2,
        "calset": 2,  # the bias alone for the flat; bias and flat for the images
        "reduced": 5,
        "coadd": 3,
        "catalogue": 3,
        "dual": 3,
        "zeropoints": 3,
        "valueadded": 3,
        "science": 3,
    }


def test_every_file_of_a_product_exists_and_no_temporary_is_left(made: Ledger, site: Path) -> None:
    with made.read() as conn:
        rows = conn.execute(schema.product.select().where(schema.product.c.path != "")).all()
    assert all((site / row.path).is_file() for row in rows)
    assert list(paths.work_folder(site).iterdir()) == []
    assert len(list((site / "products").rglob("*.txt"))) == 2 + 5 + 3 + 3 + 4 * 3


def test_a_second_run_with_nothing_new_does_nothing(made: Ledger, site: Path) -> None:
    again = toys.controller(made, site)
    summary = again.run()
    assert (summary.done, summary.failed_attempts) == (0, 0)
    assert again.engine.orders == []


@pytest.mark.parametrize("fresh", [False, True])
def test_marking_everything_dirty_and_planning_again_changes_nothing(
    made: Ledger, fresh: bool
) -> None:
    before = toys.served(made)
    with made.write() as conn:
        n = downstream.everything(conn, toys.rules(), "check", fresh=fresh)
        assert n == 2 + 5 + 3 + 3 + 4 * 3
    report = planner.plan(made, toys.rules(), now=float("inf"))
    assert (report.tasks, report.retired, report.waiting) == ([], [], {})
    assert report.unchanged == 13 + 4 * 3
    assert toys.served(made) == before


def test_a_reduced_image_has_three_input_edges(made: Ledger) -> None:
    with made.read() as conn:
        row = products.current(conn, "reduced", "sci1")
        assert row is not None
        found = products.inputs(conn, row["id"])
    assert [(r["kind"], r["role"]) for r in found] == [
        ("calset", "input"),
        ("raw", "input"),
        ("refcat", "input"),
    ]


def test_the_order_of_arrival_does_not_change_the_archive(made: Ledger, tmp_path: Path) -> None:
    other_site = tmp_path / "other"
    other = toys.new_site(other_site)
    toys.add_frames(other, other_site, toys.small_night()[::-1], toys.rules())
    toys.controller(other, other_site).run()
    assert toys.served(other) == toys.served(made)


def test_processes_make_the_same_archive_as_one_process(made: Ledger, tmp_path: Path) -> None:
    other_site = tmp_path / "other"
    other = toys.new_site(other_site)
    toys.add_frames(other, other_site, toys.small_night(), toys.rules())
    toys.controller(other, other_site, workers=2).run()
    assert toys.served(other) == toys.served(made)


def test_frames_without_calibrations_wait_and_go_on_when_those_come(
    ledger: Ledger, site: Path
) -> None:
    toys.add_frames(ledger, site, [toys.facts("sci1", "science")], toys.rules())
    assert toys.controller(ledger, site).run().done == 0
    with ledger.read() as conn:
        row = tasks.waiting(conn, "reduced", "sci1")
    assert row is not None
    assert "no certified BIAS" in row["reason"]
    assert "no certified FLAT" in row["reason"]
    toys.add_frames(ledger, site, toys.calibration_night(), toys.rules())
    assert toys.controller(ledger, site).run().done == 5 + 4


def test_a_quiet_period_ends_when_nothing_else_is_left(ledger: Ledger, site: Path) -> None:
    rules = toys.rules(quiet_s=3600.0)
    toys.add_frames(ledger, site, toys.small_night(), rules)
    summary = toys.controller(ledger, site, rules).run()
    assert summary.done == 2 + 5 + 3 + 3 + 4 * 3


def test_a_frame_without_result_is_left_out_of_its_coadd(ledger: Ledger, site: Path) -> None:
    toys.add_frames(ledger, site, toys.small_night(), toys.rules())
    summary = toys.controller(ledger, site, settings={"faults": {"sci1": "quality"}}).run()
    assert (summary.skipped, summary.dead, summary.failed_attempts) == (1, 0, 1)
    assert summary.problems == [
        "reduce sci1 skipped: sci1: 3 stars; expected 8; look at it;"
        " when that is mended, `tesela retry sci1`"
    ]
    assert counts(ledger)["coadd"] == 3
    # Bad data are not tried again blindly.
    assert toys.controller(ledger, site).run().done == 0


def test_a_defect_is_tried_three_times_and_kept_with_its_traceback(
    ledger: Ledger, site: Path
) -> None:
    toys.add_frames(ledger, site, toys.small_night(), toys.rules())
    summary = toys.controller(ledger, site, settings={"faults": {"sci1": "fault"}}).run()
    assert (summary.dead, summary.failed_attempts) == (1, 3)
    with ledger.read() as conn:
        attempts = events.history(conn, "sci1")["attempts"]
    assert [a["fault_class"] for a in attempts] == ["fault"] * 3
    assert "ZeroDivisionError" in attempts[-1]["log"]
    assert "toys.py" in attempts[-1]["log"]


def test_memory_is_asked_for_twice_once(ledger: Ledger, site: Path) -> None:
    toys.add_frames(ledger, site, toys.small_night(), toys.rules())
    control = toys.controller(ledger, site, settings={"faults": {"sci1": "memory"}})
    assert control.run().dead == 1
    asked = [order.memory_mb for order in control.engine.orders if order.key == "sci1"]
    assert asked == [500.0, 1000.0]


def test_a_rejected_image_is_kept_and_not_used(ledger: Ledger, site: Path) -> None:
    toys.add_frames(ledger, site, toys.small_night(), toys.rules())
    toys.controller(ledger, site, settings={"rejections": {"sci1": "seeing"}}).run()
    with ledger.read() as conn:
        assert products.current(conn, "reduced", "sci1") is not None
        coadd = products.current(conn, "coadd", "T10.r")
        assert coadd is not None
        used = [row["key"] for row in products.inputs(conn, coadd["id"])]
    assert used == ["sci2", "sci3"]


def test_a_master_that_fails_its_gates_is_proposed_and_frames_wait(
    ledger: Ledger, site: Path
) -> None:
    toys.add_frames(ledger, site, toys.small_night(), toys.rules())
    key = "FLAT.JAST80.toycam.01.r_R1.fast.20170703"
    toys.controller(ledger, site, settings={"rejections": {key: "slope"}}).run()
    assert "reduced" not in counts(ledger)
    with ledger.read() as conn:
        row = tasks.waiting(conn, "reduced", "sci1")
    assert row is not None
    assert "no certified FLAT" in row["reason"]


def test_the_solved_footprint_replaces_the_pointing(ledger: Ledger, site: Path) -> None:
    toys.add_frames(ledger, site, toys.small_night(), toys.rules())
    corners = ((30.1, 0.0), (30.3, 0.0), (30.3, 0.2), (30.1, 0.2))
    toys.controller(ledger, site, settings={"footprints": {"sci4": corners}}).run()
    with ledger.read() as conn:
        moved = products.current(conn, "coadd", "T30.r")
        left = products.current(conn, "coadd", "T20.r")
        assert moved is not None
        assert left is not None
        assert [r["key"] for r in products.inputs(conn, moved["id"])] == ["sci4"]
        assert [r["key"] for r in products.inputs(conn, left["id"])] == ["sci5"]


def test_new_code_marks_stale_and_runs_nothing(made: Ledger, site: Path) -> None:
    assert toys.controller(made, site, code_version="2").run().done == 0
    with made.read() as conn:
        stale = status.stale(conn)
    assert len(stale) == 2 + 5 + 3 + 3 + 4 * 3
    assert stale[0]["why"] == "made by code 1, now 2"


def test_a_better_master_marks_stale_and_runs_nothing_more(made: Ledger, site: Path) -> None:
    later = toys.facts("sci9", "science", night="2017-07-05", ra=10.4)
    toys.add_frames(made, site, [later], toys.rules())
    assert toys.controller(made, site).run().done == 3 + 4  # an image with old masters; a tile
    toys.add_frames(made, site, toys.calibration_night("2017-07-05"), toys.rules())
    assert toys.controller(made, site).run().done == 2  # the two masters alone
    with made.read() as conn:
        stale = status.stale(conn)
    assert [(row["kind"], row["key"]) for row in stale] == [("reduced", "sci9")]
    assert "FLAT.JAST80.toycam.01.r_R1.fast.20170705" in stale[0]["why"]
    with made.write() as conn:  # on request it is taken
        tasks.mark_dirty(conn, [("reduced", "sci9")], "reprocess", fresh=True)
    assert toys.controller(made, site).run().done == 3 + 4


def test_a_new_reference_catalogue_marks_stale_and_runs_nothing(made: Ledger, site: Path) -> None:
    toys.add_refcat(made, site, "other stars")
    assert toys.controller(made, site).run().done == 0
    with made.read() as conn:
        stale = [row["kind"] for row in status.stale(conn)]
    assert (stale.count("reduced"), stale.count("zeropoints"), len(stale)) == (5, 3, 8)


def test_late_frames_of_a_night_remake_its_master(made: Ledger, site: Path) -> None:
    toys.add_frames(made, site, [toys.facts("bias3-20170703", "bias")], toys.rules())
    toys.controller(made, site).run()
    with made.read() as conn:
        row = products.current(conn, "master", "BIAS.JAST80.toycam.01.-.fast.20170703")
    assert row is not None
    assert row["version"] == 2


def test_only_one_controller_runs(ledger: Ledger, site: Path) -> None:
    if ledger.is_shared:
        pytest.skip("on PostgreSQL several may")
    with only_controller(paths.lock_file(site)), pytest.raises(Busy, match="held by process"):
        toys.controller(ledger, site).run()


def test_flag_and_unflag_end_in_the_archive_before(made: Ledger, site: Path) -> None:
    before = toys.served(made)
    for name in ("sci1", "bias1-20170703"):
        with made.write() as conn:
            flags.flag(conn, toys.rules(), "raw", name, reason="trail", who="test")
        toys.controller(made, site).run()
        assert toys.served(made) != before
        with made.write() as conn:
            flags.unflag(conn, toys.rules(), "raw", name, who="test")
        toys.controller(made, site).run()
        assert toys.served(made) == before


def test_a_run_says_what_is_dead_and_skipped_from_runs_before(ledger: Ledger, site: Path) -> None:
    toys.add_frames(ledger, site, toys.small_night(), toys.rules())
    faults = {"sci1": "fault", "sci4": "quality"}
    first = toys.controller(ledger, site, settings={"faults": faults}).run()
    again = toys.controller(ledger, site).run()
    assert (first.dead, first.skipped, first.all_dead, first.all_skipped) == (1, 1, 1, 1)
    assert (again.dead, again.skipped, again.all_dead, again.all_skipped) == (0, 0, 1, 1)


def test_warnings_of_products_are_grouped_and_told_once(ledger: Ledger, site: Path) -> None:
    toys.add_frames(ledger, site, toys.small_night(), toys.rules())
    settings = {"warnings": {"coadd": ("few frames", "no pattern"), "reduced": ("few stars",)}}
    summary = toys.controller(ledger, site, settings=settings).run()
    told = [(w["kind"], w["text"], w["n"]) for w in summary.warnings]
    assert told == [
        ("reduced", "few stars", 5),
        ("coadd", "few frames", 3),
        ("coadd", "no pattern", 3),
    ]
    assert toys.controller(ledger, site).run().warnings == []
    with ledger.read() as conn:
        standing = status.overview(conn)["warnings"]
    assert sorted((w["kind"], w["text"], w["n"]) for w in standing) == sorted(told)


def test_status_counts_the_frames_of_the_nights(made: Ledger) -> None:
    with made.read() as conn:
        assert status.overview(conn)["nights"] == [
            {
                "night": "2017-07-03",
                "frames": {"bias": 2, "flat": 2, "science": 5},
                "exposures": {"bias": 2, "flat": 2, "science": 5},
                "reduced": 5,
            }
        ]


def test_history_says_what_changed_in_the_inputs_of_a_version(made: Ledger, site: Path) -> None:
    with made.write() as conn:
        flags.flag(conn, toys.rules(), "raw", "sci1", reason="trail", who="test")
    toys.controller(made, site).run()
    toys.add_frames(made, site, [toys.facts("bias3-20170703", "bias")], toys.rules())
    toys.controller(made, site).run()
    with made.write() as conn:
        tasks.mark_dirty(conn, [("reduced", "sci2")], "reprocess", fresh=True)
    toys.controller(made, site).run()
    with made.read() as conn:
        coadd = [r for r in history.of_key(conn, "T10.r")["versions"] if r["kind"] == "coadd"]
        image = [r for r in history.of_key(conn, "sci2")["versions"] if r["kind"] == "reduced"]
    assert [row["changes"] for row in coadd[:2]] == [[], ["without reduced sci1"]]
    assert coadd[2]["changes"] == ["reduced sci2 version 2, was 1"]
    assert "master BIAS.JAST80.toycam.01.-.fast.20170703 version 2, was 1" in image[1]["changes"]


def test_flats_of_two_bands_without_serials_are_two_masters(ledger: Ledger, site: Path) -> None:
    night = [frame for frame in toys.calibration_night() if frame.obstype == "bias"]
    for band in ("V", "R"):
        changes = {"band": band, "filter_serial": "-"}
        night += [toys.facts(f"flat{n}{band}", "flat", **changes) for n in (1, 2)]
        night.append(toys.facts(f"sci{band}", "science", **changes))
    toys.add_frames(ledger, site, night, toys.rules())
    toys.controller(ledger, site).run()
    for band in ("V", "R"):
        key = f"FLAT.JAST80.toycam.01.{band}_-.fast.20170703"
        with ledger.read() as conn:
            master = products.current(conn, "master", key)
            assert master is not None
            made_of = {r["key"] for r in products.inputs(conn, master["id"]) if r["kind"] == "raw"}
            assert made_of == {f"flat1{band}", f"flat2{band}"}
            image = products.current(conn, "reduced", f"sci{band}")
            assert image is not None
            (calset,) = (r for r in products.inputs(conn, image["id"]) if r["kind"] == "calset")
            assert calset["key"].startswith(f"JAST80.toycam.01.{band}_-.fast.")
            assert key in {row["key"] for row in calsets.members(conn, calset["id"])}


def test_history_says_which_versions_passed(ledger: Ledger, site: Path) -> None:
    toys.add_frames(ledger, site, toys.small_night(), toys.rules())
    toys.controller(ledger, site, settings={"rejections": {"sci2": "too wide"}}).run()
    with ledger.read() as conn:
        found = {
            row["key"]: (row["passed"], row["quality_reason"])
            for name in ("sci1", "sci2")
            for row in history.of_key(conn, name)["versions"]
            if row["kind"] == "reduced"
        }
        (raw,) = [r for r in history.of_key(conn, "sci1")["versions"] if r["kind"] == "raw"]
    assert found == {"sci1": (True, ""), "sci2": (False, "too wide")}
    assert raw["passed"] is None
