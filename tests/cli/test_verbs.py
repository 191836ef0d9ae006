"""The verbs: what they print, what they change, and what their exit codes mean."""

from __future__ import annotations

import importlib.metadata
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import fitsio
import numpy as np
import pytest
from typer.testing import CliRunner

from tesela import __version__
from tesela.cli import history, main, plan, run, status
from tesela.cli.common import confirm, person, plural, stale_lines, waiting_lines, warning_lines
from tesela.errors import BadInput, Busy, ConfigError, NotFound, ProductError
from tesela.flow.run.controller import Progress
from tesela.flow.run.lock import only_controller
from tesela.ledger import events, schema, tasks
from tesela.ledger.engine import Ledger
from tesela.products import paths
from verbs import RUN_ENV

SURVEY = """
name = "tiny"
cameras = ["mini80"]
refcat = "stars"
[filters.rSDSS]
names = ["r"]
[grid]
scheme = "list"
pixel_scale_arcsec = 0.55
size_px = [1200, 1200]
centres = { "T1" = [211.8, 55.1] }
[calibration]
minimum = { BIAS = 1, FLAT = 1 }
"""

GROUPS = {
    "camera": ("check",),
    "refcat": ("add",),
    "masters": ("list",),
    "release": ("build",),
    "serve": ("setup",),
    "transfer": ("send",),
    "user": ("list",),
}
"""Verbs that are groups of verbs, and one of each."""


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A site made by `init`, and the current site of the verbs."""
    survey = tmp_path / "my.toml"
    survey.write_text(SURVEY)
    folder = tmp_path / "site"
    assert call("init", str(folder), "--survey", str(survey))[0] == 0
    monkeypatch.setenv("TESELA_SITE", str(folder))
    return folder


def call(*arguments: str) -> tuple[int, str]:
    """Call the program as a shell would; errors of ours become their exit code."""
    result = CliRunner().invoke(main.build(), list(arguments))
    if isinstance(result.exception, main.TeselaError):
        return main.exit_code(result.exception), str(result.exception)
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.exit_code, result.output


def data(*arguments: str) -> Any:
    """What a verb prints with --json."""
    return json.loads(call(*arguments, "--json")[1])


def bias(folder: Path, name: str, **cards: Any) -> Path:
    """A raw bias of the camera, as its telescope writes it."""
    from tesela import cameras

    camera = cameras.load("mini80")
    rng = np.random.default_rng(len(name))
    shape = (camera.raw_ny, camera.raw_nx)
    pixels = rng.integers(1000, 1010, size=shape, dtype=np.uint16)
    values = {
        "INSTRUME": camera.instruments[0],
        "TELESCOP": camera.telescope,
        "IMAGETYP": "BIAS",
        "EXPTIME": 0.0,
        "DATE-OBS": "2017-07-03T21:00:00",
        "OBJECT": "bias",
        **cards,
    }
    path = folder / f"{name}.fits"
    header = [{"name": k, "value": v} for k, v in values.items() if v is not None]
    fitsio.write(str(path), pixels, header=header)
    return path


def test_every_verb_is_listed_and_has_json() -> None:
    listing = call("--help")[1]
    for verb in main.VERBS:
        assert verb in listing
        shown = call(verb, *GROUPS.get(verb, ()), "--help")[1]
        assert "--json" in shown, verb


def test_the_program_is_a_module_too() -> None:
    words = [sys.executable, "-m", "tesela", "--version"]
    said = subprocess.run(words, capture_output=True, text=True, check=True, env=RUN_ENV)
    assert said.stdout == f"tesela {__version__}\n"


def test_init_refuses_to_make_a_site_twice(site: Path, tmp_path: Path) -> None:
    code, text = call("init", str(site), "--survey", str(tmp_path / "my.toml"))
    assert code == 2
    assert "a site is already there" in text


def test_a_survey_with_mistakes_makes_nothing(tmp_path: Path) -> None:
    survey = tmp_path / "bad.toml"
    survey.write_text(SURVEY.replace("mini80", "nocam"))
    code, text = call("init", str(tmp_path / "site"), "--survey", str(survey))
    assert code == 2
    assert "nocam" in text
    assert not (tmp_path / "site").exists()


def test_a_folder_that_is_no_site_says_what_to_do(tmp_path: Path) -> None:
    code, text = call("status", "--site", str(tmp_path))
    assert code == 2
    assert "tesela init" in text


def test_good_and_bad_frames_come_in_side_by_side(site: Path, tmp_path: Path) -> None:
    night = tmp_path / "night"
    night.mkdir()
    bias(night, "good")
    bias(night, "unknowncam", INSTRUME="Hubble")
    bias(night, "nodate", **{"DATE-OBS": None})
    bias(night, "contradiction", EXPTIME=10.0)
    (night / "empty.fits").touch()
    (night / "nofits.fits").write_text("hello")
    whole = bias(night, "truncated").read_bytes()
    (night / "truncated.fits").write_bytes(whole[: len(whole) // 2])
    small = np.zeros((10, 10), dtype=np.uint16)
    small[0] = 5
    bias(night, "size").unlink()
    good = fitsio.read_header(str(night / "good.fits"))
    fitsio.write(str(night / "size.fits"), small, header=good)
    code, _ = call("ingest", str(night))
    assert code == 2
    found = {Path(row["path"]).stem: row for row in data("ingest", str(night))}
    assert found.pop("good")["outcome"] == "known"
    assert {row["outcome"] for row in found.values()} == {"refused"}
    for name, row in found.items():
        assert row["message"].startswith(f"{name}.fits"), row
        assert "expected" in row["message"], row
    with_history = data("history", str(night / "empty.fits"))
    assert with_history["events"][0]["what"] == "ingest refused"


def test_plan_run_why_history_status_agree(site: Path, tmp_path: Path) -> None:
    assert call("ingest", str(bias(tmp_path, "b1")))[0] == 0
    rehearsed = data("plan", "--dry-run")
    assert [task["step"] for task in rehearsed["due"]] == ["master"]
    assert data("status")["tasks"] == []
    key = rehearsed["due"][0]["key"]
    assert data("plan")["due"] == rehearsed["due"]
    assert data("run", "--dry-run")["due"] == rehearsed["due"]
    assert call("why", key)[1].splitlines()[0] == "master: task ready: frame b1 ingested"
    assert [row["what"] for row in data("history", "b1")["events"]] == ["ingested"]
    assert "1 raw" in call("status")[1]
    assert call("why", "nothing")[0] == 2
    assert call("history", "nothing")[0] == 2


def test_a_plan_reads_the_calendar_as_it_is_now(site: Path, tmp_path: Path) -> None:
    """An intervention is the edit whose consequences one wants to see before a run."""
    call("ingest", str(bias(tmp_path, "b1")))

    def read() -> str:
        ledger = Ledger.open(paths.ledger_file(site))
        with ledger.read() as conn:
            found = events.last_detail(conn, "calendar read", "calibration")
        ledger.close()
        return found or ""

    call("plan")
    assert json.loads(read())["interventions"] == []
    written = paths.survey_file(site)
    work = "[[calibration.interventions]]\nat = '2017-07-10'\nwhat = 'baffle'\n"
    written.write_text(written.read_text() + work)
    call("plan", "--dry-run")
    assert json.loads(read())["interventions"] == []
    call("plan")
    assert [one["what"] for one in json.loads(read())["interventions"]] == ["baffle"]


def test_flag_prints_first_and_changes_nothing_on_a_dry_run(site: Path, tmp_path: Path) -> None:
    call("ingest", str(bias(tmp_path, "b1")))
    code, text = call("flag", "b1", "--reason", "light", "--dry-run")
    assert code == 0
    said = ["would be flagged: 1 frame", "  b1", "would be due again: nothing"]
    assert text.splitlines()[:3] == said
    assert data("history", "b1")["verdicts"] == []
    assert call("flag", "b1", "--reason", "light", "--comment", "door open")[0] == 0
    assert data("history", "b1")["verdicts"][0]["comment"] == "door open"
    assert call("flag", "b1", "--reason", "light")[0] == 2
    assert call("unflag", "b1")[0] == 0
    assert call("unflag", "b1")[0] == 2
    assert call("flag", "nothing", "--reason", "light")[0] == 2


def test_a_reference_catalogue_comes_in_from_csv(site: Path, tmp_path: Path) -> None:
    table = tmp_path / "stars.csv"
    table.write_text("ra,dec,rmag\n211.8,55.1,15.0\n211.9,55.2,16.0\n")
    assert data("refcat", "add", "stars", str(table))["rows"] == 2
    code, text = call("refcat", "add", "stars", str(table))
    assert code == 2
    assert "same rows as version 1" in text


def test_a_second_controller_ends_with_its_own_code(site: Path) -> None:
    with only_controller(paths.lock_file(site)):
        code, text = call("run", "--workers", "1")
    assert code == 3
    assert "held by process" in text


def test_a_run_with_nothing_to_do_does_nothing(site: Path) -> None:
    summary = data("run", "--workers", "1")
    assert (summary["done"], summary["dead"], summary["skipped"]) == (0, 0, 0)


def test_a_run_says_what_waits_and_for_what(site: Path) -> None:
    ledger = Ledger.open(paths.ledger_file(site))
    with ledger.write() as conn:
        for n in range(9):
            reason = "the reference catalogue stars" if n < 4 else f"something {min(n, 7)}"
            due = tasks.Due("coadd", f"T{n}.r", "a frame", False)
            tasks.set_waiting(conn, due, reason, pending=False)
    ledger.close()
    code, text = call("run", "--workers", "1")
    assert code == 0
    assert text.splitlines()[0].startswith("0 tasks done in ")
    assert text.splitlines()[1:] == [
        "waiting: 4 coadd (T0.r): the reference catalogue stars",
        "waiting: 2 coadd (T7.r): something 7",
        "waiting: 1 coadd (T4.r): something 4",
        "9 products wait in all; see `tesela status`, and `tesela why T0.r` for one",
    ]
    assert [row["n"] for row in data("run", "--workers", "1")["waiting"]] == [4, 2, 1, 1, 1]


def test_ingest_of_nothing_says_so(site: Path, tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    (empty / "notes.txt").write_text("no frame")
    code, text = call("ingest", str(empty))
    assert code == 2
    assert text.strip() == f"0 frames taken in: no FITS file in {empty}"


def test_a_site_has_no_folder_that_is_never_used(site: Path) -> None:
    assert {path.name for path in site.iterdir()} == {
        "survey.toml", "ledger.sqlite", "raw", "products", "work",
    }  # fmt: skip


def test_init_counts_its_tiles_in_english(tmp_path: Path) -> None:
    survey = tmp_path / "my.toml"
    survey.write_text(SURVEY)
    _, text = call("init", str(tmp_path / "site"), "--survey", str(survey))
    assert "survey tiny, 1 tile; now" in text


def test_a_dead_task_is_told_until_somebody_has_it_tried_again(site: Path, tmp_path: Path) -> None:
    call("ingest", str(bias(tmp_path, "b1")))
    key = data("plan")["due"][0]["key"]
    assert "1 task due; about 1 core seconds in all" in call("plan")[1]
    fail(site, "dead")
    code, text = call("run", "--workers", "1")
    assert code == 1
    assert "1 task dead in all; see `tesela status`" in text
    remedy = f"when that is mended, `tesela retry {key}`"
    assert f"dead: master {key}: a defect; {remedy}" in call("status")[1]
    assert data("status")["ended_badly"][0]["do"] == remedy
    assert call("retry")[0] == 2
    assert call("retry", "nothing")[0] == 2
    assert data("retry", "--skipped")["tasks"] == []
    assert data("retry", key, "--dry-run") == {
        "done": False,
        "tasks": [
            {"step": "master", "kind": "master", "key": key, "state": "dead", "attempts": 0,
             "reason": "a defect"}
        ],
        "causes": [
            {"state": "dead", "step": "master", "reason": "a defect", "n": 1, "example": key}
        ],
    }  # fmt: skip
    assert call("plan")[1].startswith("0 tasks due")
    assert "ready again: 1 task; now `tesela run`" in call("retry", "--dead")[1]
    assert [task["key"] for task in data("plan")["due"]] == [key]


def test_a_skipped_task_is_told_and_no_failure(site: Path, tmp_path: Path) -> None:
    call("ingest", str(bias(tmp_path, "b1")))
    call("plan")
    fail(site, "skipped")
    code, text = call("run", "--workers", "1")
    assert code == 0
    assert "1 task skipped in all; see `tesela status`" in text


def fail(site: Path, state: str) -> None:
    """Have the tasks that are due end so."""
    ledger = Ledger.open(paths.ledger_file(site))
    with ledger.write() as conn:
        conn.execute(schema.task.update().values(state=state, reason="a defect"))
    ledger.close()


def test_closing_lines_are_few() -> None:
    groups = [{"kind": "coadd", "example": f"T{n}", "text": f"w{n}", "n": n} for n in range(1, 13)]
    lines = list(warning_lines(groups))
    assert lines[:2] == ["warning: coadd T1: w1", "warning: coadd T2 and 1 more: w2"]
    assert lines[10:] == ["  ... and 2 more (--json lists all)"]


def test_masters_that_are_proposed_are_counted_in_a_line() -> None:
    rows = [{"master_kind": kind} for kind in ("FLAT", "BIAS", "FLAT")]
    assert list(status._proposed([])) == []
    assert list(status._proposed(rows)) == [
        "proposed: 3 masters (2 FLAT, 1 BIAS) that a person has to judge; see "
        "`tesela masters list --state proposed`"
    ]


def test_stale_is_explained_once() -> None:
    assert list(stale_lines([])) == []
    lines = list(stale_lines([{"kind": "coadd", "why": "made by code 1, now 2", "n": 2}]))
    assert lines[0] == "stale: 2 coadd: made by code 1, now 2"
    assert "remade by `tesela reprocess`" in lines[1]


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(12.0, "12 core seconds"), (600.0, "10 core minutes"), (36000.0, "10 core hours")],
)
def test_the_work_ahead_is_said_in_fitting_units(seconds: float, said: str) -> None:
    found: dict[str, Any] = {
        "due": [{"step": "master", "key": "k", "why": "w"}],
        "n_due": 1,
        "paused": [],
        "expected": [{"tasks": 133}],
        "core_seconds": seconds,
        "waiting": [],
        "retired": [],
        "stale": [],
    }
    sentence = f"1 task due; 132 more wait for it; about {said} in all"
    assert list(plan.lines(found)) == [sentence, "  master k: w"]


def test_history_prints_why_a_version_was_made_and_its_warnings() -> None:
    version = {"kind": "coadd", "is_current": True, "master_state": None, "path": "p"}
    version |= {"passed": None, "quality_reason": "", "dropped_mjd": None, "libraries": None}
    version |= {"made_mjd": 57937.0}
    version |= {"code_version": "", "settings_hash": "", "environment": "", "differences": []}
    rows = [
        {**version, "version": 1, "changes": [], "warnings": ["only 2 frames"]},
        {**version, "version": 2, "changes": ["without reduced a"], "warnings": []},
        {**version, "version": 3, "changes": [], "warnings": []},
        {**version, "version": 4, "changes": [], "warnings": [], "passed": True},
        {
            **version, "version": 1, "kind": "quicklook", "changes": [], "warnings": [],
            "passed": False, "quality_reason": "too wide",
        },
    ]  # fmt: skip
    parts = {"events": [], "versions": rows, "attempts": [], "verdicts": [], "copies": []}
    assert list(history._lines(parts, "T1.r")) == [
        "2017-07-03T00:00:00Z version 1 of coadd: current, p",
        "  warning: only 2 frames",
        "2017-07-03T00:00:00Z version 2 of coadd: current, p",
        "  without reduced a",
        "2017-07-03T00:00:00Z version 3 of coadd: current, p",
        "  from the same inputs",
        "2017-07-03T00:00:00Z version 4 of coadd: current, passed, p",
        "  from the same inputs",
        "2017-07-03T00:00:00Z version 1 of quicklook: current, p",
        "  did not pass: too wide",
    ]


def test_doctor_survives_whatever_is_broken(site: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_: object) -> None:
        raise ZeroDivisionError("a broken library")

    monkeypatch.setattr("tesela.flow.run.rehearsal.run", broken)
    code, text = call("doctor")
    assert code == 1
    assert "FAIL rehearsal: ZeroDivisionError: a broken library" in text


def test_doctor_says_what_galsim_is_for(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> str:
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "version", missing)
    rows = {row["check"]: row for row in data("doctor", "--no-warm")}
    assert rows["extras"]["ok"]
    assert "need the extra simulate" in rows["extras"]["found"]
    assert not rows["packages"]["ok"]
    assert "matplotlib" in rows["packages"]["found"]


def test_doctor_checks_the_site(site: Path) -> None:
    rows = {row["check"]: row for row in data("doctor", "--no-warm")}
    assert list(rows) == [
        "python",
        "packages",
        "extras",
        "browser packages",
        "machine",
        "site",
    ]
    assert all(row["ok"] for row in rows.values())


def test_above_a_number_of_targets_yes_is_wanted() -> None:
    confirm(100, 100, yes=False)
    confirm(101, 100, yes=True)
    with pytest.raises(ConfigError, match="--yes"):
        confirm(101, 100, yes=False)


def test_ctrl_c_says_how_to_go_on(
    site: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def pressed(_: Path) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("tesela.flow.run.site.open_site", pressed)
    monkeypatch.setattr("sys.argv", ["tesela", "status"])
    with pytest.raises(SystemExit) as end:
        main.main()
    assert end.value.code == 130
    assert "`tesela run` goes on from here" in capsys.readouterr().err


def test_an_error_is_an_object_for_programs() -> None:
    error = NotFound("frame x", found="no such frame", do="look at `tesela status`")
    assert main.said(error, as_json=False) == f"tesela: {error}"
    told = json.loads(main.said(error, as_json=True))["error"]
    assert told["type"] == "NotFound" and told["message"] == str(error)
    assert told["what"] == "frame x" and told["do"] == "look at `tesela status`"


def test_a_run_without_a_terminal_says_now_and_then_where_it_stands(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    clock = iter([0.0, 1.0, 31.0, 31.0, 32.0])
    monkeypatch.setattr(run.time, "monotonic", lambda: next(clock))
    show = run._said_now_and_then()
    for done in (1, 2, 3):
        show(Progress(done, 10 - done, ("reduce sci1",)))
    assert capsys.readouterr().err == "tesela: 2 of 10 tasks done, now reduce sci1\n"


def test_what_is_served_while_it_waits_is_said() -> None:
    row = {"kind": "reduced", "example": "sci1", "reason": "no FLAT", "n": 3, "served": 2}
    assert list(waiting_lines([row])) == [
        "waiting: 3 reduced (sci1): no FLAT; of 2 the old version is served meanwhile"
    ]


def test_exit_codes_mean_something() -> None:
    assert main.exit_code(Busy("x")) == 3
    assert {main.exit_code(e("x")) for e in (ConfigError, BadInput, NotFound)} == {2}
    assert main.exit_code(ProductError("x")) == 1
    assert plural(1, "frame") == "1 frame"
    assert plural(2, "frame") == "2 frames"
    assert person()


def test_status_tells_what_is_missing_of_an_exposure_and_its_verdict_once() -> None:

    said = {"comment": "", "who": "ann", "reason": "guiding"}
    data: dict[str, Any] = {
        "nights": [
            {
                "night": "2017-07-03",
                "frames": {"bias": 1, "science": 27},
                "exposures": {"bias": 1, "science": 2},
                "reduced": 27,
            }
        ],
        "incomplete": [
            {
                "exposure": "e1", "night": "2017-07-03", "expected": 14, "arrived": 13,
                "missing": ["07"], "n": 1,
            },
            {
                "exposure": "e2", "night": "2017-07-03", "expected": 14, "arrived": 12,
                "missing": ["01", "07"], "n": 3,
            },
        ],
        "flagged": [
            {"kind": "exposure", "key": "T.cam.e1", **said},
            {"kind": "raw", "key": "e1-02", **said, "reason": "trail"},
        ],
        "totals": {
            "flagged": [{"kind": "exposure", "reason": "guiding", "n": 1},
                        {"kind": "raw", "reason": "guiding", "n": 1},
                        {"kind": "raw", "reason": "trail", "n": 1}],
            "refused": 0, "dead": 0, "skipped": 0, "running": 0,
            "quick_looks": {"frames": 0, "rejected": 0},
        },
        "paused": [], "held": {}, "controllers": [], "running": [], "counted_s": 0.0,
        "products": {}, "tasks": [], "waiting": [], "refused": [], "ended_badly": [],
        "causes": [], "alerts": [], "warnings": [], "stale": [], "quick_looks": [], "proposed": [],
    }  # fmt: skip
    assert list(status._lines(data)) == [
        "night 2017-07-03: 1 bias, 27 science in 2 exposures, 27 reduced",
        "exposure e1: 13 of 14 CCDs here, no 07",
        "exposure e2 and 2 more of 2017-07-03: 12 of 14 CCDs here, no 01, 07",
        "products: none",
        "flagged: exposure T.cam.e1 by ann: guiding",
        "flagged: raw e1-02 by ann: trail",
        "flagged: 2 in all: 1 frame guiding, 1 frame trail",
        "flagged as groups: 1 exposure guiding",
    ]
