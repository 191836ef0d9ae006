"""A night as it is told in the morning, and where a site stands."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tesela.cli import status as status_verb
from tesela.cli import status_night
from tesela.errors import NotFound
from tesela.flow.plan import flags, planner
from tesela.ledger import night, pauses, schema, status, tallies, tasks
from tesela.ledger.clock import now_mjd
from tesela.ledger.engine import Ledger

from . import toys

NIGHT, BEFORE = "2017-07-03", "2017-07-02"
CCDS = ("01", "02")
FAULTS = {"sci1": "fault", "sci2": "quality"}


@pytest.fixture
def site(tmp_path: Path) -> Path:
    return tmp_path / "site"


@pytest.fixture
def made(site: Path) -> Ledger:
    """A night before that went well, and one in which sci1 died, sci2 was skipped, sci3 did not
    pass, and an exposure lacks a CCD."""
    ledger = toys.new_site(site)
    earlier = [
        *toys.calibration_night(BEFORE),
        *(toys.facts(f"old{n}", "science", night=BEFORE, ra=60.1) for n in range(6)),
    ]
    toys.add_frames(ledger, site, earlier, toys.rules())
    toys.controller(ledger, site).run()
    half = toys.facts("e1-01", "science", exposure="e1", ccds=CCDS, ra=30.1)
    toys.add_frames(ledger, site, [*toys.small_night(), half], toys.rules())
    settings = {"faults": FAULTS, "rejections": {"sci3": "FWHM 3.21 above 3"}}
    toys.controller(ledger, site, settings=settings).run()
    return ledger


def told(ledger: Ledger, which: str = NIGHT) -> dict[str, Any]:
    with ledger.read() as conn:
        return night.summary(conn, which)


def view(ledger: Ledger) -> dict[str, Any]:
    with ledger.read() as conn:
        return status.overview(conn)


def test_what_became_of_the_frames_and_why(made: Ledger) -> None:
    found = told(made)
    assert found["science"] == {"passed": 3, "rejected": 1, "skipped": 1, "dead": 1}
    reasons = {row["state"]: (row["n"], row["example"], row["reason"]) for row in found["reasons"]}
    assert reasons["rejected"] == (1, "sci3", "FWHM 3.21 above 3")
    assert reasons["skipped"] == (1, "sci2", "sci2: 3 stars; expected 8; look at it")
    assert reasons["dead"][:2] == (1, "sci1")
    assert {(row["obstype"], row["band"]): row["frames"] for row in found["observed"]} == {
        ("bias", ""): 2, ("flat", "r"): 2, ("science", "r"): 6,
    }  # fmt: skip
    assert found["open_s"] == 6 * 60.0
    (incomplete,) = found["incomplete"]
    assert (incomplete["exposure"], incomplete["missing"]) == ("e1", ["02"])


def test_a_flagged_night_is_called_so_with_its_masters(made: Ledger, site: Path) -> None:
    with made.write() as conn:
        flags.flag(conn, toys.rules(), "night", NIGHT, reason="clouds", who="eva")
    found = told(made)
    assert found["science"] == {"flagged": 6}
    assert (found["verdict"]["who"], found["verdict"]["reason"]) == ("eva", "clouds")
    assert next(status_night.lines(found)) == f"night {NIGHT}: FLAGGED by eva: clouds"
    toys.controller(made, site).run()
    assert {row["master_kind"]: row["state"] for row in told(made)["masters"]} == {
        "BIAS": "invalid", "FLAT": "invalid",
    }  # fmt: skip


def test_frames_that_wait_or_are_under_way_are_told_apart(site: Path) -> None:
    ledger = toys.new_site(site)
    frames = [toys.facts("sci1", "science"), toys.facts("sci2", "science")]
    toys.add_frames(ledger, site, frames, toys.rules())
    assert told(ledger)["science"] == {"under way": 2}
    planner.plan(ledger, toys.rules())
    found = told(ledger)
    assert found["science"] == {"waiting": 2}
    assert "no certified BIAS" in found["reasons"][0]["reason"]
    assert found["masters"] == []
    assert found["work"]["attempts"] == 0


def test_measures_are_compared_with_the_survey(made: Ledger) -> None:
    table = schema.quality
    product = schema.product
    with made.write() as conn:
        for name, fwhm in (("sci3", 3.2), ("sci4", 1.4), ("sci5", 1.6), ("e1-01", 1.5)):
            key = product.select().with_only_columns(product.c.id)
            image = key.where(product.c.kind == "reduced", product.c.key == name)
            changed = table.update().where(table.c.product_id.in_(image))
            conn.execute(changed.values(fwhm_arcsec=fwhm, sky_e=200.0, zeropoint_mag=None))
    (band,) = told(made)["bands"]
    assert (band["band"], band["images"]) == ("r", 4)
    assert band["fwhm_arcsec"] == pytest.approx(1.55)  # of 3.2, 1.6, 1.5, 1.4
    assert band["survey"]["fwhm_arcsec"] == 1.0  # six earlier images of 1.0, three that passed
    assert band["zeropoint_mag"] is None
    (line,) = [line for line in status_night.lines(told(made)) if line.startswith("r: ")]
    assert line == "r: seeing 1.55 (1.00) arcsec, sky 200 e-; 4 images"


def test_masters_and_tiles_and_work(made: Ledger, site: Path) -> None:
    found = told(made)
    assert {(row["master_kind"], row["state"], row["n"]) for row in found["masters"]} == {
        ("BIAS", "certified", 1), ("FLAT", "certified", 1),
    }  # fmt: skip
    # T10 has no frame left, T11 none that passed; T20 and T30 are made.
    assert found["tiles"] == {
        "tiles": 4, "coadds": 4, "made": 2, "under_way": 0, "planned": 0, "complete": 0,
    }  # fmt: skip
    failed = {row["fault_class"]: (row["n"], row["example"]) for row in found["work"]["failed"]}
    assert failed == {"fault": (3, "sci1"), "quality": (1, "sci2")}
    assert found["work"]["attempts"] == 4 + 3 + 1 + 2
    with made.write() as conn:
        rows = [{"tile": t, "band": "r", "frames": n} for t, n in (("T20", 2), ("T30", 2))]
        conn.execute(schema.planned.insert(), rows)
    tiles = told(made)["tiles"]
    assert (tiles["planned"], tiles["complete"]) == (2, 1)
    text = list(status_night.lines(told(made)))
    assert "tiles: 4 touched: 2 of 4 coadds made; 1 of 2 have all frames that are planned" in text


def test_masters_that_could_not_be_made_are_named(site: Path) -> None:
    flat = "FLAT.JAST80.toycam.01.r_R1.fast.20170703"
    ledger = toys.new_site(site)
    toys.add_frames(ledger, site, toys.small_night(), toys.rules())
    toys.controller(ledger, site, settings={"faults": {flat: "quality"}}).run()
    found = told(ledger)
    assert [(row["key"], row["state"]) for row in found["masters_missing"]] == [(flat, "skipped")]
    assert any(line.startswith(f"  skipped: {flat}: ") for line in status_night.lines(found))


def test_a_night_without_a_frame_says_so(made: Ledger) -> None:
    for which in ("2017-07-09", "yesterday", "' OR 1=1"):
        with pytest.raises(NotFound, match=r"no frame of that night; expected a night such as"):
            told(made, which)
    with made.read() as conn:
        assert night.latest(conn) == NIGHT


def test_the_last_night_of_nothing_says_so(site: Path) -> None:
    with toys.new_site(site).read() as conn, pytest.raises(NotFound, match="no frame yet"):
        night.latest(conn)


# ---------------------------------------------------------------- where a site stands


def test_a_small_ledger_is_counted_whenever_somebody_looks(made: Ledger, site: Path) -> None:
    tallies.refresh(made)
    toys.add_frames(made, site, [toys.facts("sci9", "science", ra=20.3)], toys.rules())
    found = view(made)
    assert found["products"]["raw"] == 4 + 6 + 10 + 1
    assert found["counted_s"] < 1.0


def test_a_large_ledger_shows_what_was_counted_and_when(
    made: Ledger, site: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = view(made)
    assert tallies.refresh(made) > 0.0
    monkeypatch.setattr(tallies, "SMALL", 10)
    with made.write() as conn:
        conn.execute(schema.tally.update().values(at_mjd=now_mjd() - 0.5))
    toys.add_frames(made, site, [toys.facts("sci9", "science", ra=20.3)], toys.rules())
    found = view(made)
    assert found["counted_s"] == pytest.approx(43200.0, abs=60.0)
    for name in ("products", "tasks", "nights", "warnings", "stale", "causes", "incomplete"):
        assert found[name] == before[name], name
    assert "counted 12.0 h ago; --count counts anew" in status_verb._lines(found)
    with made.read() as conn:
        assert tallies.is_due(conn)
    tallies.refresh(made)
    found = view(made)
    assert found["products"]["raw"] == 4 + 6 + 10 + 1
    with made.read() as conn:
        assert not tallies.is_due(conn)


def test_what_vanished_is_counted_no_more(made: Ledger) -> None:
    tallies.refresh(made)
    with made.write() as conn:
        conn.execute(schema.task.update().where(schema.task.c.state == "dead").values(state="done"))
    tallies.refresh(made)
    with made.read() as conn:
        kept = tallies.read(conn)
    assert kept is not None
    assert "dead" not in {one.state for one in kept.of("task")}
    assert not [one for one in kept.of("ended") if one.kind.startswith("dead")]


def test_a_ledger_that_nobody_counted_is_counted_now(
    made: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tallies, "SMALL", 0)
    with made.read() as conn:
        assert tallies.is_due(conn)
    assert view(made)["products"]["raw"] == 4 + 6 + 10


def test_what_is_paused_and_what_runs_is_said_first(made: Ledger, site: Path) -> None:
    toys.add_frames(made, site, [toys.facts("sci9", "science", ra=20.3)], toys.rules())
    planner.plan(made, toys.rules())
    with made.write() as conn:
        pauses.pause(conn, "coadd", pauses.ALL, reason="disk", who="eva")
        pauses.pause(conn, pauses.ALL, "open", reason="embargo", who="bob")
        (claim,) = tasks.claim(conn, 1)
        started = now_mjd() - 0.25
        attempt = schema.attempt
        conn.execute(
            attempt.update()
            .where(attempt.c.id == claim.attempt_id)
            .values(started_mjd=started, host="node7", controller="c1")
        )
        row = {"id": "c1", "host": "node1", "pid": 7, "engine": "local"}
        times = {"started_mjd": started, "seen_mjd": now_mjd() - 0.1}
        conn.execute(schema.controller.insert().values(**row, **times))
        conn.execute(
            schema.controller.insert().values(
                **{**row, "id": "c0", **times, "ended_mjd": now_mjd()}
            )
        )
    found = view(made)
    assert [(p["step"], p["project"], p["who"]) for p in found["paused"]] == [
        ("*", "open", "bob"), ("coadd", "*", "eva"),
    ]  # fmt: skip
    (running,) = found["running"]
    assert (running["step"], running["key"], running["host"]) == ("reduce", "sci9", "node7")
    assert running["age_s"] == pytest.approx(21600.0, abs=60.0)
    assert running["memory_mb"] > 0
    text = list(status_verb._lines(found))
    assert text[0].startswith("PAUSED: everything of project open by bob since ")
    assert text[0].endswith(": embargo")
    assert text[1].startswith("PAUSED: step coadd by eva since ")
    assert text[2] == "controller: node1 process 7, local, for 6.0 h, SILENT for 2.4 h"
    assert text[3] == "running: 1 task (1 on node7)"
    assert text[4].startswith("  reduce sci9 on node7 for 6.0 h, attempt 1, ")


def test_verdicts_of_a_group_are_listed_once(made: Ledger) -> None:
    with made.write() as conn:
        flags.flag(conn, toys.rules(), "raw", "old1", reason="trail", who="bob")
        flags.flag(conn, toys.rules(), "exposure", "e1", reason="guiding", who="bob")
        flags.flag(conn, toys.rules(), "night", NIGHT, reason="clouds", who="eva")
    found = view(made)
    assert [(row["kind"], row["key"]) for row in found["flagged"]] == [
        ("exposure", "JAST80.toycam.e1"), ("night", NIGHT), ("raw", "old1"),
    ]  # fmt: skip
    totals = {(row["kind"], row["reason"]): row["n"] for row in found["totals"]["flagged"]}
    assert totals["raw", "clouds"] == 9
    said = list(status_verb._lines(found))
    n = sum(n for (kind, _), n in totals.items() if kind == "raw")
    (line,) = (line for line in said if " in all: " in line)
    assert line.startswith(f"flagged: {n} in all: 9 frames clouds, ")
    assert "flagged as groups: 1 exposure guiding, 1 night clouds" in said
    assert list(found["products"]) == sorted(found["products"])
