"""A site that runs by itself: frames come into a folder, and their tiles come out."""

from __future__ import annotations

import json
import shutil
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from verbs import start, tesela, well

from .ledgers import ask, current

pytestmark = pytest.mark.night


def until(condition: Callable[[], object], seconds: float = 240.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not come"
        time.sleep(0.3)


@pytest.mark.timeout(600)
def test_a_night_that_comes_frame_by_frame_ends_as_one_that_was_there(
    night: Path, done: Path, tmp_path: Path
) -> None:
    """With quiet periods and a stop by SIGTERM in the middle; the data are the same."""
    arrivals = tmp_path / "tonight"
    arrivals.mkdir()
    survey, settings = tmp_path / "survey.toml", tmp_path / "site.toml"
    survey.write_text(
        (night / "survey.toml").read_text() + "\n[flow]\nquiet_s = 3.0\nworkers = 2\n"
    )
    settings.write_text(f'name = "core"\narrivals = ["{arrivals}"]\n[limits]\ncatalog = 1\n')
    site = tmp_path / "site"
    well("init", site, "--survey", survey, "--settings", settings)
    well("refcat", "add", "simulated", night / "refcat.parquet", "--site", site)
    process = start("run", "--continuous", "--site", site)
    files = sorted((night / "raw").rglob("*.fits*"))
    try:
        for n, file in enumerate(files):
            shutil.copyfile(file, arrivals / file.name)
            time.sleep(0.2)
            if n == len(files) // 2:
                until(lambda: "controller started" in _log(site))
                process.send_signal(signal.SIGTERM)
                assert process.wait(60) == 0
                process = start("run", "--continuous", "--site", site)
        until(lambda: len(ask(site, "SELECT 1 FROM frame")) == len(files))
        until(lambda: set(current(site, "data_hash")) >= set(current(done, "data_hash")))
        until(lambda: not ask(site, "SELECT 1 FROM dirty") and not _is_open(site))
        assert process.poll() is None, "it goes on and waits for more"
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(60)
    assert current(site, "data_hash") == current(done, "data_hash")
    whats = _log(site)
    assert whats.count("frame taken") == len(files)
    assert whats.count("controller ended") == 2
    # Masters waited until no more of their frames came, rather than being made with each.
    assert not ask(site, "SELECT key FROM product WHERE kind = 'master' AND version > 3")


def _log(site: Path) -> list[str]:
    """What happened, line by line."""
    files = (site / "logs").glob("*.jsonl")
    return [json.loads(line)["what"] for file in files for line in file.open()]


def _is_open(site: Path) -> bool:
    return bool(ask(site, "SELECT 1 FROM task WHERE state IN ('ready', 'running')"))


def test_what_is_dropped_is_restored_with_the_same_data(done: Path, tmp_path: Path) -> None:
    """Of real images: another file by its dates perhaps, the same pixels."""
    from .ledgers import clone

    site = clone(done, tmp_path / "site")
    key, path = ask(site, "SELECT key, path FROM product WHERE kind = 'reduced' LIMIT 1")[0]
    assert well("drop", key, "--site", site, "--dry-run", "--json").data["dropped"][0]["key"] == key
    assert (site / path).exists()
    dropped = well("drop", key, "--site", site, "--json").data
    assert dropped["bytes"] > 100_000
    assert not (site / path).exists()
    said = well("restore", key, "--site", site, "--json").data
    assert said["put_back"]
    assert (site / path).is_file()
    assert said["data_hash"] == current(done, "data_hash")["reduced", key]
    which = ("--kind", "reduced", "--where", "band = rSDSS")
    some = well("drop", *which, "--site", site, "--dry-run", "--json").data
    of_band = "SELECT 1 FROM frame f JOIN product p ON p.kind = 'reduced' AND p.key = f.name"
    n = len(ask(site, f"{of_band} WHERE p.is_current AND f.band = 'rSDSS'"))
    assert len(some["dropped"]) == n
    coadd = ask(site, "SELECT key FROM product WHERE kind = 'coadd' LIMIT 1")[0][0]
    # Of a file that is there it is a test, which changes nothing.
    assert not well("restore", coadd, "--kind", "coadd", "--site", site, "--json").data["put_back"]


def test_planned_frames_are_taken_in_or_refused_whole(done: Path, tmp_path: Path) -> None:
    from .ledgers import clone

    site = clone(done, tmp_path / "site")
    table = tmp_path / "planned.csv"
    table.write_text("tile,band,frames\nSIM-00001,rSDSS,4\nSIM-00002,J0378,3\n")
    well("plan", "--planned", table, "--site", site, "--json")
    assert len(ask(site, "SELECT * FROM planned")) == 2
    for wrong in ("SIM-00001,zSDSS,4", "SIM-00001,rSDSS,0", "SIM-00001,rSDSS", "nowhere,rSDSS,4"):
        table.write_text(f"SIM-00001,J0378,9\n{wrong}\n")
        assert tesela("plan", "--planned", table, "--site", site).code == 2
    assert len(ask(site, "SELECT * FROM planned")) == 2


def test_a_backup_is_put_back(done: Path, tmp_path: Path) -> None:
    from .ledgers import clone

    site = clone(done, tmp_path / "site")
    made = well("backup", tmp_path / "copies", "--site", site, "--json").data
    (site / "ledger.sqlite").write_bytes(b"damaged" * 1000)
    assert "restore the last backup" in tesela("status", "--site", site).err
    well("backup", "--restore", made["path"], "--site", site)
    assert current(site, "data_hash") == current(done, "data_hash")
    assert tesela("backup", "--site", site).code == 2
    assert tesela("backup", "--restore", tmp_path / "none", "--site", site).code == 2
