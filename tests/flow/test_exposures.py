"""An exposure is judged, explained and made again as a unit."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from tesela.errors import LedgerError, NotFound
from tesela.flow.plan import coadds, flags, why
from tesela.ledger import verdicts
from tesela.ledger.engine import Ledger
from tesela.products.frame import FrameFacts

from . import toys

CCDS = ("01", "02", "03")
KEY = "JAST80.toycam.e1"


def frame(exposure: str, ccd: str, obstype: str = "science") -> FrameFacts:
    """CCD 01 lies in tile T10, 02 in T20, 03 in T30; the filter of each has its own serial."""
    return toys.facts(
        f"{exposure}-{ccd}", obstype, ccd=ccd, exposure=exposure, ccds=CCDS,
        ra=10.0 * int(ccd) + 0.2, ra_deg=20.2 if obstype == "science" else None,
        filter_serial="" if obstype == "bias" else f"R{ccd}",
    )  # fmt: skip


@pytest.fixture
def site(tmp_path: Path) -> Path:
    return tmp_path / "site"


@pytest.fixture
def made(site: Path) -> Ledger:
    """Biases and flats of three CCDs; exposures e1 without CCD 03, and e2."""
    ledger = toys.new_site(site)
    calibrations = [
        frame(f"{kind}{n}", ccd, kind) for kind in ("bias", "flat") for n in (1, 2) for ccd in CCDS
    ]
    science = [frame("e1", "01"), frame("e1", "02"), *(frame("e2", ccd) for ccd in CCDS)]
    toys.add_frames(ledger, site, [*calibrations, *science], toys.rules())
    toys.controller(ledger, site).run()
    return ledger


def flag(ledger: Ledger, name: str, kind: str = "exposure") -> set[tuple[str, str]]:
    with ledger.write() as conn:
        found = flags.flag(conn, toys.rules(), kind, name, reason="guiding", who="ann")
    return set(found.targets)


def unflag(ledger: Ledger, name: str, kind: str = "exposure") -> set[tuple[str, str]]:
    with ledger.write() as conn:
        return set(flags.unflag(conn, toys.rules(), kind, name, who="ann").targets)


def ran(ledger: Ledger, site: Path) -> set[tuple[str, str]]:
    control = toys.controller(ledger, site)
    control.run()
    return {(order.kind, order.key) for order in control.engine.orders}


def used(ledger: Ledger, tile: str) -> set[str]:
    """Frames of a tile's coadd."""
    with ledger.read() as conn:
        found = coadds.candidates(conn, f"{tile}.r")
    return {one.name for one in found if one.reduced_id is not None}


def flagged(ledger: Ledger) -> set[str]:
    with ledger.read() as conn:
        rows = conn.execute(verdicts.schema.verdict.select()).all()
    return {row.key for row in rows if row.withdrawn_mjd is None}


def test_masters_are_of_a_ccd_and_its_filter(made: Ledger) -> None:
    masters = {key for kind, key in toys.served(made) if kind == "master"}
    assert masters == {
        f"{kind}.JAST80.toycam.{ccd}.{through}.fast.20170703"
        for ccd in CCDS
        for kind, through in (("BIAS", "-"), ("FLAT", f"r_R{ccd}"))
    }


def test_flagging_an_exposure_takes_all_its_frames_out(made: Ledger, site: Path) -> None:
    assert used(made, "T10") == {"e1-01", "e2-01"}
    with made.rehearse() as conn:
        expected = set(flags.of_flag(conn, toys.rules(), "exposure", "e1").targets)
    assert expected == toys.of_tiles(10, 20)
    assert flag(made, "e1") == expected
    assert flagged(made) == {KEY, "e1-01", "e1-02"}
    assert ran(made, site) == expected
    assert used(made, "T10") == {"e2-01"}
    assert used(made, "T20") == {"e2-02"}
    assert unflag(made, "e1") == expected
    assert flagged(made) == set()
    assert ran(made, site) == expected
    assert used(made, "T10") == {"e1-01", "e2-01"}


def test_a_late_ccd_of_a_flagged_exposure_is_used_nowhere(made: Ledger, site: Path) -> None:
    flag(made, KEY)
    toys.add_frames(made, site, [frame("e1", "03")], toys.rules())
    ran(made, site)
    assert used(made, "T30") == {"e2-03"}
    assert ("coadd", "T30.r") in unflag(made, "e1")
    ran(made, site)
    assert used(made, "T30") == {"e1-03", "e2-03"}


def test_a_frames_own_verdict_outlives_that_of_its_exposure(made: Ledger, site: Path) -> None:
    with made.write() as conn:
        flags.flag(conn, toys.rules(), "raw", "e1-01", reason="trail", who="bob")
    ran(made, site)
    assert flag(made, "e1") == toys.of_tiles(20)
    assert ran(made, site) == toys.of_tiles(20)
    assert unflag(made, "e1") == toys.of_tiles(20)
    assert flagged(made) == {"e1-01"}


def test_one_frame_of_a_flagged_exposure_may_be_used_again(made: Ledger, site: Path) -> None:
    flag(made, "e1")
    ran(made, site)
    assert unflag(made, "e1-02", "raw") == toys.of_tiles(20)
    assert flagged(made) == {KEY, "e1-01"}
    assert unflag(made, "e1") == toys.of_tiles(10)


def test_an_exposure_of_biases_remakes_the_masters_of_each_ccd(made: Ledger) -> None:
    masters = {key for kind, key in flag(made, "bias1") if kind == "master"}
    assert masters >= {f"BIAS.JAST80.toycam.{ccd}.-.fast.20170703" for ccd in CCDS}


def test_a_frame_whose_place_another_took_is_not_used_again(made: Ledger, site: Path) -> None:
    with made.write() as conn:
        flags.flag(conn, toys.rules(), "raw", "e1-01", reason="header", who="bob")
    corrected = dataclasses.replace(frame("e1", "01"), name="e1b-01", sha256="0" * 64)
    toys.add_frames(made, site, [corrected], toys.rules())
    with pytest.raises(LedgerError, match="is there as e1b-01; expected one frame a CCD"):
        unflag(made, "e1-01", "raw")
    assert flagged(made) == {"e1-01"}


def test_an_exposure_is_no_frame(made: Ledger) -> None:
    with pytest.raises(NotFound, match=r"e1: an exposure; expected a frame; .* --kind exposure"):
        flag(made, "e1", "raw")


def test_verdicts_on_no_exposure_say_so(made: Ledger) -> None:
    with pytest.raises(NotFound, match="e9: no exposure of that name"):
        flag(made, "e9")
    with pytest.raises(NotFound, match="no verdict in force"):
        unflag(made, "e1")
    flag(made, "e1")
    with pytest.raises(LedgerError, match="flagged already by ann"):
        flag(made, "e1")


def test_why_tells_where_each_ccd_stands_and_which_is_missing(made: Ledger) -> None:
    with made.rehearse() as conn:
        told = why.explain(conn, toys.rules(), "e1")
    assert told["state"] == ["exposure: 2 of 3 CCDs here, no 03"]
    assert [(row["frame"], row["state"]) for row in told["frames"]] == [
        ("e1-01", "CCD 01 r (R01)"),
        ("e1-02", "CCD 02 r (R02)"),
    ]
    assert "reduced: version 1 is current" in told["frames"][0]["reason"]
    flag(made, "e1")
    with made.rehearse() as conn:
        told = why.explain(conn, toys.rules(), KEY)
    assert told["state"][1] == "exposure: flagged by ann: guiding"
    assert "raw: flagged by ann: guiding" in told["frames"][1]["reason"]
