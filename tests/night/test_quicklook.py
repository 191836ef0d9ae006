"""The quick look on a simulated night: told at once, and the reduction knows nothing of it."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits

from tesela.flow.run import quick_commit, quicklook
from tesela.flow.run.lock import only_one
from tesela.products import paths, preview
from tesela.products.catalogue import read_parquet
from verbs import RUN_ENV, Said, tesela, well

from .ledgers import (
    ask,
    assert_headers_say_what_the_ledger_knows,
    assert_nothing_left_over,
    clone,
    current,
    fresh,
)

pytestmark = pytest.mark.night
NUMBERS = ("fwhm_arcsec", "ellipticity", "sky_e", "zeropoint_mag")


def said_of(said: Said) -> list[dict]:  # type: ignore[type-arg]
    return [json.loads(line) for line in said.out.splitlines()]


def science(night: Path) -> list[Path]:
    found = [p for p in sorted((night / "raw").iterdir()) if fits.getheader(p).get("EXPTIME", 0)]
    kinds = {p: str(fits.getheader(p)["IMAGETYP"]).upper() for p in found}
    return [p for p, kind in kinds.items() if "FLAT" not in kind]


@pytest.fixture(scope="module")
def looked(night: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[dict]]:  # type: ignore[type-arg]
    """A site that has seen the whole night and reduced nothing, and what was said."""
    site = fresh(tmp_path_factory.mktemp("looked") / "site", night)
    said = well("quicklook", "--watch", night / "raw", "--once", "--settle", 0, "--site", site,
                "--json")  # fmt: skip
    return site, said_of(said)


def test_it_says_what_the_ledger_knows_of_its_making(
    looked: tuple[Path, list[dict]],  # type: ignore[type-arg]
) -> None:
    site, said = looked
    assert assert_headers_say_what_the_ledger_knows(site, "quicklook") >= len(said)


def test_every_frame_of_the_night_is_looked_at(
    looked: tuple[Path, list[dict]],
    night: Path,  # type: ignore[type-arg]
) -> None:
    site, said = looked
    assert {one["frame"] for one in said} == {p.stem for p in (night / "raw").iterdir()}
    assert {one["outcome"] for one in said} == {"passed"}
    found = {one["frame"]: one for one in said}
    for path in science(night):
        one = found[path.stem]
        assert all(one["metrics"][name] is not None for name in NUMBERS)
        assert any("no certified BIAS" in text for text in one["warnings"]), "there is none yet"
        stars, facts = read_parquet(site / current(site, "path")["quicklook", path.stem])
        assert len(stars["ra"]) > 50
        assert facts["metrics"]["fwhm_arcsec"] == one["metrics"]["fwhm_arcsec"]
        image, mask = preview.read(
            paths.preview(site / current(site, "path")["quicklook", path.stem]), 200
        )
        assert image.shape == mask.shape
        assert (site / one["picture"]).is_file()
    bias = next(one for one in said if one["metrics"].get("level_adu", 99) < 5)
    assert "fwhm_arcsec" not in bias["metrics"]
    assert_nothing_left_over(site)


def test_a_second_look_at_the_folder_finds_nothing_new(
    looked: tuple[Path, list[dict]],
    night: Path,  # type: ignore[type-arg]
) -> None:
    site, _ = looked
    before = current(site, "version")
    again = well("quicklook", "--watch", night / "raw", "--once", "--settle", 0, "--site", site)
    assert again.out.startswith("0 frames looked at")
    assert current(site, "version") == before


def test_status_and_why_tell_of_it_until_there_is_a_reduction(
    looked: tuple[Path, list[dict]],
    done: Path,
    night: Path,  # type: ignore[type-arg]
) -> None:
    site, _ = looked
    name = science(night)[0].stem
    assert "0 did not pass" in well("status", "--site", site).out
    explained = well("why", name, "--site", site).out
    assert "quicklook: seeing" in explained
    assert "reduced: to be looked at: frame ingested" in explained
    assert "quick look" not in well("status", "--site", done).out


def test_the_reduction_is_as_if_nobody_had_looked(
    looked: tuple[Path, list[dict]],
    done: Path,
    tmp_path: Path,
    night: Path,  # type: ignore[type-arg]
) -> None:
    site = clone(looked[0], tmp_path / "site")
    well("run", "--site", site, "--workers", 2)
    own = {
        k: v for k, v in current(site, "data_hash").items() if k[0] not in ("quicklook", "calset")
    }
    assert own == {k: v for k, v in current(done, "data_hash").items() if k[0] != "calset"}
    assert "stale" not in well("status", "--site", site).out
    # With the masters of the night a look comes close to the reduction.
    path = science(night)[0]
    (one,) = said_of(well("quicklook", path, "--settle", 0, "--site", site, "--json"))
    assert one["outcome"] == "passed"
    assert not [text for text in one["warnings"] if "no certified" in text]
    ((metrics,),) = ask(
        site,
        "SELECT q.metrics_json FROM quality q JOIN product p ON p.id = q.product_id"
        " WHERE p.kind = 'reduced' AND p.is_current AND p.key = ?",
        [path.stem],
    )
    full = json.loads(metrics)
    assert one["metrics"]["fwhm_arcsec"] == pytest.approx(full["fwhm_arcsec"], rel=0.02)
    assert one["metrics"]["zeropoint_mag"] == pytest.approx(full["zeropoint_mag"], abs=0.02)
    assert one["metrics"]["sky_e"] == pytest.approx(full["sky_e"], rel=0.02)
    assert current(site, "version")["quicklook", path.stem] == 2
    assert "quicklook" not in well("why", path.stem, "--site", site).out


def test_files_that_are_no_frames_stop_nothing(night: Path, tmp_path: Path) -> None:
    site, folder = fresh(tmp_path / "site", night), tmp_path / "in"
    folder.mkdir()
    (folder / "junk.fits").write_bytes(b"no frame")
    path = science(night)[0]
    (folder / f"half-{path.name}").write_bytes(path.read_bytes()[:50000])
    shutil.copy(path, folder)
    watch = ("quicklook", "--watch", folder, "--once", "--settle", 0.1, "--give-up", 1)
    said = tesela(*watch, "--site", site, "--json")
    assert said.code == 2
    found = {one["frame"]: one for one in said_of(said)}
    assert found[path.stem]["outcome"] == "passed"
    assert found["junk"]["outcome"] == found[f"half-{path.stem}"]["outcome"] == "refused"
    assert found["junk"]["reasons"][0].startswith("not whole: 8 bytes")
    assert len(ask(site, "SELECT * FROM refused")) == 2
    again = well(*watch, "--site", site)
    assert again.out.startswith("0 frames looked at"), "refused, and unchanged since"


def test_a_frame_without_stars_is_rejected_with_a_reason(night: Path, tmp_path: Path) -> None:
    site, path = fresh(tmp_path / "site", night), tmp_path / "clouds.fits"
    rng = np.random.default_rng(1)
    with fits.open(science(night)[0]) as file:
        hdu = next(hdu for hdu in file if hdu.data is not None)
        hdu.data[...] = rng.poisson(np.median(hdu.data), hdu.data.shape).astype(np.uint16)
        fits.HDUList([type(hdu)(hdu.data, hdu.header)]).writeto(path, checksum=True)
    (one,) = said_of(well("quicklook", path, "--settle", 0, "--site", site, "--json"))
    assert one["outcome"] == "rejected"
    assert one["metrics"]["fwhm_arcsec"] is None
    assert "suitable" in one["reasons"][0] or "stars" in one["reasons"][0]
    assert "quick look: clouds: " in well("status", "--site", site).out
    assert "quicklook: did not pass" in well("why", "clouds", "--site", site).out


def test_a_look_that_was_interrupted_is_done_at_the_next_start(
    night: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    site, folder = fresh(tmp_path / "site", night), tmp_path / "in"
    folder.mkdir()
    path = Path(shutil.copy(science(night)[0], folder))

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    watch = ("quicklook", "--watch", folder, "--once", "--settle", 0, "--site", site, "--json")
    with monkeypatch.context() as patched:
        patched.setattr(quicklook, "commit", killed)
        assert well(*watch).out == ""
    assert ("raw", path.stem) in current(site, "version")
    well("run", "--site", site, "--workers", 1)  # it sweeps what is its own alone
    (one,) = said_of(well(*watch))
    assert (one["frame"], one["outcome"]) == (path.stem, "passed")
    assert list((site / "work").iterdir()) == []


def test_a_defect_of_ours_is_an_outcome_too(
    night: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = fresh(tmp_path / "site", night)
    path = science(night)[0]

    def broken(*_: object) -> None:
        raise ZeroDivisionError("a defect")

    monkeypatch.setattr(quick_commit, "_row", broken)
    said = tesela("quicklook", path, "--settle", 0, "--site", site, "--json")
    assert said.code == 1
    (one,) = said_of(said)
    assert one["outcome"] == "failed"
    assert one["reasons"] == ["the quick look failed: ZeroDivisionError: a defect"]
    ((log,),) = ask(site, "SELECT detail FROM event WHERE what = 'quick look failed'")
    assert "Traceback" in log


def test_a_slow_writer_is_waited_for_and_ctrl_c_ends_it(night: Path, tmp_path: Path) -> None:
    site, folder = fresh(tmp_path / "site", night), tmp_path / "in"
    folder.mkdir()
    source = science(night)[0]
    process = subprocess.Popen(
        [sys.executable, "-m", "tesela.cli.main", "quicklook", "--watch", folder, "--site", site,
         "--settle", "0.3", "--json"],
        env=RUN_ENV, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    content = source.read_bytes()
    with (folder / source.name).open("wb") as file:
        for place in range(0, len(content), len(content) // 8):
            file.write(content[place : place + len(content) // 8])
            file.flush()
            time.sleep(0.4)
    closed = time.time()
    assert process.stdout is not None
    one = json.loads(process.stdout.readline())
    assert one["outcome"] == "passed"
    assert one["since_closed_s"] <= time.time() - closed + 0.5
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=30)
    assert (process.returncode, errors) == (0, "")
    assert ask(site, "SELECT * FROM refused") == []
    assert list((site / "work").iterdir()) == []


def test_one_looks_at_a_time(night: Path, tmp_path: Path) -> None:
    site = fresh(tmp_path / "site", night)
    with only_one(paths.quicklook_lock(site), "one"):
        said = tesela("quicklook", "--watch", night / "raw", "--once", "--site", site)
    assert said.code == 3
    assert "one quick look at a time" in said.err


@pytest.mark.parametrize("words", [(), ("x.fits", "--watch", "."), ("x.fits", "--once")])
def test_what_is_to_be_looked_at_has_to_be_said(words: tuple[str, ...], tmp_path: Path) -> None:
    said = tesela("quicklook", *words, "--site", tmp_path)
    assert said.code == 2
    assert "expected files, or --watch DIR" in said.err
