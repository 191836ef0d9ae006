"""`tesela masters` and `tesela upgrade` as people and programs call them."""

from __future__ import annotations

from pathlib import Path

import pytest
from alembic import command

import verbs
from tesela.flow.run.lock import only_controller
from tesela.ledger import amp_quality, masters, products, schema
from tesela.ledger.engine import Ledger, _alembic_config, _sqlite_engine
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


def test_an_unknown_kind_of_master_is_refused(proposed: Path) -> None:
    said = verbs.tesela("masters", "certify", BIAS.replace("BIAS", "BIES"), "--site", proposed)
    assert said.code == 2
    assert "expected one of BIAS, DARK" in said.err


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
    assert (said["before"], said["after"]) == ("0001", "0002")
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
