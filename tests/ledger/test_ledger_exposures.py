"""Frames of many CCDs that were read at once are one exposure."""

from __future__ import annotations

import dataclasses
import hashlib
from pathlib import Path

import pytest
import sqlalchemy as sa

from tesela.errors import Duplicate, LedgerError, NotFound
from tesela.ledger import engine, exposures, frames, history, status, verdicts
from tesela.ledger.engine import Ledger
from tesela.products.frame import FrameFacts

CCDS = ("01", "02", "03")


def facts(ccd: str, exposure: str = "e1", **changes: object) -> FrameFacts:
    """A science frame of a camera of three CCDs; hashes follow from its name."""
    name = str(changes.get("name", f"{exposure}-{ccd}"))
    values: dict[str, object] = {
        "name": name,
        "path": f"raw/2017-07-03/{name}.fits",
        "sha256": hashlib.sha256(name.encode()).hexdigest(),
        "data_sha256": hashlib.sha256(b"pixels of " + name.encode()).hexdigest(),
        "telescope": "JAST80",
        "camera": "toycam",
        "ccd": ccd,
        "band": "r",
        "filter_serial": f"R{ccd}",
        "obstype": "science",
        "flat_kind": "",
        "readout_mode": "fast",
        "mjd_start": 57937.9,
        "exptime_s": 60.0,
        "ra_deg": 10.2,
        "dec_deg": 0.0,
        "airmass": 1.1,
        "object": "field",
        "project": "survey",
        "night": "2017-07-03",
        "nx": 100,
        "ny": 100,
        "footprint": ((10.2, 0.0), (10.6, 0.0), (10.6, 0.4), (10.2, 0.4)),
        "exposure": exposure,
        "ccds": CCDS,
    }
    return FrameFacts(**{**values, **changes})  # type: ignore[arg-type]


def alone(name: str) -> FrameFacts:
    """A frame whose camera is not known to have more CCDs."""
    return facts("01", "", name=name, ccds=())


def add(ledger: Ledger, *new: FrameFacts) -> None:
    with ledger.write() as conn:
        for one in new:
            frames.add(conn, one)


def test_an_exposure_is_found_by_name_and_by_key(ledger: Ledger) -> None:
    add(ledger, facts("01"), facts("03"))
    with ledger.read() as conn:
        by_name, by_key = (exposures.get(conn, n) for n in ("e1", "JAST80.toycam.e1"))
        assert by_name == by_key
        assert exposures.find(conn, "e2") is None
        with pytest.raises(NotFound, match="no exposure of that name"):
            exposures.get(conn, "e1-01")


def test_a_name_that_two_cameras_have_is_no_answer(ledger: Ledger) -> None:
    add(ledger, facts("01"), facts("01", camera="other", name="x-01"))
    with ledger.read() as conn:
        with pytest.raises(LedgerError, match=r"JAST80\.other\.e1 or JAST80\.toycam\.e1"):
            exposures.get(conn, "e1")
        assert exposures.get(conn, "JAST80.other.e1")["camera"] == "other"


def test_filters_are_of_exposure_and_ccd(ledger: Ledger) -> None:
    add(ledger, facts("01", band="J0660", filter_serial="n1"), facts("02", filter_serial="R2"))
    with ledger.read() as conn:
        rows = exposures.frames_of(conn, exposures.get(conn, "e1")["id"])
        kept = [frames.get(conn, row["name"])["configuration"].split(".")[2:4] for row in rows]
    assert [(row["ccd"], row["band"], row["filter_serial"]) for row in rows] == [
        ("01", "J0660", "n1"),
        ("02", "r", "R2"),
    ]
    assert kept == [["01", "J0660_n1"], ["02", "r_R2"]]


def test_ccds_that_did_not_arrive_are_told(ledger: Ledger) -> None:
    add(ledger, facts("01"), facts("03"), *(facts(ccd, "e2") for ccd in CCDS))
    add(ledger, alone("alone"))
    with ledger.read() as conn:
        told = status.overview(conn)
    assert told["incomplete"] == [
        {
            "exposure": "e1",
            "night": "2017-07-03",
            "expected": 3,
            "arrived": 2,
            "missing": ["02"],
            "n": 1,
        }
    ]
    assert told["nights"][0]["frames"] == {"science": 6}
    assert told["nights"][0]["exposures"] == {"science": 3}
    add(ledger, facts("02"))
    with ledger.read() as conn:
        assert status.overview(conn)["incomplete"] == []


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"ra_deg": 11.0}, "ra_deg = 11.0, but 10.2 in exposure JAST80.toycam.e1"),
        ({"dec_deg": 0.2}, "dec_deg = 0.2"),
        ({"mjd_start": 57937.5}, "mjd_start"),
        ({"exptime_s": 61.0}, "exptime_s = 61.0"),
        ({"project": "guests"}, "project = guests, but survey"),
        ({"readout_mode": "slow"}, "readout_mode"),
    ],
)
def test_a_frame_that_contradicts_its_exposure_is_refused(
    ledger: Ledger, changes: dict[str, object], words: str
) -> None:
    add(ledger, facts("01"))
    with pytest.raises(Duplicate, match=words):
        add(ledger, facts("02", **changes))
    with ledger.read() as conn:
        assert frames.by_name(conn, "e1-02") is None


def test_pointings_on_either_side_of_the_meridian_are_near(ledger: Ledger) -> None:
    add(ledger, facts("01", ra_deg=359.99), facts("02", ra_deg=0.01))


def test_a_ccd_is_in_an_exposure_once(ledger: Ledger) -> None:
    add(ledger, facts("01"))
    again = facts("01", name="copy-01")
    with pytest.raises(Duplicate, match=r"CCD 01 of exposure .*e1, which is here as e1-01"):
        add(ledger, again)
    with ledger.write() as conn:
        verdicts.set_bad(conn, "raw", "e1-01", reason="header", comment="", who="ann")
    add(ledger, again)  # with a corrected header


def test_a_frame_that_comes_after_the_verdict_shares_it(ledger: Ledger) -> None:
    add(ledger, facts("01"))
    with ledger.write() as conn:
        verdicts.set_bad(
            conn, "exposure", "JAST80.toycam.e1", reason="guiding", comment="lost", who="ann"
        )
    add(ledger, facts("02"), facts("02", "e2"))
    with ledger.read() as conn:
        late = verdicts.standing(conn, "raw", "e1-02")
        assert verdicts.standing(conn, "raw", "e2-02") is None
    assert late is not None
    assert (late["reason"], late["comment"], late["who"]) == ("guiding", "lost", "ann")


def test_the_history_of_an_exposure_is_that_of_its_frames(ledger: Ledger) -> None:
    add(ledger, facts("01"), facts("02"))
    with ledger.write() as conn:
        verdicts.set_bad(conn, "raw", "e1-02", reason="trail", comment="", who="ann")
    with ledger.read() as conn:
        told = history.of_exposure(conn, "e1")
        assert not any(history.of_exposure(conn, "e2").values())
    assert [(e["what"], e["key"]) for e in told["events"]] == [
        ("ingested", "e1-01"),
        ("ingested", "e1-02"),
        ("flagged", "e1-02"),
    ]
    assert [(v["key"], v["reason"]) for v in told["verdicts"]] == [("e1-02", "trail")]


def test_the_migration_names_the_exposures_that_are_there(tmp_path: Path) -> None:
    from alembic import command

    path = tmp_path / "ledger.sqlite"
    ledger = Ledger.create(path)
    add(ledger, facts("01"), facts("02"), facts("01", "with.dots"), alone("alone"))
    config = engine._alembic_config()
    with ledger.engine.connect() as conn:
        config.attributes["connection"] = conn
        command.downgrade(config, "0002")
        conn.commit()
        columns = {column["name"] for column in sa.inspect(conn).get_columns("exposure")}
    assert not {"name", "ccds_json"} & columns
    ledger.close()
    ledger = Ledger.migrate(path)
    with ledger.read() as conn:
        for name, n in (("e1", 2), ("with.dots", 1), ("alone", 1)):
            found = exposures.get(conn, name)
            assert len(exposures.frames_of(conn, found["id"])) == n
            assert found["ccds"] == []
            assert exposures.missing(found, []) == []
        assert status.overview(conn)["incomplete"] == []
        assert frames.get(conn, "e1-02")["exposure"] == "e1"
    add(ledger, facts("03"))  # an old exposure takes more frames
    ledger.close()


def test_facts_travel_as_plain_values() -> None:
    one = facts("01")
    assert FrameFacts.from_dict(dataclasses.asdict(one)) == one
