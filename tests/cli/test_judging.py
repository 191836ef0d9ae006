"""The verbs that judge, hold back and tell, as people call them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from flow import toys
from tesela.ledger import tallies
from tesela.ledger.place import open_ledger
from tesela.products import paths
from verbs import RUN_ENV, SMALL_SURVEY, new_site, tesela, well

NIGHT = "2017-07-03"
COADD = ("coadd", "catalogue", "dual", "zeropoints", "valueadded", "science")


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """A site where a night was made: sci1 died, sci2 was skipped."""
    return site_of_a_night(tmp_path)


@pytest.fixture(scope="module")
def untouched(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Such a site for those who are refused, and so change nothing."""
    return site_of_a_night(tmp_path_factory.mktemp("untouched"))


def site_of_a_night(tmp_path: Path) -> Path:
    survey = tmp_path / "survey.toml"
    survey.write_text(SMALL_SURVEY)
    folder = new_site(tmp_path / "site", survey)
    ledger = open_ledger(folder)
    toys.add_refcat(ledger, folder)
    toys.add_frames(ledger, folder, toys.small_night(), toys.rules())
    faults = {"sci1": "fault", "sci2": "quality"}
    toys.controller(ledger, folder, settings={"faults": faults}).run()
    ledger.close()
    return folder


def test_a_night_is_flagged_after_a_dry_run_and_with_yes(site: Path) -> None:
    flag = ("flag", NIGHT, "--kind", "night", "--reason", "clouds", "--site", site)
    dry = well(*flag, "--dry-run", "--json").data
    assert (dry["judged"], dry["done"]) == (9, False)
    # Nothing is left of the only night: it is taken out of service, and costs nothing.
    assert {row["kind"] for row in dry["retired"]} == {"master", *COADD}
    assert (dry["due_again"], dry["core_hours"]) == ([], 0.0)
    one = well("flag", "sci4", "--reason", "trail", "--site", site, "--dry-run", "--json").data
    assert {row["step"] for row in one["expected"]} >= {"coadd", "load"}
    assert one["core_hours"] == pytest.approx(
        sum(row["seconds"] for row in one["expected"]) / 3600.0
    )
    assert "flagged" not in well("status", "--site", site).out
    with paths.survey_file(site).open("a") as survey:
        survey.write("[flow]\nconfirm_above = 5\n")
    refused = tesela(*flag)
    assert refused.code == 2
    assert "would be made again: no --yes; expected --yes above 5" in refused.err
    said = well(*flag, "--yes")
    assert said.out.startswith("flagged: 9 frames\n  bias1-20170703\n")
    assert "\ndue again: nothing\nretired, nothing is left" in said.out
    assert f"flagged: night {NIGHT} by " in well("status", "--site", site).out
    back = well("unflag", NIGHT, "--kind", "night", "--yes", "--site", site, "--json").data
    assert back["judged"] == 9
    assert "flagged: night" not in well("status", "--site", site).out


def test_a_condition_is_flagged_and_taken_back(site: Path) -> None:
    where = "night = 2017-07-03 and band = r and passed = yes"
    flag = ("--where", where, "--site", site, "--json")
    made = well("flag", *flag, "--reason", "seeing").data
    assert (made["judged"], len(made["subjects"])) == (3, 3)
    said = well("status", "--site", site).out
    assert f"flagged: where raw where {where} by " in said
    assert well("unflag", *flag).data["judged"] == 3


def test_how_many_are_flagged_and_which_is_always_said(site: Path) -> None:
    """A condition that hits another frame than was meant is seen at once."""
    flag = ("flag", "--where", "name = sci3", "--reason", "trail", "--site", site)
    dry = well(*flag, "--dry-run").out
    assert dry.startswith("would be flagged: 1 frame\n  sci3\n")
    assert well(*flag).out.startswith("flagged: 1 frame\n  sci3\n")
    every = well("flag", "--where", "night = 2017-07-03", "--reason", "x", "--site", site).out
    assert "  ... and " not in every.partition("due again")[0]  # ten at the most, and here are 8


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("flag", "--where", "night = 2001-01-01", "--reason", "x"), "no raw frame meets it"),
        (("drop", "sci3", "--old"), "KEYs and --old; expected KEYs, or --kind KIND with either"),
        (("drop", "sci3", "--where", "band = r"), "KEYs and --where; expected"),
        (("drop", "--old", "--where", "band = r", "--kind", "reduced"), "--old and --where"),
        (("drop", "--old"), "--old without --kind"),
        (("drop", "--kind", "banana", "--old"), "expected one of detrended, reduced, coadd"),
        (("drop", "--kind", "master", "--old"), "expected one of detrended, reduced, coadd"),
        (("restore", "sci3", "--kind", "banana"), "'banana'; expected one of master, detrended"),
        (("restore", "nosuch"), "nothing of that key that steps make again"),
        (("audit", "--kind", "banana"), "'banana'; expected one of raw, refcat, master"),
        (("retry", "--dead", "--step", "nosuch"), "'nosuch'; expected one of master, detrend"),
        (("retry", "sci2", "--dead"), "sci2: no dead task; expected a key that"),
        (("reprocess", "nosuch"), "key nosuch: no such product is served"),
        (("reprocess", "--step", "nosuch"), "'nosuch'; expected one of master, detrend"),
        (("plan", "--planned", "/nonexist.csv"), "/nonexist.csv: no such file; expected"),
        (("flag", "--reason", "x"), "flag: nothing named; expected names, or --where"),
        (("flag", "sci3", "--where", "band = r", "--reason", "x"), "names and a condition"),
        (("flag", "--where", "fwhm > 2", "--reason", "x"), "`fwhm`: no such column; expected one"),
        (("flag", "--where", "band = '", "--reason", "x"), "a quote that is never closed"),
        (("unflag", "--where", "band = r"), "none of them flagged"),
        (("retry", "--dead", "--where", "fwhm_arcsec > 2"), "`fwhm_arcsec`: no such column"),
        (("reprocess", "--where", "step = reduce"), "`step`: no such column"),
        (("reprocess", "--all", "--anyway"), "every product there is"),
        (("pause", "--step", "reduction", "--reason", "x"), "expected one of master, detrend"),
        (("pause", "--project", "mine", "--reason", "x"), "no frame of that project; expected one"),
        (("pause", "--project", "survey", "--step", "dual", "--reason", "x"), "or no step"),
        (("resume",), "everything: it is not paused"),
        (("status", "--night", "2017-07-09"), "no frame of that night"),
        (("status", "--night", NIGHT, "--last"), "--night and --last; expected one of them"),
    ],
)
def test_what_is_not_understood_says_so(
    untouched: Path, words: tuple[str, ...], message: str
) -> None:
    said = tesela(*words, "--site", untouched)
    assert said.code == 2
    assert message in said.err
    assert said.err.count("\n") == 1


@pytest.mark.parametrize(
    "words",
    [
        ("pause", "--reason", "x", "--step", ""),
        ("pause", "--reason", "x", "--project", ""),
        ("pause", "--reason", ""),
        ("resume", "--step", ""),
        ("flag", "sci3", "--reason", " "),
        ("flag", "", "--reason", "x"),
        ("unflag", ""),
        ("masters", "reject", "KEY", "--reason", ""),
        ("masters", "show", ""),
        ("user", "grant", "", "survey"),
        ("status", "--night", ""),
        ("ingest", ""),
        ("why", ""),
        ("history", ""),
        ("lineage", ""),
        ("drop", "--kind", "reduced", "--where", ""),
        ("restore", ""),
        ("retry", "--dead", "--where", ""),
        ("retry", "--dead", "--step", ""),
        ("reprocess", "--all", "--step", ""),
        ("audit", "--kind", ""),
    ],
)
def test_an_empty_word_is_not_taken_for_everything(untouched: Path, words: tuple[str, ...]) -> None:
    said = tesela(*words, "--site", untouched)
    assert said.code == 2
    assert "an empty word; expected something in it" in said.err
    assert said.err.count("\n") == 1


def test_retry_in_bulk_tells_the_causes(site: Path) -> None:
    dry = well("retry", "--dead", "--skipped", "--dry-run", "--site", site)
    assert "would be ready again: 2 tasks" in dry.out
    assert "  reduce sci2, skipped: sci2: 3 stars; expected 8; look at it" in dry.out
    where = ("--where", "reason ~ '*stars*'", "--site", site, "--json")
    (task,) = well("retry", "--dead", "--skipped", *where).data["tasks"]
    assert (task["key"], task["state"]) == ("sci2", "skipped")
    assert well("retry", "--dead", "--step", "coadd", "--site", site, "--json").data["tasks"] == []


def test_reprocess_by_condition_counts_what_follows(site: Path) -> None:
    # All was made by the toy's code, which is not ours: everything is stale.
    words = ("--step", "reduce", "--where", "name = sci4", "--site", site, "--json")
    dry = well("reprocess", *words, "--dry-run").data
    assert [row["key"] for row in dry["chosen"]] == ["sci4"]
    assert {row["step"]: row["tasks"] for row in dry["expected"]} == {
        "reduce": 1, "coadd": 1, "catalog": 1,
        "dual": 1, "calibrate": 1, "valueadded": 1, "load": 1,
    }  # fmt: skip
    assert len(dry["due_again"]) == 7
    done = well("reprocess", *words).data
    assert done["done"]
    assert done["due_again"] == dry["due_again"]


def test_what_is_paused_is_said_until_it_is_resumed(site: Path) -> None:
    held = well("pause", "--step", "coadd", "--reason", "disk is full", "--site", site)
    assert held.out == "paused: step coadd; `tesela resume --step coadd` lets it go on\n"
    well("pause", "--project", "survey", "--reason", "embargo", "--site", site)
    said = well("status", "--site", site).out.splitlines()
    assert said[0].startswith("PAUSED: everything of project survey by ")
    assert said[0].endswith(": embargo")
    assert said[1].startswith("PAUSED: step coadd by ")
    again = tesela("pause", "--step", "coadd", "--reason", "x", "--site", site)
    assert "step coadd: paused already by " in again.err
    assert "resumed: step coadd" in well("resume", "--step", "coadd", "--site", site).out
    data = well("resume", "--all", "--site", site, "--json").data
    assert [row["project"] for row in data["resumed"]] == ["survey"]
    assert "PAUSED" not in well("status", "--site", site).out


def test_a_night_is_summed_up(site: Path) -> None:
    last = well("status", "--last", "--site", site)
    assert last.out == well("status", "--night", NIGHT, "--site", site).out
    text = last.out.splitlines()
    assert text[0] == f"night {NIGHT}"
    assert "science: 5 frames: 3 passed, 1 skipped, 1 dead" in text
    assert "masters: 1 BIAS certified, 1 FLAT certified" in text
    assert "monitors: nothing was raised" in text
    data = well("status", "--last", "--site", site, "--json").data
    assert data["science"] == {"passed": 3, "skipped": 1, "dead": 1}


def test_counting_anew_is_asked_for(site: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tallies, "SMALL", 0)
    well("status", "--count", "--site", site)
    ledger = open_ledger(site)
    toys.add_frames(ledger, site, [toys.facts("late", "science")], toys.rules())
    ledger.close()
    assert well("status", "--site", site, "--json").data["products"]["raw"] == 9
    assert well("status", "--count", "--site", site, "--json").data["products"]["raw"] == 10


def test_who_only_looks_loads_no_stage_a_second_time(site: Path) -> None:
    """The settings of the stages are asked once, and again when anything changed."""
    code = (
        "import contextlib, sys; sys.argv = ['tesela', 'status', '--site', sys.argv[1]]\n"
        "from tesela.cli.main import main\n"
        "with contextlib.suppress(SystemExit): main()\n"
        "print('LOADED', 'tesela.stages.reduce' in sys.modules, 'numpy' in sys.modules)\n"
    )

    def loaded() -> str:
        env = {**RUN_ENV, "PYTHONPATH": os.pathsep.join(sys.path)}
        done = subprocess.run(
            [sys.executable, "-c", code, site], env=env, capture_output=True, text=True, check=True
        )
        return done.stdout.splitlines()[-1]

    assert loaded() == "LOADED True True"
    assert loaded() == "LOADED False False"
    with paths.survey_file(site).open("a") as survey:
        survey.write("[steps.coadd]\nclip_sigma = 5.0\n")
    assert loaded() == "LOADED True True"
    assert loaded() == "LOADED False False"
    paths.settings_now_file(site).write_text("{")  # whatever is there
    assert loaded() == "LOADED True True"
