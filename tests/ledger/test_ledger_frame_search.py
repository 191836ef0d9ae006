"""Finding raw frames: the same as looking through all of them, page by page, by an index."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from typing import Any

import pytest
import sqlalchemy as sa

from flow import toys
from plans import read_whole
from postgres import new_place
from tesela.errors import BadInput
from tesela.ledger import frame_search, frames, verdicts
from tesela.ledger.engine import Ledger
from tesela.ledger.frame_search import Cone, Mark, Search
from tesela.ledger.queries import frame_search as queries
from tesela.products.frame import FrameFacts, night_span

NIGHTS = ("2017-07-03", "2017-07-04", "2017-07-05")
PROJECTS = ("survey", "open time", "third")


def survey() -> list[FrameFacts]:
    """54 frames in 27 exposures of two CCDs; times repeat."""
    made = []
    for n, (night, kind, third) in enumerate(
        itertools.product(NIGHTS, ("bias", "flat", "science"), range(3))
    ):
        begin, _ = night_span(night, 0.0)
        made += [
            toys.facts(
                f"e{n:02d}-{ccd}", kind, night=night, ccd=ccd, exposure=f"e{n:02d}",
                ccds=("01", "02"), project=PROJECTS[(n + third) % 3], object=f"field {n % 4}",
                ra=10.2 + n, camera=("one", "two")[n % 2], mjd_start=begin + 0.4 + 0.05 * third,
                telescope="JAST80",
            )
            for ccd in ("01", "02")
        ]  # fmt: skip
    return made


EVERY = survey()


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ledger]:
    """A ledger with all of them; look, but do not touch."""
    made = Ledger.create(new_place(tmp_path_factory.mktemp("filled")))
    # They do not arrive in the order of time.
    with made.write() as conn:
        for one in EVERY[::-1]:
            tiles = toys.tiles_touching(one.footprint, 0.0) if one.footprint else ()
            frames.add(conn, one, tiles, size=7)
        verdicts.set_bad(conn, "raw", "e04-02", reason="trail", comment="", who="ana")
    yield made
    made.close()


def pages(
    ledger: Ledger, search: Search, projects: Sequence[str] | None = None, limit: int = 1000
) -> list[list[str]]:
    """Names of every page until the last."""
    found, after = [], None
    while True:
        with ledger.read() as conn:
            page = frame_search.find(conn, search, projects, after=after, limit=limit)
        assert len(page.rows) <= limit
        found.append([row["name"] for row in page.rows])
        if page.after is None:
            return found
        assert after is None or page.after > after, "it goes on"
        after = Mark.parse(str(page.after))


def names(pages: list[list[str]]) -> list[str]:
    found = [name for page in pages for name in page]
    assert len(found) == len(set(found)), "no frame twice"
    return found


ASKED: list[dict[str, str]] = [
    {},
    {"night": NIGHTS[1]},
    {"exposure": "e04"},
    {"exposure": "JAST80.one.e04"},
    {"name": "e04-02"},
    {"name": "nothing"},
    {"tile": "T18"},
    {"object": "field 3"},
    {"project": "third"},
    {"obstype": "flat"},
    {"ccd": "02", "band": "r"},
    {"camera": "two", "night": NIGHTS[2], "obstype": "science"},
    {"object": "field 1", "project": "survey", "telescope": "JAST80"},
    {"telescope": "another"},
]


def fits(facts: FrameFacts, words: dict[str, str]) -> bool:
    for name, word in words.items():
        if name == "tile":
            fine = bool(facts.footprint) and word in toys.tiles_touching(facts.footprint or (), 0.0)
        elif name == "exposure":
            key = f"{facts.telescope}.{facts.camera}.{facts.exposure}"
            fine = word in (facts.exposure, key)
        else:
            fine = getattr(facts, name) == word
        if not fine:
            return False
    return True


@pytest.mark.parametrize("limit", [5, 1000])
@pytest.mark.parametrize("words", ASKED, ids=lambda words: "+".join(words) or "nothing")
@pytest.mark.parametrize("projects", [None, ("survey", "third"), ("open time",), ()])
def test_it_finds_what_looking_through_all_finds(
    filled: Ledger,
    words: dict[str, str],
    projects: tuple[str, ...] | None,
    limit: int,
) -> None:
    expected = [
        one.name
        for one in EVERY
        if fits(one, words) and (projects is None or one.project in projects)
    ]
    times = {one.name: one.mjd_start for one in EVERY}
    found = names(pages(filled, Search(words), projects, limit))
    assert sorted(found) == sorted(expected)
    assert [times[name] for name in found] == sorted(times[name] for name in found)


@pytest.mark.parametrize("limit", [1, 1000])
@pytest.mark.parametrize("words", [{}, {"night": NIGHTS[1]}, {"project": "survey"}])
def test_times_bound_it_the_end_exclusive(
    filled: Ledger, words: dict[str, str], limit: int
) -> None:
    times = sorted({one.mjd_start for one in EVERY})
    since, until = times[2], times[6]
    expected = {o.name for o in EVERY if since <= o.mjd_start < until and fits(o, words)}
    found = names(pages(filled, Search(words, since, until), limit=limit))
    assert set(found) == expected
    assert len(expected) > 1


def test_a_frame_that_arrives_is_found_at_once(ledger: Ledger) -> None:
    search = Search({"night": NIGHTS[0]})
    with ledger.write() as conn:
        frames.add(conn, toys.facts("old", "bias", night=NIGHTS[0]))
    before = names(pages(ledger, search))
    with ledger.write() as conn:
        frames.add(conn, toys.facts("new", "bias", night=NIGHTS[0]))
    assert set(names(pages(ledger, search))) - set(before) == {"new"}


@pytest.mark.parametrize("limit", [1, 3, 1000])
@pytest.mark.parametrize("half_width", [1.5, 360.0])
def test_a_cone_is_judged_frame_by_frame(filled: Ledger, limit: int, half_width: float) -> None:
    def accept(rows: Sequence[dict[str, Any]]) -> list[bool]:
        assert all(row["footprint_json"] != "null" for row in rows)
        return [row["ccd"] == "01" for row in rows]

    cone = Cone(18.0, 0.1, half_width, 1.0, accept)
    expected = [
        one.name for one in EVERY
        if one.ra_deg is not None and abs(one.ra_deg - 18.0) <= half_width and one.ccd == "01"
    ]  # fmt: skip
    assert expected
    assert sorted(names(pages(filled, Search(cone=cone), limit=limit))) == sorted(expected)
    aside = Cone(18.0, 5.0, half_width, 1.0, accept)
    assert names(pages(filled, Search(cone=aside), limit=limit)) == []


@pytest.mark.parametrize("ra", [-0.3, 359.7, 0.3, 360.3])
def test_a_cone_knows_no_right_ascension_of_zero(ledger: Ledger, ra: float) -> None:
    def accept(rows: Sequence[dict[str, Any]]) -> list[bool]:
        return [True] * len(rows)

    with ledger.write() as conn:
        for name, at in (("before", 359.8), ("after", 0.2), ("far", 180.0)):
            frames.add(conn, toys.facts(name, "science", ra=at))
    found = names(pages(ledger, Search(cone=Cone(ra, 0.0, 1.0, 1.0, accept))))
    assert set(found) == {"before", "after"}


def test_much_that_does_not_fit_is_looked_through_in_parts(
    filled: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A page ends before all is looked through, and says where to go on."""
    monkeypatch.setattr(frame_search, "_LARGEST_PART", 3)
    monkeypatch.setattr(frame_search, "_PARTS", 2)
    found = pages(filled, Search({"ccd": "02", "object": "field 3", "obstype": "bias"}), limit=2)
    everything = pages(filled, Search({"ccd": "03"}), limit=2)
    assert names(everything) == []
    assert len(everything) > 3
    expected = {o.name for o in EVERY
                if (o.ccd, o.object, o.obstype) == ("02", "field 3", "bias")}  # fmt: skip
    assert set(names(found)) == expected


@pytest.mark.parametrize("words", ASKED, ids=lambda words: "+".join(words) or "nothing")
def test_no_mark_tells_of_an_exposure_of_another_project(
    filled: Ledger, monkeypatch: pytest.MonkeyPatch, words: dict[str, str]
) -> None:
    """However short the parts are that are looked through."""
    monkeypatch.setattr(frame_search, "_LARGEST_PART", 2)
    monkeypatch.setattr(frame_search, "_PARTS", 1)
    with filled.read() as conn:
        own = set(conn.scalars(sa.text("SELECT id FROM exposure WHERE project = 'third'")))
        after, n = None, 0
        while True:
            page = frame_search.find(conn, Search(words), ("third",), after=after, limit=1)
            after, n = page.after, n + 1
            if after is None:
                break
            assert after.exposure_id in own
    assert n >= 1


def test_the_facts_of_a_frame(filled: Ledger) -> None:
    with filled.read() as conn:
        (row,) = frame_search.find(conn, Search({"name": "e04-02"}), None).rows
    (facts,) = (one for one in EVERY if one.name == "e04-02")
    for name in ("name", "ccd", "night", "project", "object", "mjd_start", "sha256", "exposure"):
        assert row[name] == getattr(facts, name)
    assert (row["flagged"], row["reduced_version"], row["dropped_mjd"]) == ("trail", None, None)
    assert frame_search.bytes_of(row["path"], row["files_json"]) == 7


@pytest.mark.parametrize(
    "text", ["", "x", "1_2", "1_2_3_4", "nan_1_1", "1e99e9_1_1", "1_-1_1", "1_2_3 OR 1=1", "1" * 99]
)
def test_a_mark_that_is_none(text: str) -> None:
    with pytest.raises(BadInput, match="follow `next`"):
        Mark.parse(text)


VALUES: dict[str, Any] = {
    **dict.fromkeys(queries.CHECKED, "x"), "start": 0.0, "until": 1e9, "exposure_id": 0,
    "product_id": 0, "window": 100, "limit": 100, "ra_low": 1.0, "ra_high": 2.0, "dec_low": 1.0,
    "dec_high": 2.0,
}  # fmt: skip


@pytest.mark.parametrize(
    "asked",
    [
        (),
        ("band", "ccd"),
        ("night",),
        ("night", "project", "obstype", "camera"),
        ("name",),
        ("name", "project"),
        ("exposure", "project"),
        ("tile", "project", "band"),
        ("cone", "project", "band"),
        ("object", "project"),
        ("project", "band", "telescope"),
        tuple(queries.CHECKED),
    ],
    ids="+".join,
)
def test_no_table_is_read_from_end_to_end(filled: Ledger, asked: tuple[str, ...]) -> None:
    """With a range of times in each: that is what leads where nothing else does."""
    with filled.read() as conn:
        for statement in (
            queries.frames_found(frozenset(asked)),
            queries.edge_of_part(frozenset(asked)),
        ):
            assert read_whole(conn, statement, VALUES) == set()
        assert read_whole(conn, queries.RAW_FILE, VALUES) == set()
        assert read_whole(conn, queries.REPLICAS, VALUES) == set()


def test_reading_from_end_to_end_is_noticed(filled: Ledger) -> None:
    with filled.read() as conn:
        for where in ("airmass = 3", "mjd_start + 0 > 3"):
            statement = sa.text(f"SELECT * FROM exposure WHERE {where}")
            assert read_whole(conn, statement, {}) == {"exposure"}
        ordered = sa.text("SELECT * FROM exposure ORDER BY mjd_start LIMIT 3")
        assert read_whole(conn, ordered, {}) == {"exposure"}
