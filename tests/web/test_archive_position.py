"""What people type: positions, radii, names of sources."""

from __future__ import annotations

import pytest

from tesela.errors import BadInput
from tesela.web.archive import position
from tesela.web.archive.position import SourceName


@pytest.mark.parametrize("text", [
    "150.1163 2.2058", "150.1163 +2.2058", "150.1163,2.2058", "150.1163, +2.2058",
    " 150.1163; 2.2058 ",
    "150.1163d +2.2058d", "10:00:27.912 +02:12:20.88", "10h00m27.912s +02d12m20.88s",
    "10 00 27.912 +02 12 20.88", "10:00:27.912, 02:12:20.88", "10:00:27.912+02:12:20.88",
    "10h 00m 27.912s +02° 12′ 20.88″",
])  # fmt: skip
def test_ways_to_write_one_position(text: str) -> None:
    ra, dec = position.position(text)
    assert ra == pytest.approx(150.1163, abs=1e-9)
    assert dec == pytest.approx(2.2058, abs=1e-9)


def test_a_sign_belongs_to_degrees_of_zero_too() -> None:
    assert position.position("00:00:00 -00:30:00") == (0.0, -0.5)
    assert position.position("10.5 \u22120.25") == (10.5, -0.25)
    assert position.position("10.5 -30") == (10.5, -30.0)
    assert position.position("10 - 30") == (10.0, -30.0)
    assert position.position("0 -90") == (0.0, -90.0)


@pytest.mark.parametrize(("text", "words"), [
    ("", "nothing"), ("M 51", "decimal degrees"), ("nan nan", "decimal degrees"),
    ("1e3 2", "decimal degrees"), ("150.1", "decimal degrees"), ("1 2 3 4", "decimal degrees"),
    ("400 10", "0 <= ra < 360"), ("-10 10", "did you mean 350"), ("360 0", "did you mean 0"),
    ("10 91", "-90 to 90"), ("24:00:00 +10:00:00", "24 or more"),
    ("10:60:00 +10:00:00", "60 or more"),
    ("10:00:00 +91:00:00", "-90 to 90"), ("10;DROP TABLE objects", "decimal degrees"),
    ("1" * 500, "decimal degrees"), ("١٢ ٣", "decimal degrees"),
])  # fmt: skip
def test_what_is_no_position_is_refused_with_the_way_to_write_it(text: str, words: str) -> None:
    with pytest.raises(BadInput) as error:
        position.position(text)
    assert words in str(error.value)
    assert len(str(error.value)) < 300


@pytest.mark.parametrize(("text", "name"), [
    ("16779974", SourceName(16779974)), (" 7 ", SourceName(7)),
    ("SIM-00001-17", SourceName(17, "SIM-00001")), ("SIM-00001 - 17", SourceName(17, "SIM-00001")),
    ("5350-48578", SourceName(48578, "5350")),
    ("10.5 -30", None), ("0 -90", None), ("211.68 -55", None), ("10 - 30", None),
    ("10.5\u00a0\u221230", None),
    ("150.1 2.2", None), ("9" * 19, None), ("-5", None), ("", None), ("../../etc-1", None),
])  # fmt: skip
def test_names_of_sources(text: str, name: SourceName | None) -> None:
    assert position.source_name(text) == name


@pytest.mark.parametrize(("text", "unit", "degrees"), [
    ("30", "arcsec", 30 / 3600), ("1.5", "arcmin", 0.025), ("2", "deg", 2.0), ("1,5", "deg", 1.5),
    (".5", "deg", 0.5), ("180", "deg", 180.0), ("1e1", "arcsec", 10 / 3600),
])  # fmt: skip
def test_radii(text: str, unit: str, degrees: float) -> None:
    assert position.radius_deg(text, unit) == pytest.approx(degrees)


@pytest.mark.parametrize(("text", "unit"), [
    ("0", "deg"), ("-1", "deg"), ("181", "deg"), ("nan", "deg"), ("inf", "deg"), ("", "arcsec"),
    ("1", "parsec"), ("1 2", "deg"), ("1e99", "deg"),
])  # fmt: skip
def test_what_is_no_radius_is_refused(text: str, unit: str) -> None:
    with pytest.raises(BadInput):
        position.radius_deg(text, unit)
