"""Conditions: what they choose, what they refuse, and that nothing written ends in a statement."""

from __future__ import annotations

import fnmatch
import random
from collections.abc import Callable
from pathlib import Path

import pytest
import sqlalchemy as sa

from flow import toys
from tesela.errors import BadInput
from tesela.ledger import chosen, schema, verdicts
from tesela.ledger.engine import Ledger
from tesela.ledger.where import parse
from tesela.ledger.where_columns import ABOUT_FRAMES, ABOUT_PRODUCTS, ABOUT_TASKS
from tesela.products.frame import FrameFacts

NIGHTS = ("2017-07-03", "2017-07-04", "2017-08-01")
NAMES = ("sci-1", "SCI-2", "s%i_3", "s[ci]4", "sci!5", "and", "sci 7", "O'Neil")


def new_frames() -> list[FrameFacts]:
    rng = random.Random(7)
    return [
        toys.facts(
            f"{name}.{i}",
            "science",
            night=rng.choice(NIGHTS),
            band=rng.choice("gri"),
            exptime_s=rng.choice([30.0, 60.0, 90.5]),
            airmass=rng.choice([None, 1.0, 1.2, 1.9]),
            project=rng.choice(["survey", "open time"]),
            object=rng.choice(["M51", "field 1"]),
        )
        for i, name in enumerate(NAMES * 4)
    ]


@pytest.fixture(scope="module")
def frames(tmp_path_factory: pytest.TempPathFactory) -> tuple[Ledger, list[FrameFacts]]:
    """Nothing here changes them."""
    site = tmp_path_factory.mktemp("where") / "site"
    ledger, new = toys.new_site(site), new_frames()
    toys.add_frames(ledger, site, new, toys.rules())
    return ledger, new


def choose(ledger: Ledger, text: str) -> list[str]:
    with ledger.read() as conn:
        return chosen.frames(conn, parse(text, ABOUT_FRAMES))


CASES: list[tuple[str, Callable[[FrameFacts], bool]]] = [
    ("night = 2017-07-03", lambda f: f.night == "2017-07-03"),
    ("night=20170703 AND band!=r", lambda f: f.night == "2017-07-03" and f.band != "r"),
    ("night = 2017-07-01..2017-07-31", lambda f: f.night < "2017-08"),
    ("night in (2017-07-04..2017-07-31, 2017-08-01)", lambda f: f.night > "2017-07-03"),
    ("night ~ 2017-07-*", lambda f: f.night.startswith("2017-07")),
    ("night != 2017-07-03", lambda f: f.night != "2017-07-03"),
    ("night >= 2017-07-04 and night < 2017-08-01", lambda f: f.night == "2017-07-04"),
    ("band in (g, 'i')", lambda f: f.band in "gi"),
    ("exptime > 60", lambda f: f.exptime_s > 60),
    ("exptime = 30..60", lambda f: f.exptime_s <= 60),
    ("airmass <= 1.2", lambda f: f.airmass is not None and f.airmass <= 1.2),
    ("airmass != 1.2", lambda f: f.airmass not in (None, 1.2)),
    ('project = "open time"', lambda f: f.project == "open time"),
    ("object = 'field 1' and band = r", lambda f: f.object == "field 1" and f.band == "r"),
    ("name ~ sci*", lambda f: f.name.startswith("sci")),
    ("name ~ 's%*'", lambda f: f.name.startswith("s%")),
    ("name ~ 's?i_*'", lambda f: fnmatch.fnmatchcase(f.name, "s?i_*")),
    ("name ~ 's[[]ci]*'", lambda f: False),
    ("name ~ 's[ci]*'", lambda f: f.name.startswith("s[ci]")),
    ("name ~ 'sci!*'", lambda f: f.name.startswith("sci!")),
    ("name = 'and.5'", lambda f: f.name == "and.5"),
    ('name ~ "O\'*"', lambda f: f.name.startswith("O'")),
    ("tile = T10", lambda f: True),
    ("tile != T10", lambda f: False),
    ("flagged = no", lambda f: True),
    ("mjd > 57938", lambda f: f.mjd_start > 57938),
]


@pytest.mark.parametrize(("text", "meets"), CASES, ids=[text for text, _ in CASES])
def test_exactly_the_frames_that_meet_it_are_chosen(
    frames: tuple[Ledger, list[FrameFacts]], text: str, meets: Callable[[FrameFacts], bool]
) -> None:
    ledger, new = frames
    assert choose(ledger, text) == sorted(f.name for f in new if meets(f))


def test_comparisons_joined_choose_what_meets_each(
    frames: tuple[Ledger, list[FrameFacts]],
) -> None:
    ledger, new = frames
    rng = random.Random(3)
    for _ in range(30):
        some = rng.sample(CASES, 3)
        wanted = sorted(f.name for f in new if all(meets(f) for _, meets in some))
        assert choose(ledger, " and ".join(text for text, _ in some)) == wanted


def test_a_condition_is_always_written_alike() -> None:
    text = "night=20170703   AND  name~'a b*' and band IN ( r,'g' ) and object = 'and'"
    said = str(parse(text, ABOUT_FRAMES))
    assert said == "night = 20170703 and name ~ 'a b*' and band in (r, g) and object = 'and'"
    assert str(parse(said, ABOUT_FRAMES)) == said


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "its end; expected a column"),
        ("fwhm > 2", "`fwhm`: no such column; expected one of airmass, .*band, camera"),
        ("step = reduce", "`step`: no such column"),
        ("night", "its end; expected an operator after night"),
        ("night is 2017-07-03", "`night is`: night is a night.*expected one of =, !="),
        ("night = ", "its end; expected a value"),
        ("night = tomorrow", "`night`: 'tomorrow'; expected a night, such as 2017-07-03"),
        ("night = 2017-07-32", "'2017-07-32'"),
        ("night > 2017-07-01..2017-07-03", "'2017-07-01..2017-07-03'"),
        ("airmass > high", "`airmass`: 'high'; expected a number"),
        ("airmass > nan", "'nan'; expected a number"),
        ("airmass ~ 1*", "airmass is a number; expected one of =, !="),
        ("version > 1.5", "'1.5'; expected a whole number"),
        ("version = 99999999999999999999", "expected a whole number"),
        ("passed > yes", "passed is yes or no; expected one of =, !="),
        ("passed = maybe", "'maybe'; expected yes or no"),
        ("made > yesterday", "expected a time"),
        ("band in r", "`r`; expected `\\(` after in"),
        ("band in (r", "its end; expected `,` and another value"),
        ("band in ()", "`\\)`; expected a value"),
        ("band = r or band = g", "`or`; expected `and`.*`in \\(a, b\\)` is the way"),
        ("band = r band = g", "`band`; expected `and`"),
        ("band = r and", "its end; expected a column"),
        ("'band' = r", "`band`; expected a column"),
        ("band = 'r", "a quote that is never closed"),
        ("band = r\nand night = 2017-07-03", "one line of text"),
        ("band = \x00", "one line of text"),
        ("band = \udcff", "one line of text"),
        ("band = " + "r" * 10_001, "10000 characters at most"),
    ],
)
def test_what_is_not_understood_is_named(text: str, words: str) -> None:
    with pytest.raises(BadInput, match=words):
        parse(text, ABOUT_FRAMES)


HOSTILE = [
    "x'; DROP TABLE frame; --",
    "' OR '1'='1",
    ":w0",
    ":w0 OR 1=1",
    "%(w0)s",
    "{0}",
    "\\'; --",
    "a) OR (1=1",
    "/* */",
    "$1",
    "%s",
    "é ☃ 𝄞",
]


@pytest.mark.parametrize("value", HOSTILE)
def test_nothing_written_ends_in_a_statement(
    frames: tuple[Ledger, list[FrameFacts]], value: str
) -> None:
    ledger, new = frames
    quoted = f'"{value}"' if "'" in value else f"'{value}'"
    for column in ("name", "band", "tile", "object"):
        for operator in ("=", "~", "<"):
            sql, values = parse(f"{column} {operator} {quoted}", ABOUT_FRAMES).sql("sqlite")
            harmless, _ = parse(f"{column} {operator} a", ABOUT_FRAMES).sql("sqlite")
            assert sql == harmless
            assert list(values.values()) == [value]
        assert choose(ledger, f"{column} = {quoted}") == []
    for text in (value, f"name = a {value}", f"{value} = a", f"name {value} a"):
        with pytest.raises(BadInput):
            parse(text, ABOUT_FRAMES)
    with ledger.read() as conn:
        assert len(conn.execute(schema.frame.select()).all()) == len(new)


def test_every_column_can_be_asked_for(tmp_path: Path) -> None:
    values = {"night": "2017-07-03", "time": "2026-01-31", "yes or no": "yes", "text": "a"}
    ledger = toys.new_site(tmp_path / "site")
    with ledger.read() as conn:
        for name, column in ABOUT_FRAMES.items():
            text = f"{name} = {values.get(column.type, '1')}"
            assert chosen.frames(conn, parse(text, ABOUT_FRAMES)) == []
        for name, column in ABOUT_PRODUCTS.items():
            text = f"{name} = {values.get(column.type, '1')}"
            assert chosen.products(conn, ["coadd"], parse(text, ABOUT_PRODUCTS)) == []
        for name, column in ABOUT_TASKS.items():
            text = f"{name} != {values.get(column.type, '1')}"
            assert chosen.failed_tasks(conn, ["dead"], parse(text, ABOUT_TASKS)) == []


def test_what_was_made_and_measured(tmp_path: Path) -> None:
    site = tmp_path / "site"
    ledger = toys.new_site(site)
    toys.add_frames(ledger, site, toys.small_night(), toys.rules())
    faults = {"sci1": "quality", "sci2": "fault"}
    settings = {"faults": faults, "rejections": {"sci3": "seeing"}}
    toys.controller(ledger, site, settings=settings).run()
    with ledger.write() as conn:
        verdicts.set_bad(conn, "raw", "sci4", reason="trail", comment="", who="eva")
        conn.execute(
            schema.product.update()
            .where(schema.product.c.key == "sci5")
            .values(stale="a better one", made_mjd=57937.25)
        )

    def products(text: str) -> list[str]:
        with ledger.read() as conn:
            condition = parse(text, ABOUT_PRODUCTS)
            return [key for _, key in chosen.products(conn, ["reduced", "coadd"], condition)]

    assert choose(ledger, "passed = no") == ["sci3"]
    assert choose(ledger, "passed = yes") == ["sci4", "sci5"]
    assert choose(ledger, "fwhm_arcsec > 0.5 and flagged = yes") == ["sci4"]
    assert choose(ledger, "stale = yes") == ["sci5"]
    assert choose(ledger, "stale != yes") == ["sci3", "sci4"]
    # 2017-07-03 is MJD 57937.
    for text, made in [
        ("made = 2017-07-03", True), ("made <= 2017-07-03", True), ("made >= 2017-07-03", True),
        ("made < 2017-07-03", False), ("made > 2017-07-03", False), ("made = 2017-07-02", False),
        ("made = 2017-07-03T06:00:00", True), ("made > 2017-07-03T05:59:58", True),
        ("made = 2017-07-01..2017-07-03", True), ("made in (2017-07-01, 2017-07-03)", True),
        ("made < 2017-07-03T06:00:00", False),
    ]:  # fmt: skip
        assert ("sci5" in choose(ledger, text)) is made, text
    assert products("kind = coadd") == ["T20.r"]
    assert products("band = r and version = 1") == ["sci3", "sci4", "sci5"]
    assert products("key ~ T*") == ["T20.r"]
    with ledger.read() as conn:
        failed = chosen.failed_tasks(
            conn, ["dead", "skipped"], parse("reason ~ '*defect*' and band = r", ABOUT_TASKS)
        )
        assert [row["key"] for row in failed] == ["sci2"]
        assert [row["key"] for row in chosen.failed_tasks(conn, ["skipped"])] == ["sci1"]


def test_text_is_compared_byte_by_byte_on_both(frames: tuple[Ledger, list[FrameFacts]]) -> None:
    ledger, new = frames
    assert choose(ledger, "name < a") == sorted(f.name for f in new if f.name < "a")
    with ledger.read() as conn:
        assert conn.scalar(sa.text("SELECT COUNT(*) FROM frame WHERE name < 'a'")) == 8
