"""The portal in a real browser: every page in both themes and on a phone, with and without htmx."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tesela.web.portal import create_app

from . import browser, portal_site

NIGHT = f"/night/{portal_site.NIGHT}"
PAGES = (
    "/", NIGHT, f"{NIGHT}?view=pictures&type=science", "/frame/sci1", "/frame/sci4",
    "/frame/sci1/header", "/tiles", "/tile/T10", "/product/coadd/T10.r", "/releases",
    "/find?q=sci", "/masters", "/detectors", f"/detector/{portal_site.DETECTOR}",
    "/lineage/coadd/T10.r", "/lineage/raw/bias1-20170703?forward=1",
    "/product/master/BIAS.JAST80.mini80.01.-.fast.20170703",
    "/product/master/FLAT.JAST80.mini80.01.r_R1.fast.20170703",
    "/product/master/ILLUMINATION.JAST80.mini80.01.r_R1.fast.20170616",
)  # fmt: skip


@pytest.fixture(scope="module")
def address(packages: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    site: Path = portal_site.make(tmp_path_factory.mktemp("portal") / "site")
    portal_site.add_calibrations(site)
    with browser.serving(create_app(site)) as url:
        yield url


@pytest.mark.parametrize("look", browser.LOOKS, ids=lambda look: f"{look[0]}-{look[1]}")
@pytest.mark.parametrize("path", PAGES)
def test_pages_can_be_read_by_everybody(
    chromium: Any, address: str, path: str, look: tuple[str, int]
) -> None:
    with browser.opened(chromium, address + path, look) as shown:
        shown.judge()
        width = shown.page.evaluate("document.documentElement.scrollWidth - innerWidth")
        assert width <= 0, "the page is wider than the window"


def test_pages_of_errors_can_be_read_too(chromium: Any, address: str) -> None:
    with browser.opened(chromium, f"{address}/frame/nobody", expect=404) as shown:
        shown.judge()


def expect(locator: Any) -> Any:
    """Playwright's own patient assertions: it is imported only where a browser is at hand."""
    from playwright.sync_api import expect as patient

    return patient(locator)


def test_filtering_keeps_the_page_and_its_history(chromium: Any, address: str) -> None:
    with browser.opened(chromium, address + NIGHT) as shown:
        page = shown.page
        page.evaluate("window.same = true")
        rows, sorted_by = "#frames tbody tr", "#frames th[aria-sort]"
        assert page.locator(rows).count() == 11
        page.get_by_role("link", name="dead", exact=False).last.click()
        expect(page.locator(rows)).to_have_count(1)
        assert page.url.endswith("?state=dead")
        page.locator("#frames .chip", has_text="all").nth(2).click()
        expect(page.locator(rows)).to_have_count(11)
        page.locator("#frames thead a", has_text="FWHM").click()
        expect(page.locator(sorted_by)).to_contain_text("FWHM")
        assert page.url.endswith("?sort=fwhm")
        assert page.evaluate("window.same") is True, "the page was not loaded anew"
        page.go_back()
        expect(page.locator(sorted_by)).to_contain_text("UTC")
        page.go_back()
        expect(page.locator(rows)).to_have_count(1)
        assert page.locator("h1").inner_text() == f"Night {portal_site.NIGHT}"
        shown.seen.require_nothing()


def test_the_mask_is_hidden_in_place(chromium: Any, address: str) -> None:
    with browser.opened(chromium, f"{address}/frame/sci1") as shown:
        page = shown.page
        page.evaluate("window.same = true")
        page.locator("#picture .chip", has_text="hidden").click()
        expect(page.locator("#picture .legend")).to_have_count(0)
        assert "mask=none" in page.locator("#picture img").get_attribute("src")
        assert page.evaluate("window.same") is True
        shown.judge()


def test_points_of_the_night_lead_to_their_frames(chromium: Any, address: str) -> None:
    with browser.opened(chromium, address + NIGHT) as shown:
        points = shown.page.locator(".timeline a:has(.mark)")
        assert points.count() > 0
        assert (
            points.first.get_attribute("aria-label") == points.first.locator("title").inner_html()
        )
        target = points.first.get_attribute("href")
        points.first.click()
        shown.page.wait_for_url(f"**{target}")
        shown.seen.require_nothing()


def test_a_phone_has_the_navigation_in_a_row_and_says_what_is_wide(
    chromium: Any, address: str
) -> None:
    for look, is_narrow in ((browser.NARROW, True), (browser.LIGHT, False)):
        with browser.opened(chromium, address + NIGHT, look) as shown:
            boxes = [link.bounding_box() for link in shown.page.locator(".top nav a").all()]
            assert len({box["y"] for box in boxes}) == 1
            assert shown.page.locator(".swipe").is_visible() is is_narrow


def test_pictures_of_other_nights_come_as_they_are_scrolled_to(chromium: Any, address: str) -> None:
    key = "FLAT.JAST80.mini80.01.r_R1.fast.20170703"
    with browser.opened(chromium, f"{address}/product/master/{key}") as shown:
        last = shown.page.locator(".night-plots img").last
        last.scroll_into_view_if_needed()
        expect(last).to_have_js_property("complete", True)
        assert last.evaluate("image => image.naturalWidth") == 480
        shown.page.locator(".held-among a").first.click()
        shown.page.wait_for_url("**/product/master/FLAT.*")
        assert not shown.page.url.endswith(key), "a neighbour in time"
        shown.seen.require_nothing()


def test_what_was_raised_leads_to_its_night_and_its_master(chromium: Any, address: str) -> None:
    with browser.opened(chromium, f"{address}/detector/{portal_site.DETECTOR}") as shown:
        shown.page.locator(".monitors a:has(.raised)").last.click()
        shown.page.wait_for_url(f"**/product/master/FLAT.*{NIGHT[-10:].replace('-', '')}")
        shown.page.go_back()
        shown.page.locator(".monitors a:has(.cell)").last.click()
        shown.page.wait_for_url(f"**{NIGHT}")
        shown.seen.require_nothing()


def test_everything_works_without_scripts(chromium: Any, address: str) -> None:
    with browser.opened(chromium, address + NIGHT, javascript=False) as shown:
        page = shown.page
        page.locator("#frames thead a", has_text="FWHM").click()
        page.wait_for_url("**?sort=fwhm")
        assert page.locator("#frames tbody tr").count() == 11
        page.locator("#frames .chip", has_text="pictures").click()
        page.wait_for_url("**&view=pictures")
        assert page.locator("#frames .pictures img").count() == 11
        page.locator("#find").fill("sci1")
        page.get_by_role("button", name="Find").click()
        page.wait_for_url("**/frame/sci1")
        page.locator("#picture .chip", has_text="raw").click()
        page.wait_for_url("**of=raw")
        shown.seen.require_nothing()
