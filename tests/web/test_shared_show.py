"""Numbers as people read them."""

from __future__ import annotations

import math

import numpy as np
import pytest

from tesela.web.shared import show


def test_missing_numbers_are_a_dash() -> None:
    for nothing in (None, math.nan, float("inf"), np.float32("nan"), np.float64("inf")):
        assert show.number(nothing) == show.significant(nothing) == "—"


def test_numbers_have_their_decimals_and_a_true_minus() -> None:
    assert show.number(-1.23456, 2) == "−1.23"
    assert show.number(3, 0) == "3"


@pytest.mark.parametrize(("value", "text"), [
    (True, "yes"), (0.123456789, "0.123457"), (7, "7"), ("SIM-1", "SIM-1"),
])  # fmt: skip
def test_any_value(value: object, text: str) -> None:
    assert show.significant(value) == text


def test_counts_and_sizes() -> None:
    assert show.count(1234567) == "1\u202f234\u202f567"
    assert show.size(999) == "999 bytes"
    assert show.size(17_500_000) == "17.5 MB"
    assert show.size(3 * 10**15) == "3e+03 TB"


def test_positions_agree_with_astropy() -> None:
    from astropy.coordinates import SkyCoord

    rng = np.random.default_rng(5)
    for ra, dec in zip(360 * rng.random(50), 180 * rng.random(50) - 90):
        text = f"{show.ra_hms(ra)} {show.dec_dms(dec)}"
        there = SkyCoord(text, unit=("hourangle", "deg"))
        assert there.separation(SkyCoord(ra, dec, unit="deg")).arcsec < 0.011


def test_seconds_never_read_sixty() -> None:
    assert show.ra_hms(359.9999999) == "00:00:00.000"
    assert show.dec_dms(-0.99999999) == "-01:00:00.00"
    assert show.dec_dms(-0.2) == "-00:12:00.00"


def test_decimal_positions_are_what_programs_read() -> None:
    assert show.decimal_position(150.1, 2.2) == "150.100000 +2.200000"


def test_errors_stand_behind_their_value() -> None:
    assert show.with_error(20.1234, 0.0456) == "20.123 ± 0.046"
    assert show.with_error(20.1234, None) == "20.123"
    assert show.with_error(None, 0.1) == "—"
