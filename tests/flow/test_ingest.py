"""Frames come in once; what cannot is refused with one sentence, recorded, and stops nothing."""

from __future__ import annotations

import concurrent.futures as cf
import dataclasses
import json
import os
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tesela.errors import BadInput, Duplicate, LedgerLost
from tesela.flow.run import refcat
from tesela.flow.run.ingest import FileResult, Intake, files_in, take_in
from tesela.ledger import events, frames, products, schema, tasks
from tesela.ledger.engine import Ledger
from tesela.products.catalogue import read_parquet, write_parquet
from tesela.products.files import sha256_of
from tesela.products.frame import FrameFacts
from tesela.stages.ingest.describe import Described

from . import toys


def describe(path: Path) -> Described:
    """A toy's header: the file's text is `<name> <obstype>`; anything else is no frame."""
    text = path.read_text()
    if not text.startswith("TOY "):
        raise BadInput(path.name, found=repr(text[:9]), expected="TOY", do="leave it out")
    _, obstype, pixels = text.split()
    sha256 = sha256_of(path)
    facts = toys.facts(path.stem, obstype, sha256=sha256, data_sha256=pixels)
    picture = np.full((3, 4, 3), 90, np.uint8)
    return Described(dataclasses.replace(facts, path=str(path)), picture)


@pytest.fixture
def intake(tmp_path: Path) -> Iterator[Intake]:
    ledger = toys.new_site(tmp_path / "site")
    yield Intake(tmp_path / "site", ledger, toys.rules(margin_deg=0.3), describe)
    ledger.close()


def write(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def refusals(ledger: Ledger) -> list[str]:
    with ledger.read() as conn:
        return [row.reason for row in conn.execute(schema.refused.select())]


def one(intake: Intake, path: Path) -> FileResult:
    (result,) = take_in(intake, [path])
    return result


def test_a_frame_is_copied_entered_and_marked(intake: Intake, tmp_path: Path) -> None:
    path = write(tmp_path, "sci1.fits", "TOY science abc")
    assert one(intake, path) == FileResult(str(path), "taken", "sci1")
    copy = intake.folder / "raw" / "2017-07-03" / "sci1.fits"
    assert copy.read_text() == path.read_text()
    with intake.ledger.read() as conn:
        frame = frames.get(conn, "sci1")
        assert frame["path"] == "raw/2017-07-03/sci1.fits"
        # The pointing's margin of 0.3 deg reaches the tile before as well.
        assert frames.tiles_of(conn, frame["product_id"]) == ["T10", "T9"]
        assert tasks.dirty(conn, "reduced", "sci1") is not None


def test_a_small_picture_is_kept_of_each_frame(intake: Intake, tmp_path: Path) -> None:
    left = intake.folder / "products" / "raw" / "2017-07-03" / "sci1.jpg"
    left.parent.mkdir(parents=True)
    left.write_bytes(b"of an ingest that died before its transaction")
    one(intake, write(tmp_path, "sci1.fits", "TOY science abc"))
    assert [p.name for p in left.parent.iterdir()] == ["sci1.jpg"]
    with Image.open(left) as picture:
        assert picture.size == (4, 3)
    with intake.ledger.read() as conn:
        current = products.current(conn, "raw", "sci1")
    assert current is not None
    _, (path, checksum, size) = json.loads(current["files_json"])
    assert (intake.folder / path, checksum, size) == (left, sha256_of(left), left.stat().st_size)


def test_a_frame_may_stay_where_it_is(intake: Intake, tmp_path: Path) -> None:
    path = write(tmp_path, "sci1.fits", "TOY science abc")
    one(dataclasses.replace(intake, copy=False), path)
    with intake.ledger.read() as conn:
        assert frames.get(conn, "sci1")["path"] == str(path)
    assert not (intake.folder / "raw").exists()


def test_the_same_file_again_is_known_and_nothing_happens(intake: Intake, tmp_path: Path) -> None:
    path = write(tmp_path, "sci1.fits", "TOY science abc")
    one(intake, path)
    with intake.ledger.write() as conn:
        tasks.clear(conn, tasks.due(conn, 1e9, 1)[0])
    assert one(intake, path).outcome == "known"
    with intake.ledger.read() as conn:
        assert tasks.dirty(conn, "reduced", "sci1") is None
    assert refusals(intake.ledger) == []


def test_the_same_content_under_another_name_is_refused(intake: Intake, tmp_path: Path) -> None:
    one(intake, write(tmp_path, "sci1.fits", "TOY science abc"))
    result = one(intake, write(tmp_path, "sci2.fits", "TOY science abc"))
    assert result.outcome == "refused"
    assert "sci2: the same content as frame sci1" in result.message
    assert refusals(intake.ledger) == [result.message]


def test_the_same_pixels_under_another_header_are_refused(intake: Intake, tmp_path: Path) -> None:
    one(intake, write(tmp_path, "sci1.fits", "TOY science abc"))
    assert "same content" in one(intake, write(tmp_path, "b.fits", "TOY  science abc")).message


def test_the_same_name_with_other_content_is_refused(intake: Intake, tmp_path: Path) -> None:
    one(intake, write(tmp_path, "sci1.fits", "TOY science abc"))
    result = one(intake, write(tmp_path / "again", "sci1.fits", "TOY science xyz"))
    assert result.outcome == "refused"
    assert "sci1: other content" in result.message
    assert "nothing was overwritten" in result.message
    copy = intake.folder / "raw" / "2017-07-03" / "sci1.fits"
    assert copy.read_text() == "TOY science abc"


def test_a_bad_file_stops_nothing_else(intake: Intake, tmp_path: Path) -> None:
    night = tmp_path / "night"
    write(night, "a.fits", "TOY science a")
    write(night, "b.fits", "no frame at all")
    write(night, "c.fits", "TOY bias c")
    write(night, "notes.txt", "clear, seeing 1 arcsec")
    results = list(take_in(intake, files_in([night, night / "missing.fits"])))
    outcomes = {Path(result.path).name: result.outcome for result in results}
    assert outcomes == {
        "a.fits": "taken",
        "b.fits": "refused",
        "c.fits": "taken",
        "missing.fits": "failed",
    }
    assert len(refusals(intake.ledger)) == 2


def test_the_same_refusal_again_is_one_row(intake: Intake, tmp_path: Path) -> None:
    path = write(tmp_path, "b.fits", "no frame at all")
    one(intake, path)
    one(intake, path)
    assert len(refusals(intake.ledger)) == 1


def test_a_copy_left_by_a_crash_is_taken_up(intake: Intake, tmp_path: Path) -> None:
    path = write(tmp_path, "sci1.fits", "TOY science abc")
    write(intake.folder / "raw" / "2017-07-03", "sci1.fits", "TOY science abc")
    assert one(intake, path).outcome == "taken"


def test_a_strange_file_in_the_archive_is_not_overwritten(intake: Intake, tmp_path: Path) -> None:
    path = write(tmp_path, "sci1.fits", "TOY science abc")
    strange = write(intake.folder / "raw" / "2017-07-03", "sci1.fits", "nobody knows")
    result = one(intake, path)
    assert "another file at raw/2017-07-03/sci1.fits" in result.message
    assert strange.read_text() == "nobody knows"


def test_frames_read_at_once_share_their_exposure(intake: Intake) -> None:
    new = [toys.facts(f"exp1-0{n}", "science", ccd=f"0{n}", exposure="exp1") for n in (1, 2)]
    toys.add_frames(intake.ledger, intake.folder, new, intake.rules)
    with intake.ledger.read() as conn:
        ids = {frames.get(conn, frame.name)["exposure_id"] for frame in new}
        kept = frames.get(conn, "exp1-01")
    assert len(ids) == 1
    assert FrameFacts.from_dict({k: kept[k] for k in new[0].as_dict()}) == new[0]


def test_a_frame_of_another_exposures_name_is_refused(intake: Intake) -> None:
    first = toys.facts("exp1-01", "science", exposure="exp1")
    toys.add_frames(intake.ledger, intake.folder, [first], intake.rules)
    others = {"exptime_s": 30.0, "obstype": "flat", "ra_deg": 80.0, "mjd_start": 1.0}
    for name, value in others.items():
        other = dataclasses.replace(toys.facts("exp1", "science"), **{name: value})
        with pytest.raises(Duplicate, match=f"{name} = .* in exposure JAST80.toycam.exp1"):
            toys.add_frames(intake.ledger, intake.folder, [other], intake.rules)
    close = toys.facts("exp1-02", "science", ccd="02", exposure="exp1", ra=10.21)
    toys.add_frames(intake.ledger, intake.folder, [close], intake.rules)


def test_a_name_that_is_no_text_is_refused_and_recorded(intake: Intake, tmp_path: Path) -> None:
    path = Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff.fits"))
    path.write_text("no frame at all")
    good = write(tmp_path, "sci1.fits", "TOY science abc")
    refused, taken = take_in(intake, [path, good])
    assert (refused.outcome, taken.outcome) == ("refused", "taken")
    assert refused.path.endswith(r"/\xff.fits")
    refused.message.encode()
    with intake.ledger.read() as conn:
        (row,) = conn.execute(schema.refused.select())
    assert row.path == refused.path


def test_a_defect_of_ours_stops_no_other_file(intake: Intake, tmp_path: Path) -> None:
    write(tmp_path, "a.fits", "TOY science a b c")  # one word too many for this describer
    good = write(tmp_path, "b.fits", "TOY science b")
    failed, taken = take_in(intake, [tmp_path / "a.fits", good])
    assert (failed.outcome, taken.outcome) == ("failed", "taken")
    assert "a.fits: ValueError: too many values" in failed.message
    with intake.ledger.read() as conn:
        (event,) = events.history(conn, failed.path)["events"]
    assert "Traceback" in event["detail"]
    assert "Traceback" not in failed.message


def stars(mag: float) -> dict[str, np.ndarray]:
    return {"ra": np.array([10.0, 11.0]), "dec": np.zeros(2), "mag_r": np.array([15.0, mag])}


def test_a_reference_catalogue_has_versions(intake: Intake, tmp_path: Path) -> None:
    folder, ledger = intake.folder, intake.ledger
    for n, mag in enumerate((16.0, 17.0), 1):
        added = refcat.add(folder, ledger, "gaia", Path("gaia.csv"), lambda _, m=mag: stars(m))
        assert (added.version, added.rows) == (n, 2)
        kept, facts = read_parquet(folder / added.path)
        assert kept["mag_r"].tolist() == [15.0, mag]
        assert facts["refcat"] == "gaia"
    with ledger.read() as conn:
        current = products.current(conn, "refcat", "gaia")
    assert current is not None
    assert current["version"] == 2
    with pytest.raises(Duplicate, match="same rows as version 2"):
        refcat.add(folder, ledger, "gaia", Path("gaia.csv"), lambda _: stars(17.0))


def test_catalogues_added_at_once_are_two_versions(intake: Intake) -> None:
    folder, ledger = intake.folder, intake.ledger

    def slowly(mag: float) -> dict[str, np.ndarray]:
        both.wait()  # both have begun before either is entered
        return stars(mag)

    both = threading.Barrier(2)
    with cf.ThreadPoolExecutor(2) as pool:
        added = list(
            pool.map(
                lambda mag: refcat.add(
                    folder, ledger, "gaia", Path("g.csv"), lambda _: slowly(mag)
                ),
                (16.0, 17.0),
            )
        )
    assert {one.version for one in added} == {1, 2}
    for one, mag in zip(added, (16.0, 17.0)):
        assert read_parquet(folder / one.path)[0]["mag_r"].tolist() == [15.0, mag]
    assert len(list((folder / added[0].path).parent.iterdir())) == 2 + 1  # and the toys' own


def test_a_file_that_a_crash_left_is_taken_up_or_passed_over(intake: Intake) -> None:
    folder, ledger = intake.folder, intake.ledger
    kept = write(folder / "products" / "refcat", "gaia.v1.parquet", "nobody knows")
    assert refcat.add(folder, ledger, "gaia", Path("g.csv"), lambda _: stars(16.0)).version == 2
    assert kept.read_text() == "nobody knows"
    left = folder / "products" / "refcat" / "other.v1.parquet"
    write_parquet(left, stars(16.0), {"refcat": "other", "origin": "g.csv"})
    assert refcat.add(folder, ledger, "other", Path("g.csv"), lambda _: stars(16.0)).version == 1


def test_frames_that_wait_for_the_reference_go_on_when_it_comes(tmp_path: Path) -> None:
    site = tmp_path / "bare"
    ledger = toys.new_site(site)
    rules = toys.rules(refcat="gaia")
    toys.add_frames(ledger, site, toys.small_night(), rules)
    assert toys.controller(ledger, site, rules).run().done == 2
    with ledger.read() as conn:
        row = tasks.waiting(conn, "reduced", "sci1")
    assert row is not None
    assert "no reference catalogue gaia" in row["reason"]
    refcat.add(site, ledger, "gaia", Path("gaia.csv"), lambda _: stars(16.0))
    assert toys.controller(ledger, site, rules).run().done == 5 + 3 + 3 + 4 * 3


def test_a_database_that_goes_away_refuses_no_frame(
    intake: Intake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whether the frame is in, nobody knows; the next try finds out."""
    path = write(tmp_path, "sci1.fits", "TOY science abc")

    def gone(*_: object, **__: object) -> bool:
        raise LedgerLost("ledger", found="the connection is closed")

    with monkeypatch.context() as away:
        away.setattr(frames, "add", gone)
        with pytest.raises(LedgerLost):
            one(intake, path)
    assert refusals(intake.ledger) == []
    assert one(intake, path).outcome == "taken"
