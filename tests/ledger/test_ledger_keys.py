"""Keys say the same when written and read."""

from __future__ import annotations

import pytest

from tesela.errors import LedgerError
from tesela.ledger.keys import (
    Configuration,
    MasterKey,
    calset_key,
    clean,
    coadd_key,
    split_coadd_key,
)

CCD = Configuration("JAST80", "t80cam", "01", "r_R1", "1MHz")


def test_a_master_key_survives_the_journey() -> None:
    key = MasterKey("FLAT", CCD, "2017-07-03")
    assert str(key) == "FLAT.JAST80.t80cam.01.r_R1.1MHz.20170703"
    assert MasterKey.parse(str(key)) == key


@pytest.mark.parametrize("bad", ["", "FLAT.a.b", "FLAT.JAST80.t80cam.01.r_R1.1MHz.2017"])
def test_other_texts_are_no_master_keys(bad: str) -> None:
    with pytest.raises(LedgerError):
        MasterKey.parse(bad)


def test_words_of_headers_cannot_break_a_key() -> None:
    made = Configuration.of("JAST/T80", "t80 cam", 1, "", "1.0 MHz")
    assert str(made) == "JAST_T80.t80_cam.1.-.1_0_MHz"
    assert clean("  ") == "-"


def test_only_flats_are_filed_by_filter() -> None:
    assert CCD.for_kind("FLAT") == CCD
    assert CCD.for_kind("BIAS").filter == "-"


def test_a_calset_is_known_by_its_members_not_their_order() -> None:
    first = calset_key(CCD, "reduced", ["a#1", "b#1"])
    assert calset_key(CCD, "reduced", ["b#1", "a#1"]) == first
    assert calset_key(CCD, "reduced", ["a#2", "b#1"]) != first
    assert calset_key(CCD, "detrended", ["a#1", "b#1"]) != first


def test_a_tile_may_have_dots_in_its_name() -> None:
    assert split_coadd_key(coadd_key("T.1", "gSDSS")) == ("T.1", "gSDSS")
    with pytest.raises(LedgerError):
        split_coadd_key("T1")
