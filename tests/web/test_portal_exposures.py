"""Exposures of many CCDs as the portal shows them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tesela.web.portal import create_app

from . import browser, portal_site

NIGHT = f"/night/{portal_site.NIGHT}"
EXPOSURE, KEY = portal_site.EXPOSURE, portal_site.EXPOSURE_KEY


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = portal_site.make(tmp_path_factory.mktemp("portal") / "site")
    portal_site.add_exposures(made)
    return made


@pytest.fixture(scope="module")
def client(site: Path) -> Iterator[httpx.Client]:
    with browser.serving(create_app(site)) as url, httpx.Client(base_url=url) as asking:
        yield asking


def text(client: httpx.Client, path: str) -> str:
    answer = client.get(path)
    assert answer.status_code == 200, answer.text
    return answer.text


def cells(page: str) -> list[str]:
    """What each cell of the exposure says on a page: '05 flagged' and so on."""
    part = (
        page.rpartition(f'href="/exposure/{KEY}"')[2]
        .partition('<ul class="ccds"')[2]
        .partition("</ul>")[0]
    )
    found = re.findall(r"</svg>(\d\d)<span class=\"vh\">: ([^<]*)", part)
    return [f"{ccd} {state}" for ccd, state in found]


def test_a_night_shows_exposures_with_a_cell_a_ccd(client: httpx.Client) -> None:
    page = text(client, f"{NIGHT}?view=exposures&type=science&state=dead&band=r")
    assert EXPOSURE in page
    assert "13 of 14 CCDs here, no 07" in page
    assert cells(page) == [
        f"{ccd} {({'03': 'dead', '07': 'not here'}).get(ccd, 'reduced')}"
        for ccd in portal_site.MANY
    ]
    assert f'href="/frame/{EXPOSURE}b-05"' in page, "the better of two frames of a CCD"


def test_the_choice_of_exposures_is_there_where_they_have_many_ccds(client: httpx.Client) -> None:
    assert "view=exposures" in text(client, NIGHT)
    assert "view=exposures" not in text(client, "/night/2017-07-05")
    assert text(client, "/night/2017-07-05?view=exposures").count('<ul class="ccds"') == 1


def test_the_page_of_an_exposure_tells_of_every_frame(client: httpx.Client) -> None:
    page = text(client, f"/exposure/{KEY}")
    assert "13 of 14 CCDs here" in page
    assert "No frame of CCD 07 was taken in." in page
    assert page.count('class="ccd is-') == 14
    assert page.count('class="ccd is-absent"') == 1
    for ccd in set(portal_site.MANY) - {"07"}:
        assert f'href="/frame/{EXPOSURE}-{ccd}"' in page
        assert f">r-{ccd}</td>" in page
    assert "No frame of CCD 07 was taken in." in text(client, f"/exposure/{EXPOSURE}")


def test_the_verdict_on_an_exposure_is_told_and_escaped(client: httpx.Client) -> None:
    page = text(client, f"/exposure/{EXPOSURE.replace('2200', '2210')}")
    assert "Flagged with all its frames: guiding: &lt;lost&gt;" in page
    assert "exposure flagged by ana" in page
    assert page.count('class="ccd is-bad"') == 14


def test_a_frame_leads_to_its_exposure_and_its_neighbours(client: httpx.Client) -> None:
    page = text(client, f"/frame/{EXPOSURE}-01")
    assert f'href="/exposure/{KEY}"' in page
    assert len(cells(page)) == 14
    assert '<ul class="ccds"' not in text(client, "/frame/sci1")


def test_the_timeline_leads_to_exposures(client: httpx.Client) -> None:
    page = text(client, NIGHT)
    timeline = page.partition('<figure class="plot timeline">')[2].partition("</figure>")[0]
    assert f'href="/exposure/{KEY}"' in timeline
    assert 'href="/frame/sci1"' in timeline


def test_an_exposure_is_found_by_its_name(client: httpx.Client) -> None:
    for words in (EXPOSURE, KEY):
        answer = client.get("/find", params={"q": words}, follow_redirects=False)
        assert (answer.status_code, answer.headers["location"]) == (303, f"/exposure/{KEY}")


@pytest.mark.parametrize("name", ["nobody", "sci1-01", "<b>", "x" * 100])
def test_an_exposure_that_nobody_knows_is_not_found(client: httpx.Client, name: str) -> None:
    answer = client.get(f"/exposure/{name}")
    assert answer.status_code == 404
    assert "no exposure of that name" in answer.text


@pytest.mark.browser
@pytest.mark.parametrize("look", browser.LOOKS, ids=lambda look: f"{look[0]}-{look[1]}")
@pytest.mark.parametrize(
    "path", [f"/exposure/{KEY}", f"{NIGHT}?view=exposures", f"/frame/{EXPOSURE}-01"]
)
def test_exposures_can_be_read_by_everybody(
    chromium: Any, site: Path, path: str, look: tuple[str, int]
) -> None:
    with (
        browser.serving(create_app(site)) as address,
        browser.opened(chromium, address + path, look) as shown,
    ):
        shown.judge()
        width = shown.page.evaluate("document.documentElement.scrollWidth - innerWidth")
        assert width <= 0, "the page is wider than the window"
