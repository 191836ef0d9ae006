"""`why` names the chosen calibration, and every other with the reason it was not."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tesela.errors import NotFound
from tesela.flow.plan import flags
from tesela.flow.plan.choice import choose
from tesela.flow.plan.shelf import Shelf
from tesela.flow.plan.why import explain
from tesela.ledger import history, products, status
from tesela.ledger.engine import Ledger
from tesela.ledger.keys import Configuration
from tesela.products.frame import night_span

from . import toys

CCD = Configuration("JAST80", "toycam", "01", "r_R1", "fast")


@pytest.fixture
def site(tmp_path: Path) -> Path:
    return tmp_path / "site"


@pytest.fixture
def ledger(site: Path) -> Ledger:
    ledger = toys.new_site(site)
    rules = toys.rules()
    for night in ("2017-07-03", "2017-07-05", "2017-07-30"):
        toys.add_frames(ledger, site, toys.calibration_night(night), rules)
    others = {
        "mode": {"readout_mode": "slow"},
        "ccd": {"ccd": "02"},
        "serial": {"filter_serial": "R2"},
        "band": {"band": "g"},
    }
    for name, change in others.items():
        frames = [
            toys.facts(f"{frame.name}-{name}", frame.obstype, **change)
            for frame in toys.calibration_night()
            if frame.obstype == "flat" or name not in ("serial", "band")
        ]
        toys.add_frames(ledger, site, frames, rules)
    toys.add_frames(ledger, site, [toys.facts("sci1", "science")], rules)
    return ledger


def flat(night: str, ccd: str = "01", through: str = "r_R1", mode: str = "fast") -> str:
    return f"FLAT.JAST80.toycam.{ccd}.{through}.{mode}.{night}"


def test_every_rejected_candidate_has_its_reason(ledger: Ledger, site: Path) -> None:
    bad = flat("20170705")
    toys.controller(ledger, site, settings={"rejections": {bad: "slope of 2 %"}}).run()
    with ledger.rehearse() as conn:
        answer = explain(conn, toys.rules(), "sci1")
    assert answer["state"] == ["raw: version 1 is current", "reduced: version 1 is current"]
    need = next(n for n in answer["calibrations"] if n["master_kind"] == "FLAT")
    assert need["chosen"] == flat("20170703") + " version 1"
    assert need["in_use"] == need["chosen"]
    assert {row["key"]: row["reason"] for row in need["rejected"]} == {
        flat("20170703", mode="slow"): "other read-out mode: slow, not fast",
        flat("20170703", ccd="02"): "other CCD: 02, not 01",
        flat("20170703", through="r_R2"): "other filter: r_R2, not r_R1",
        flat("20170703", through="g_R1"): "other filter: g_R1, not r_R1",
        bad: "proposed: slope of 2 %",
        flat("20170730"): "outside its validity by 26.55 d, the chosen by 0.00 d",
    }


def test_without_any_master_it_says_what_to_wait_for(tmp_path: Path) -> None:
    site = tmp_path / "bare"
    ledger = toys.new_site(site)
    toys.add_frames(ledger, site, [toys.facts("sci1", "science")], toys.rules())
    toys.add_frames(ledger, site, toys.calibration_night("2017-09-01"), toys.rules())
    toys.controller(ledger, site).run()
    with ledger.rehearse() as conn:
        answer = explain(conn, toys.rules(), "sci1")
    need = answer["calibrations"][0]
    assert need["chosen"] is None
    assert need["waits_for"].startswith("no certified BIAS of JAST80.toycam.01.-.fast within 10 d")
    assert (
        need["rejected"][0]["reason"] == "outside its validity by 59.55 d, beyond the 10 d allowed"
    )
    assert any(line.startswith("reduced: waits for no certified BIAS") for line in answer["state"])


@pytest.mark.parametrize(
    ("day", "chosen", "distance"),
    [
        (0.0, "2017-07-03", 0.0),  # the first instant of a night belongs to it
        (1.0, "2017-07-03", 0.0),  # the first after it: nearest, at distance 0
        (1.4, "2017-07-03", 0.4),
        (1.5, "2017-07-03", 0.5),  # as near to both: the earlier
        (1.6, "2017-07-05", 0.4),
        (2.0, "2017-07-05", 0.0),
        (13.0, "2017-07-05", 10.0),
        (14.0, None, 0.0),
        (-10.5, None, 0.0),
    ],
)
def test_the_nearest_master_within_reach_is_chosen(
    ledger: Ledger, site: Path, day: float, chosen: str | None, distance: float
) -> None:
    toys.controller(ledger, site).run()
    begin, _ = night_span("2017-07-03", 0.0)
    with ledger.read() as conn:
        choice = choose(Shelf(conn), toys.rules(), "FLAT", CCD, begin + day)
    assert (choice.master["night"] if choice.master else None) == chosen
    assert choice.distance_days == pytest.approx(distance)


def test_a_coadd_lists_its_frames_used_and_left_out(tmp_path: Path) -> None:
    site = tmp_path / "site2"
    ledger = toys.new_site(site)
    toys.add_frames(ledger, site, toys.small_night(), toys.rules())
    faults = {"sci2": "quality"}
    toys.controller(ledger, site, settings={"faults": faults}).run()
    with ledger.write() as conn:
        flags.flag(conn, toys.rules(), "raw", "sci1", reason="trail", who="eva")
    toys.controller(ledger, site).run()
    with ledger.rehearse() as conn:
        answer = explain(conn, toys.rules(), "T10.r")
        flagged = explain(conn, toys.rules(), "sci1")
    assert [(row["frame"], row["state"]) for row in answer["frames"]] == [
        ("sci1", "left out"),
        ("sci2", "left out"),
        ("sci3", "used"),
    ]
    assert answer["frames"][0]["reason"] == "flagged: trail"
    assert answer["frames"][1]["reason"].startswith("skipped: sci2: 3 stars")
    assert "raw: flagged by eva: trail" in flagged["state"]


def test_a_master_lists_its_frames(ledger: Ledger, site: Path) -> None:
    dome = [toys.facts(f"dome{n}", "flat", flat_kind="dome") for n in (1, 2)]
    toys.add_frames(ledger, site, dome, toys.rules())
    toys.controller(ledger, site).run()
    with ledger.rehearse() as conn:
        answer = explain(conn, toys.rules(), flat("20170703"))
    assert [(row["frame"], row["state"]) for row in answer["frames"]] == [
        ("flat1-20170703", "used"),
        ("flat2-20170703", "used"),
    ]
    with ledger.rehearse() as conn:
        answer = explain(conn, toys.rules(), f"DOME{flat('20170703')}")
    assert [row["frame"] for row in answer["frames"]] == ["dome1", "dome2"]


def test_nothing_is_known_of_an_unknown_name(ledger: Ledger) -> None:
    with pytest.raises(NotFound), ledger.rehearse() as conn:
        explain(conn, toys.rules(), "nothing")


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"faults": {flat("20170703"): "quality"}}, "was skipped: FLAT"),
        ({"faults": {flat("20170703"): "fault"}}, "is dead: ZeroDivisionError"),
        ({"rejections": {flat("20170703"): "slope"}}, "is not certified: slope"),
    ],
)
def test_a_frame_whose_master_will_not_come_says_why(
    tmp_path: Path, settings: dict[str, object], said: str
) -> None:
    site = tmp_path / "bare"
    ledger = toys.new_site(site)
    toys.add_frames(ledger, site, toys.small_night(), toys.rules())
    toys.controller(ledger, site, settings=settings).run()
    with ledger.rehearse() as conn:
        answer = explain(conn, toys.rules(), "sci1")
    line = next(line for line in answer["state"] if line.startswith("reduced: waits for"))
    assert f"{flat('20170703')} {said}" in line
    assert "ingest" not in line


def test_a_frame_whose_master_has_too_few_frames_says_so(tmp_path: Path) -> None:
    site = tmp_path / "bare"
    ledger = toys.new_site(site)
    night = [f for f in toys.small_night() if f.name != "flat2-20170703"]
    toys.add_frames(ledger, site, night, toys.rules())
    toys.controller(ledger, site).run()
    with ledger.rehearse() as conn:
        answer = explain(conn, toys.rules(), "sci1")
    assert f"{flat('20170703')} waits: 1 usable sky flat frames" in answer["state"][-1]


def test_warnings_and_the_remedy_of_a_failed_task_are_told(tmp_path: Path) -> None:
    site = tmp_path / "bare"
    ledger = toys.new_site(site)
    toys.add_frames(ledger, site, toys.small_night(), toys.rules())
    settings = {"faults": {"sci1": "fault"}, "warnings": {"coadd": ("only 2 frames",)}}
    toys.controller(ledger, site, settings=settings).run()
    with ledger.rehearse() as conn:
        coadd = explain(conn, toys.rules(), "T10.r")["state"]
        failed = explain(conn, toys.rules(), "sci1")["state"]
    assert "coadd: warning: only 2 frames" in coadd
    assert failed[-1].startswith("reduced: task dead: ZeroDivisionError")
    assert failed[-1].endswith("`tesela retry sci1`")


def test_a_calibration_outside_its_validity_is_told_everywhere(tmp_path: Path) -> None:
    site = tmp_path / "late"
    ledger = toys.new_site(site)
    toys.add_frames(ledger, site, toys.calibration_night("2017-07-03"), toys.rules())
    for name, night in (
        ("before", "2017-07-01"),
        ("within", "2017-07-03"),
        ("after", "2017-07-06"),
    ):
        toys.add_frames(ledger, site, [toys.facts(name, "science", night=night)], toys.rules())
    summary = toys.controller(ledger, site).run()
    late = "is used 2.5 days after its validity: fallback"
    early = "is used 1.5 days before its validity: fallback"
    said: dict[str, list[str]] = {name: [] for name in ("before", "within", "after")}
    with ledger.read() as conn:
        for name, texts in said.items():
            row = products.current(conn, "reduced", name)
            assert row is not None
            texts += json.loads(row["warnings_json"])
            quality = products.quality_of(conn, row["id"])
            assert quality is not None
            days = json.loads(quality["metrics_json"])["fallback_days"]
            expected = {"before": 1.55, "within": 0.0, "after": 2.45}
            assert days == pytest.approx(expected[name], abs=0.01)
        grouped = {group["text"] for group in status.overview(conn)["warnings"]}
        history_of = history.of_key(conn, "after")["versions"][1]["warnings"]
    assert said["within"] == []
    assert said["after"] == [f"{kind} of 2017-07-03 {late}" for kind in ("BIAS", "FLAT")]
    assert said["before"] == [f"{kind} of 2017-07-03 {early}" for kind in ("BIAS", "FLAT")]
    assert history_of == said["after"]
    assert grouped == {*said["before"], *said["after"]} == {w["text"] for w in summary.warnings}
    with ledger.rehearse() as conn:
        lines = explain(conn, toys.rules(), "after")["state"]
    assert f"reduced: warning: BIAS of 2017-07-03 {late}" in lines
