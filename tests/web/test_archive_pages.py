"""Pages of the archive as a program sees them: what they say, and how they refuse."""

from __future__ import annotations

import hashlib
import html
import io
import json
import math
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import duckdb
import httpx
import numpy as np
import pytest
from PIL import Image
from starlette.requests import Request

from tesela.sciencedb.release import Release
from tesela.sciencedb.shelf import Served, Shelf
from tesela.web.archive import home, sky
from tesela.web.archive.app import create_app
from tesela.web.archive.context import Archive, Missing
from tesela.web.archive.settings import ArchiveSettings
from tesela.web.shared.pages import Pages

from .browser import serving

SOURCE = 1_000_000_017
PATHS = (
    "/", "/dr2/", "/dr2/columns", "/dr2/sky", "/dr2/sky?still=1", "/dr2/search",
    "/dr2/search?pos=210.0+57.0&radius=5", f"/dr2/object/{SOURCE}", "/dr2/image/SYN-00001",
)  # fmt: skip


@pytest.fixture(scope="session")
def release(shelf: Path) -> Release:
    return Release.open(shelf / "dr2")


@pytest.mark.parametrize("path", PATHS)
def test_pages_answer_and_name_their_release(client: httpx.Client, path: str) -> None:
    answer = client.get(path)
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    if path != "/":
        assert "Release dr2 of synthetic, built 2026-01-02 with Tesela 0." in answer.text
    assert '<html lang="en"' in answer.text
    assert answer.text.count("<h1") == 1
    assert '<a class="skip" href="#main">' in answer.text


@pytest.mark.parametrize("path", PATHS)
def test_pages_have_no_inline_scripts_styles_or_outside_resources(
    client: httpx.Client, path: str
) -> None:
    answer = client.get(path)
    text = answer.text
    assert not re.search(r"<script(?![^>]*\bsrc=)", text)
    assert not re.search(r"<style|\sstyle=|\son[a-z]+=", text)
    loaded = re.findall(r"<(?:script|img|input|link|source)[^>]*?(?:src|href)=\"([^\"]+)\"", text)
    assert loaded
    assert all(address.startswith("/") for address in loaded)
    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "'unsafe-eval'" not in policy.replace("'wasm-unsafe-eval'", "")
    live = "/sky" in path and "still" not in path and "aladin" in text
    assert ("'wasm-unsafe-eval'" in policy) is live
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert "frame-ancestors 'none'" in policy


def test_releases_are_listed_the_latest_first(client: httpx.Client) -> None:
    text = client.get("/").text
    assert text.index('href="/dr2/"') < text.index('href="/dr1/"')


def test_a_release_tells_its_depths_and_its_validation(
    client: httpx.Client, release: Release
) -> None:
    text = client.get("/dr2/").text
    rows = release.scan("tiles").table().to_pylist()
    depth = float(np.median([r["depth_psf_mag"] for r in rows if r["band"] == "rSDSS"]))
    assert f">{depth:.2f}</td>" in text
    assert "All checks passed." in text
    assert "not applicable" in text
    assert "/dr2/vo/cone?" in text


def snippets(client: httpx.Client) -> list[str]:
    return [
        html.unescape(c)
        for c in re.findall(r"<code>([^<]+)</code></pre>", client.get("/dr2/").text)
    ]


def test_the_programs_of_the_page_run(client: httpx.Client, shelf: Path, release: Release) -> None:
    shown = snippets(client)
    pyvo_code = next(c for c in shown if c.startswith("import pyvo"))
    names: dict = {}
    exec(pyvo_code, names)  # noqa: S102 - what the page shows
    centre = release.model.tiles[0]
    ra, dec = round(centre.ra_deg, 4), round(centre.dec_deg, 4)
    assert len(names["table"]) == len(release.cone("objects", ra, dec, 0.05).table()) > 0
    query = next(c for c in shown if c.startswith("SELECT"))
    rows = duckdb.sql(query.replace("'hats/", f"'{shelf}/dr2/hats/")).fetchall()
    chosen = [
        r["source_id"]
        for r in release.scan("objects", ["source_id", "photoz", "is_primary"]).table().to_pylist()
        if r["is_primary"] and r["photoz"] is not None and 0.1 <= r["photoz"] <= 0.2
    ]
    assert sorted(r[0] for r in rows) == sorted(chosen)
    assert httpx.get(shown[0]).status_code == 200


def test_snippets_use_the_configured_address(shelf: Path) -> None:
    settings = ArchiveSettings(base_url="https://archive.example/", contact="help@archive.example")
    with serving(create_app(shelf, settings)) as address:
        text = httpx.get(f"{address}/dr2/").text
        there = httpx.get(f"{address}/dr2/", headers={"Host": "archive.example"})
    assert "https://archive.example/dr2/vo/cone?RA=" in text
    assert "help@archive.example" in text
    assert there.status_code == 200


def test_another_host_is_refused(client: httpx.Client) -> None:
    assert client.get("/", headers={"Host": "evil.example"}).status_code == 400


@pytest.mark.parametrize("path", [
    "", "object/1000000017", "search?pos=210+57&radius=1", "sky", "columns", "image/SYN-00001",
])  # fmt: skip
def test_latest_leads_to_the_release_that_it_is(client: httpx.Client, path: str) -> None:
    answer = client.get(f"/latest/{path}")
    assert answer.status_code == 307
    assert answer.headers["location"] == f"/dr2/{path}"
    assert client.get("/latest").headers["location"] == "/dr2/"


@pytest.mark.parametrize(("path", "words"), [
    ("/dr9/", "no release &#39;dr9&#39;"), ("/dr9/sky", "These releases are served"),
    ("/dr2/object/77", "has no source 77"), ("/dr2/object/SYN-00001-99999", "no source 99999"),
    ("/dr2/object/NOPE-1", "Its tiles are SYN-00001"), ("/dr2/object/%3Cb%3E", "not the name"),
    ("/dr2/object/77.json", "has no source 77"), ("/dr2/object/77/stamp/rSDSS.jpg", "no source 77"),
    (f"/dr2/object/{SOURCE}/stamp/xBAND.jpg", "no image of tile"), ("/dr2/image/NOPE", "SYN-00002"),
    ("/dr2/tiles/..%2Frelease.json", "has no file"), ("/dr2/images/SYN-00001/none.fits", "no file"),
    ("/dr2/columns?table=nope", "has no table &#39;nope&#39;"),
    ("/dr2/sky/nearest", "There is no page"), ("/dr2/nothing", "There is no page"),
    ("/static/none.css", "There is no page"),
    ("/static/vendor/none.js", "There is no page"), ("/dr2/object/" + "9" * 40, "not the name"),
])  # fmt: skip
def test_what_is_not_there_is_told_with_what_is(
    client: httpx.Client, path: str, words: str
) -> None:
    answer = client.get(path)
    assert answer.status_code == 404
    assert words in answer.text
    assert "<h1" in answer.text
    assert "<b>" not in answer.text


@pytest.mark.parametrize(("path", "words"), [
    (f"/dr2/object/{SOURCE}/stamp/rSDSS.jpg?size=1e9", "5 to 120 arcsec"),
    (f"/dr2/object/{SOURCE}/stamp/rSDSS.jpg?size=nan", "5 to 120 arcsec"),
    (f"/dr2/object/{SOURCE}/stamp/rSDSS.jpg?size=x", "5 to 120 arcsec"),
    ("/dr2/sky?pos=nowhere", "decimal degrees"), ("/dr2/sky?fov=-1", "no positive number"),
    ("/dr2/sky/objects.json?ra=1&dec=2", "radius"),
    ("/dr2/sky/objects.json?ra=x&dec=2&radius=1", "ra"),
    ("/dr2/sky/objects.json?ra=1&dec=200&radius=1", "-90 to 90"), ("/dr2/sky/at?map.x=1", "map.y"),
    ("/dr2/sky/at?map.x=1e9&map.y=0", "map.x"),
])  # fmt: skip
def test_nonsense_is_refused_with_what_is_expected(
    client: httpx.Client, path: str, words: str
) -> None:
    answer = client.get(path)
    assert answer.status_code == 400
    assert words in answer.text


def test_a_source_is_found_by_tile_and_number(client: httpx.Client, release: Release) -> None:
    row = release.scan("objects", ["source_id", "tile", "number"]).table().to_pylist()[-1]
    answer = client.get(f"/dr2/object/{row['tile']}-{row['number']}")
    assert answer.status_code == 307
    assert answer.headers["location"] == f"/dr2/object/{row['source_id']}"


def test_the_json_of_a_source_is_its_row(client: httpx.Client, release: Release) -> None:
    content = client.get(f"/dr2/object/{SOURCE}.json").json()
    row = release.by_id("objects", SOURCE)
    assert row is not None
    assert set(content["object"]) == set(row)
    assert content["object"]["ra"] == row["ra"]
    assert content["bands"][7] == "rSDSS"
    assert content["units"]["mag_auto"] == "mag"
    for name, value in row.items():
        if isinstance(value, np.ndarray):
            said = [math.nan if v is None else v for v in content["object"][name]]
            assert np.array_equal(np.asarray(said, float), value.astype(float), equal_nan=True)


def test_an_object_without_redshift_says_so(client: httpx.Client, release: Release) -> None:
    rows = release.scan("objects", ["source_id", "photoz"]).table().to_pylist()
    number = next(r["source_id"] for r in rows if r["photoz"] is None)
    assert "There is no photometric redshift" in client.get(f"/dr2/object/{number}").text


def test_an_object_shows_three_kinds_in_two_units_and_all_its_stamps(client: httpx.Client) -> None:
    text = client.get(f"/dr2/object/{SOURCE}").text
    for kind in ("psfcor", "auto", "aper_3_0"):
        assert f'id="sed-{kind}-mag-t"' in text
        assert f'id="sed-{kind}-flux-t"' in text
    assert text.count("/stamp/") == 13
    assert "All 82 columns" in text
    assert "not observed" in client.get("/dr2/object/1000000001").text


def test_all_of_a_page_about_a_source_is_unique(client: httpx.Client) -> None:
    ids = re.findall(r'\sid="([^"]+)"', client.get(f"/dr2/object/{SOURCE}").text)
    assert len(ids) == len(set(ids))


@pytest.mark.parametrize("query", ["", "?scale=flux", "?size=60", "?scale=other"])
def test_stamps_are_pictures(client: httpx.Client, query: str) -> None:
    answer = client.get(f"/dr2/object/{SOURCE}/stamp/rSDSS.jpg{query}")
    assert answer.headers["content-type"] == "image/jpeg"
    assert min(Image.open(io.BytesIO(answer.content)).size) >= 168
    colour = client.get(f"/dr2/object/{SOURCE}/stamp/colour.jpg")
    assert Image.open(io.BytesIO(colour.content)).mode == "RGB"


def test_a_stamp_is_kept_only_under_the_version_of_its_release(client: httpx.Client) -> None:
    page = client.get(f"/dr2/object/{SOURCE}").text
    address = re.search(r'src="([^"]+/stamp/rSDSS\.jpg[^"]+)"', page)
    assert address is not None
    path = address[1].replace("&amp;", "&")
    assert "immutable" in client.get(path).headers["cache-control"]
    assert "immutable" not in client.get(path.split("&v=")[0]).headers["cache-control"]


def test_columns_are_filtered_by_all_words(
    client: httpx.Client, fragment: Callable[[str], httpx.Response]
) -> None:
    text = fragment("/dr2/columns?q=psfcor+mag&table=objects").text
    assert "<html" not in text
    assert "mag_psfcor_err" in text
    assert "mag_auto_err" not in text
    assert "<html" in client.get("/dr2/columns?q=psfcor").text
    assert "0 columns" in fragment("/dr2/columns?q=zzzz").text


def test_a_page_taken_from_the_history_is_whole(client: httpx.Client) -> None:
    headers = {"HX-Request": "true", "HX-History-Restore-Request": "true"}
    assert "<html" in client.get("/dr2/columns", headers=headers).text


def test_the_overlay_has_the_brightest_of_the_view(
    client: httpx.Client, release: Release, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sky, "SHOWN", 10)
    query = "/dr2/sky/objects.json?ra=210.0&dec=57.0&radius=1"
    content = client.get(query).json()
    rows = release.scan("objects", ["mag_auto", "is_primary"]).table().to_pylist()
    rows = [r for r in rows if r["is_primary"]]
    mags = sorted(r["mag_auto"][7] for r in rows if r["mag_auto"][7] is not None)
    assert [s["mag"] for s in content["sources"]] == pytest.approx(mags[:10])
    assert content["in_view"] == len(rows)
    assert content["complete"]
    empty = client.get("/dr2/sky/objects.json?ra=10&dec=-57&radius=0.1").json()
    assert empty == {"sources": [], "in_view": 0, "complete": True}


def test_a_click_on_the_still_picture_leads_to_the_source_there(
    client: httpx.Client, shelf: Path, release: Release
) -> None:
    picture = sky.still(shelf / "dr2")
    assert picture is not None
    row = release.by_id("objects", SOURCE, ["ra", "dec"])
    assert row is not None
    x, y = picture.wcs.sky_to_pix(row["ra"], row["dec"])
    factor = picture.shown_width / picture.width
    place = f"map.x={float(x) * factor:.3f}&map.y={float(y) * factor:.3f}"
    answer = client.get(f"/dr2/sky/at?{place}")
    assert answer.status_code == 303
    assert answer.headers["location"] == f"/dr2/object/{SOURCE}"


def test_a_key_on_the_still_picture_is_told_to_click(client: httpx.Client) -> None:
    answer = client.get("/dr2/sky/at?map.x=0&map.y=0")
    assert answer.status_code == 200
    assert "A key names no place" in answer.text


def test_the_sky_page_works_under_any_address(shelf: Path) -> None:
    settings = ArchiveSettings(base_url="https://archive.example")
    with serving(create_app(shelf, settings)) as address:
        text = httpx.get(f"{address}/dr2/sky?pos=210.0+57.0&fov=180").text
    if "data-hips" in text:
        assert 'data-hips="/dr2/hips/colour"' in text
        assert 'data-fov="90.0"' in text
    assert "<title>210.0 57.0 · Sky" in text


def test_snippets_use_the_address_of_the_request(client: httpx.Client) -> None:
    there = client.get("/dr2/", headers={"Host": "localhost:9999"}).text
    assert "http://localhost:9999/dr2/vo/cone?RA=" in there


def test_sources_are_counted_once_on_all_pages(client: httpx.Client, release: Release) -> None:
    once = sum(b.column(0).true_count for b in release.scan("objects", ["is_primary"]))
    rows = release.model.rows["objects"]
    assert once < rows
    for path in ("/", "/dr2/"):
        text = client.get(path).text
        assert f"<dd>{once}</dd>" in text
        assert f"{once} sources in {rows} rows" in text
    found = client.get("/dr2/search?pos=210+57&radius=180&unit=deg").text
    assert f"<strong>{once}</strong>" in found


def test_a_redshift_of_a_likely_star_holds_only_for_a_galaxy(
    client: httpx.Client, release: Release
) -> None:
    rows = release.scan("objects", ["source_id", "photoz", "prob_star"]).table().to_pylist()
    known = [r for r in rows if r["photoz"] is not None and r["prob_star"] is not None]
    for star in (True, False):
        number = next(r["source_id"] for r in known if (r["prob_star"] > 0.5) is star)
        text = client.get(f"/dr2/object/{number}").text
        assert ("if it is a galaxy</li>" in text) is star
        assert ("More likely a star than a galaxy" in text) is star


def test_copies_are_kept_unasked_only_under_the_right_version(client: httpx.Client) -> None:
    address = re.search(r'src="([^"]+/preview\.jpg\?v=[^"]+)"', client.get("/dr2/").text)
    assert address is not None
    assert "immutable" in client.get(address[1]).headers["cache-control"]
    for path in ("/dr2/preview.jpg", "/dr2/preview.jpg?v=1", "/dr2/release.json"):
        answer = client.get(path)
        assert answer.headers["cache-control"] == "no-cache"
        again = client.get(path, headers={"If-None-Match": answer.headers["etag"]})
        assert again.status_code == 304
    other = address[1].replace("/dr2/", "/dr1/")
    assert client.get(other).headers["cache-control"] == "no-cache"


def test_a_wrong_method_is_told_with_the_right_ones(client: httpx.Client) -> None:
    answer = client.post("/dr2/search")
    assert answer.status_code == 405
    assert set(answer.headers["allow"].split(", ")) == {"GET", "HEAD"}


def test_files_are_served_with_ranges(client: httpx.Client, shelf: Path) -> None:
    path = "images/SYN-00001/SYN-00001.rSDSS.fits"
    answer = client.get(f"/dr2/{path}", headers={"Range": "bytes=0-79"})
    assert answer.status_code == 206
    assert answer.content == (shelf / "dr2" / path).read_bytes()[:80]
    for path in ("release.json", "preview.jpg", "tiles/SYN-00001.jpg", "tables/tiles.parquet"):
        assert client.get(f"/dr2/{path}").status_code == 200
    assert client.get("/dr2/moc.fits").status_code == 200
    assert client.get("/dr2/hips/colour/properties").status_code == 200


@pytest.mark.parametrize("content", [
    "{", "[]", '{"crval": [1]}',
    '{"crval":[1,2],"crpix":[0,0],"cd":[[0,0],[0,0]],"shape":[1,1],"tiles":[]}',
])  # fmt: skip
def test_a_still_picture_without_a_place_is_none(tmp_path: Path, content: str) -> None:
    (tmp_path / "preview.jpg").write_bytes(b"x")
    (tmp_path / "preview.json").write_text(content)
    assert sky.still(tmp_path) is None


def validated(release: Release, folder: Path, content: str) -> dict | None:
    """What is shown of a validation with this content; `SHA` stands for the right checksum."""
    (folder / "dr2").mkdir()
    (folder / "dr2" / "release.json").write_text("{}")
    checksum = hashlib.sha256(b"{}").hexdigest()
    (folder / "dr2.validation.json").write_text(content.replace("SHA", checksum))
    return home.validation(Release(folder / "dr2", release.model, release._connection))


@pytest.mark.parametrize("content", [
    "{", "[]", '{"sha256": "SHA", "checks": 3}', '{"sha256": "SHA", "checks": [1]}',
    '{"checks": [], "passed": true}', '{"sha256": "other", "checks": [], "passed": true}',
])  # fmt: skip
def test_a_validation_that_is_damaged_or_of_another_release_is_not_shown(
    release: Release, tmp_path: Path, content: str
) -> None:
    assert validated(release, tmp_path, content) is None


@pytest.mark.parametrize(("said", "passed"), [("true", True), ("false", False), ('"no"', False)])
def test_only_a_validation_that_says_so_has_passed(
    release: Release, tmp_path: Path, said: str, passed: bool
) -> None:
    content = f'{{"sha256": "SHA", "checks": [], "passed": {said}}}'
    assert validated(release, tmp_path, content) == {"passed": passed, "checks": []}


def test_an_empty_shelf_says_what_to_do(tmp_path: Path) -> None:
    with serving(create_app(tmp_path)) as address:
        assert "No release is published yet" in httpx.get(address).text
        assert "No release is published yet" in httpx.get(f"{address}/dr1/").text
        assert httpx.get(f"{address}/latest", follow_redirects=True).status_code == 200


def test_a_damaged_release_does_not_hide_the_others(
    shelf: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for name in ("dr1", "dr2"):
        shutil.copytree(shelf / name, tmp_path / name)
        Shelf(tmp_path).publish(name)
    broken = next((tmp_path / "dr2" / "serve").glob("objects.core.duckdb"))
    broken.write_bytes(broken.read_bytes()[:4096])
    with serving(create_app(tmp_path)) as address:
        first = httpx.get(address)
        assert first.status_code == 200
        assert "cannot be read at the moment" in first.text
        assert "Synthetic release dr1" in first.text
        damaged = httpx.get(f"{address}/dr2/")
        assert damaged.status_code == 503
        assert "Release dr2 is damaged" in damaged.text
        assert "duckdb" not in damaged.text
        assert str(tmp_path) not in damaged.text
        assert httpx.get(f"{address}/dr1/").status_code == 200
    assert str(broken) in caplog.text


def test_a_published_release_that_is_gone_does_not_hide_the_others(
    shelf: Path, tmp_path: Path
) -> None:
    for name in ("dr1", "dr2"):
        shutil.copytree(shelf / name, tmp_path / name)
        Shelf(tmp_path).publish(name)
    shutil.rmtree(tmp_path / "dr2")
    with serving(create_app(tmp_path)) as address:
        first = httpx.get(address)
        assert first.status_code == 200
        assert "Synthetic release dr1" in first.text
        gone = httpx.get(f"{address}/dr2/")
        assert gone.status_code == 503
        assert str(tmp_path) not in gone.text
        assert httpx.get(f"{address}/dr1/").status_code == 200


def test_a_release_withdrawn_while_it_is_asked_for_is_not_found(
    shelf: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    served = Served(Shelf(shelf))
    monkeypatch.setattr(served, "names", lambda: ["dr9", "dr2"])
    archive = Archive(served, Pages("archive", "x"), ArchiveSettings())
    request = Request({"type": "http", "path_params": {"release": "dr9"}})
    with pytest.raises(Missing, match="no release 'dr9'"):
        archive.release(request)
    asked = {"type": "http", "path": "/", "headers": [], "query_string": b"", "path_params": {}}
    first = bytes(home._index(archive, Request(asked)).body)
    assert b"Synthetic release dr2" in first
    assert b"dr9" not in first


def test_a_damaged_image_leaves_the_page_whole(shelf: Path, tmp_path: Path) -> None:
    shutil.copytree(shelf / "dr1", tmp_path / "dr1")
    Shelf(tmp_path).publish("dr1")
    image = tmp_path / "dr1/images/SYN-00001/SYN-00001.rSDSS.fits"
    image.unlink()
    image.write_bytes(b"nothing")
    with serving(create_app(tmp_path)) as address:
        assert httpx.get(f"{address}/dr1/object/{SOURCE}").status_code == 200
        stamp = httpx.get(f"{address}/dr1/object/{SOURCE}/stamp/rSDSS.jpg")
    assert stamp.status_code == 503
    assert stamp.headers["content-type"] == "image/svg+xml"
    assert "This image is damaged" in stamp.text


def test_a_release_without_pictures_still_has_a_sky_page(shelf: Path, tmp_path: Path) -> None:
    shutil.copytree(shelf / "dr1", tmp_path / "dr1")
    for path in ("hips", "tiles"):
        shutil.rmtree(tmp_path / "dr1" / path)
    for name in ("preview.jpg", "preview.json"):
        (tmp_path / "dr1" / name).unlink()
    Shelf(tmp_path).publish("dr1")
    with serving(create_app(tmp_path)) as address:
        text = httpx.get(f"{address}/dr1/sky").text
        assert "this release has no pictures for it" in text
        assert "no still picture" in text
        assert "no picture of the tile" in httpx.get(f"{address}/dr1/image/SYN-00001").text
        assert httpx.get(f"{address}/dr1/sky/at?map.x=1&map.y=1").status_code == 400


def test_a_new_release_is_served_without_a_restart(shelf: Path, tmp_path: Path) -> None:
    for name in ("dr1", "dr2"):
        shutil.copytree(shelf / name, tmp_path / name)
    Shelf(tmp_path).publish("dr1")
    with serving(create_app(tmp_path)) as address:
        assert httpx.get(f"{address}/dr2/").status_code == 404
        Shelf(tmp_path).publish("dr2")
        assert httpx.get(f"{address}/dr2/").status_code == 200
        Shelf(tmp_path).withdraw("dr1")
        assert httpx.get(f"{address}/dr1/").status_code == 404


def test_the_contents_are_what_release_json_says(client: httpx.Client) -> None:
    content = json.loads(client.get("/dr2/release.json").content)
    text = client.get("/dr2/").text
    for table in content["tables"]:
        assert f"columns?table={table['name']}" in text
