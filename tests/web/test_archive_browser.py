"""Pages of the archive in Chromium: nothing asked of others, axe finds nothing, parts that move."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import httpx
import pytest

from tesela.web.archive.app import create_app
from tesela.web.archive.settings import ArchiveSettings

from .browser import DARK, LIGHT, LOOKS, NARROW, opened, serving

SOURCE = 1_000_000_017
PAGES = {
    "first page": "/",
    "release": "/dr2/",
    "columns": "/dr2/columns?q=mag",
    "still picture": "/dr2/sky?still=1",
    "form": "/dr2/search",
    "results": "/dr2/search?pos=210.0+57.0&radius=5",
    "bands": "/dr2/search?pos=210.0+57.0&radius=5&show=psfcor",
    "refused": "/dr2/search?pos=nowhere",
    "source": f"/dr2/object/{SOURCE}",
    "tile": "/dr2/image/SYN-00001",
    "missing": "/dr2/object/77",
    "by key": "/dr2/sky/at?map.x=0&map.y=0",
}
EXPECTED = {"refused": 400, "missing": 404}
BESIDE = r"/hips/.*Npix\d+\.jpg$"
"""Pictures beside the coverage, for which the viewer asks before it knows it."""


@pytest.mark.parametrize("look", LOOKS, ids=["light", "dark", "narrow"])
@pytest.mark.parametrize("page", PAGES)
def test_every_page_is_sound_and_accessible(
    chromium: Any, archive: str, page: str, look: tuple[str, int]
) -> None:
    with opened(chromium, archive + PAGES[page], look, expect=EXPECTED.get(page, 200)) as shown:
        shown.judge()
        wide = shown.page.evaluate("document.documentElement.scrollWidth")
        assert wide <= look[1], f"{page} is {wide} px wide"


@pytest.mark.parametrize("page", ["release", "results", "source", "still picture", "columns"])
def test_pages_work_without_javascript(chromium: Any, archive: str, page: str) -> None:
    with opened(chromium, archive + PAGES[page], javascript=False) as shown:
        shown.seen.require_nothing()
        assert shown.page.locator("h1").count() == 1


def test_a_form_works_without_javascript(chromium: Any, archive: str) -> None:
    with opened(chromium, f"{archive}/dr2/", javascript=False) as shown:
        shown.page.fill("#pos", "210.0 57.0")
        shown.page.click("button:has-text('Search')")
        shown.page.wait_for_load_state()
        assert "/dr2/search?pos=210.0+57.0" in shown.page.url
        shown.seen.require_nothing()


def test_the_photometry_switches_without_javascript(chromium: Any, archive: str) -> None:
    with opened(chromium, f"{archive}/dr2/object/{SOURCE}", javascript=False) as shown:
        assert shown.page.locator(".sed-plot:visible").count() == 1
        shown.page.check("#kind-aper_3_0")
        shown.page.check("#unit-flux")
        visible = shown.page.locator(".sed-plot:visible")
        assert visible.count() == 1
        assert "k-aper_3_0 u-flux" in visible.first.get_attribute("class")


def test_a_theme_is_chosen_without_javascript(chromium: Any, archive: str) -> None:
    with opened(chromium, f"{archive}/dr2/search", LIGHT, javascript=False) as shown:
        light = shown.page.locator("body").evaluate("e => getComputedStyle(e).backgroundColor")
        shown.page.click("button:has-text('Dark')")
        shown.page.wait_for_load_state()
        assert shown.page.url.endswith("/dr2/search")
        dark = shown.page.locator("body").evaluate("e => getComputedStyle(e).backgroundColor")
        assert light != dark


def test_results_are_sorted_in_place_and_back_works(chromium: Any, archive: str) -> None:
    with opened(chromium, archive + PAGES["results"]) as shown:
        page = shown.page
        first = page.inner_text("#results tbody th >> nth=0")
        page.evaluate("window.mark = 1")
        page.click('[id="sort-photoz"]')
        shown.wait("document.querySelector('[aria-sort=ascending] a')?.id === 'sort-photoz'")
        assert "sort=photoz" in page.url
        assert page.evaluate("window.mark") == 1, "the page was loaded anew"
        assert page.inner_text("#results tbody th >> nth=0") != first
        shown.judge()
        page.go_back()
        shown.wait("document.querySelector('[aria-sort=ascending] a')?.id === 'sort-distance'")
        assert page.inner_text("#results tbody th >> nth=0") == first
        shown.seen.require_nothing()


def test_a_theme_keeps_the_address_that_results_have(chromium: Any, archive: str) -> None:
    with opened(chromium, archive + PAGES["results"]) as shown:
        page = shown.page
        page.click('[id="sort-photoz"]')
        shown.wait("location.search.includes('sort=photoz')")
        page.click("button:has-text('Dark')")
        shown.wait("document.documentElement.dataset.theme === 'dark'")
        assert "sort=photoz" in page.url
        shown.seen.require_nothing()


def test_another_page_of_results_begins_at_its_top_with_the_focus_kept(
    chromium: Any, archive: str
) -> None:
    with opened(chromium, archive + PAGES["results"]) as shown:
        page = shown.page
        page.focus("#page-next")
        page.keyboard.press("Enter")
        shown.wait("document.querySelector('[role=status]').textContent.includes('page 2 of')")
        shown.wait("document.activeElement?.id === 'page-next'")
        top = page.evaluate("document.querySelector('#results').getBoundingClientRect().top")
        assert abs(top) < 5 or page.evaluate("scrollY") == 0
        page.click("#page-last")
        shown.wait("!document.getElementById('page-next')")
        shown.wait("document.activeElement?.closest('.pages') !== null")
        shown.judge()


def test_the_sets_of_columns_are_those_of_the_table(chromium: Any, archive: str) -> None:
    with opened(chromium, f"{archive}/dr2/search?show=photoz") as shown:
        page = shown.page
        offered = (
            "[...document.querySelectorAll('#show option')]"
            ".filter(o => !o.closest('optgroup').disabled).map(o => o.value)"
        )
        assert "photoz" in page.evaluate(offered)
        assert page.input_value("#show") == "photoz"
        page.select_option("#table", "detections")
        assert page.evaluate(offered) == ["summary", "shape"]
        assert page.input_value("#show") == "summary"
        page.fill("#pos", "210.0 57.0")
        page.click("form.card button")
        shown.wait("document.getElementById('sort-band') !== null")
        assert "table=detections" in page.url
        shown.seen.require_nothing()


def test_columns_are_filtered_while_typing(chromium: Any, archive: str) -> None:
    with opened(chromium, f"{archive}/dr2/columns") as shown:
        shown.page.locator("#q").press_sequentially("redshift")
        shown.wait("document.querySelector('#results')?.innerText.includes('“redshift”')")
        assert "q=redshift" in shown.page.url
        shown.judge()


def test_a_position_is_copied(chromium: Any, archive: str) -> None:
    with opened(chromium, f"{archive}/dr2/object/{SOURCE}") as shown:
        button = shown.page.locator("[data-copy]")
        assert button.is_visible()
        button.click()
        shown.wait("document.querySelector('[data-copy]').textContent !== 'Copy'")
        assert button.get_attribute("data-copy") == shown.page.inner_text("#decimal")


@pytest.mark.parametrize("look", [LIGHT, DARK, NARROW], ids=["light", "dark", "narrow"])
def test_the_map_moves_and_a_click_tells_the_source(
    chromium: Any, archive: str, look: tuple[str, int]
) -> None:
    with opened(chromium, f"{archive}/dr2/sky", look, may_miss=BESIDE) as shown:
        page = shown.page
        shown.wait("window.ready === true && window.sourcesShown > 0", 60)
        source = page.evaluate(
            "fetch(document.querySelector('#viewer').dataset.root + "
            "'/sky/objects.json?ra=210&dec=57&radius=0.5').then(r => r.json())"
            ".then(a => a.sources[0])"
        )
        page.evaluate("s => { aladin.gotoRaDec(s.ra, s.dec); aladin.setFoV(0.02); }", source)
        page.wait_for_timeout(800)
        x, y = page.evaluate(
            "s => { const b = document.querySelector('#sky').getBoundingClientRect(),"
            " p = aladin.world2pix(s.ra, s.dec); return [b.x + p[0], b.y + p[1]]; }",
            source,
        )
        page.mouse.move(x - 3, y)
        page.mouse.move(x, y)
        page.mouse.down()
        page.mouse.up()
        shown.wait("document.querySelector('#panel a')?.textContent.startsWith('SYN-')")
        assert page.inner_text("#panel h2") == source["name"]
        shown.judge()


def test_the_map_works_under_another_name_of_the_server(shelf: Path, chromium: Any) -> None:
    with serving(create_app(shelf, ArchiveSettings(base_url="http://127.0.0.1:1"))) as address:
        there = address.replace("127.0.0.1", "localhost")
        with opened(chromium, f"{there}/dr2/sky", may_miss=BESIDE) as shown:
            shown.wait("window.ready === true && window.sourcesShown > 0", 60)
            shown.seen.require_nothing()


def test_the_brightest_sources_are_links_beside_the_map(chromium: Any, archive: str) -> None:
    with opened(chromium, f"{archive}/dr2/sky", may_miss=BESIDE) as shown:
        shown.wait("document.querySelectorAll('#brightest a').length === 10", 60)
        assert shown.page.is_visible(".credit")
        name = shown.page.inner_text("#brightest a >> nth=0")
        shown.page.focus("#brightest a >> nth=0")
        shown.page.keyboard.press("Enter")
        shown.page.wait_for_load_state()
        assert shown.page.inner_text("h1") == name


def test_the_map_is_steered_by_buttons_and_keys(chromium: Any, archive: str) -> None:
    with opened(chromium, f"{archive}/dr2/sky", may_miss=BESIDE) as shown:
        page = shown.page
        shown.wait("window.ready === true", 60)
        before = page.evaluate("aladin.getFov()[0]")
        page.click("#zoom-in")
        shown.wait(f"aladin.getFov()[0] < {before} - 1e-6")
        page.click("#whole")
        shown.wait(f"Math.abs(aladin.getFov()[0] - {before}) < 1e-3")
        dec = page.evaluate("aladin.getRaDec()[1]")
        page.focus("#sky")
        page.keyboard.press("ArrowUp")
        shown.wait(f"aladin.getRaDec()[1] > {dec} + 1e-6")
        page.click("#sources")
        assert page.get_attribute("#sources", "aria-pressed") == "false"
        page.click("#grid")
        assert page.get_attribute("#grid", "aria-pressed") == "true"
        shown.seen.require_nothing()


def test_without_webgl_the_still_picture_says_why(chromium: Any, archive: str) -> None:
    context = chromium.new_context()
    context.add_init_script(
        "HTMLCanvasElement.prototype.getContext = new Proxy("
        "HTMLCanvasElement.prototype.getContext,"
        " {apply: (f, c, a) => a[0] === 'webgl2' ? null : Reflect.apply(f, c, a)})"
    )
    page = context.new_page()
    try:
        page.goto(f"{archive}/dr2/sky")
        page.wait_for_selector("#fallback-note", state="visible")
        assert "WebGL 2" in page.inner_text("#fallback-note")
        assert page.locator("#still input[type=image]").is_visible()
        assert not page.is_visible(".credit")
    finally:
        context.close()


@pytest.mark.parametrize(("fails", "words"), [
    ("/hips/colour/properties", "the server answered 503"),
    ("/static/vendor/aladin.js", "sky viewer could not be started"),
])  # fmt: skip
def test_what_fails_of_the_map_is_told_over_the_still_picture(
    chromium: Any, archive: str, fails: str, words: str
) -> None:
    context = chromium.new_context()
    page = context.new_page()
    page.route(re.compile(re.escape(fails)), lambda route: route.fulfill(status=503, body="x"))
    try:
        page.goto(f"{archive}/dr2/sky")
        page.wait_for_selector("#fallback-note", state="visible")
        assert words in page.inner_text("#fallback-note")
        assert page.locator("#still input[type=image]").is_visible()
    finally:
        context.close()


def test_browser_packages_are_kept_under_their_version(packages: None, archive: str) -> None:
    address = re.search(r'src="(/static/vendor/htmx[^"]+)"', httpx.get(archive).text)
    assert address is not None
    assert "immutable" in httpx.get(archive + address[1]).headers["cache-control"]
    plain = httpx.get(archive + address[1].split("?")[0])
    assert plain.headers["cache-control"] == "no-cache"
    assert plain.headers["content-encoding"] == "gzip"
    again = httpx.get(str(plain.url), headers={"If-None-Match": plain.headers["etag"]})
    assert again.status_code == 304


def test_a_click_on_the_still_picture_opens_a_source(chromium: Any, archive: str) -> None:
    with opened(chromium, f"{archive}/dr2/sky?still=1", javascript=False) as shown:
        picture = shown.page.locator("input[type=image]")
        box = picture.bounding_box()
        picture.click(position={"x": box["width"] / 3, "y": box["height"] / 2})
        shown.page.wait_for_load_state()
        assert "/dr2/object/" in shown.page.url or "No source here" in shown.page.inner_text("h1")
        shown.seen.require_nothing()
