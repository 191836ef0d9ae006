"""The pages of tiles, products and releases, and what is found by name."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tesela.ledger import products, schema
from tesela.ledger.engine import Ledger
from tesela.ledger.place import place_of
from tesela.products import paths
from tesela.web.portal import create_app, links, metrics

from . import browser, portal_site


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return portal_site.make(tmp_path_factory.mktemp("portal") / "site")


@pytest.fixture(scope="module")
def portal(site: Path) -> Iterator[httpx.Client]:
    with browser.serving(create_app(site)) as url, httpx.Client(base_url=url) as client:
        yield client


@pytest.fixture(scope="module")
def released(site: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site with two releases of tile T10: dr1, built twice and published; dr2, refused."""
    folder = tmp_path_factory.mktemp("released") / "site"
    shutil.copytree(site, folder)
    ledger = Ledger.open(place_of(folder))
    with ledger.write() as conn:
        science = products.current(conn, "science", "T10")
        assert science is not None
        for key, version in (("dr1", 1), ("dr1", 2), ("dr2", 1)):
            new = products.NewProduct("release", key, version, warnings=("one tile only",))
            made = products.insert(conn, new, [(science["id"], "input")])
            wrong = ["duplicate ids"] if key == "dr2" else []
            products.add_quality(conn, made, {"n_sources": 5}, rejections=wrong)
    ledger.close()
    shelf = paths.releases_folder(folder)
    shelf.mkdir()
    (shelf / "published.json").write_text(json.dumps({"published": ["dr1", "dr0"]}))
    return folder


def text(page: httpx.Response) -> str:
    """What a reader reads, on one line."""
    assert page.status_code == 200, page.text
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", page.text))


def test_tiles_that_were_observed_are_listed(portal: httpx.Client) -> None:
    page = portal.get("/tiles")
    rows = re.findall(r'<a href="/tile/([^"]+)"', page.text)
    assert rows == ["T10", "T11", "T20"], "T99 was never observed"
    assert "3 tiles" in text(page)
    t10 = page.text[page.text.index("/tile/T10") : page.text.index("/tile/T11")]
    assert t10.count("served") == 4
    assert "There is only one page of tiles" in text(portal.get("/tiles?page=7"))


def test_a_tile_shows_each_band_and_what_was_made_of_all(portal: httpx.Client) -> None:
    page = portal.get("/tile/T10")
    said = text(page)
    for title in ("Dual catalogue", "Zero points", "Value-added columns", "Science database"):
        assert re.search(f"{title} served", said), title
    assert "in no release" in said
    assert 'href="/product/coadd/T10.r"' in page.text
    assert re.search(r"J0378 1 not made", said), "its only frame waits"
    assert re.search(r" r 3 served", said)


def test_a_tile_whose_frames_failed_says_so(portal: httpx.Client) -> None:
    said = text(portal.get("/tile/T20"))
    assert said.count("not made") + said.count("waiting") + said.count("due") >= 5
    assert "No frame touches this tile yet" in text(portal.get("/tile/T99"))


def test_unknown_names_are_not_found(portal: httpx.Client) -> None:
    for address in (
        "/tile/T98", "/tile/..%2fT10", "/product/coadd/T98.r", "/product/magic/T10",
        "/product/raw/nobody", "/product/catalogue/T10.r/picture.jpg",
        "/product/coadd/T98.r/picture.jpg", "/nowhere",
    ):  # fmt: skip
        page = portal.get(address)
        assert page.status_code == 404, address
        assert "<html" in page.text


def test_a_product_shows_its_inputs_users_and_history(portal: httpx.Client) -> None:
    master = portal.get("/product/master/BIAS.JAST80.toycam.01.-.fast.20170703")
    assert 'href="/frame/bias1-20170703"' in master.text
    assert 'href="/frame/sci1"' in master.text, "used by what was reduced with it"
    assert "master certified" in master.text
    coadd = portal.get("/product/coadd/T10.r")
    assert 'href="/frame/sci1"' in coadd.text
    assert 'href="/tile/T10"' in coadd.text
    assert 'href="/frame/sci2"' not in coadd.text, "it did not pass, so it is no input"
    picture = re.search(r'<img src="([^"]+)"', coadd.text)
    assert picture
    answer = portal.get(picture[1].replace("&amp;", "&"))
    assert answer.headers["content-type"].startswith("image/svg"), "a toy coadd is no FITS file"


def test_a_product_that_was_retired_is_shown_without_a_version(site: Path, tmp_path: Path) -> None:
    folder = tmp_path / "site"
    shutil.copytree(site, folder)
    ledger = Ledger.open(place_of(folder))
    with ledger.write() as conn:
        coadd = products.current(conn, "coadd", "T11.r")
        assert coadd is not None
        products.retire(conn, coadd["id"], "no frame is left")
    ledger.close()
    with browser.serving(create_app(folder)) as url:
        page = httpx.get(f"{url}/product/coadd/T11.r")
    assert "No version of it is served" in page.text
    assert "version 1: no frame is left" in page.text


def test_what_is_not_simply_made_is_told_with_its_reason(site: Path, tmp_path: Path) -> None:
    folder = tmp_path / "site"
    shutil.copytree(site, folder)
    ledger = Ledger.open(place_of(folder))
    task = schema.task
    with ledger.write() as conn:
        for kind, state in (("zeropoints", "dead"), ("valueadded", "skipped"), ("coadd", "ready")):
            key = "T11.r" if kind == "coadd" else "T11"
            conn.execute(
                task.update()
                .where(task.c.kind == kind, task.c.key == key)
                .values(state=state, reason=f"reason of {kind}", why=f"why {kind}")
            )
        conn.execute(
            schema.waiting.insert().values(
                kind="science", key="T11", since_mjd=0.0, reason="patience", pending=True,
                fresh=False,
            )
        )  # fmt: skip
        for key in ("T11.r", "T11"):
            conn.execute(
                schema.dirty.insert().values(
                    kind="catalogue" if "." in key else "dual", key=key, not_before=0.0,
                    why="a new look", fresh=False,
                )
            )  # fmt: skip
    ledger.close()
    with browser.serving(create_app(folder)) as url:
        said = text(httpx.get(f"{url}/tile/T11"))
    for words in (
        "Zero points dead version 1 reason of zeropoints",
        "Value-added columns skipped version 1 reason of valueadded",
        "Science database waiting version 1 patience",
        "Dual catalogue due version 1 a new look",
        "due why coadd",
        "due a new look",
    ):
        assert words in said, words


def test_counts_of_the_science_database_are_of_rows(site: Path, tmp_path: Path) -> None:
    """Twelve rows of the table `tiles` are one tile in twelve bands."""
    folder = tmp_path / "site"
    shutil.copytree(site, folder)
    ledger = Ledger.open(place_of(folder))
    with ledger.write() as conn:
        science = products.current(conn, "science", "T10")
        assert science is not None
        table = schema.quality
        conn.execute(table.delete().where(table.c.product_id == science["id"]))
        products.add_quality(conn, science["id"], {"n_tiles": 12, "n_objects": 5})
    ledger.close()
    with browser.serving(create_app(folder)) as url:
        for path in ("/tile/T10", "/product/science/T10"):
            said = text(httpx.get(url + path))
            assert "rows of tiles 12" in said
            assert "rows of objects 5" in said
            assert "n tiles" not in said


def test_names_of_products_are_escaped_in_their_links() -> None:
    assert links.product_alone("dual", "a/b?c") == "/product/dual/a%2Fb%3Fc"
    assert links.product("dual", "T10") == "/tile/T10"


def test_metrics_of_bands_are_a_table_and_the_others_a_list() -> None:
    found = metrics.arrange(
        {
            "n_stars_r": 5, "n_stars_J0378": 3, "zeropoint_err_mag_r": 0.01, "fwhm_arcsec": 1.5,
            "n_bands": 2, "rejected": {}, "r": 1,
        },
        ("J0378", "r", "z"),
    )  # fmt: skip
    assert found.single == (("fwhm", 1.5, "arcsec"), ("n bands", 2, ""), ("r", 1, ""))
    assert found.header == (("n stars", ""), ("zeropoint err", "mag"))
    assert found.by_band == (("J0378", (3, None)), ("r", (5, 0.01)))
    assert metrics.arrange({}, ()) == metrics.Measured()
    assert metrics.read(None) == metrics.read("[1]") == {}


def test_long_lists_of_inputs_are_cut_and_say_so(site: Path, tmp_path: Path) -> None:
    folder = tmp_path / "site"
    shutil.copytree(site, folder)
    ledger = Ledger.open(place_of(folder))
    with ledger.write() as conn:
        many = [
            products.insert(conn, products.NewProduct("coadd", f"T{n}.r", 1))
            for n in range(100, 1300)
        ]
        products.insert(
            conn, products.NewProduct("release", "dr1", 1), [(n, "input") for n in many]
        )
    ledger.close()
    with browser.serving(create_app(folder)) as url:
        page = httpx.get(f"{url}/product/release/dr1")
    assert re.search(r"and 1.160 more of kind coadd", page.text)
    assert page.text.count('href="/product/coadd/') == 40


def test_releases_are_listed_with_what_is_published(released: Path) -> None:
    with browser.serving(create_app(released)) as url:
        page = httpx.get(f"{url}/releases")
        tile = httpx.get(f"{url}/tile/T10")
        product = httpx.get(f"{url}/product/release/dr1")
    said = text(page)
    assert re.search(r"dr2 [\d: -]+ did not pass no 1 duplicate ids", said)
    assert re.search(r"dr1 version 2 [\d: -]+ served the latest 1", said)
    assert re.search(r"dr1 [\d: -]+ replaced no 1", said)
    assert "not built by this site's ledger: dr0" in said.replace("&#39;", "'")
    assert re.findall(r'href="/product/release/(\w+)"', tile.text) == ["dr2", "dr1", "dr1"]
    assert "science T10" in text(product)


def test_an_unreadable_list_of_published_releases_is_told(released: Path, tmp_path: Path) -> None:
    folder = tmp_path / "site"
    shutil.copytree(released, folder)
    (paths.releases_folder(folder) / "published.json").write_text("{")
    with browser.serving(create_app(folder)) as url:
        page = httpx.get(f"{url}/releases")
    assert "What is published cannot be read" in text(page)
    assert "dr1" in page.text


@pytest.mark.parametrize(
    ("words", "target"),
    [
        ("sci1", "/frame/sci1"),
        ("T10", "/tile/T10"),
        (" 2017-07-03 ", "/night/2017-07-03"),
        ("T10.r", "/product/coadd/T10.r"),
        ("BIAS.JAST80.toycam.01.-.fast.20170703",
         "/product/master/BIAS.JAST80.toycam.01.-.fast.20170703"),
    ],
)  # fmt: skip
def test_a_name_leads_to_its_page(portal: httpx.Client, words: str, target: str) -> None:
    answer = portal.get("/find", params={"q": words})
    assert answer.status_code == 303
    assert answer.headers["location"] == target
    assert portal.get(target).status_code == 200


def test_the_beginning_of_a_name_lists_what_it_could_be(portal: httpx.Client) -> None:
    page = portal.get("/find", params={"q": "bias"})
    assert re.findall(r'<li><a href="/frame/([^"]+)"', page.text) == [
        "bias1-20170703", "bias2-20170703", "bias9",
    ]  # fmt: skip
    nothing = portal.get("/find", params={"q": "<script>%'"})
    assert nothing.status_code == 200
    assert "&lt;script&gt;" in nothing.text
    assert "Type the name" in portal.get("/find").text
    assert portal.get("/find", params={"q": "x" * 5000}).status_code == 200
