"""A verdict makes exactly those products due that used the frame, and no other."""

from __future__ import annotations

from pathlib import Path

import pytest

from tesela.errors import LedgerError, NotFound
from tesela.flow.plan import coadds, cost, flags, planner, retry
from tesela.ledger import events, masters, products, schema, status, tasks
from tesela.ledger.engine import Ledger

from . import toys

BIAS = "BIAS.JAST80.toycam.01.-.fast.20170703"
FLAT = "FLAT.JAST80.toycam.01.r_R1.fast.20170703"
ALL_MADE_FROM_SCIENCE = toys.of_tiles(10, 11, 20) | {("reduced", f"sci{n}") for n in range(1, 6)}


@pytest.fixture
def site(tmp_path: Path) -> Path:
    return tmp_path / "site"


@pytest.fixture
def ledger(site: Path) -> Ledger:
    ledger = toys.new_site(site)
    toys.add_frames(ledger, site, toys.small_night(), toys.rules())
    return ledger


@pytest.fixture
def made(ledger: Ledger, site: Path) -> Ledger:
    toys.controller(ledger, site).run()
    return ledger


def flag(ledger: Ledger, name: str, kind: str = "raw") -> set[tuple[str, str]]:
    with ledger.write() as conn:
        return set(flags.flag(conn, toys.rules(), kind, name, reason="trail", who="test").targets)


def unflag(ledger: Ledger, name: str, kind: str = "raw") -> set[tuple[str, str]]:
    with ledger.write() as conn:
        return set(flags.unflag(conn, toys.rules(), kind, name, who="test").targets)


def ran(ledger: Ledger, site: Path) -> set[tuple[str, str]]:
    """(kind, key) of the tasks that a run does now."""
    control = toys.controller(ledger, site)
    control.run()
    return {(order.kind, order.key) for order in control.engine.orders}


def made_from(ledger: Ledger, name: str) -> set[tuple[str, str]]:
    """By brute force: all of the tile of every coadd with the frame among its inputs."""
    found = set()
    with ledger.read() as conn:
        for kind, key in toys.served(ledger):
            if kind != "coadd":
                continue
            coadd = products.current(conn, "coadd", key)
            assert coadd is not None
            if name in {row["key"] for row in products.inputs(conn, coadd["id"])}:
                found |= toys.of_tiles(int(key[1:3]))
    return found


@pytest.mark.parametrize("name", ["sci1", "sci2", "sci4"])
def test_flag_makes_exactly_the_coadds_and_catalogues_due_that_used_the_frame(
    made: Ledger, site: Path, name: str
) -> None:
    expected = made_from(made, name)
    assert flag(made, name) == expected
    assert ran(made, site) == expected
    assert made_from(made, name) == set()


@pytest.mark.parametrize("name", ["sci1", "sci3"])  # sci3 is alone in T11
def test_unflag_makes_the_same_tiles_due(made: Ledger, site: Path, name: str) -> None:
    expected = flag(made, name)
    toys.controller(made, site).run()
    assert unflag(made, name) == expected
    assert ran(made, site) == expected
    assert made_from(made, name) == expected


def test_unflag_of_a_frame_flagged_before_its_first_coadd(ledger: Ledger, site: Path) -> None:
    assert flag(ledger, "sci3") == set()
    toys.controller(ledger, site).run()
    assert ("reduced", "sci3") not in toys.served(ledger)
    tiles = toys.of_tiles(10, 11)
    assert unflag(ledger, "sci3") == tiles
    assert ran(ledger, site) == tiles | {("reduced", "sci3")}


def test_flag_takes_back_a_task_that_is_not_running_yet(ledger: Ledger, site: Path) -> None:
    toys.add_frames(ledger, site, [toys.facts("sci9", "science", ra=40.1)], toys.rules())
    toys.controller(ledger, site, settings={"faults": {"sci9": "fault"}}).run()
    with ledger.write() as conn:
        retry.retry(conn, retry.choose(conn, ["sci9"], ()), "somebody")
    flag(ledger, "sci9")
    assert ran(ledger, site) == set()


def test_a_coadd_without_any_frame_left_is_retired_with_its_catalogue(
    made: Ledger, site: Path
) -> None:
    flag(made, "sci4")
    flag(made, "sci5")
    assert ran(made, site) == set()
    served = toys.served(made)
    assert ("coadd", "T20.r") not in served
    assert not toys.of_tiles(20) & served.keys()
    with made.read() as conn:
        whats = [row["what"] for row in events.history(conn, "T20.r")["events"]]
    assert whats == ["retired", "retired"]
    unflag(made, "sci4")
    assert ran(made, site) == toys.of_tiles(20)


def test_flagging_a_bias_remakes_masters_and_all_that_used_them(ledger: Ledger, site: Path) -> None:
    toys.add_frames(ledger, site, [toys.facts("bias3-20170703", "bias")], toys.rules())
    toys.controller(ledger, site).run()
    expected = ALL_MADE_FROM_SCIENCE | {("master", BIAS), ("master", FLAT)}
    assert flag(ledger, "bias3-20170703") == expected
    assert ran(ledger, site) == expected
    before = toys.served(ledger)
    assert unflag(ledger, "bias3-20170703") == expected
    assert ran(ledger, site) == expected
    assert toys.served(ledger) != before


def test_flagging_a_master_falls_back_on_the_next_night(ledger: Ledger, site: Path) -> None:
    toys.add_frames(ledger, site, toys.calibration_night("2017-07-05"), toys.rules())
    toys.controller(ledger, site).run()
    assert flag(ledger, FLAT, "master") == ALL_MADE_FROM_SCIENCE | {("master", FLAT)}
    assert ran(ledger, site) == ALL_MADE_FROM_SCIENCE
    unflag(ledger, FLAT, "master")
    assert ran(ledger, site) == ALL_MADE_FROM_SCIENCE | {("master", FLAT)}


def test_old_versions_stay_served_until_new_ones_are_made(made: Ledger) -> None:
    before = toys.served(made)
    flag(made, "sci1")
    planner.plan(made, toys.rules())
    assert toys.served(made) == before


def test_what_cannot_be_flagged_says_so(made: Ledger) -> None:
    with pytest.raises(NotFound, match="no frame of that name"):
        flag(made, "nothing")
    with pytest.raises(NotFound, match="no version of it"):
        flag(made, "T99.r", "coadd")
    with pytest.raises(LedgerError, match="expected raw, exposure, night, master"):
        flag(made, "x", "calset")
    flag(made, "sci1")
    with pytest.raises(LedgerError, match="flagged already"):
        flag(made, "sci1")


def test_flagging_an_input_of_a_failed_task_has_it_tried_without(
    ledger: Ledger, site: Path
) -> None:
    toys.add_frames(ledger, site, [toys.facts("bias3-20170703", "bias")], toys.rules())
    toys.controller(ledger, site, settings={"faults": {BIAS: "quality"}}).run()
    assert toys.served(ledger).keys() == {("refcat", "stars")} | {
        ("raw", f.name) for f in toys.small_night()
    } | {("raw", "bias3-20170703")}
    assert flag(ledger, "bias3-20170703") == {("master", BIAS)}
    assert ran(ledger, site) == ALL_MADE_FROM_SCIENCE | {("master", BIAS), ("master", FLAT)}


def test_flagging_a_frame_settles_its_own_failed_task(ledger: Ledger, site: Path) -> None:
    toys.controller(ledger, site, settings={"faults": {"sci1": "fault"}}).run()
    flag(ledger, "sci1")
    assert ran(ledger, site) == set()
    with ledger.read() as conn:
        assert status.ended_badly(conn) == []
    unflag(ledger, "sci1")
    assert ("reduced", "sci1") in ran(ledger, site)


def test_a_planned_master_is_made_without_a_frame_flagged_meanwhile(
    ledger: Ledger, site: Path
) -> None:
    toys.add_frames(ledger, site, [toys.facts("bias3-20170703", "bias")], toys.rules())
    planner.plan(ledger, toys.rules())
    assert flag(ledger, "bias3-20170703") == set()
    toys.controller(ledger, site).run()
    with ledger.read() as conn:
        row = products.current(conn, "master", BIAS)
        assert row is not None
        assert [r["key"] for r in products.inputs(conn, row["id"])] == [
            "bias1-20170703", "bias2-20170703",
        ]  # fmt: skip


def test_a_flagged_dark_takes_its_master_out_of_service(made: Ledger, site: Path) -> None:
    toys.add_frames(made, site, [toys.facts("dark1", "dark")], toys.rules())
    toys.controller(made, site).run()
    dark = ("master", "DARK.JAST80.toycam.01.-.fast.20170703")
    assert dark in toys.served(made)
    assert flag(made, "dark1") == {dark}  # the images were made before it, without it
    toys.controller(made, site).run()
    assert dark not in toys.served(made)
    assert unflag(made, "dark1") == {dark}
    assert ran(made, site) == {dark}


@pytest.mark.parametrize("fault", ["quality", "fault"])
def test_an_image_with_a_condemned_bias_leaves_its_coadd_if_it_cannot_be_remade(
    made: Ledger, site: Path, fault: str
) -> None:
    night = toys.calibration_night("2017-07-02")
    toys.add_frames(made, site, night, toys.rules())
    toys.controller(made, site).run()
    with made.write() as conn:
        flags.flag(conn, toys.rules(), "master", BIAS, reason="light leak", who="eva")
    toys.controller(made, site, settings={"faults": {"sci1": fault}}).run()
    with made.read() as conn:
        coadd = products.current(conn, "coadd", "T10.r")
        assert coadd is not None
        assert [row["key"] for row in products.inputs(conn, coadd["id"])] == ["sci2", "sci3"]
        (left_out,) = (c for c in coadds.candidates(conn, "T10.r") if c.reduced_id is None)
    assert left_out.name == "sci1"
    assert left_out.excluded.endswith(f"its image was made with {BIAS}, not valid")


def test_without_another_bias_nothing_made_with_the_condemned_one_is_coadded(
    made: Ledger, site: Path
) -> None:
    with made.write() as conn:
        flags.flag(conn, toys.rules(), "master", BIAS, reason="light leak", who="eva")
    toys.controller(made, site).run()
    with made.read() as conn:
        assert products.current(conn, "coadd", "T10.r") is None
        assert products.current(conn, "catalogue", "T10.r") is None
        reasons = {c.excluded for c in coadds.candidates(conn, "T10.r")}
    assert all(reason.startswith("waits: no certified BIAS") for reason in reasons)


def test_a_superseded_master_only_makes_stale_an_invalid_one_is_remade_at_once(
    made: Ledger, site: Path
) -> None:
    """The same images, of the same two versions of a flat."""
    flat_user = {("reduced", f"sci{n}") for n in range(1, 6)}
    before = toys.served(made)
    toys.add_frames(made, site, [toys.facts("flat3-20170703", "flat")], toys.rules())
    assert ran(made, site) == {("master", FLAT)}
    with made.read() as conn:
        stale = {(row["kind"], row["key"]): row["why"] for row in status.stale(conn)}
        first = products.version(conn, "master", FLAT, 1)
        assert masters.get(conn, first["id"])["state"] == "superseded"
        assert first["state"] == "valid"
        assert not conn.execute(schema.dirty.select()).all()
    assert stale.keys() == flat_user
    assert all("FLAT" in why and "version 2" in why for why in stale.values())
    after = toys.served(made)
    assert {key for key in before if before[key] != after[key]} == {("master", FLAT)}

    # A verdict on the master condemns all its versions: what used the first is due, too.
    toys.add_frames(made, site, toys.calibration_night("2017-07-05"), toys.rules())
    ran(made, site)
    expected = ALL_MADE_FROM_SCIENCE | {("master", FLAT)}
    assert flag(made, FLAT, "master") == expected
    with made.read() as conn:
        due = {(row.kind, row.key) for row in conn.execute(schema.dirty.select()) if row.fresh}
    assert due == expected
    assert ran(made, site) == ALL_MADE_FROM_SCIENCE
    with made.read() as conn:
        states = {
            masters.get(conn, products.version(conn, "master", FLAT, n)["id"])["state"]
            for n in (1, 2)
        }
        assert states == {"invalid", "superseded"}
        assert status.stale(conn) == []


def test_a_flagged_frame_of_a_superseded_version_remakes_those_who_used_it(
    made: Ledger, site: Path
) -> None:
    """The images keep their choice of the first version until the frame in it is condemned."""
    toys.add_frames(made, site, [toys.facts("flat3-20170703", "flat")], toys.rules())
    ran(made, site)
    expected = ALL_MADE_FROM_SCIENCE | {("master", FLAT)}
    assert flag(made, "flat1-20170703") == expected
    assert ran(made, site) == expected


def test_images_of_flagged_frames_are_not_made_again(made: Ledger, site: Path) -> None:
    """A run leaves them as they are, so nothing else is said before."""
    flag(made, "sci3")
    ran(made, site)
    toys.add_frames(made, site, [toys.facts("bias3-20170703", "bias")], toys.rules())
    ran(made, site)
    expected = ALL_MADE_FROM_SCIENCE | {("master", BIAS), ("master", FLAT)}
    expected -= toys.of_tiles(11) | {("reduced", "sci3")}  # sci3 is alone in T11
    assert flag(made, "bias1-20170703") == expected
    assert ran(made, site) == expected


def test_unflagging_names_the_images_that_are_made_for_the_first_time(
    ledger: Ledger, site: Path
) -> None:
    flag(ledger, "sci3")
    ran(ledger, site)
    with ledger.write() as conn:
        found = flags.unflag(conn, toys.rules(), "raw", "sci3", who="test")
    assert found.own == (("reduced", "sci3"),)
    assert ran(ledger, site) == set(found.due)


def test_the_cost_is_that_of_past_attempts(made: Ledger, site: Path) -> None:
    with made.write() as conn:  # 5 s a frame of 0.01 Mpix, for every step
        conn.execute(schema.attempt.update().values(seconds=5.0))
        conn.execute(schema.task.update().values(megapixels=0.01))
    with made.read() as conn:
        found = flags.of_flag(conn, toys.rules(), "raw", "sci1")
        work = {a.step: (a.tasks, a.seconds) for a in cost.cost(conn, found.due, {})}
    assert work == {
        step: (1, pytest.approx(5.0))
        for step in ("coadd", "catalog", "dual", "calibrate", "valueadded", "load")
    }


def test_the_cost_of_what_was_never_made_is_that_of_its_frames(ledger: Ledger, site: Path) -> None:
    flag(ledger, "sci3")
    declared = {"reduce": 2.0, "coadd": 3.0, "catalog": 4.0, "dual": 5.0}
    with ledger.read() as conn:
        found = flags.of_unflag(conn, toys.rules(), "raw", "sci3")
        work = {
            a.step: (a.tasks, a.megapixels, a.seconds) for a in cost.cost(conn, found.due, declared)
        }
    in_tiles = 0.04  # three frames in T10, one in T11
    assert work["reduce"] == (1, pytest.approx(0.01), pytest.approx(0.02))
    assert work["coadd"] == (2, pytest.approx(in_tiles), pytest.approx(3 * in_tiles))
    assert work["dual"] == (2, pytest.approx(in_tiles), pytest.approx(5 * in_tiles))
    assert work["load"] == (2, pytest.approx(in_tiles), pytest.approx(in_tiles))


BIASES = [frame.name for frame in toys.small_night() if frame.obstype == "bias"]


@pytest.mark.parametrize(
    ("kind", "keys"),
    [
        ("raw", ["sci1"]),
        ("raw", ["sci4", "sci5"]),
        ("raw", BIASES),
        ("raw", [frame.name for frame in toys.small_night()]),
        ("reduced", ["sci4"]),
        ("coadd", ["T10.r"]),
    ],
)
def test_what_is_foretold_is_made_and_what_is_not_is_retired(
    made: Ledger, site: Path, kind: str, keys: list[str]
) -> None:
    with made.read() as conn:
        told = flags.of_flag(conn, toys.rules(), kind, keys)
    with made.write() as conn:
        flags.flag(conn, toys.rules(), kind, keys, reason="trail", who="eva")
    done = ran(made, site)
    with made.read() as conn:
        gone = {pair for pair in told.targets if products.current(conn, *pair) is None}
        waits = {pair for pair in told.targets if tasks.waiting(conn, *pair) is not None}
    assert gone == told.retired
    assert waits == told.waiting
    assert done == set(told.made_again)
