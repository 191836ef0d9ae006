"""Search: results sorted and paged over all rows, files of them, fragments, refusals."""

from __future__ import annotations

import csv
import html
import io
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import httpx
import numpy as np
import pyarrow.parquet as pq
import pytest
from astropy.io import votable

from tesela.errors import BadInput
from tesela.sciencedb.release import Release
from tesela.vo.settings import VoSettings
from tesela.web.archive import listing, search
from tesela.web.archive.app import create_app
from tesela.web.archive.search import Query, parse
from tesela.web.archive.settings import ArchiveSettings

from .browser import serving

CENTRE = "210.0 57.0"
QUERY = "pos=210.0+57.0&radius=6&unit=arcmin"


@pytest.fixture(scope="module")
def release(shelf: Path) -> Release:
    return Release.open(shelf / "dr2")


@pytest.fixture(scope="module")
def inside(release: Release) -> list[dict]:
    """Primary sources of the cone, the nearest first."""
    rows = release.cone("objects", 210.0, 57.0, 0.1, order_by_distance=True).table().to_pylist()
    return [r for r in rows if r["is_primary"]]


def names(text: str) -> list[str]:
    return re.findall(r'<th scope="row" class="nowrap">(?:<a [^>]+>)?([^<]+)<', text)


def test_results_are_the_cone_nearest_first(client: httpx.Client, inside: list[dict]) -> None:
    text = client.get(f"/dr2/search?{QUERY}").text
    assert f"<strong>{len(inside)}</strong> objects" in text
    assert names(text) == [f"{r['tile']}-{r['number']}" for r in inside[:20]]


def test_sorting_is_over_all_pages_and_absent_values_are_last(
    client: httpx.Client, inside: list[dict]
) -> None:
    present = sorted((r["photoz"] for r in inside if r["photoz"] is not None), reverse=True)
    pages = -(-len(inside) // 20)
    assert pages > 1
    shown = []
    for page in range(1, pages + 1):
        text = client.get(f"/dr2/search?{QUERY}&sort=photoz&order=down&page={page}").text
        shown += names(text)
    assert len(shown) == len(set(shown)) == len(inside)
    by_name = {f"{r['tile']}-{r['number']}": r["photoz"] for r in inside}
    values = [by_name[n] for n in shown]
    assert values[: len(present)] == present
    assert set(values[len(present) :]) <= {None}


@pytest.mark.parametrize("sort", ["name", "ra", "dec", "mag_auto.rSDSS", "flags.rSDSS", "odds"])
def test_every_heading_sorts(client: httpx.Client, sort: str) -> None:
    up = names(client.get(f"/dr2/search?{QUERY}&sort={sort}").text)
    assert len(up) == 20
    assert client.get(f"/dr2/search?{QUERY}&sort={sort}&order=down").status_code == 200


def test_duplicates_are_shown_only_if_asked_for(client: httpx.Client, release: Release) -> None:
    everything = len(release.cone("objects", 210.0, 57.0, 0.1).table())
    assert f"<strong>{everything}</strong>" in client.get(f"/dr2/search?{QUERY}&duplicates=1").text


def test_every_set_of_columns_shows(client: httpx.Client, release: Release) -> None:
    for table in ("objects", "detections"):
        for key, _ in listing.choices(release, table):
            answer = client.get(f"/dr2/search?{QUERY}&table={table}&show={key}")
            assert answer.status_code == 200, key
            assert len(names(answer.text)) == 20


def test_a_band_of_magnitudes_has_its_error_beside(
    client: httpx.Client, inside: list[dict]
) -> None:
    text = client.get(f"/dr2/search?{QUERY}&show=auto").text
    first = inside[0]
    r_band = f'{first["mag_auto"][7]:.3f}<span class="err"> ±{first["mag_auto_err"][7]:.3f}'
    assert r_band in text


def test_htmx_gets_the_results_alone(fragment: Callable[[str], httpx.Response]) -> None:
    answer = fragment(f"/dr2/search?{QUERY}")
    assert answer.text.strip().startswith('<div id="results"')
    assert "HX-Request" in answer.headers["vary"]


def test_the_name_of_a_source_leads_to_its_page(
    client: httpx.Client, fragment: Callable[[str], httpx.Response]
) -> None:
    answer = client.get("/dr2/search?pos=SYN-00001-17")
    assert answer.status_code == 303
    assert answer.headers["location"] == "/dr2/object/1000000017"
    assert fragment("/dr2/search?pos=1000000017").headers["hx-redirect"] == "/dr2/object/1000000017"


@pytest.mark.parametrize(("query", "status", "words"), [
    ("pos=M31", 400, "decimal degrees"), ("pos=400+1", 400, "0 &lt;= ra"),
    ("pos=1+99", 400, "-90 to 90"),
    ("pos=1+1&radius=-3", 400, "no positive number"), ("pos=1+1&radius=999&unit=deg", 400, "180"),
    ("pos=1+1&unit=mile", 400, "arcmin"), ("pos=1+1&table=users", 400, "no such table"),
    (f"{QUERY}&sort=password", 400, "not shown"), (f"{QUERY}&order=sideways", 400, "up or down"),
    (f"{QUERY}&page=0", 400, "from 1"), (f"{QUERY}&page=99999", 400, "pages"),
    (f"{QUERY}&page=x", 400, "from 1"), (f"{QUERY}&show=secrets", 400, "no such set"),
    ("pos=SYN-00001-99999", 404, "no source"), ("pos=999999", 404, "no source"),
])  # fmt: skip
def test_nonsense_keeps_the_form_and_says_what_is_wrong(
    client: httpx.Client, query: str, status: int, words: str
) -> None:
    answer = client.get(f"/dr2/search?{query}")
    assert answer.status_code == status
    assert words in answer.text
    assert '<input id="pos"' in answer.text


def test_a_script_in_the_form_stays_text(client: httpx.Client) -> None:
    text = client.get("/dr2/search", params={"pos": '"><script>alert(1)</script>'}).text
    assert "<script>alert" not in text


def test_nothing_found_is_told_with_what_to_try(client: httpx.Client) -> None:
    text = client.get("/dr2/search?pos=10+10&radius=1").text
    assert "<strong>0</strong>" in text
    assert "Try a larger radius" in text


def test_the_nearest_are_shown_of_too_many(release: Release) -> None:
    shown = listing.columns(release, "objects", "summary")
    found = listing.Listing(
        release, "objects", shown, (210.0, 57.0, 10.0), limit=50, duplicates=True
    )
    assert found.cut
    rows, total = found.page("distance", False, 1, 100)
    assert total == 50
    assert np.all(np.diff([r["distance_arcsec"] for r in rows]) >= 0)


def test_the_whole_sky_can_be_asked_for(client: httpx.Client, release: Release) -> None:
    text = client.get("/dr2/search?pos=210+57&radius=180&unit=deg&duplicates=1").text
    assert f"<strong>{release.model.rows['objects']}</strong>" in text


def test_csv_has_a_field_for_each_band(client: httpx.Client, inside: list[dict]) -> None:
    answer = client.get(f"/dr2/search.csv?{QUERY}&show=auto")
    rows = list(csv.DictReader(io.StringIO(answer.text)))
    assert answer.headers["content-disposition"] == 'attachment; filename="dr2-objects.csv"'
    assert [int(r["source_id"]) for r in rows] == [r["source_id"] for r in inside]
    for got, expected in zip(rows, inside):
        for k, band in enumerate(("uJAVA", "J0378")):
            value = expected["mag_auto"][k]
            text = got[f"mag_auto_{band}"]
            assert text == "" if value is None else float(text) == pytest.approx(value, rel=1e-6)


def test_parquet_and_votable_hold_every_column(client: httpx.Client, inside: list[dict]) -> None:
    names_of = set(inside[0]) | {"distance"}
    data = client.get(f"/dr2/search.parquet?{QUERY}&columns=all").content
    table = pq.read_table(io.BytesIO(data))
    assert set(table.column_names) == names_of
    assert table.column("source_id").to_pylist() == [r["source_id"] for r in inside]
    assert table.schema.field("ra").metadata[b"unit"] == b"deg"
    answer = client.get(f"/dr2/search.vot?{QUERY}&columns=all")
    parsed = votable.parse(io.BytesIO(answer.content), verify="exception")
    first = parsed.get_first_table()
    assert {f.name for f in first.fields} == names_of
    assert list(first.array["source_id"]) == [r["source_id"] for r in inside]
    assert np.all(np.diff(np.asarray(first.array["distance"])) >= 0)


@pytest.mark.parametrize("kind", ["csv", "vot", "parquet"])
def test_files_of_detections_and_of_nothing(client: httpx.Client, kind: str) -> None:
    assert client.get(f"/dr2/search.{kind}?{QUERY}&table=detections").status_code == 200
    assert client.get(f"/dr2/search.{kind}?pos=10+10&radius=1").status_code == 200
    assert client.get(f"/dr2/search.{kind}?pos=nowhere").status_code == 400


def test_a_file_that_would_be_cut_is_refused(shelf: Path) -> None:
    settings = ArchiveSettings(vo=VoSettings(max_records=100))
    with serving(create_app(shelf, settings)) as address:
        answer = httpx.get(f"{address}/dr2/search.csv?{QUERY}")
        small = httpx.get(f"{address}/dr2/search.csv?pos=210+57&radius=1")
    assert answer.status_code == 400
    assert "more than 100 rows" in answer.text
    assert small.status_code == 200


def test_the_program_on_the_page_gives_the_sources_of_the_page(
    client: httpx.Client, inside: list[dict]
) -> None:
    text = client.get(f"/dr2/search?{QUERY}").text
    code = re.search(r"<code>(import pyvo.*?)</code>", text, re.DOTALL)
    assert code is not None
    names_of: dict = {}
    exec(html.unescape(code[1]), names_of)  # noqa: S102 - what the page shows
    found = sorted(int(v) for v in names_of["table"]["source_id"])
    assert found == sorted(r["source_id"] for r in inside)
    every = client.get(f"/dr2/search?{QUERY}&duplicates=1").text
    assert "is_primary" not in every.split("import pyvo")[1].split("</pre>")[0]


def test_the_program_asks_for_as_many_rows_as_the_page_reads(shelf: Path) -> None:
    settings = ArchiveSettings(vo=VoSettings(default_records=50))
    with serving(create_app(shelf, settings)) as address:
        text = httpx.get(f"{address}/dr2/search?{QUERY}").text
        url = html.unescape(re.findall(r"<code>(http[^<]+)</code>", text)[0])
        rows = votable.parse(io.BytesIO(httpx.get(url).content)).get_first_table().array
        plain = httpx.get(url.split("&MAXREC")[0]).content
    assert "MAXREC=" in url
    assert sum(bool(v) for v in rows["is_primary"]) == int(
        re.search(r"<strong>(\d+)</strong>", text)[1]
    )
    assert b"OVERFLOW" in plain


def test_a_set_of_columns_of_another_table_becomes_its_summary(client: httpx.Client) -> None:
    answer = client.get(f"/dr2/search?{QUERY}&table=detections&show=psfcor")
    assert answer.status_code == 200
    assert "mag_psf " not in answer.text
    assert "sort-fwhm" in answer.text
    assert client.get(f"/dr2/search.csv?{QUERY}&table=detections&show=photoz").status_code == 200


def test_the_form_offers_the_sets_of_each_table(client: httpx.Client) -> None:
    text = client.get("/dr2/search?table=detections&show=shape").text
    groups = dict(re.findall(r'<optgroup label="(\w+)"[^>]*>(.*?)</optgroup>', text))
    assert list(groups) == ["objects", "detections"]
    assert 'value="photoz"' in groups["objects"]
    assert 'value="photoz"' not in groups["detections"]
    assert "selected" not in groups["objects"]
    assert 'value="shape" selected' in groups["detections"]


def test_a_release_without_detections_can_be_searched(release: Release) -> None:
    kept = tuple(t for t in release.model.tables if t.name != "detections")
    model = replace(release.model, tables=kept)
    bare = Release(release.folder, model, release._connection)
    assert search.tables(bare) == ["objects"]
    assert parse({}, search.tables(bare)).table == "objects"
    with pytest.raises(BadInput, match="no such table"):
        parse({"table": "detections"}, search.tables(bare))


def test_the_title_tells_the_position(client: httpx.Client) -> None:
    assert "<title>210.0 57.0 · Search" in client.get(f"/dr2/search?{QUERY}").text


def test_distances_in_csv_have_no_needless_digits(client: httpx.Client) -> None:
    rows = list(csv.DictReader(io.StringIO(client.get(f"/dr2/search.csv?{QUERY}").text)))
    assert all(re.fullmatch(r"\d+\.\d{4}", r["distance"]) for r in rows)


def test_a_query_is_its_address() -> None:
    query = Query(text="1 2", sort="ra", descending=True, page=3, duplicates=True)
    params = dict(httpx.QueryParams(query.address()))
    assert parse(params, ["objects", "detections"]) == query
    assert "page" not in httpx.QueryParams(query.address(page=1))
