"""The pages of masters and detectors, and the files that they serve."""

from __future__ import annotations

import io
import json
import re
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import httpx
import numpy as np
import pytest
from PIL import Image

from flow import toys
from tesela.config import Calibration
from tesela.ledger import masters, products, schema
from tesela.ledger.engine import Ledger
from tesela.ledger.keys import MasterKey
from tesela.ledger.place import place_of
from tesela.products import paths
from tesela.quality.bands import MonitorSettings
from tesela.quality.series import Series
from tesela.web.portal import (
    create_app,
    detector_plots,
    master,
    product_files,
    states,
    validity,
)
from tesela.web.portal.configured import Configured
from tesela.web.portal.product_files import Listed
from tesela.web.portal.site import OpenSite

from . import browser, portal_site
from .portal_site import DETECTOR, NIGHT


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, str]]:
    """A site with masters, and their keys."""
    site = portal_site.make(tmp_path_factory.mktemp("masters") / "site")
    return site, portal_site.add_calibrations(site)


@pytest.fixture(scope="module")
def keys(made: tuple[Path, dict[str, str]]) -> dict[str, str]:
    return made[1]


@pytest.fixture(scope="module")
def portal(made: tuple[Path, dict[str, str]]) -> Iterator[httpx.Client]:
    with browser.serving(create_app(made[0])) as url, httpx.Client(base_url=url) as client:
        yield client


@pytest.fixture
def copied(made: tuple[Path, dict[str, str]], tmp_path: Path) -> Path:
    """A copy of the site that a test may change."""
    shutil.copytree(made[0], tmp_path / "site")
    return tmp_path / "site"


def text(page: httpx.Response) -> str:
    """What a reader reads, on one line."""
    assert page.status_code == 200, page.text
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", page.text))


def listed(page: httpx.Response) -> list[str]:
    """Keys of the list of masters, in its order."""
    part = page.text[page.text.index('id="list"') :]
    return re.findall(r'<a href="/product/master/([^"]+)"', part)


def ask(site: Path, address: str) -> httpx.Response:
    with browser.serving(create_app(site)) as url:
        return httpx.get(url + address, timeout=30)


# ------------------------------------------------------------------------ the page of masters


def test_masters_are_listed_by_kind_state_filter_detector_and_night(
    portal: httpx.Client, keys: dict[str, str]
) -> None:
    every = listed(portal.get("/masters"))
    assert len(every) == len(set(every)) == 65
    nights = [key[-8:] for key in every]
    assert nights == sorted(nights, reverse=True)
    assert len(listed(portal.get("/masters?kind=BIAS"))) == 31
    assert listed(portal.get("/masters?state=waits")) == [keys["bias"]]
    assert listed(portal.get("/masters?state=rejected")) == [keys["linearity"]]
    assert {key.split(".")[0] for key in listed(portal.get("/masters?filter=r_R1"))} == {
        "FLAT", "ILLUMINATION",
    }  # fmt: skip
    of_mini = listed(portal.get(f"/masters?detector={DETECTOR}&night={NIGHT}"))
    assert set(of_mini) == {keys["bias"], keys["flat"], keys["linearity"]}
    none = portal.get("/masters?kind=FLAT&state=rejected")
    assert "No kind and configuration is like that" in text(none)


def test_versions_that_are_not_served_are_listed_by_their_state(
    copied: Path, keys: dict[str, str]
) -> None:
    ledger = Ledger.open(place_of(copied))
    with ledger.write() as conn:
        flat = products.current(conn, "master", keys["flat"])
        old = products.current(conn, "master", keys["before"])
        assert flat and old
        key = MasterKey.parse(keys["flat"])
        new = products.insert(conn, products.NewProduct("master", keys["flat"], 2))
        masters.add(conn, new, key, masters.Interval(57937.5, 57938.5), n_frames=12)
        masters.set_state(conn, flat["id"], "superseded", "by version 2")
        masters.certify(conn, new)
        products.retire(conn, old["id"], "made with a flagged frame")
        masters.set_state(conn, old["id"], "invalid", "made with a flagged frame")
    ledger.close()
    with browser.serving(create_app(copied)) as url, httpx.Client(base_url=url) as portal:
        assert listed(portal.get("/masters")).count(keys["flat"]) == 1
        assert keys["before"] not in listed(portal.get("/masters"))
        page = portal.get("/masters?state=superseded")
        assert listed(page) == [keys["flat"]]
        assert f"{keys['flat']} version 1" in text(page)
        assert "not served" in text(page)
        page = portal.get("/masters?state=invalid")
        assert listed(page) == [keys["before"]]
        for state, n in (("superseded", 1), ("invalid", 1), ("certified", 62)):
            assert re.search(rf"{state}\s*</span> <span class=\"small\">{n}<", page.text), state


def test_a_failed_gate_and_a_missing_signature_are_told_apart(
    copied: Path, tmp_path: Path, keys: dict[str, str]
) -> None:
    """In words, in colour and in shape; the words of the signature are those of the commit."""
    by_hand = toys.rules(calibration=Calibration(certify=False, unused=("BADPIXEL",)))
    ledger = toys.new_site(tmp_path / "toy")
    toys.add_frames(ledger, tmp_path / "toy", toys.calibration_night(), by_hand)
    toys.controller(ledger, tmp_path / "toy", by_hand).run()
    with ledger.read() as conn:
        reasons = {row["reason"] for row in masters.listed(conn, "BIAS", "proposed")}
    ledger.close()
    assert reasons <= set(states.OF_SIGNATURE)
    assert reasons
    ledger = Ledger.open(place_of(copied))
    with ledger.write() as conn:
        row = products.current(conn, "master", keys["flat"])
        assert row
        masters.set_state(conn, row["id"], "proposed", "scatter is 5 times that of photons")
    ledger.close()
    with browser.serving(create_app(copied)) as url, httpx.Client(base_url=url) as portal:
        failed, waits = (
            portal.get(f"/product/master/{keys[name]}").text for name in ("flat", "bias")
        )
        assert listed(portal.get("/masters?state=proposed")) == [keys["flat"]]
        assert listed(portal.get("/masters?state=waits")) == [keys["bias"]]
    leads = [re.search(r'class="row lead">\s*<span class="mark (\w+)"', p) for p in (failed, waits)]
    assert [lead[1] for lead in leads if lead] == ["bad", "warn"]
    assert "It did not pass: scatter is 5 times that of photons" in failed
    assert "It passed its gates and waits for a person" in waits
    for page in (failed, waits):
        assert "tesela masters certify" in page


@pytest.mark.parametrize("n_rows", [50, 199, 200, 201, 60_000])
@pytest.mark.parametrize("word", ["clear", "n\u00fa\u00f1ez", '"a, b\nc"'])
def test_no_half_row_of_a_table_is_shown(tmp_path: Path, n_rows: int, word: str) -> None:
    head = "image,reason,used\n"
    lines = [f"frame{i:05d},{word},{i % 7}{i % 5}1\n" for i in range(n_rows)]
    path = tmp_path / "images.csv"
    path.write_text(head + "".join(lines), encoding="utf-8", newline="")
    site = open_portal(tmp_path)
    file = Listed("images.csv", "", path.stat().st_size, "")
    found = master.read_table(site, file)
    shown = min(n_rows, 200)
    own = word.strip('"')
    assert found["rows"] == [[f"frame{i:05d}", own, f"{i % 7}{i % 5}1"] for i in range(shown)]
    assert found["is_whole"] == (n_rows <= 200)


@pytest.mark.parametrize("most", range(18, 60))
def test_lines_are_cut_between_bytes_of_whole_lines(tmp_path: Path, most: int) -> None:
    content = "a,b\n\u00fa,\u00f1o\nlast,line of it\nx,y\n"
    (tmp_path / "t.csv").write_text(content, encoding="utf-8")
    found, is_all = product_files.lines(open_portal(tmp_path), Listed("t.csv", "", 0, ""), most)
    assert content.startswith(found)
    assert found.endswith("\n")
    assert len(found.encode()) <= most
    assert is_all == (found == content)


def open_portal(folder: Path) -> OpenSite:
    """A site of which only the folder matters."""
    return cast(OpenSite, SimpleNamespace(folder=folder, file=lambda path: folder / path))


def test_choices_count_what_they_would_leave(portal: httpx.Client) -> None:
    page = portal.get("/masters?kind=FLAT")
    for name, n in re.findall(r'href="/masters\?kind=(\w+)"[^>]*>\w+ <span class="small">(\d+)',
                              page.text):  # fmt: skip
        assert len(listed(portal.get(f"/masters?kind={name}"))) == int(n), name
    assert re.search(r"certified\s*</span> <span class=\"small\">31", page.text), page.text


@pytest.mark.parametrize(
    "query",
    ["kind=MAGIC", "state=wild", "night=2017-13-01", "night=x", "page=0", "page=x",
     "filter=" + "a" * 300, "detector=%00"],
)  # fmt: skip
def test_absurd_choices_are_refused(portal: httpx.Client, query: str) -> None:
    answer = portal.get(f"/masters?{query}")
    assert answer.status_code == 400
    assert "expected" in answer.text


def test_what_is_due_comes_first_with_what_stops_frames_on_top(portal: httpx.Client) -> None:
    page = portal.get("/masters").text
    due = page[page.index('id="due"') : page.index('id="held"')]
    kinds = re.findall(r'<th scope="row">(\w+)</th>', due)
    assert kinds[0] == "FLAT", "the flat of J0378 is missing and required"
    assert "J0378_J1" in due
    assert "2017-07-05" in due, "for the latest night with frames"
    assert re.search(r"fallback\s*</span>", due)
    assert 'href="/product/master/BIAS.JAST80.toycam.01.-.fast.20170703"' in due


def test_bars_show_interventions_of_their_kind_alone(portal: httpx.Client) -> None:
    page = portal.get("/masters").text
    held = page[page.index('id="held"') : page.index('id="list"')]
    rows = dict(re.findall(r'<tr><th scope="row"><a[^>]+>(\w+)</a>(.*?)</tr>', held, re.DOTALL))
    assert "baffle &lt;work&gt;" in rows["ILLUMINATION"]
    assert "baffle" not in rows["BIAS"], "what is done to a baffle leaves biases as they are"
    assert all("latest night, 2017-07-05" in row for row in rows.values())


def test_a_site_without_masters_says_what_to_do(tmp_path: Path) -> None:
    toys.new_site(tmp_path / "site").close()
    (tmp_path / "site" / "survey.toml").write_text(portal_site.SURVEY)
    said = text(ask(tmp_path / "site", "/masters"))
    assert "tesela ingest" in said
    assert "No master was made yet" in said
    assert "The monitors follow nothing yet" in text(ask(tmp_path / "site", "/detectors"))


# --------------------------------------------------------------------------- a master's page


def test_a_master_tells_what_it_stands_on(portal: httpx.Client, keys: dict[str, str]) -> None:
    page = portal.get(f"/product/master/{keys['flat']}")
    said = text(page)
    for fact in (
        "certified", "9 of 12 frames", "response of pixels to the twilight sky",
        "2017-07-03 – 2017-07-04", "1 kept, 1 left out", "saturated &lt;b&gt;half&lt;/b&gt;",
        "The certified master before is of 2017-07-02", "amplifier 5: flat_ratio &lt;lost&gt; 2 %",
    ):  # fmt: skip
        assert fact in said, fact
    assert "<b>half" not in page.text
    assert 'href="/frame/flat1-20170703"' in page.text
    assert said.count("left out: saturated") == 1, "in its version; the table of frames has it"
    row = re.search(r'<tr><th scope="row">5</th>(.*?)</tr>', page.text, re.DOTALL)
    assert row
    assert "alarm" in row[1]


def test_stability_of_other_nights_is_shown_in_their_order(
    portal: httpx.Client, keys: dict[str, str]
) -> None:
    page = portal.get(f"/product/master/{keys['flat']}").text
    part = page[page.index('id="nights"') : page.index('id="amplifiers"')]
    nights = re.findall(r'<span class="num">([\d-]+)</span>', part)
    assert nights == sorted(nights)
    assert nights[-1] == NIGHT
    assert len(nights) == 24
    assert part.count('aria-current="true"') == 1
    small = re.findall(r'<img src="([^"]+small=1)"', part)[-1].replace("&amp;", "&")
    picture = Image.open(io.BytesIO(portal.get(small).content))
    assert max(picture.size) <= 480


def test_an_illumination_has_its_plots_tables_and_other_epochs(
    portal: httpx.Client, keys: dict[str, str]
) -> None:
    page = portal.get(f"/product/master/{keys['after']}")
    said = text(page)
    titles = re.findall(r"<h3>([^<]+)</h3>\s*<a href=\"/product", page.text)
    assert titles == ["\u0394mag map", "Trumpet"]
    assert "P1(x) P0(y) 3.5000 0.1000" in said
    assert "&lt;script&gt;clouds" in page.text
    assert "<script>clouds" not in page.text
    assert "data as CSV" in said
    assert "change previous 0.0123 mag" in said
    assert "n stars 20000" in said
    epochs = page.text[page.text.index('id="nights"') :]
    assert re.findall(r'<span class="num">([\d-]+)</span>', epochs)[:2] == [
        "2017-06-04", "2017-06-16",
    ]  # fmt: skip
    assert 'href="/product/master/' + keys["before"] in epochs


def test_a_proposed_master_says_how_to_judge_it(portal: httpx.Client, keys: dict[str, str]) -> None:
    assert f"tesela masters certify {keys['bias']}" in text(
        portal.get(f"/product/master/{keys['bias']}")
    )
    rejected = portal.get(f"/product/master/{keys['linearity']}")
    assert "lamp faded" in text(rejected)
    assert 'class="held is-own is-open"' in rejected.text
    assert "is-open" not in portal.get(f"/product/master/{keys['flat']}").text


def test_a_master_that_was_retired_shows_its_last_version(
    copied: Path, keys: dict[str, str]
) -> None:
    ledger = Ledger.open(place_of(copied))
    with ledger.write() as conn:
        row = products.current(conn, "master", keys["flat"])
        assert row
        products.retire(conn, row["id"], "dust")
    ledger.close()
    said = text(ask(copied, f"/product/master/{keys['flat']}"))
    assert "no version is served; this was the last" in said
    assert "1 kept" in said


def test_metrics_of_any_form_do_not_break_the_page(copied: Path, keys: dict[str, str]) -> None:
    strange = [
        {"amplifiers": [{"amp": "x"}, 3, {"amp": 2, "level_adu": None, "list": [1]}]},
        {"amplifiers": "none", "rejected": ["a"]},
        {"rejected": {"../x": "<i>", "": ""}, "nan": float("nan"), "deep": {"a": {}}},
        [1],
    ]
    for metrics in strange:
        ledger = Ledger.open(place_of(copied))
        with ledger.write() as conn:
            row = products.current(conn, "master", keys["flat"])
            assert row
            table = schema.quality
            conn.execute(
                table.update()
                .where(table.c.product_id == row["id"])
                .values(metrics_json=json.dumps(metrics))
            )
        ledger.close()
        page = ask(copied, f"/product/master/{keys['flat']}")
        assert page.status_code == 200
        assert "<i>" not in page.text


# ----------------------------------------------------------------------------- files of pages


def addresses(page: httpx.Response) -> dict[str, str]:
    """Addresses of the files on a page, by name."""
    found = re.findall(r'"(/product/[^"]+/files/[^"]+)"', page.text)
    return {
        one.rpartition("/")[2].partition("?")[0]: one.replace("&amp;", "&")
        for one in found
        if "small" not in one
    }


def test_files_of_a_master_are_served_as_what_they_are(
    made: tuple[Path, dict[str, str]], portal: httpx.Client
) -> None:
    site, keys = made
    found = addresses(portal.get(f"/product/master/{keys['after']}"))
    types = {
        "map.png": "image/png", "map.json": "application/json",
        "trumpet.csv": "text/csv; charset=utf-8", f"{keys['after']}.v1.fits": "application/fits",
    }  # fmt: skip
    for name, kind in types.items():
        answer = portal.get(found[name])
        assert answer.status_code == 200
        assert answer.headers["content-type"] == kind
        assert answer.headers["content-disposition"].startswith("inline")
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert "default-src 'none'" in answer.headers["content-security-policy"]
        assert "immutable" in answer.headers["cache-control"]
        own = paths.master(keys["after"], 1)
        if not name.endswith(".fits"):
            own = paths.master_page(keys["after"], 1, name)
        assert answer.content == (site / own).read_bytes()
    unversioned = portal.get(found["map.png"].partition("?")[0])
    assert unversioned.headers["cache-control"] == "no-cache"


def test_only_listed_files_are_served(
    made: tuple[Path, dict[str, str]], portal: httpx.Client
) -> None:
    site, keys = made
    folder = site / paths.master_page(keys["after"], 1, "map.png").parent
    (folder / "secret.txt").write_text("not listed")
    base = f"/product/master/{keys['after']}/files/1"
    other = f"{keys['before']}.v1.fits"
    for name in (
        "secret.txt", "..%2f..%2f..%2f..%2fsurvey.toml", "%2e%2e%2fmap.png", "%2fetc%2fpasswd",
        "map.png%2f..%2fmap.png", ".", "map.PNG", other, "products",
    ):  # fmt: skip
        answer = portal.get(f"{base}/{name}")
        assert answer.status_code == 404, name
        assert "not listed" not in answer.text
    for version in ("2", "0", "x", "1e0", "-1", "9" * 40):
        assert (
            portal.get(f"/product/master/{keys['after']}/files/{version}/map.png").status_code
            == 404
        )
    for kind, key in (
        ("raw", "sci1"),
        ("coadd", "T10.r"),
        ("master", "nobody"),
        ("reduced", "sci1"),
    ):
        for name in ("sci1.fits", "T10.r.v1.txt", "map.png"):
            assert portal.get(f"/product/{kind}/{key}/files/1/{name}").status_code == 404
    assert portal.get(f"{base}/a%00b").status_code == 400


def test_what_a_row_lists_outside_the_site_or_twice_is_not_served(
    copied: Path, keys: dict[str, str], tmp_path: Path
) -> None:
    outside = tmp_path / "outside.txt"
    outside.write_text("secret")
    page = copied / paths.master_page(keys["after"], 1, "map.png")
    page.unlink()
    page.symlink_to(outside)
    gone = copied / paths.master_page(keys["after"], 1, "map.json")
    gone.unlink()
    ledger = Ledger.open(place_of(copied))
    with ledger.write() as conn:
        row = products.current(conn, "master", keys["after"])
        assert row
        entries = [
            *json.loads(row["files_json"]),
            [str(outside), "0" * 64, 6], ["../outside.txt", "0" * 64, 6],
            ["a/twice.png", "", 1], ["b/twice.png", "", 1], ["../outside.bin", "", 6],
        ]  # fmt: skip
        table = schema.product
        conn.execute(
            table.update().where(table.c.id == row["id"]).values(files_json=json.dumps(entries))
        )
    ledger.close()
    (tmp_path / "outside.bin").write_text("secret")
    for name in ("map.png", "map.json", "outside.txt", "outside.bin", "twice.png"):
        answer = ask(copied, f"/product/master/{keys['after']}/files/1/{name}")
        assert answer.status_code == 404, name
        assert "secret" not in answer.text
    assert ask(copied, f"/product/master/{keys['after']}").status_code == 200


def test_a_damaged_picture_is_served_whole_where_it_cannot_be_made_small(
    copied: Path, keys: dict[str, str]
) -> None:
    page = copied / paths.master_page(keys["flat"], 1, "ratio.png")
    page.write_bytes(b"damaged")
    answer = ask(copied, f"/product/master/{keys['flat']}/files/1/ratio.png?small=1")
    assert answer.status_code == 200
    assert answer.content == b"damaged"


# --------------------------------------------------------------------------------- detectors


def test_detectors_are_listed_with_what_was_raised(
    portal: httpx.Client, keys: dict[str, str]
) -> None:
    page = portal.get("/detectors")
    said = text(page)
    assert "2 alarms" in said
    assert "1 warning" in said
    assert f'href="/detector/{DETECTOR}"' in page.text
    alerts = page.text[page.text.index('id="alerts"') :]
    nights = re.findall(r'href="/night/([\d-]+)"', alerts)
    assert nights == ["2017-07-03", "2017-07-02", "2017-07-01"]
    assert f'href="/product/master/{keys["flat"]}"' in alerts
    assert "&lt;lost&gt;" in alerts


def test_a_detector_shows_levels_alerts_and_every_quantity(
    portal: httpx.Client, keys: dict[str, str]
) -> None:
    page = portal.get(f"/detector/{DETECTOR}")
    cells = page.text[page.text.index('aria-labelledby="levels-t') : page.text.index('id="alerts"')]
    assert re.findall(r'<a href="/night/([\d-]+)"[^>]*aria-label="[^"]*: (\w+)"', cells) == [
        ("2017-07-01", "warning"), ("2017-07-02", "alarm"), ("2017-07-03", "alarm"),
    ]  # fmt: skip
    for quantity in ("bias level", "flat ratio", "temperature"):
        assert f"{quantity}: " in text(page)
    plot = page.text[page.text.index('id="flat_ratio-FLAT"') :]
    assert len(re.findall(r'class="raised is-alarm"', plot)) == 2
    assert f'href="/product/master/{keys["flat"]}"' in plot
    assert plot.count('class="dots"') >= 16
    fewer = text(portal.get(f"/detector/{DETECTOR}?nights=30&until=2017-06-20"))
    assert "2017-06-04 to 2017-06-20" in fewer
    assert "nothing was raised in these 17 nights" in fewer


def test_values_come_as_a_table(portal: httpx.Client) -> None:
    page = portal.get(f"/detector/{DETECTOR}")
    address = re.search(r'href="([^"]+values\.csv[^"]+metric=flat_ratio[^"]+)"', page.text)
    assert address
    answer = portal.get(address[1].replace("&amp;", "&"))
    assert answer.headers["content-type"].startswith("text/csv")
    lines = answer.text.splitlines()
    assert lines[0] == "night,amp,flat_ratio,error,frames,level,reason"
    assert len(lines) == 1 + 30 * 16
    assert answer.text.count(",2,") >= 2


def test_unknown_detectors_and_absurd_questions_get_the_usual_pages(portal: httpx.Client) -> None:
    for address in (
        "/detector/nobody", "/detector/..%2fx", f"/detector/{DETECTOR}?until=2016-01-01",
        f"/detector/{DETECTOR}/values.csv?metric=gain&source=FLAT",
    ):  # fmt: skip
        assert portal.get(address).status_code == 404, address
    for query in ("nights=7", "until=x", "filter=%00", "nights="):
        assert portal.get(f"/detector/{DETECTOR}?{query}").status_code == 400, query
    for query in ("", "metric=magic&source=FLAT", "metric=gain&source=.."):
        assert portal.get(f"/detector/{DETECTOR}/values.csv?{query}").status_code == 400, query


def test_nights_count_what_the_monitors_raised(portal: httpx.Client) -> None:
    night = portal.get(f"/night/{NIGHT}")
    assert "1 alarm raised by the monitors" in text(night)
    assert f'href="/detector/{DETECTOR}?' in night.text
    assert f'href="/masters?night={NIGHT}"' in night.text
    quiet = text(portal.get("/night/2017-07-05"))
    assert "The monitors raised nothing" in quiet
    front = portal.get("/?month=2017-07")
    assert re.search(rf'href="/night/{NIGHT}#alerts"[^>]*>.*?1 alarm', front.text, re.DOTALL)
    assert text(front).count("1 alarm") == 2, "in the calendar and in the list"


def test_a_rejected_master_is_silent(copied: Path, keys: dict[str, str]) -> None:
    ledger = Ledger.open(place_of(copied))
    with ledger.write() as conn:
        row = products.current(conn, "master", keys["flat"])
        assert row
        masters.set_state(conn, row["id"], "rejected", "dust")
    ledger.close()
    assert "The monitors raised nothing" in text(ask(copied, f"/night/{NIGHT}"))
    assert "2017-07-03 alarm" not in text(ask(copied, "/detectors"))


def test_pages_stay_fast_with_a_year_of_nights(tmp_path: Path) -> None:
    """Half a second of this process's time, whatever else the machine does."""
    site = portal_site.make(tmp_path / "site")
    keys = portal_site.add_calibrations(site, nights=200)
    with browser.serving(create_app(site)) as url, httpx.Client(base_url=url, timeout=60) as client:
        for address in (
            "/masters", f"/detector/{DETECTOR}", "/detectors", f"/product/master/{keys['flat']}",
        ):  # fmt: skip
            took = []
            for _ in range(3):
                begin = time.process_time()
                assert client.get(address).status_code == 200
                took.append(time.process_time() - begin)
            assert min(took) < 0.5, f"{address}: {took}"


# ----------------------------------------------------------------------------- what is drawn


@pytest.mark.parametrize("days", [1.5, 9, 40, 200, 800, 5000])
def test_dates_are_round_in_order_and_inside(days: float) -> None:
    begin = 57937.3
    found = validity.date_ticks(begin, begin + days, 9)
    instants = [at for at, _ in found]
    assert instants == sorted(set(instants))
    assert all(begin <= at <= begin + days and at == int(at) for at in instants)
    assert 1 <= len(found) <= 12
    assert all(validity.day(at).startswith(label) for at, label in found)


def test_the_axis_holds_the_latest_night_and_is_not_drowned_by_the_past() -> None:
    axis = validity.Axis.around(50000.0, 60000.0, most_days=400.0, now=57000.0)
    assert axis.begin < 57000.0 < axis.end
    assert axis.end - axis.begin < 700
    assert validity.Axis.around(57000.0, 57000.0, most_days=400.0, now=57000.0).begin < 57000.0


def test_masters_that_follow_each_other_are_drawn_apart_until_they_are_too_many() -> None:
    axis = validity.Axis(0.0, 100.0)

    def bars(n: int) -> int:
        spans = [validity.Span(100 * i / n, 100 * (i + 1) / n) for i in range(n)]
        found = re.search(r'class="held" d="([^"]+)"', validity.row("x", "t", spans, [], axis))
        assert found
        return found[1].count("M")

    assert bars(10) == 10
    assert bars(2000) < 150
    assert 'class="held"' not in validity.row("x", "t", [], [], axis)


def test_amplifiers_are_drawn_as_they_lie_on_the_ccd_and_the_rest_below() -> None:
    from tesela.cameras.camera import load

    camera = load("mini80")
    amps = [0, *(amp.id for amp in camera.amplifiers), 99]
    places = detector_plots.layout(camera, amps)
    assert len(set(places.values())) == len(amps)
    assert places[1][1] < places[2][1]
    assert places[9][0] < places[1][0], "amplifier 9 is above 1"
    assert places[0][0] == places[99][0] > max(places[amp][0] for amp in range(1, 17))
    assert len(set(detector_plots.layout(None, amps).values())) == len(amps)


def test_bands_begin_anew_after_an_intervention() -> None:
    nights = tuple(f"2017-06-{day:02d}" for day in range(1, 29))
    rng = np.random.default_rng(3)
    values = np.r_[np.full(14, 1000.0), np.full(14, 1200.0)][:, None] + rng.normal(0, 0.5, (28, 1))
    table = Series(nights, (1,), values, np.full((28, 1), 0.5), np.zeros((28, 1), np.int64))

    def middle(epochs: list[int]) -> float:
        drawn = detector_plots.with_bands(
            "bias_level", table, "2017-06-20", epochs, MonitorSettings(), {}
        )
        assert drawn.table.nights == nights[19:]
        assert drawn.centre.shape == (9, 1)
        return float(drawn.centre[-1, 0])

    assert middle([0] * 14 + [1] * 14) == pytest.approx(1200, abs=1)
    assert middle([0] * 28) < 1150


def test_configurations_of_any_form_have_words() -> None:
    whole = Configured("JAST80.t80cam.01.rSDSS_9.fast")
    assert (whole.filter, whole.detector) == ("rSDSS_9", "JAST80.t80cam.01.-.fast")
    assert whole.band(("r", "rSDSS")) == "rSDSS"
    assert whole.band(("r",)) == ""
    for odd in ("", "a", "<b>", "a.b.c.d.e.f"):
        assert Configured(odd).detector == Configured(odd).detector_words == odd
        assert Configured(odd).filter == ""
