"""Parameters of requests are read strictly and without regard to case of their names."""

import math

import pytest

from tesela.errors import BadInput
from tesela.vo.dali import VOTABLE, Parameters, quoted, response_format


def of(*items: tuple[str, str]) -> Parameters:
    return Parameters(items)


@pytest.mark.parametrize("name", ["RA", "ra", "Ra"])
@pytest.mark.parametrize(
    ("text", "value"),
    [("1", 1.0), ("-1.5", -1.5), (" 30", 30.0), ("+2.", 2.0), (".5", 0.5), ("1e-3", 0.001)],
)
def test_decimal_numbers(name: str, text: str, value: float) -> None:
    assert of((name, text)).number("RA", low=-90, high=90, meaning="an angle") == value


@pytest.mark.parametrize(
    "text",
    [
        "nan",
        "inf",
        "-inf",
        "1_000",
        "0x10",
        "12:30:00",
        "1,5",
        "1 2",
        "1e",
        "e5",
        "١",
        "1e400",
        "a",
    ],
)
def test_what_is_no_decimal_number_is_refused(text: str) -> None:
    with pytest.raises(BadInput, match=r"RA: .*an angle"):
        of(("RA", text)).number("RA", low=-90, high=90, meaning="an angle")


def test_limits_are_legal_and_nothing_beyond() -> None:
    for value in ("-90", "90"):
        of(("DEC", value)).number("DEC", low=-90, high=90, meaning="an angle")
    for value in ("-90.0000001", "90.0000001"):
        with pytest.raises(BadInput, match="-90 to 90"):
            of(("DEC", value)).number("DEC", low=-90, high=90, meaning="an angle")
    assert of(("X", "1e300")).number("X", low=-math.inf, high=math.inf, meaning="any") == 1e300


def test_missing_empty_and_repeated_parameters() -> None:
    for parameters in (of(), of(("ra", "")), of(("ra", "  "))):
        assert parameters.text("RA") is None
        with pytest.raises(BadInput, match="RA: nothing"):
            parameters.number("RA", low=0, high=1, meaning="an angle")
    with pytest.raises(BadInput, match="RA: 2 values; expected one"):
        of(("RA", "1"), ("ra", "1")).text("RA")


def test_whole_numbers() -> None:
    assert of().integer("MAXREC", 7) == 7
    assert of(("maxrec", " 0012 ")).integer("MAXREC", 7) == 12
    assert of(("MAXREC", "9" * 5000)).integer("MAXREC", 7) >= 10**18
    for text in ("-1", "1.5", "1e3", "many", "٣"):
        with pytest.raises(BadInput, match=r"MAXREC: .*a whole number"):
            of(("MAXREC", text)).integer("MAXREC", 7)


def test_choices() -> None:
    assert of().choice("UCD", ("1", "1+"), "1") == "1"
    assert of(("UCD", "1+")).choice("UCD", ("1", "1+"), "1") == "1+"
    assert of(("UCD", "1 ")).choice("UCD", ("1", "1+"), "1") == "1+"  # a plus sign unquoted
    with pytest.raises(BadInput, match=r"VERB: '4'; expected 1 or 2 or 3"):
        of(("VERB", "4")).choice("VERB", ("1", "2", "3"), "2")


@pytest.mark.parametrize(
    ("asked", "media_type", "serialisation"),
    [
        ("votable", VOTABLE, "BINARY2"),
        ("VOTable/TD", VOTABLE, "TABLEDATA"),
        ("votable/b2", VOTABLE, "BINARY2"),
        ("application/x-votable+xml", VOTABLE, "BINARY2"),
        ("application/x-votable xml;serialization=tabledata", VOTABLE, "TABLEDATA"),
        ("application/x-votable+xml; serialization=BINARY2; version=1.4", VOTABLE, "BINARY2"),
        ("text/xml;content=x-votable", "text/xml", "BINARY2"),
    ],
)
def test_formats(asked: str, media_type: str, serialisation: str) -> None:
    found = response_format(of(("responseformat", asked)), "default")
    assert (found.media_type, found.serialisation) == (media_type, serialisation)
    assert response_format(of(), "default").media_type == "default"


@pytest.mark.parametrize("asked", ["csv", "fits", "votable;serialization=FITS", "votable;x=1", ";"])
def test_unknown_formats_are_refused(asked: str) -> None:
    with pytest.raises(BadInput, match=r"RESPONSEFORMAT: .*expected votable"):
        response_format(of(("RESPONSEFORMAT", asked)), "default")


def test_what_a_client_sent_is_shown_short() -> None:
    assert len(quoted("x" * 10_000)) < 100
    assert quoted("a\nb") == "'a\\nb'"
