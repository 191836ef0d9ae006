"""Pages of the archive in Chromium: nothing asked of others, axe finds nothing, parts that move."""

from __future__ import annotations

from typing import Any

import pytest

from .browser import DARK, LIGHT, LOOKS, NARROW, opened

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
    finally:
        context.close()


def test_a_click_on_the_still_picture_opens_a_source(chromium: Any, archive: str) -> None:
    with opened(chromium, f"{archive}/dr2/sky?still=1", javascript=False) as shown:
        picture = shown.page.locator("input[type=image]")
        box = picture.bounding_box()
        picture.click(position={"x": box["width"] / 3, "y": box["height"] / 2})
        shown.page.wait_for_load_state()
        assert "/dr2/object/" in shown.page.url or "No source here" in shown.page.inner_text("h1")
        shown.seen.require_nothing()
