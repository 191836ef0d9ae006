"""`tesela masters` and `tesela upgrade` as people and programs call them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from alembic import command

import verbs
from flow import toys
from tesela.flow.run.lock import only_controller
from tesela.ledger import amp_quality, masters, products, schema
from tesela.ledger.engine import HEAD_REVISION, Ledger, _alembic_config, _sqlite_engine
from tesela.ledger.keys import MasterKey
from tesela.products import paths
from tesela.products.monitor import AmpValue

SURVEY = """
name = "tiny"
cameras = ["mini80"]
[filters.rSDSS]
[grid]
scheme = "list"
pixel_scale_arcsec = 0.55
size_px = [1200, 1200]
centres = { "T1" = [211.8, 55.1] }
"""
BIAS = "BIAS.JAST80.mini80.01.-.SLOW.20170703"


@pytest.fixture
def site(tmp_path: Path) -> Path:
    survey = tmp_path / "survey.toml"
    survey.write_text(SURVEY)
    return verbs.new_site(tmp_path / "site", survey)


@pytest.fixture
def proposed(site: Path) -> Path:
    """A site with one proposed master and what it says of two amplifiers."""
    ledger = Ledger.open(paths.ledger_file(site))
    key = MasterKey.parse(BIAS)
    with ledger.write() as conn:
        new = products.NewProduct("master", BIAS, 1, path=str(paths.master(BIAS, 1)))
        product_id = products.insert(conn, new)
        products.add_quality(conn, product_id, {"level_adu": 1.5, "rejected": {"b9": "too high"}})
        interval = masters.Interval(57937.5, 57938.5)
        masters.add(conn, product_id, key, interval, n_frames=9, reason="differs")
        rows = [
            (AmpValue(1, "gain", 0.95, 0.002, 9), 0, ""),
            (AmpValue(2, "gain", 0.93, 0.002, 9), 2, "gain of amplifier 2 is 2 % low"),
        ]
        amp_quality.put(conn, product_id, key.configuration, "2017-07-03", rows)
    ledger.close()
    return site


def test_masters_are_listed_by_kind_and_state(proposed: Path) -> None:
    said = verbs.well("masters", "list", "--site", proposed, "--json").data["masters"]
    assert [(row["key"], row["state"], row["reason"]) for row in said] == [
        (BIAS, "proposed", "differs")
    ]
    other = verbs.well("masters", "list", "--site", proposed, "--kind", "flat")
    assert other.out == "no such master\n"
    text = verbs.well("masters", "list", "--site", proposed, "--state", "proposed").out
    assert f"{BIAS} version 1: proposed: differs; 9 frames, 2017-07-03T12:00:00Z to" in text


def test_a_master_tells_what_it_was_made_of(proposed: Path) -> None:
    said = verbs.well("masters", "show", BIAS, "--site", proposed)
    assert "left out: b9: too high" in said.out
    assert "level_adu = 1.5" in said.out
    assert verbs.tesela("masters", "show", f"{BIAS[:-1]}4", "--site", proposed).code == 2


def test_frames_that_were_kept_are_named(site: Path) -> None:
    """At most forty, in lines; what was left out is not what it is made of."""
    names = [f"bias-20170703-{n:02d}" for n in range(45)]
    ledger = Ledger.open(paths.ledger_file(site))
    with ledger.write() as conn:
        raw = [products.insert(conn, products.NewProduct("raw", name, 1)) for name in names]
        old = products.insert(conn, products.NewProduct("master", f"{BIAS[:-1]}2", 1))
        sources = [*((one, "input") for one in raw), (old, "evidence")]
        new = products.insert(conn, products.NewProduct("master", BIAS, 1), sources)
        products.add_quality(conn, new, {"rejected": {names[0]: "too high"}})
        interval = masters.Interval(57937.5, 57938.5)
        masters.add(conn, new, MasterKey.parse(BIAS), interval, n_frames=44)
    ledger.close()
    lines = verbs.well("masters", "show", BIAS, "--site", site).out.splitlines()
    assert "made of: 1 master (evidence), 44 raw (input)" in lines
    start = next(i for i, line in enumerate(lines) if line.startswith("kept: "))
    end = lines.index("  and 4 more: --json")
    kept = " ".join(lines[start:end]).removeprefix("kept: ").replace(" ", "").split(",")
    assert kept == names[1:41]
    assert max(map(len, lines[start:end])) <= 96
    assert f"left out: {names[0]}: too high" in lines
    said = verbs.well("masters", "show", BIAS, "--site", site, "--json").data
    assert [one["key"] for one in said["made_of"] if one["kind"] == "raw"] == names[1:]
    assert said["rejected"] == {names[0]: "too high"}


def test_a_master_that_is_not_served_is_shown_with_what_became_of_it(proposed: Path) -> None:
    verbs.well("masters", "certify", BIAS, "--site", proposed)
    flag = ("flag", BIAS, "--kind", "master", "--reason", "stripes", "--site", proposed, "--yes")
    verbs.well(*flag)
    show = ("masters", "show", BIAS, "--site", proposed)
    said = verbs.well(*show).out.splitlines()
    assert said[0] == f"{BIAS} version 1: flagged: stripes"
    assert said[1].startswith("holds until the next run, from 2017-07-03T12:00:00Z")
    verbs.well("run", "--site", proposed)
    said = verbs.well(*show).out.splitlines()
    assert said[0].startswith(f"{BIAS} version 1: invalid: flagged")
    assert said[0].endswith(", not served")
    assert said[1].startswith("was to hold from")


def test_any_version_of_a_master_is_shown(proposed: Path) -> None:
    key = MasterKey.parse(BIAS)
    ledger = Ledger.open(paths.ledger_file(proposed))
    with ledger.write() as conn:
        old = products.current(conn, "master", BIAS)
        new = products.insert(conn, products.NewProduct("master", BIAS, 2))
        masters.add(conn, new, key, masters.Interval(57937.5, 57938.5), n_frames=12)
        assert old is not None
        masters.set_state(conn, old["id"], "superseded", "by a later version")
    ledger.close()
    show = ("masters", "show", BIAS, "--site", proposed)
    assert verbs.well(*show, "--json").data["version"] == 2
    said = verbs.well(*show, "--version", 1).out.splitlines()
    assert said[0] == f"{BIAS} version 1: superseded: by a later version, not served"
    assert said[1] == "other versions: 2 (--version N)"
    other = verbs.tesela(*show, "--version", 3)
    assert other.code == 2
    assert "no such version; expected one of 1, 2" in other.err


def test_a_master_without_any_version_says_what_its_task_came_to(site: Path) -> None:
    show = ("masters", "show", BIAS, "--site", site)
    nothing = verbs.tesela(*show)
    assert nothing.code == 2
    assert "no version of a master of that key; see `tesela masters list --all`" in nothing.err
    ledger = Ledger.open(paths.ledger_file(site))
    task = {"step": "master", "kind": "master", "key": BIAS, "priority": 1, "wanted_hash": ""}
    with ledger.write() as conn:
        ended = {"state": "skipped", "reason": "no frame is left", "not_before": 0.0}
        conn.execute(schema.task.insert().values(task | ended))
    ledger.close()
    skipped = verbs.tesela(*show)
    assert skipped.code == 2
    assert f"its task is skipped: no frame is left; see `tesela why {BIAS}`" in skipped.err


def test_a_proposal_is_certified_after_a_dry_run(proposed: Path) -> None:
    dry = verbs.well("masters", "certify", BIAS, "--site", proposed, "--dry-run", "--json")
    bad = "BADPIXEL.JAST80.mini80.01.-.SLOW.20170626"
    due = [{"step": "master", "key": bad}]
    assert dry.data == {"keys": [BIAS], "due": due, "done": False}
    assert "certified" not in verbs.well("masters", "list", "--site", proposed).out
    verbs.well("masters", "certify", BIAS, "--site", proposed)
    assert ": certified;" in verbs.well("masters", "list", "--site", proposed).out
    again = verbs.tesela("masters", "reject", BIAS, "--reason", "no", "--site", proposed)
    assert again.code == 2
    assert "tesela flag --kind master" in again.err


def test_a_flagged_master_is_listed_as_flagged_at_once(proposed: Path) -> None:
    """The run that retires it may be hours away, and until then its row says certified."""
    verbs.well("masters", "certify", BIAS, "--site", proposed)
    flag = ("flag", BIAS, "--kind", "master", "--reason", "stripes", "--site", proposed, "--yes")
    verbs.well(*flag)
    for how in ((), ("--state", "flagged")):
        said = verbs.well("masters", "list", "--site", proposed, *how).out
        assert f"{BIAS} version 1: flagged: stripes; 9 frames" in said
    said = verbs.well("masters", "list", "--site", proposed, "--state", "certified").out
    assert said == "no such master\n"
    verbs.well("unflag", BIAS, "--kind", "master", "--site", proposed, "--yes")
    assert ": certified;" in verbs.well("masters", "list", "--site", proposed).out


def test_an_unknown_kind_of_master_is_refused(proposed: Path) -> None:
    said = verbs.tesela("masters", "certify", BIAS.replace("BIAS", "BIES"), "--site", proposed)
    assert said.code == 2
    assert "expected one of BIAS, DARK" in said.err


def test_versions_that_were_replaced_are_listed_when_asked_for(proposed: Path) -> None:
    ledger = Ledger.open(paths.ledger_file(proposed))
    with ledger.write() as conn:
        old = products.current(conn, "master", BIAS)
        assert old is not None
        new = products.insert(conn, products.NewProduct("master", BIAS, 2))
        interval = masters.Interval(57937.5, 57938.5)
        masters.add(conn, new, MasterKey.parse(BIAS), interval, n_frames=12)
        masters.set_state(conn, old["id"], "superseded", "by version 2")
    ledger.close()
    usual = verbs.well("masters", "list", "--site", proposed).out
    assert "version 2" in usual and "version 1" not in usual
    assert "and 1 version not served any more: --all, or --state" in usual
    for how in (("--all",), ("--state", "superseded")):
        said = verbs.well("masters", "list", "--site", proposed, *how).out
        assert f"{BIAS} version 1: superseded: by version 2, not served; 9 frames" in said
    rows = verbs.well("masters", "list", "--site", proposed, "--all", "--json").data["masters"]
    assert [(row["version"], row["is_current"]) for row in rows] == [(1, False), (2, True)]


@pytest.mark.parametrize(
    ("words", "known"),
    [
        (("list", "--state", "proposd"), "one of proposed, certified"),
        (("list", "--kind", "BIES"), "one of BIAS, DARK"),
        (("monitor", "--metric", "gian"), "one of bias_level"),
        (("monitor", "--since", "yesterday"), "a date such as 2017-07-03"),
    ],
)
def test_words_that_nothing_has_are_refused(site: Path, words: tuple[str, ...], known: str) -> None:
    said = verbs.tesela("masters", *words, "--site", site)
    assert said.code == 2
    assert known in said.err


def follow(site: Path, nights: list[str], levels: dict[str, int], key: str = BIAS) -> None:
    """Add nights of a bias level that raised these levels."""
    ledger = Ledger.open(paths.ledger_file(site))
    with ledger.write() as conn:
        for night in nights:
            own = MasterKey.parse(key[: -len("20170703")] + night.replace("-", ""))
            product_id = products.insert(conn, products.NewProduct("master", str(own), 1))
            masters.add(conn, product_id, own, masters.Interval(0.0, 1.0), n_frames=9)
            level = levels.get(night, 0)
            rows = [(AmpValue(1, "bias_level", 1000.0), level, "jumped" if level else "")]
            amp_quality.put(conn, product_id, own.configuration, night, rows)
    ledger.close()


def test_the_latest_nights_are_shown_unless_others_are_asked_for(site: Path) -> None:
    """An alarm of the past, or of another quantity, makes no exit code of what is shown now."""
    nights = [f"2017-{month:02d}-{day:02d}" for month in (5, 7) for day in range(1, 29)]
    follow(site, nights, {nights[0]: 2, nights[-1]: 1})
    said = verbs.well("masters", "monitor", "--site", site)
    assert f"since {nights[-30]}, the latest 30 nights with values; --since NIGHT" in said.out
    assert f"warning: {nights[-1]}: jumped" in said.out
    assert nights[0] not in said.out
    early = verbs.tesela("masters", "monitor", "--site", site, "--since", nights[0])
    assert early.code == 1
    raised = [line for line in early.out.splitlines() if "jumped" in line]
    assert raised == [f"alarm: {nights[0]}: jumped", f"warning: {nights[-1]}: jumped"]
    assert "latest 30 nights" not in early.out
    other = ("masters", "monitor", "--site", site, "--since", nights[0], "--metric", "gain")
    assert verbs.tesela(*other).code == 0


def test_a_camera_that_left_the_survey_is_left_out_of_the_plots(site: Path, tmp_path: Path) -> None:
    follow(site, ["2017-07-01", "2017-07-02"], {})
    follow(site, ["2017-07-01", "2017-07-02"], {}, BIAS.replace("mini80", "oldcam"))
    plots = tmp_path / "plots"
    said = verbs.well("masters", "monitor", "--site", site, "--plots", plots, "--json").data
    assert [Path(folder).name for folder in said["folders"]] == ["BIAS.JAST80.mini80.01.-.SLOW"]
    assert said["notes"] == [
        "no plots of JAST80.oldcam.01.-.SLOW: its camera is not in survey.toml any more"
    ]


def test_plots_begin_anew_after_an_intervention(site: Path, tmp_path: Path) -> None:
    with paths.survey_file(site).open("a") as survey:
        survey.write(
            "[[calibration.interventions]]\nat = '2017-07-15'\nwhat = 'warm-up'\nkinds = ['BIAS']"
        )
    follow(site, [f"2017-07-{day:02d}" for day in range(1, 29)], {})
    plots = tmp_path / "plots"
    verbs.well("masters", "monitor", "--site", site, "--plots", plots)
    data = json.loads((plots / "BIAS.JAST80.mini80.01.-.SLOW" / "bias_level.json").read_text())
    compared = {
        night for night, (centre,) in zip(data["nights"], data["centre"]) if centre is not None
    }
    late = {f"2017-07-{day:02d}" for day in range(22, 29)}
    assert compared == {f"2017-07-{day:02d}" for day in range(8, 15)} | late


def test_an_alarm_of_the_monitors_is_the_exit_code(proposed: Path, tmp_path: Path) -> None:
    said = verbs.tesela(
        "masters", "monitor", "--site", proposed, "--plots", tmp_path / "plots", "--json"
    )
    assert said.code == 1
    assert [row["reason"] for row in said.data["alerts"]] == ["gain of amplifier 2 is 2 % low"]
    (folder,) = said.data["folders"]
    assert {"gain.png", "gain.json", "alerts.png"} <= {p.name for p in Path(folder).iterdir()}
    assert verbs.well("masters", "monitor", "--site", proposed, "--since", "2018-01-01").out == (
        "nothing is followed yet\n"
    )


def observed(site: Path, *nights: tuple[str, str]) -> Ledger:
    """Science frames of these (night, serial of the filter), in a ledger that stays open."""
    ledger = Ledger.open(paths.ledger_file(site))
    toys.add_frames(
        ledger,
        site,
        [
            toys.facts(f"sci{serial}", "science", night=night, filter_serial=serial)
            for night, serial in nights
        ],
        toys.rules(),
    )
    return ledger


def test_what_was_observed_lately_is_asked_for_unless_all_is(site: Path) -> None:
    """Lately is before the latest frame, not before today."""
    observed(site, ("2015-07-03", "OLD"), ("2017-06-03", "R1"), ("2017-07-03", "R2")).close()
    for how, filters in ((), {"r_R1", "r_R2"}), (("--all",), {"r_R1", "r_R2", "r_OLD"}):
        said = verbs.well("masters", "due", "--site", site, "--json", *how).data["needs"]
        flats = {n["configuration"].split(".")[3] for n in said if n["master_kind"] == "FLAT"}
        assert flats == filters


def test_what_is_due_is_told_while_another_writes(site: Path) -> None:
    ledger = observed(site, ("2017-07-03", "R1"))
    with ledger.write():
        said = verbs.well("masters", "due", "--site", site, "--at", "2017-07-03")
    assert "FLAT JAST80.toycam.01.r_R1.fast: missing" in said.out
    ledger.close()


def test_what_is_due_is_strict_json(site: Path) -> None:
    """A need without a master has no days: null, since JSON knows no NaN."""
    observed(site, ("2017-07-03", "R1")).close()
    said = verbs.well("masters", "due", "--site", site, "--at", "2017-07-03", "--json")

    def refuse(word: str) -> None:
        pytest.fail(f"{word} is no JSON")

    needs = json.loads(said.out, parse_constant=refuse)["needs"]
    assert {need["days"] for need in needs if not need["master"]} == {None}


def test_how_long_ago_a_validity_ended_is_said(proposed: Path) -> None:
    verbs.well("masters", "certify", BIAS, "--site", proposed)
    ledger = Ledger.open(paths.ledger_file(proposed))
    science = toys.facts("sci", "science", camera="mini80", readout_mode="SLOW")
    toys.add_frames(ledger, proposed, [science], toys.rules())
    ledger.close()
    for night, said in (
        ("2017-07-05", "BIAS.JAST80.mini80.01.-.SLOW.20170703 version 1\n  used 1."),
        ("2017-07-03", "version 1, 0.5 d of validity left"),
    ):
        out = verbs.well("masters", "due", "--site", proposed, "--at", night, "--all").out
        assert said in out
        assert "-1." not in out


def test_what_is_due_of_nothing_is_nothing(site: Path) -> None:
    assert "no science frame yet" in verbs.well("masters", "due", "--site", site).out
    assert verbs.tesela("masters", "due", "--at", "someday", "--site", site).code == 2


# ---------------------------------------------------------------- upgrade


def _put_back(site: Path) -> None:
    """Give a site the tables of the first version."""
    with _sqlite_engine(paths.ledger_file(site)).connect() as conn:
        config = _alembic_config()
        config.attributes["connection"] = conn
        command.downgrade(config, "0001")
        conn.commit()


def test_an_older_site_is_upgraded_with_its_rows_and_a_copy(proposed: Path) -> None:
    _put_back(proposed)
    refused = verbs.tesela("status", "--site", proposed)
    assert refused.code == 2
    assert "tesela upgrade" in refused.err
    assert verbs.well("upgrade", "--site", proposed, "--dry-run", "--json").data["copy"] == ""
    said = verbs.well("upgrade", "--site", proposed, "--json").data
    assert (said["before"], said["after"]) == ("0001", HEAD_REVISION)
    assert Ledger.revision_of(Path(said["copy"])) == "0001"
    verbs.well("status", "--site", proposed)
    ledger = Ledger.open(paths.ledger_file(proposed))
    with ledger.read() as conn:
        assert len(list(conn.execute(schema.master.select()))) == 1
    ledger.close()
    assert "the newest" in verbs.well("upgrade", "--site", proposed).out


def test_nothing_is_upgraded_while_a_controller_works(proposed: Path) -> None:
    _put_back(proposed)
    with only_controller(paths.lock_file(proposed)):
        assert verbs.tesela("upgrade", "--site", proposed).code == 3
    assert Ledger.revision_of(paths.ledger_file(proposed)) == "0001"
