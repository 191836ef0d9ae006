"""What is answered at once is bounded, and a place is always given back."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from pathlib import Path

import httpx
import pyarrow as pa
import pytest

from tesela.errors import ProductError
from tesela.sciencedb.release import Release
from tesela.web.archive import downloads
from tesela.web.archive.app import create_app
from tesela.web.archive.downloads import Found
from tesela.web.archive.gate import Busy, Gate
from tesela.web.archive.settings import ArchiveSettings

from .browser import serving

CONE = (210.0, 57.0, 0.1)
QUERY = "pos=210.0+57.0&radius=6&unit=arcmin"


@pytest.fixture
def release(shelf: Path) -> Release:
    return Release.open(shelf / "dr2")


def found(release: Release) -> Found:
    return Found(release, "objects", ["source_id", "ra", "dec"], CONE, duplicates=False)


def test_a_gate_lets_in_as_many_as_it_has_places() -> None:
    gate = Gate(2)
    with gate.place(), gate.place(), pytest.raises(Busy):
        gate.enter()
    with gate.place(), gate.place():
        pass


def test_a_gate_waits_for_a_place() -> None:
    gate = Gate(1, wait_s=30.0)
    gate.enter()
    leaving = threading.Timer(0.05, gate.leave)
    leaving.start()
    with gate.place():
        leaving.join()


@pytest.mark.parametrize("kind", downloads.KINDS)
def test_a_file_that_is_damaged_at_its_begin_is_an_error_and_gives_its_place_back(
    release: Release, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(_self: Found) -> Iterator[pa.RecordBatch]:
        raise ProductError("objects", found="a damaged page")
        yield

    gate = Gate(1)
    monkeypatch.setattr(Found, "__iter__", broken)
    with pytest.raises(ProductError, match="damaged page"):
        downloads.response(lambda: found(release), kind, "x", gate)
    with gate.place():
        pass


@pytest.mark.parametrize("kind", downloads.KINDS)
def test_a_file_ends_with_its_place_given_back(shelf: Path, kind: str) -> None:
    with serving(create_app(shelf, ArchiveSettings(max_downloads=1))) as address:
        for _ in range(3):
            answer = httpx.get(f"{address}/dr2/search.{kind}?{QUERY}")
            assert answer.status_code == 200
            assert answer.content
        with httpx.stream("GET", f"{address}/dr2/search.{kind}?{QUERY}&columns=all") as stopped:
            assert stopped.status_code == 200
        assert httpx.head(f"{address}/dr2/search.{kind}?{QUERY}").status_code == 200
        assert httpx.get(f"{address}/dr2/search.{kind}?{QUERY}").status_code == 200


def test_more_than_the_server_can_hold_is_refused_for_a_while(
    shelf: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Gate, "enter", _busy)
    with serving(create_app(shelf)) as address:
        for path in (
            f"search?{QUERY}", f"search.csv?{QUERY}", "sky/objects.json?ra=210&dec=57&radius=1",
        ):  # fmt: skip
            answer = httpx.get(f"{address}/dr2/{path}")
            assert answer.status_code == 503, path
            assert int(answer.headers["retry-after"]) > 0
            assert "as this server can hold" in answer.text
        assert httpx.get(f"{address}/dr2/").status_code == 200


def _busy(_gate: Gate) -> None:
    raise Busy


@pytest.mark.parametrize("published", ['{"published": ["gone"]}', "no JSON", None])
def test_a_server_starts_whatever_lies_on_its_shelf(tmp_path: Path, published: str | None) -> None:
    if published is not None:
        (tmp_path / "published.json").write_text(published)
    app = create_app(tmp_path)

    async def start() -> bool:
        async with app.router.lifespan_context(app):
            return True

    assert asyncio.run(start())
