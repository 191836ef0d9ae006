"""Three sites by their verbs: a frame goes to the archive, and then its file at the source."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from verbs import SMALL_SURVEY, Said, start, tesela, well

from .test_verbs import bias


@dataclass(frozen=True)
class Three:
    """Folders."""

    obs: Path
    core: Path
    archive: Path


@pytest.fixture
def sites(tmp_path: Path) -> Three:
    made = Three(tmp_path / "obs", tmp_path / "core", tmp_path / "archive")
    survey = tmp_path / "survey.toml"
    survey.write_text(SMALL_SURVEY)
    settings = {
        made.obs: f'name = "obs"\nrole = "observatory"\n[[send]]\nto = "core"\n'
        f'where = "{made.core}/inbox"\n',
        made.core: f'name = "core"\n[[send]]\nto = "archive"\nwhere = "{made.archive}/inbox"\n',
    }
    for folder, text in settings.items():
        toml = tmp_path / f"{folder.name}.toml"
        toml.write_text(text)
        well("init", folder, "--survey", survey, "--settings", toml)
    made.archive.mkdir()
    (made.archive / "site.toml").write_text('name = "archive"\nrole = "archive"\n')
    (made.core / "inbox").mkdir()
    (made.archive / "inbox").mkdir()
    return made


def transfer(site: Path, verb: str, *words: object) -> Said:
    return tesela("transfer", verb, "--site", site, *words)


def take(sites: Three, tmp_path: Path, *names: str) -> None:
    """Take frames at the observatory."""
    night = tmp_path / "night"
    night.mkdir(exist_ok=True)
    for n, name in enumerate(names):
        bias(night, name, EXPTIME=0.0, **{"DATE-OBS": f"2017-07-03T21:0{n}:00"})
    well("ingest", night, "--site", sites.obs)


def test_a_frame_goes_from_the_telescope_to_the_archive_and_its_file_at_the_source(
    sites: Three, tmp_path: Path
) -> None:
    take(sites, tmp_path, "b1", "bb2")
    due = transfer(sites.obs, "send", "--dry-run", "--json").data["due"]
    assert due[0]["products"] == {"raw": 2}
    assert due[0]["bytes"] == sum(p.stat().st_size for p in (tmp_path / "night").iterdir())
    assert not (sites.obs / "transfer" / "out").exists()
    assert "2 files sent in 1 shipment" in transfer(sites.obs, "send").out
    assert "2 products verified and kept" in transfer(sites.core, "receive").out
    assert "raw: version 1 is current" in well("why", "b1", "--site", sites.core).out
    assert "2 products verified" in transfer(sites.obs, "send").out
    transfer(sites.core, "send")
    assert "2 products verified and kept" in transfer(sites.archive, "receive").out
    transfer(sites.core, "send")
    told = transfer(sites.obs, "send").out
    assert "; 0 products verified; 2 products verified at a site behind it" in told
    free = ("free", "--older-than", "0")
    assert "would delete 2 raw files" in transfer(sites.obs, *free, "--dry-run").out
    assert "2 raw files deleted" in transfer(sites.obs, *free).out
    assert not list((sites.obs / "raw").rglob("*.fits"))
    told = well("why", "b1", "--site", sites.obs).out
    assert re.search(r"^raw: verified copies at archive \(20\S+\), core \(20", told, re.MULTILINE)
    assert "its file was removed here on purpose" in told
    past = well("history", "b1", "--site", sites.obs).out
    assert "raw freed by" in past
    assert "removed on purpose 20" in past
    assert "copy of version 1 of raw at core, verified 20" in past
    assert (
        well("audit", "--site", sites.obs, "--checksum")
        .out.rstrip()
        .endswith("files of 2 were removed on purpose")
    )
    for site in (sites.core, sites.archive):
        assert well("audit", "--site", site, "--checksum").code == 0


def test_the_archive_has_no_database(sites: Three, tmp_path: Path) -> None:
    take(sites, tmp_path, "b1")
    for site in (sites.obs, sites.core):
        transfer(site, "send")
        transfer(sites.core, "receive")
    transfer(sites.archive, "receive")
    assert (sites.archive / "raw").is_dir()
    assert not [p for p in sites.archive.rglob("*") if "sqlite" in p.name]
    refused = transfer(sites.archive, "send")
    assert refused.code == 2
    assert "no [[send]]" in refused.err


def test_many_files_go_only_with_yes(sites: Three, tmp_path: Path) -> None:
    take(sites, tmp_path, "b1", "bb2")
    for _ in range(2):
        transfer(sites.obs, "send")
        transfer(sites.core, "receive")
        transfer(sites.core, "send")
        transfer(sites.archive, "receive")
    transfer(sites.core, "send")
    transfer(sites.obs, "send")
    survey = sites.obs / "survey.toml"
    survey.write_text(survey.read_text() + "\n[flow]\nconfirm_above = 1\n")
    said = transfer(sites.obs, "free", "--older-than", "0")
    assert said.code == 2
    assert "2 raw files would be deleted: no --yes" in said.err
    assert len(list((sites.obs / "raw").rglob("*.fits"))) == 2
    assert transfer(sites.obs, "free", "--older-than", "0", "--yes").code == 0
    assert not list((sites.obs / "raw").rglob("*.fits"))


def test_codes_and_sentences_of_what_goes_wrong(
    sites: Three, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tesela.sites.send.PATIENCE_S", (0.0,))
    take(sites, tmp_path, "b1")
    (sites.core / "inbox").rename(sites.core / "away")
    said = transfer(sites.obs, "send")
    assert said.code == 1
    assert "no folder" in said.out
    assert "what is due stays due" in said.out
    told = transfer(sites.obs, "status").out
    assert "to core: 1 product to go, 0 shipments without a receipt" in told
    assert "trouble: site core: no folder" in told
    (sites.core / "away").rename(sites.core / "inbox")
    assert transfer(sites.obs, "send").code == 0
    told = transfer(sites.obs, "status").out
    assert "to core: 0 products to go, 1 shipment without a receipt" in told
    assert "trouble" not in told
    (came,) = (sites.core / "inbox").rglob("b1.fits")
    came.write_bytes(b"X" + came.read_bytes()[1:])
    said = transfer(sites.core, "receive")
    assert said.code == 2
    assert "damaged raw b1 from obs" in said.out
    assert transfer(sites.obs, "send").code == 1
    assert "tried again later" in transfer(sites.obs, "status").out
    assert transfer(sites.obs, "send", "--to", "nobody").code == 2
    assert transfer(sites.core, "free").code == 2
    assert transfer(tmp_path / "night", "status").code == 2
    assert "the folder of a site" in transfer(tmp_path / "night", "status").err


def test_what_has_not_come_yet_is_told(sites: Three, tmp_path: Path) -> None:
    take(sites, tmp_path, "b1")
    transfer(sites.obs, "send")
    told = transfer(sites.core, "status").out
    assert re.search(
        r"^in the inbox: obs\.core\.\S+: complete \(1 file\), not received yet$", told, re.M
    )
    (came,) = (sites.core / "inbox").rglob("b1.fits")
    came.unlink()
    said = transfer(sites.core, "receive", "--json").data
    assert [row["missing"] for row in said["waiting"]] == [1]
    assert "1 of 1 file not there yet" in transfer(sites.core, "status").out


@contextlib.contextmanager
def watching(*commands: tuple[object, ...]) -> Iterator[None]:
    """Verbs that run beside the test, until it is done with them."""
    running = [start(*command) for command in commands]
    try:
        yield
    finally:
        for process in running:
            process.send_signal(signal.SIGTERM)
        codes = [process.wait(timeout=30) for process in running]
    assert codes == [0] * len(running)


def test_a_frame_is_at_the_core_within_seconds(sites: Three, tmp_path: Path) -> None:
    from tesela.ledger import frames
    from tesela.ledger.engine import Ledger
    from tesela.products import paths

    with watching(
        ("transfer", "send", "--watch", "--every", "0.5", "--site", sites.obs),
        ("transfer", "receive", "--watch", "--every", "0.5", "--site", sites.core),
    ):
        take(sites, tmp_path, "b1")
        taken = time.monotonic()
        ledger = Ledger.open(paths.ledger_file(sites.core))
        while time.monotonic() - taken < 60:
            with ledger.read() as conn:
                if frames.by_name(conn, "b1") is not None:
                    break
            time.sleep(0.2)
        else:
            pytest.fail("it did not come within 60 s")
        ledger.close()


# -- audit ----------------------------------------------------------------------------------------


def test_audit_finds_mends_and_sweeps(sites: Three, tmp_path: Path) -> None:
    take(sites, tmp_path, "b1")
    transfer(sites.obs, "send")
    transfer(sites.core, "receive")
    transfer(sites.obs, "send")
    (raw,) = (sites.obs / "raw").rglob("b1.fits")
    (picture,) = (sites.obs / "products").rglob("b1.jpg")
    sound, drawn = raw.read_bytes(), picture.read_bytes()
    raw.write_bytes(sound[:-1] + b"x")
    picture.unlink()
    stray = sites.obs / "products" / "stray.fits"
    stray.write_bytes(b"whose?")
    audit = ("audit", "--checksum", "--site", sites.obs)
    said = tesela(*audit, "--json")
    assert said.code == 1
    assert {(one["kind"], one["what"]) for one in said.data["faults"]} == {
        ("raw", "checksum"), ("raw", "missing")
    }  # fmt: skip
    assert tesela("audit", "--sample", "5", "--site", sites.obs).code == 1  # the picture is missing
    mended = tesela(*audit, "--repair")
    assert "2 faults, 2 mended" in mended.out
    assert mended.code == 0, mended.out  # what is younger than an hour is no orphan
    assert (raw.read_bytes(), picture.read_bytes()) == (sound, drawn)
    past = time.time() - 7200
    os.utime(stray, (past, past))
    assert "raw repaired" in well("history", "b1", "--site", sites.obs).out
    wrong = tesela("audit", "--sweep", "--kind", "raw", "--site", sites.obs)
    assert (wrong.code, "an audit of everything" in wrong.err) == (2, True)


def test_audit_sweeps_what_is_old(
    sites: Three, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    take(sites, tmp_path, "b1")
    stray = sites.obs / "products" / "stray.fits"
    stray.write_bytes(b"whose?")
    monkeypatch.setattr("tesela.sites.orphans.AGE_S", -10.0)
    said = tesela("audit", "--site", sites.obs)
    assert said.code == 1
    assert "known to nobody: products/stray.fits, 6 bytes" in said.out
    monkeypatch.setattr("tesela.cli.audit._CONFIRM_ABOVE", 0)
    refused = tesela("audit", "--sweep", "--site", sites.obs)
    assert (refused.code, "would be moved away" in refused.err) == (2, True)
    assert stray.exists()
    swept = well("audit", "--sweep", "--yes", "--site", sites.obs, "--json").data
    (orphan,) = swept["orphans"]
    assert (sites.obs / orphan["done"].removeprefix("moved to ")).read_bytes() == b"whose?"
    assert json.dumps(swept)
    assert well("audit", "--site", sites.obs).code == 0


def test_a_date_that_is_none_is_bad_usage(sites: Three) -> None:
    said = tesela("audit", "--since", "yesterday", "--site", sites.obs)
    assert (said.code, "a date such as" in said.err) == (2, True)
