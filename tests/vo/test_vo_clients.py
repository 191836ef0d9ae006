"""The clients that astronomers use, and clients that go away."""

import socket
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

import astropy.units as u
import httpx
import pytest
from pyvo.dal import DALQueryError, SCSService
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from tesela.sciencedb.shelf import Served, Shelf
from tesela.vo.routes import routes
from tesela.vo.settings import VoSettings
from tesela.vo.streaming import Pool, TableResponse

pytestmark = pytest.mark.usefixtures("loopback_only")


def test_pyvo_searches(address: str) -> None:
    service = SCSService(f"{address}/dr1/vo/cone?")
    found = service.search(pos=(210.0, 57.0), radius=0.05 * u.deg)
    assert len(found) > 10
    first = found[0]
    assert first.id == str(first["source_id"])
    assert first.pos.separation(found[1].pos).deg < 0.1
    assert first.pos.ra.deg == pytest.approx(float(first["ra"]))
    table = found.to_table()
    assert table["mag_auto"].shape == (len(found), 3)
    assert str(table["mag_auto"].unit) == "mag"


@pytest.mark.parametrize("radius", [-1.0, 200.0])
def test_pyvo_is_told_what_is_wrong(address: str, radius: float) -> None:
    with pytest.raises(DALQueryError, match=r"SR: .*0 to 180"):
        SCSService(f"{address}/dr1/vo/cone?").search(pos=(210.0, 57.0), radius=radius)


def test_pyvo_reads_the_services(address: str) -> None:
    service = SCSService(f"{address}/dr1/vo/cone")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        described = service.columns
    assert "source_id" in [column.name for column in described]


@pytest.mark.parametrize("verbosity", [1, 2, 3])
def test_stilts_searches(
    address: str, stilts: Callable[..., str], tmp_path: Path, verbosity: int
) -> None:
    out = tmp_path / "out.csv"
    report = stilts(
        "cone", f"serviceurl={address}/dr1/vo/cone?", "lon=210", "lat=57", "radius=0.05",
        f"verb={verbosity}", "ofmt=csv", f"out={out}",
    )  # fmt: skip
    assert out.is_file(), report
    rows = out.read_text().splitlines()
    service = SCSService(f"{address}/dr1/vo/cone")
    assert len(rows) - 1 == len(service.search(pos=(210.0, 57.0), radius=0.05))
    assert rows[0].startswith("source_id,")


def test_stilts_is_told_what_is_wrong(address: str, stilts: Callable[..., str]) -> None:
    report = stilts(
        "cone", f"serviceurl={address}/dr1/vo/cone?", "lon=210", "lat=57", "radius=500", "ofmt=csv"
    )
    assert "0 to 180" in report


class Endless:
    """An answer that never ends by itself."""

    def __init__(self) -> None:
        self.closed = threading.Event()

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        if self.closed.is_set():
            raise StopIteration
        return b"x" * 65_536

    def close(self) -> None:
        self.closed.set()


def test_a_client_that_goes_away_stops_its_query(serve: Callable[[Starlette], str]) -> None:
    pool, answer = Pool(2, 4), Endless()

    async def endpoint(request: Request) -> Response:
        return TableResponse(pool, answer, b"first", media_type="text/plain", headers={})

    place = urlsplit(serve(Starlette(routes=[Route("/", endpoint)])))
    with socket.create_connection((place.hostname, place.port), timeout=10) as connection:
        connection.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert connection.recv(1000)
        assert pool.streams == 1
    assert answer.closed.wait(5)
    deadline = time.monotonic() + 5
    while pool.streams:
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_slow_readers_take_no_thread_from_others(serve: Callable[[Starlette], str]) -> None:
    pool, answers = Pool(1, 4), [Endless(), Endless()]

    async def endless(request: Request) -> Response:
        answer = answers[int(request.path_params["number"])]
        return TableResponse(pool, answer, b"first", media_type="text/plain", headers={})

    async def quick(request: Request) -> Response:
        return Response(await pool.run(lambda: "done"))

    paths = [Route("/endless/{number}", endless), Route("/quick", quick)]
    address = serve(Starlette(routes=paths))
    place = urlsplit(address)
    slow = []
    for number in range(2):
        slow.append(socket.create_connection((place.hostname, place.port), timeout=10))
        slow[-1].sendall(f"GET /endless/{number} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        assert slow[-1].recv(1000)
    assert httpx.get(f"{address}/quick", timeout=5).text == "done"
    for connection in slow:
        connection.close()
    assert all(answer.closed.wait(5) for answer in answers)


def test_too_many_answers_at_once_are_refused_politely(
    shelf: Shelf, serve: Callable[[Starlette], str]
) -> None:
    settings = VoSettings(max_streams=0)
    address = serve(Starlette(routes=routes(Served(shelf), settings)))
    answer = httpx.get(f"{address}/dr1/vo/cone", params={"RA": 1, "DEC": 1, "SR": 1})
    assert answer.status_code == 503
    assert answer.headers["retry-after"] == "60"
    assert "ask again" in answer.text
