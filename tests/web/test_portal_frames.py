"""The page of a frame and its pictures."""

from __future__ import annotations

import io
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import httpx
import numpy as np
import pytest
from PIL import Image

from tesela.errors import BadInput, ProductError
from tesela.ledger import frames, schema
from tesela.ledger.engine import Ledger
from tesela.ledger.place import place_of
from tesela.pixels.thumbnail import MASK_COLOURS
from tesela.products import files, paths
from tesela.products.files import Hdu
from tesela.products.maskbit import MEANING, MaskBit
from tesela.sky.wcs import Wcs
from tesela.web.portal import PortalSettings, create_app, orientation, pictures
from tesela.web.portal.frame import legend
from tesela.web.portal.pictures import Look, Subject

from . import browser, portal_site

PART = {"HX-Request": "true", "HX-Request-Type": "partial"}


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return portal_site.make(tmp_path_factory.mktemp("portal") / "site")


@pytest.fixture(scope="module")
def portal(site: Path) -> Iterator[httpx.Client]:
    with browser.serving(create_app(site)) as url, httpx.Client(base_url=url) as client:
        yield client


def pixels(answer: httpx.Response) -> np.ndarray:
    """The picture of an answer, (h, w, 3)."""
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "image/jpeg"
    return np.asarray(Image.open(io.BytesIO(answer.content)))


def address_of_picture(page: httpx.Response) -> str:
    """Address of the picture on a page."""
    found = re.search(r'<img src="([^"]+picture\.jpg[^"]*)"', page.text)
    assert found, page.text
    return found[1].replace("&amp;", "&")


def test_a_frame_tells_what_it_is_and_what_became_of_it(portal: httpx.Client) -> None:
    page = portal.get("/frame/sci1")
    assert page.status_code == 200
    for fact in (
        "raw/2017-07-03/sci1.fits", "products/reduced/sci1.v1.fits", "1.25 <small>arcsec",
        "24.500 <small>mag", "JAST80, toycam, CCD 01", "BIAS.JAST80.toycam.01.-.fast.20170703",
        'href="/product/master/FLAT.JAST80.toycam.01.r_R1.fast.20170703"', 'href="/tile/T10"',
        'href="/product/coadd/T10.r"', "attempt 1 of reduce: done", "valid then",
    ):  # fmt: skip
        assert fact in page.text, fact


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("sci2", ("did not pass", "too wide")),
        ("sci3", ("flagged", "trail: bright", "(ana)")),
        ("sci4", ("ZeroDivisionError", "tesela retry sci4")),
        ("sci5", ("skipped", "3 stars")),
        ("sci6", ("no certified FLAT of JAST80.toycam.01.J0378_J1.fast", "&lt;b&gt;M 31")),
        ("sci7", ("due", "frame ingested")),
        ("bias9", ("in no master", "bias")),
        ("flat1-20170703", ("in a master", "coadd (")),
    ],
)
def test_a_frame_says_why_it_is_as_it_is(
    portal: httpx.Client, name: str, words: tuple[str, ...]
) -> None:
    page = portal.get(f"/frame/{name}")
    assert page.status_code == 200
    for word in words:
        assert word in page.text, word


def test_what_was_left_out_is_not_told_as_done(site: Path, portal: httpx.Client) -> None:
    ledger = Ledger.open(place_of(site))
    with ledger.write() as conn:
        table = schema.product
        made = table.update().where(table.c.kind == "reduced", table.c.key == "sci1")
        conn.execute(made.values(operations_json='["overscan", "no dark", "flat"]'))
    ledger.close()
    page = portal.get("/frame/sci1").text
    assert "Done to its pixels: overscan, flat. Not done: dark." in page
    of_dark = page.partition("<h3>DARK</h3>")[2].partition("<h3>")[0]
    assert "<li>none, the image goes without</li>" in of_dark
    of_bias = page.partition("<h3>BIAS</h3>")[2].partition("<h3>")[0]
    assert "goes without" not in of_bias


def test_unknown_frames_and_tricks_with_paths_find_nothing(portal: httpx.Client) -> None:
    for name in ("nobody", "..%2f..%2fsurvey.toml", "%2e%2e%2fledger.sqlite", "a" * 150):
        for end in ("", "/header", "/picture.jpg"):
            assert portal.get(f"/frame/{name}{end}").status_code == 404
    for name in ("a" * 300, "x%00y", "x%0ay"):
        assert portal.get(f"/frame/{name}").status_code == 400


def test_a_refused_file_is_found_with_its_reason(site: Path, portal: httpx.Client) -> None:
    assert "Nothing begins with" in portal.get("/find?q=lost1").text
    ledger = Ledger.open(place_of(site))
    with ledger.write() as conn:
        frames.refuse(conn, "/in/lost1.fits", "", "lost1.fits: no card <EXPTIME>")
    ledger.close()
    for words in ("lost1", "lost1.fits"):
        page = portal.get(f"/find?q={words}")
        assert page.status_code == 200
        assert "lost1.fits: no card &lt;EXPTIME&gt;" in page.text
        assert "/in/lost1.fits" in page.text


def test_the_picture_shows_the_mask_and_can_hide_it(portal: httpx.Client) -> None:
    shown = pixels(portal.get("/frame/sci1/picture.jpg?mask=defects&size=640"))
    hidden = pixels(portal.get("/frame/sci1/picture.jpg?mask=none&size=640"))
    assert shown.shape == (portal_site.NY, portal_site.NX, 3)
    block = np.s_[portal_site.NY - 38 : portal_site.NY - 32, 42:48]  # the picture's top is y = NY
    colour = np.array(MASK_COLOURS[2])
    assert np.abs(shown[block].mean(axis=(0, 1)) - colour).max() < 60
    assert np.ptp(hidden[block].mean(axis=(0, 1))) < 10, "grey without the mask"


def test_sources_are_coloured_only_if_asked_for(portal: httpx.Client) -> None:
    source = np.s_[portal_site.NY - 14 : portal_site.NY - 10, 20:24]

    def is_blue(query: str) -> bool:
        shown = pixels(portal.get(f"/frame/sci1/picture.jpg?size=640{query}"))
        red, _, blue = shown[source].mean(axis=(0, 1))
        return bool(blue > red + 20)

    assert is_blue("&mask=all")
    assert not is_blue("")
    assert not is_blue("&mask=none")
    usual, everything, plain = (
        portal.get(f"/frame/sci1?mask={mask}").text for mask in ("defects", "all", "none")
    )
    assert "inside a detected source" in everything
    assert "<b>object</b>" not in usual
    assert "inside a detected source are not coloured" in usual
    assert "<b>saturated</b>" in usual
    assert "<b>saturated</b>" not in plain
    assert "not coloured" not in everything + plain


def test_the_sky_is_given_in_one_quantity(portal: httpx.Client) -> None:
    """120 electrons in 60 s are 2 a second, on the frame's page as on the night's."""
    night = portal.get(f"/night/{portal_site.NIGHT}").text
    row = re.search(r'<tr>(?:(?!</tr>).)*/frame/sci1"(?:(?!</tr>).)*</tr>', night, re.DOTALL)
    found = re.search(r"<dt>sky</dt><dd>([\d.]+) <small>([^<]+)</small>",
                      portal.get("/frame/sci1").text)  # fmt: skip
    assert row
    assert found
    assert f'<td class="n">{found[1]}</td>' in row[0]
    assert f"Sky / {found[2]}" in night


@pytest.mark.parametrize("parity", [-1, 1])
@pytest.mark.parametrize("angle_deg", [0, 90, -90, 180, 30, -120, 2])
def test_north_and_east_are_where_the_file_puts_them(
    tmp_path: Path, parity: int, angle_deg: float
) -> None:
    wcs = Wcs.tangent_plane(150.0, 2.0, 1.0, (50, 50), position_angle_deg=angle_deg, parity=parity)
    path = tmp_path / "coadd.fits"
    cards = [(key, value, "") for key, value in wcs.to_cards().items()]
    files.write_fits(path, [Hdu("IMAGE", np.zeros((50, 50), np.float32), cards)])
    said = orientation.said(Subject("coadd", path, "0" * 64))
    for name, ra, dec in (("North", 150.0, 2.003), ("east", 150.003, 2.0)):
        x, y = wcs.sky_to_pix(ra, dec)
        turned = np.degrees(np.arctan2(-(float(x) - 24.5), float(y) - 24.5))
        nearest = round(turned / 90)
        if abs(turned - 90 * nearest) < 3:
            where = ("up", "to the left", "down", "to the right")[nearest % 4]
        else:
            where = f"{abs(turned):.0f}° {'left' if turned > 0 else 'right'} of up"
        assert f"{name} is {where}" in said


def test_a_picture_without_place_on_the_sky_says_how_its_pixels_lie(portal: httpx.Client) -> None:
    for name in ("bias1-20170703", "sci1", "sci2"):  # sci1 has no such cards, sci2 no FITS file
        page = portal.get(f"/frame/{name}").text
        assert "x to the right, y up." in page
        assert "North" not in page


def test_a_frame_without_image_shows_its_raw_pixels(portal: httpx.Client) -> None:
    page = portal.get("/frame/bias1-20170703")
    address = address_of_picture(page)
    assert "of=raw" in address
    assert pixels(portal.get(address)).shape == (portal_site.NY, portal_site.NX, 3)
    both = [portal.get(f"/frame/sci1/picture.jpg?of={of}").content for of in ("raw", "reduced")]
    assert both[0] != both[1]


def test_the_picture_changes_alone_when_htmx_asks(portal: httpx.Client) -> None:
    part = portal.get("/frame/sci1?stretch=linear&mask=none&size=1280", headers=PART)
    assert part.text.lstrip().startswith('<figure id="picture"')
    assert "stretch=linear&amp;mask=none&amp;size=1280" in part.text
    assert "Colours of the mask" not in part.text
    assert "Colours of the mask" in portal.get("/frame/sci1", headers=PART).text


def test_only_versioned_addresses_are_kept_by_browsers(portal: httpx.Client) -> None:
    versioned = portal.get(address_of_picture(portal.get("/frame/sci1")))
    assert "immutable" in versioned.headers["cache-control"]
    for query in ("", "?v=", "?v=000000000000"):
        answer = portal.get(f"/frame/sci1/picture.jpg{query}")
        assert answer.headers["cache-control"] == "no-cache"


def test_pictures_are_made_once(site: Path, portal: httpx.Client) -> None:
    address = "/frame/sci1/picture.jpg?stretch=linear&mask=none&size=160"
    first = portal.get(address).content
    kept = list(paths.pictures_folder(site).glob("*/*-linear-none-160.jpg"))
    assert len(kept) == 1
    assert kept[0].read_bytes() == first
    kept[0].write_bytes(b"kept")
    assert portal.get(address).content == b"kept"
    kept[0].unlink()
    kept[0].mkdir()
    assert portal.get(address).content == first, "what cannot be read is made anew"
    kept[0].rmdir()
    assert portal.get(address).content == first, "the same file gives the same picture"
    assert not list(paths.pictures_folder(site).rglob("*.part"))


def test_pictures_need_no_place_to_be_kept(site: Path, tmp_path: Path) -> None:
    folder = tmp_path / "site"
    shutil.copytree(site, folder)
    shutil.rmtree(folder / "cache", ignore_errors=True)
    (folder / "cache").write_text("not a folder")
    for keep in (True, False):
        with browser.serving(create_app(folder, PortalSettings(keep_pictures=keep))) as url:
            assert httpx.get(f"{url}/frame/sci1/picture.jpg?size=160").status_code == 200
    assert (folder / "cache").read_text() == "not a folder"


def test_the_picture_of_the_reduction_is_taken_where_it_serves(site: Path) -> None:
    path = site / "products" / "reduced" / "sci1.v1.fits"
    beside = paths.picture(path)
    subject = Subject("reduced", path, "0" * 64, beside)
    violet = (150, 90, 255)

    def is_violet(look: Look) -> bool:
        picture = Image.open(io.BytesIO(pictures.jpeg(subject, look, None)))
        assert max(picture.size) <= look.size
        return np.allclose(np.asarray(picture).mean(axis=(0, 1)), violet, atol=4)

    own = pictures.jpeg(subject, Look(), None)
    Image.new("RGB", (600, 480), violet).save(beside)
    try:
        assert all(is_violet(Look(size=size)) for size in (160, 320, 640))
        for other in (Look(size=1280), Look(mask="none"), Look(mask="all"), Look(stretch="linear")):
            assert not is_violet(other)
        beside.write_bytes(b"damaged")
        assert pictures.jpeg(subject, Look(), None) == own
    finally:
        beside.unlink()


def test_the_picture_of_ingest_is_taken_for_a_small_raw_one(tmp_path: Path) -> None:
    small = tmp_path / "raw.jpg"
    Image.new("RGB", (320, 300), (90, 90, 90)).save(small)
    subject = Subject("raw", tmp_path / "gone.fits", "0" * 64, small)
    for look in (Look(), Look(size=160), Look(mask="none")):
        assert max(Image.open(io.BytesIO(pictures.jpeg(subject, look, None))).size) <= look.size
    for look in (Look(size=640), Look(stretch="linear")):
        with pytest.raises(BadInput, match="no such file"):
            pictures.jpeg(subject, look, None)


@pytest.mark.parametrize(
    ("name", "reason"), [("sci2", "FITS"), ("sci7", "begins with"), ("gone", "no such file")]
)
def test_a_missing_or_damaged_file_is_told_in_the_picture(
    site: Path, portal: httpx.Client, name: str, reason: str
) -> None:
    if name == "gone":
        name = "bias9"
        (site / "raw" / "2017-07-05" / "bias9.fits").unlink(missing_ok=True)
    answer = portal.get(f"/frame/{name}/picture.jpg")
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("image/svg+xml")
    assert answer.headers["cache-control"] == "no-store"
    assert reason in re.sub(r"<[^>]+>", " ", answer.text)
    assert "nosniff" in answer.headers["x-content-type-options"]


def test_a_placeholder_is_text_whatever_the_reason_holds() -> None:
    svg = pictures.placeholder("<b>", ProductError("x", found="<script>&", do="y" * 400)).decode()
    assert "<script>" not in svg
    assert "&lt;script&gt;" in svg
    assert "<b>" not in svg


@pytest.mark.parametrize(
    "query", ["size=99999", "size=-1", "size=x", "size=", "mask=1", "stretch=log", "of=both"]
)
def test_absurd_looks_are_refused(portal: httpx.Client, query: str) -> None:
    for address in ("/frame/sci1", "/frame/sci1/picture.jpg"):
        answer = portal.get(f"{address}?{query}")
        assert answer.status_code == 400
        assert "expected" in answer.text


def test_only_images_have_pictures(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="no image"):
        pictures.jpeg(Subject("catalogue", tmp_path / "x", ""), Look(), None)


def test_looks_survive_their_address() -> None:
    for look in (Look(), Look("linear", "all", 2048)):
        query = dict(part.split("=") for part in look.query.split("&"))
        assert Look.of_query(query) == look


def test_the_legend_is_that_of_the_mask() -> None:
    rows = legend()
    assert [row["meaning"] for row in rows] == [MEANING[bit] for bit in MaskBit]
    assert rows[1]["colour"] == "#ffcd28"
    assert len({row["colour"] for row in rows}) == 7


def test_the_header_is_shown_or_the_reason_told(portal: httpx.Client) -> None:
    page = portal.get("/frame/sci1/header")
    assert "<code>MAGZP</code>" in page.text
    assert "25.0" in page.text
    assert "no reduced image" in portal.get("/frame/sci7/header").text
    damaged = portal.get("/frame/sci2/header")
    assert damaged.status_code == 200
    assert "expected a whole FITS file" in damaged.text
