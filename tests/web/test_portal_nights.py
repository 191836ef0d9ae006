"""The calendar and the page of a night: states, counts, filters, order, pages, speed."""

from __future__ import annotations

import re
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
import sqlalchemy as sa

from tesela.errors import ConfigError, LedgerError
from tesela.web.portal import create_app, queries
from tesela.web.portal.nights import ROWS_A_PAGE
from tesela.web.portal.site import open_site
from tesela.web.portal.states import STATES

from . import browser, portal_site

NIGHT = f"/night/{portal_site.NIGHT}"
PART = {"HX-Request": "true", "HX-Request-Type": "partial"}


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return portal_site.make(tmp_path_factory.mktemp("portal") / "site")


@pytest.fixture(scope="module")
def portal(site: Path) -> Iterator[httpx.Client]:
    with browser.serving(create_app(site)) as url, httpx.Client(base_url=url) as client:
        yield client


def names(page: httpx.Response) -> list[str]:
    """Frames of the table, in its order."""
    assert page.status_code == 200, page.text
    return re.findall(r'<th scope="row" class="nowrap"><a href="/frame/([^"]+)"', page.text)


def test_every_state_is_told_by_the_ledger(site: Path) -> None:
    opened = open_site(site)
    with opened.ledger.read() as conn:
        chosen = queries.Selection(portal_site.NIGHT)
        rows = queries.frames(conn, chosen, opened.bands, limit=99)
        alone = {row["name"]: queries.frame_state(conn, row["name"]) for row in rows}
    found = {row["name"]: (row["state"], row["reason"]) for row in rows}
    assert {name: state for name, (state, _) in found.items()} == {
        "sci1": "reduced", "sci2": "rejected", "sci3": "flagged", "sci4": "dead",
        "sci5": "skipped", "sci6": "waiting", "sci7": "due",
        **dict.fromkeys(("bias1-20170703", "bias2-20170703"), "used"),
        **dict.fromkeys(("flat1-20170703", "flat2-20170703"), "used"),
    }  # fmt: skip
    assert found["sci2"][1] == "too wide"
    assert found["sci3"][1] == "trail"
    assert "ZeroDivisionError" in found["sci4"][1]
    assert "3 stars" in found["sci5"][1]
    assert found["sci6"][1].startswith("no certified FLAT")
    assert {name: (row["state"], row["reason"]) for name, row in alone.items() if row} == found


def test_counts_agree_with_the_frames(site: Path) -> None:
    opened = open_site(site)
    with opened.ledger.read() as conn:
        rows = queries.frames(conn, queries.Selection(portal_site.NIGHT), opened.bands, limit=99)
        for row in queries.night_counts(conn, portal_site.NIGHT):
            same = [
                other for other in rows
                if all(other[key] == row[key] for key in ("obstype", "band", "state"))
            ]  # fmt: skip
            assert row["n"] == len(same) > 0
        of_month = queries.month_counts(conn, "2017-07")
    assert sum(row["n"] for row in of_month if row["night"] == portal_site.NIGHT) == len(rows)
    assert {row["night"] for row in of_month} == {portal_site.NIGHT, "2017-07-05"}


def test_the_ledger_cannot_be_written_through_the_portal(site: Path) -> None:
    opened = open_site(site)
    with (
        pytest.raises((LedgerError, sa.exc.InternalError), match=r"only be read|read-only"),
        opened.ledger.write() as conn,
    ):
        conn.exec_driver_sql("DELETE FROM event")


def test_the_first_page_is_the_latest_month(portal: httpx.Client) -> None:
    page = portal.get("/")
    assert page.status_code == 200
    assert "July 2017" in page.text
    assert page.text.count(f'href="{NIGHT}"') == 2  # the calendar and its twin
    for word in ("1 flagged", "1 dead", "1 skipped", "1 waiting", "1 did not pass", "1 reduced"):
        assert word in page.text
    assert "in no master" in page.text  # the lone bias of the other night


def test_a_month_without_exposures_says_so(portal: httpx.Client) -> None:
    page = portal.get("/", params={"month": "2016-02"})
    assert page.status_code == 200
    assert "No exposure in this month" in page.text
    assert '<a class="small" href="/?month=2017-07">later' in page.text


def test_a_site_without_frames_says_what_to_do(tmp_path: Path) -> None:
    from flow import toys

    toys.new_site(tmp_path / "bare").close()
    (tmp_path / "bare" / "survey.toml").write_text(portal_site.SURVEY)
    with browser.serving(create_app(tmp_path / "bare")) as url:
        for path, sentence in (("/", "tesela ingest"), ("/tiles", "0 tiles"),
                               ("/releases", "tesela release build")):  # fmt: skip
            page = httpx.get(url + path)
            assert page.status_code == 200
            assert sentence in page.text


def test_a_night_reads_as_a_report(portal: httpx.Client) -> None:
    page = portal.get(NIGHT)
    assert len(names(page)) == 11
    assert "<title>Night 2017-07-03" in page.text
    assert '<svg viewBox="0 0 1120' in page.text
    assert "&lt;b&gt;M 31" in page.text, "names of objects are text, whatever they hold"
    assert "<b>M 31" not in page.text
    assert 'rel="next" href="/night/2017-07-05"' in page.text
    assert 'rel="prev"' not in page.text


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("state=dead", {"sci4"}),
        ("state=used&type=flat", {"flat1-20170703", "flat2-20170703"}),
        ("band=J0378", {"sci6"}),
        ("type=bias&band=r", set()),
        ("state=reduced&band=r&type=science", {"sci1"}),
    ],
)
def test_filters_act_on_the_whole_night(portal: httpx.Client, query: str, found: set[str]) -> None:
    assert set(names(portal.get(f"{NIGHT}?{query}"))) == found


@pytest.mark.parametrize("sort", queries.SORTS)
def test_sorting_is_complete_and_reversible(portal: httpx.Client, sort: str) -> None:
    up, down = (names(portal.get(f"{NIGHT}?sort={sort}&dir={way}")) for way in ("asc", "desc"))
    assert sorted(up) == sorted(down) == sorted(names(portal.get(NIGHT)))


def test_what_was_not_measured_comes_last_either_way(portal: httpx.Client) -> None:
    measured = {"sci1", "sci2", "sci3"}
    for way in ("asc", "desc"):
        found = names(portal.get(f"{NIGHT}?sort=fwhm&dir={way}"))
        assert set(found[:3]) == measured
    first = [names(portal.get(f"{NIGHT}?sort=fwhm&dir={way}"))[0] for way in ("asc", "desc")]
    assert first[0] != "sci1", "1.25 arcsec is the largest"
    assert first[1] == "sci1"


def test_bands_are_sorted_by_wavelength_and_states_by_attention(portal: httpx.Client) -> None:
    by_band = names(portal.get(f"{NIGHT}?sort=band&type=science"))
    assert by_band[0] == "sci6", "J0378 comes before r in the survey"
    by_state = names(portal.get(f"{NIGHT}?sort=state&dir=desc&type=science"))
    assert by_state[:2] == ["sci4", "sci3"]
    assert by_state[-1] == "sci1"


def test_htmx_gets_the_table_alone(portal: httpx.Client) -> None:
    part = portal.get(f"{NIGHT}?state=dead", headers=PART)
    assert part.status_code == 200
    assert part.text.lstrip().startswith('<section id="frames"')
    assert "<html" not in part.text
    assert names(part) == ["sci4"]
    assert "HX-Request" in part.headers["vary"]


def test_every_frame_has_a_picture(portal: httpx.Client) -> None:
    page = portal.get(f"{NIGHT}?view=pictures")
    shown = re.findall(r'<img src="([^"]+)" alt="([^"]+)"', page.text)
    assert len(shown) == 11
    for address, words in shown:
        answer = portal.get(address.replace("&amp;", "&"))
        assert answer.status_code == 200
        assert answer.headers["content-type"] in ("image/jpeg", "image/svg+xml")
        assert words


@pytest.mark.parametrize(
    "address",
    ["/night/20170703", "/night/2017-02-30", "/night/yesterday", "/night/2017-W27-1",
     "/?month=2017-13", "/?month=now", "/?month=0000-01", "/?month=9999-12",
     "/?month=1899-12", "/?month=%D9%A2%D9%A0%D9%A1%D9%A7-07", f"{NIGHT}?sort=magic",
     f"{NIGHT}?band=%27--",
     f"{NIGHT}?state=fine", f"{NIGHT}?type=dome", f"{NIGHT}?page=0", f"{NIGHT}?page=9999999",
     f"{NIGHT}?dir=up", f"{NIGHT}?view=list", "/tiles?page=-1"],
)  # fmt: skip
def test_bad_addresses_get_a_page_that_says_so(portal: httpx.Client, address: str) -> None:
    page = portal.get(address)
    assert page.status_code == 400
    assert "expected" in page.text
    assert "<html" in page.text


@pytest.mark.parametrize("month", ["1900-01", "2999-12"])
def test_the_first_and_the_last_month_have_a_calendar(portal: httpx.Client, month: str) -> None:
    assert "No exposure in this month" in portal.get("/", params={"month": month}).text


def test_a_page_behind_the_last_says_how_many_there_are(portal: httpx.Client) -> None:
    page = portal.get(f"{NIGHT}?page=99&type=science").text
    assert "There is only one page of these frames" in page
    assert f'href="{NIGHT}?type=science"' in page
    assert "No frame of this night is like that" not in page
    none = portal.get(f"{NIGHT}?page=99&type=bias&band=r").text
    assert "No frame of this night is like that" in none


def test_marks_of_the_night_lead_to_frames_and_say_what_they_are(portal: httpx.Client) -> None:
    picture = re.search(r'<svg viewBox="0 0 1120.*?</svg>', portal.get(NIGHT).text, re.DOTALL)
    assert picture
    assert 'role="group"' in picture[0][:200]
    links = re.findall(r'<a href="/frame/([^"]+)" tabindex="-1" aria-label="([^"]+)">', picture[0])
    assert {name for name, _ in links} >= {f"sci{n}" for n in range(1, 8)}
    assert ("sci1", "sci1 r, seeing, arcsec: 1.25") in links
    for name, words in links:
        assert words.startswith(name)
    assert "<b>M 31" not in picture[0]


def test_a_night_without_exposures_names_its_neighbours(portal: httpx.Client) -> None:
    page = portal.get("/night/2017-07-04")
    assert page.status_code == 404
    assert "2017-07-03 and 2017-07-05" in page.text
    assert portal.get("/night/2017-07-04", headers=PART).status_code == 404


def test_strangers_cannot_have_their_names_answered(portal: httpx.Client) -> None:
    assert portal.get("/", headers={"Host": "evil.example"}).status_code == 400
    page = portal.get("/")
    assert "unsafe" not in page.headers["content-security-policy"]
    assert page.headers["x-content-type-options"] == "nosniff"
    assert not re.search(r"<script(?![^>]*src=)| style=| on[a-z]+=", page.text)
    assert portal.post("/").status_code == 405


def test_what_is_no_site_is_refused(tmp_path: Path, site: Path) -> None:
    with pytest.raises(ConfigError, match=r"no survey\.toml"):
        create_app(tmp_path)
    (tmp_path / "survey.toml").write_text((site / "survey.toml").read_text())
    with pytest.raises(LedgerError, match="no ledger"):
        create_app(tmp_path)


def test_a_damaged_ledger_is_told(site: Path, tmp_path: Path) -> None:
    folder = tmp_path / "site"
    shutil.copytree(site, folder)
    with browser.serving(create_app(folder)) as url:
        for path in folder.glob("ledger.sqlite*"):
            path.write_bytes(b"not a database" * 999)
        page = httpx.get(url + "/")
    assert page.status_code == 503
    assert "ledger cannot be read" in page.text


@pytest.fixture(scope="module")
def large(site: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[str]]:
    """20,000 frames: 10 nights of 2000; and the names of those nights."""
    folder = tmp_path_factory.mktemp("large") / "site"
    shutil.copytree(site, folder)
    return folder, portal_site.add_many(folder, nights=10, frames=2000)


def test_pages_of_a_large_ledger_are_fast(large: tuple[Path, list[str]]) -> None:
    """A month and a night within 300 ms of this process's time, whatever else the machine does."""
    folder, nights = large
    with browser.serving(create_app(folder)) as url, httpx.Client(base_url=url) as client:
        for address in ("/", f"/night/{nights[3]}", f"/night/{nights[3]}?sort=fwhm&page=2"):
            took = []
            for _ in range(3):
                begin = time.process_time()
                assert client.get(address).status_code == 200
                took.append(time.process_time() - begin)
            assert min(took) < 0.3, f"{address}: {took}"


def test_pages_of_frames_cover_the_night_once(large: tuple[Path, list[str]]) -> None:
    folder, nights = large
    with browser.serving(create_app(folder)) as url, httpx.Client(base_url=url) as client:
        pages = [names(client.get(f"/night/{nights[0]}?sort=sky&page={n}")) for n in range(1, 6)]
        last = client.get(f"/night/{nights[0]}?page=4")
        behind = client.get(f"/night/{nights[0]}?page=5")
    assert [len(page) for page in pages] == [ROWS_A_PAGE] * 3 + [2000 - 3 * ROWS_A_PAGE, 0]
    assert len({name for page in pages for name in page}) == 2000
    assert "There are only 4 pages of these frames" in behind.text
    assert "page 4 of 4" in last.text
    assert "Next frames" not in last.text


def test_states_have_words_of_their_own() -> None:
    assert len({state.word for state in STATES.values()}) == len(STATES)
    for tone in ("warn", "bad"):
        shapes = {state.shape for state in STATES.values() if state.tone == tone}
        others = {state.shape for state in STATES.values() if state.tone != tone}
        assert not shapes & others, "the shape alone tells how urgent a state is"
