"""Lineages in the portal: pages, and where they are linked."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import httpx
import pytest

from tesela.web.portal import create_app, links

from . import browser, portal_site


@pytest.fixture(scope="module")
def keys() -> dict[str, str]:
    return {}


@pytest.fixture(scope="module")
def portal(
    tmp_path_factory: pytest.TempPathFactory, keys: dict[str, str]
) -> Iterator[httpx.Client]:
    site: Path = portal_site.make(tmp_path_factory.mktemp("portal") / "site")
    keys |= portal_site.add_calibrations(site, nights=3)
    with browser.serving(create_app(site)) as url, httpx.Client(base_url=url) as client:
        yield client


def test_a_coadd_shows_all_that_it_was_made_from(portal: httpx.Client) -> None:
    page = portal.get("/lineage/coadd/T10.r")
    assert page.status_code == 200
    for word in ("Lineage of coadd T10.r", "BIAS master", "FLAT master", "raw frame bias1-20170703",
                 "reference catalogue", "reduced image"):  # fmt: skip
        assert word in page.text
    picture = page.text[page.text.index("<svg class=") : page.text.rindex("</svg>")]
    assert 'href="/frame/sci1"' in picture
    assert 'href="/product/master/' in picture
    assert "lineage.css" in page.text


def test_a_bias_shows_all_that_was_made_with_it(portal: httpx.Client) -> None:
    page = portal.get("/lineage/raw/bias1-20170703?forward=1")
    assert "Made with raw bias1-20170703" in page.text
    for word in ("coadd T10.r", "science tables T10", "reduced image"):
        assert word in page.text


def test_the_picture_is_a_file_too(portal: httpx.Client) -> None:
    page = portal.get("/lineage/coadd/T10.r")
    (address,) = re.findall(r'href="(/lineage/[^"]+\.svg[^"]*)"', page.text)
    answer = portal.get(address.replace("&amp;", "&"))
    assert answer.headers["content-type"].startswith("image/svg+xml")
    assert "attachment" in answer.headers["content-disposition"]
    assert "coadd.T10.r.v1.lineage.svg" in answer.headers["content-disposition"]
    assert ET.fromstring(answer.text).tag.endswith("svg")  # noqa: S314 - our own
    assert "<style>" in answer.text


def test_what_came_from_outside_and_what_nobody_used_say_so(portal: httpx.Client) -> None:
    assert "came in from outside" in portal.get("/lineage/raw/sci1").text
    assert "Nothing was made with it" in portal.get("/lineage/science/T10?forward=1").text


def test_the_pages_of_products_lead_there(portal: httpx.Client, keys: dict[str, str]) -> None:
    frame = portal.get("/frame/sci1").text
    assert 'href="/lineage/reduced/sci1"' in frame
    assert 'href="/lineage/raw/sci1?forward=1"' in frame
    assert (
        'href="/lineage/raw/bias1-20170703?forward=1"' in portal.get("/frame/bias1-20170703").text
    )
    product = portal.get("/product/coadd/T10.r").text
    assert 'href="/lineage/coadd/T10.r"' in product
    assert 'href="/lineage/coadd/T10.r?forward=1"' in product
    key = quote(keys["flat"], safe="")
    master = portal.get(f"/product/master/{key}").text
    assert f'href="/lineage/master/{key}"' in master
    tile = portal.get("/tile/T10").text
    for kind in links.TILE_KINDS:
        assert f'href="/lineage/{kind}/T10"' in tile


def test_every_link_of_these_pages_leads_somewhere(portal: httpx.Client) -> None:
    page = portal.get("/lineage/science/T10")
    found = set(re.findall(r'href="(/(?:lineage|product|frame|tile)/[^"]+)"', page.text))
    assert len(found) > 10
    for address in found:
        assert portal.get(address.replace("&amp;", "&")).status_code == 200, address


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/lineage/coadd/nothing", 404),
        ("/lineage/nothing/T10.r", 404),
        ("/lineage/coadd/T10.r?version=2", 404),
        ("/lineage/coadd/T10.r?version=one", 400),
        ("/lineage/coadd/T10.r?version=-1", 400),
        ("/lineage/coadd/T10.r?version=99999999999999", 400),
        ("/lineage/coadd/" + "x" * 300, 400),
        ("/lineage/coadd/nothing/picture.svg", 404),
        ("/lineage/coadd/T10.r?forward=perhaps", 200),
    ],
)
def test_what_is_not_there_is_told(portal: httpx.Client, path: str, status: int) -> None:
    assert portal.get(path).status_code == status
