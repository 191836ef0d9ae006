"""A frame that is not reduced yet shows what its quick look said."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from pathlib import Path

import httpx
import numpy as np
import pytest
from PIL import Image

from tesela.ledger import products
from tesela.ledger.engine import Ledger
from tesela.ledger.place import place_of
from tesela.products import paths, preview
from tesela.products.catalogue import write_parquet
from tesela.products.files import sha256_of, write_jpeg
from tesela.web.portal import PortalSettings, create_app

from . import browser, portal_site

VIOLET = (150, 90, 255)


def put_look(ledger: Ledger, folder: Path, name: str, reason: str, *, has_image: bool) -> None:
    """Enter a quick look as its commit does."""
    path = folder / paths.quicklook(name, "2017-07-03", 1)
    path.parent.mkdir(parents=True, exist_ok=True)
    written = [path, paths.picture(path)]
    write_parquet(path, {"x": np.arange(3.0)}, {"frame": name})
    write_jpeg(written[1], np.full((480, 600, 3), VIOLET, np.uint8))
    if has_image:
        image = np.random.default_rng(1).normal(0, 3, (48, 60)).astype(np.float32)
        written.append(paths.preview(path))
        preview.write(written[2], {8: (image, np.zeros((48, 60), np.uint8))}, 3.0)
    files = tuple((str(p.relative_to(folder)), sha256_of(p), p.stat().st_size) for p in written)
    with ledger.write() as conn:
        new = products.NewProduct(
            "quicklook", name, 1, path=files[0][0], files=files, checksum=files[0][1],
            warnings=("no certified FLAT of it: not flattened",),
        )  # fmt: skip
        raw = products.current(conn, "raw", name)
        assert raw is not None
        made = products.insert(conn, new, [(raw["id"], "evidence")])
        metrics = {"fwhm_arcsec": 2.34, "sky_e": 80.0, "zeropoint_mag": None, "level_adu": 60.0}
        products.add_quality(conn, made, metrics, rejections=[reason] if reason else [])


@pytest.fixture(scope="module")
def portal(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    """The site after quick looks of a frame that waits, one that is due, a bias and one that is
    reduced."""
    folder = portal_site.make(tmp_path_factory.mktemp("looked") / "site")
    ledger = Ledger.open(place_of(folder))
    put_look(ledger, folder, "sci6", "", has_image=True)
    put_look(ledger, folder, "sci7", "clouds: 12 % of the usual light", has_image=True)
    put_look(ledger, folder, "bias1-20170703", "", has_image=False)
    put_look(ledger, folder, "sci1", "", has_image=True)
    ledger.close()
    app = create_app(folder, PortalSettings(keep_pictures=False))
    with browser.serving(app) as url, httpx.Client(base_url=url) as client:
        yield client


def text_of(portal: httpx.Client, address: str) -> str:
    answer = portal.get(address)
    assert answer.status_code == 200
    return " ".join(re.sub(r"<[^>]+>", " ", answer.text).split())


def test_the_page_says_whether_it_passed_and_why_not(portal: httpx.Client) -> None:
    assert "Not reduced yet. The quick look passed" in text_of(portal, "/frame/sci6")
    bad = text_of(portal, "/frame/sci7")
    assert "The quick look did not pass: clouds: 12 % of the usual light" in bad
    assert "2.34 arcsec" in bad
    assert "quicklook: warning: no certified FLAT" in bad
    assert "Not reduced yet" not in text_of(portal, "/frame/sci1")
    assert "quick look passed" in text_of(portal, "/frame/bias1-20170703")


def test_the_picture_is_that_of_the_look(portal: httpx.Client) -> None:
    small = portal.get("/frame/sci6/picture.jpg?size=320")
    picture = np.asarray(Image.open(io.BytesIO(small.content)))
    assert np.allclose(picture.mean(axis=(0, 1)), VIOLET, atol=4)
    large = portal.get("/frame/sci6/picture.jpg?size=1280")
    assert large.headers["content-type"] == "image/jpeg"
    page = portal.get("/frame/sci6").text
    assert ">quick look</a>" in page
    assert "of=raw" in page
    for url in re.findall(r'<img src="(/frame/sci6[^"]+)"', page):
        assert portal.get(url.replace("&amp;", "&")).headers["content-type"] == "image/jpeg"


def test_a_look_without_an_image_leaves_the_raw_one(portal: httpx.Client) -> None:
    picture = portal.get("/frame/bias1-20170703/picture.jpg?size=320")
    assert picture.headers["content-type"] == "image/jpeg"
    shown = np.asarray(Image.open(io.BytesIO(picture.content)))
    assert not np.allclose(shown.mean(axis=(0, 1)), VIOLET, atol=4)


def test_a_reduced_frame_shows_its_reduction(portal: httpx.Client) -> None:
    picture = portal.get("/frame/sci1/picture.jpg?size=320")
    shown = np.asarray(Image.open(io.BytesIO(picture.content)))
    assert not np.allclose(shown.mean(axis=(0, 1)), VIOLET, atol=4)


def test_the_night_shows_its_numbers_until_there_is_a_reduction(portal: httpx.Client) -> None:
    page = portal.get("/night/2017-07-03").text
    rows = {name: row for row in page.split("<tr>") for name in re.findall(r"/frame/([^\"]+)", row)}
    assert ">2.34<" in rows["sci6"] and rows["sci6"].count("quick look") == 1
    assert "quick look: clouds: 12 % of the usual light" in rows["sci7"]
    assert ">2.34<" not in rows["sci1"] and "quick look" not in rows["sci1"]
