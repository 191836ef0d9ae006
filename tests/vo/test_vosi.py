"""What a release says of itself to programs."""

import io
import warnings
import xml.etree.ElementTree as ET
from collections.abc import Callable

import httpx
import pytest
from pyvo.io.vosi import parse_availability, parse_capabilities, parse_tables
from starlette.applications import Starlette

from tesela.sciencedb.shelf import Served, Shelf
from tesela.vo.routes import routes
from tesela.vo.settings import VoSettings
from vo.conftest import SETTINGS, read

pytestmark = pytest.mark.usefixtures("loopback_only")


def get(address: str) -> io.BytesIO:
    answer = httpx.get(address)
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/xml")
    return io.BytesIO(answer.content)


def test_availability(address: str) -> None:
    assert parse_availability(get(f"{address}/dr1/vo/availability").read).available
    unknown = httpx.get(f"{address}/dr9/vo/availability")
    assert unknown.status_code == 404
    assert "expected dr1" in unknown.text


def test_capabilities_name_searches_that_find_something(address: str) -> None:
    root = ET.parse(get(f"{address}/dr1/vo/capabilities")).getroot()  # noqa: S314 - ours
    searches = [c for c in root if c.get("standardID") == "ivo://ivoa.net/std/ConeSearch"]
    assert len(searches) == 2
    for search in searches:
        assert search.get("{http://www.w3.org/2001/XMLSchema-instance}type") == "cs:ConeSearch"
        assert search.findtext("maxSR") == "180"
        assert search.findtext("maxRecords") == str(SETTINGS.max_records)
        assert search.findtext("verbosity") == "true"
        url = search.findtext("interface/accessURL") or ""
        assert url.endswith("?")
        names = ("ra", "dec", "sr", "verb")
        asked = url + "&".join(f"{n.upper()}={search.findtext(f'testQuery/{n}')}" for n in names)
        assert len(read(httpx.get(asked).content, strict=False).get_first_table().array) >= 1


def test_pyvo_understands_the_capabilities(address: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of what only a cone search has, which it skips
        parsed = parse_capabilities(get(f"{address}/dr1/vo/capabilities").read)
    assert [c.standardid for c in parsed] == [
        *(f"ivo://ivoa.net/std/VOSI#{n}" for n in ("capabilities", "availability", "tables")),
        *["ivo://ivoa.net/std/ConeSearch"] * 2,
    ]
    assert all(c.interfaces[0].accessurls[0].content.startswith(address) for c in parsed)


def test_tables_are_those_of_the_model(address: str, shelf: Shelf) -> None:
    model = Served(shelf).get().model
    (schema,) = parse_tables(get(f"{address}/dr1/vo/tables").read).tableset.schemas
    assert schema.name == "dr1"
    assert [t.name for t in schema.tables] == [t.name for t in model.tables]
    for found, table in zip(schema.tables, model.tables):
        assert [c.name for c in found.columns] == [c.name for c in table.columns]
        for column, expected in zip(found.columns, table.columns):
            assert column.description == expected.description
            assert (column.ucd or "") == expected.ucd
            size = "*" if expected.dtype == "str" else str(expected.length)
            assert (column.datatype.arraysize or "1") == size
            assert ("nullable" in column.flags) == (not expected.required)
            assert ("primary" in column.flags) == (expected.name == table.id_column)


def test_schemas_of_the_standards_are_met(address: str, stilts: Callable[..., str]) -> None:
    report = stilts("taplint", f"tapurl={address}/dr1/vo", "stages=TMV AVV")
    assert report.count("errors 0, fatal 0") == 2, report
    assert "Totals: Errors: 0; Warnings: 0" in report, report


def test_addresses_are_those_of_the_settings(
    shelf: Shelf, serve: Callable[[Starlette], str]
) -> None:
    settings = VoSettings(base_url="https://archive.example.org/sky/")
    address = serve(Starlette(routes=routes(Served(shelf), settings)))
    text = httpx.get(f"{address}/latest/vo/capabilities", headers={"Host": "evil.example.com"}).text
    assert "https://archive.example.org/sky/latest/vo/cone?" in text
    assert "evil" not in text
    assert address not in text
