"""The clients that astronomers use, and clients that go away."""

import socket
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import astropy.units as u
import httpx
import pytest
from pyvo.dal import DALQueryError, SCSService
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from tesela.errors import ProductError
from tesela.sciencedb.shelf import Served, Shelf
from tesela.vo import cone
from tesela.vo.routes import routes
from tesela.vo.settings import VoSettings
from tesela.vo.streaming import Full, Pool, TableResponse

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
    pool, answer = Pool(VoSettings()), Endless()

    async def endpoint(request: Request) -> Response:
        return TableResponse(pool.begin("a"), answer, b"first", media_type="text/plain", headers={})

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
    pool, answers = Pool(VoSettings(workers=1)), [Endless(), Endless()]

    async def endless(request: Request) -> Response:
        answer = answers[int(request.path_params["number"])]
        return TableResponse(pool.begin("a"), answer, b"first", media_type="text/plain", headers={})

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


def _endless(pool: Pool, answers: list[Endless]) -> Starlette:
    """Each request gets an answer without an end."""

    async def endpoint(request: Request) -> Response:
        stream = pool.begin(request.headers.get("client", "a"))
        answers.append(Endless())
        return TableResponse(stream, answers[-1], b"first", media_type="text/plain", headers={})

    return Starlette(routes=[Route("/", endpoint)])


def test_clients_that_never_read_are_cut(serve: Callable[[Starlette], str]) -> None:
    """They keep their connection open, but no place among the answers."""
    pool, answers = Pool(VoSettings(max_streams=3, send_timeout_s=0.3)), []
    place = urlsplit(serve(_endless(pool, answers)))
    silent = []
    for number in range(3):
        silent.append(socket.create_connection((place.hostname, place.port), timeout=10))
        request = f"GET / HTTP/1.1\r\nHost: localhost\r\nClient: {number}\r\n\r\n"
        silent[-1].sendall(request.encode())
    deadline = time.monotonic() + 10
    while len(answers) < 3 or pool.streams:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    assert all(answer.closed.wait(5) for answer in answers)
    pool.begin("another").end()
    for connection in silent:
        connection.close()


def test_a_slow_reader_gets_all(serve: Callable[[Starlette], str]) -> None:
    """The limit is of each piece, not of the answer."""
    pool, answers = Pool(VoSettings(send_timeout_s=1.0)), []
    place = urlsplit(serve(_endless(pool, answers)))
    with socket.create_connection((place.hostname, place.port), timeout=10) as connection:
        connection.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
        end = time.monotonic() + 2.0
        while time.monotonic() < end:
            assert connection.recv(1_000_000)
            time.sleep(0.02)
        assert pool.streams == 1
        assert not answers[0].closed.is_set()


def test_places_are_counted_for_all_and_for_each_client() -> None:
    pool = Pool(VoSettings(max_streams=3, max_streams_per_client=2))
    first, second = pool.begin("a"), pool.begin("a")
    with pytest.raises(Full, match="one client"):
        pool.begin("a")
    pool.begin("b")
    with pytest.raises(Full, match="this server"):
        pool.begin("c")
    assert pool.streams == 3
    first.end()
    pool.begin("c")
    second.end()
    assert pool.streams == 2


@pytest.mark.parametrize("limit", ["max_streams", "max_streams_per_client"])
def test_too_many_answers_at_once_are_refused_politely(
    shelf: Shelf, serve: Callable[[Starlette], str], monkeypatch: pytest.MonkeyPatch, limit: str
) -> None:
    """Also when all ask at the same instant, before any answer has begun."""
    made = cone.Answer

    def slow(*arguments: Any) -> cone.Answer:
        time.sleep(0.5)
        return made(*arguments)

    monkeypatch.setattr(cone, "Answer", slow)
    settings = VoSettings(**{limit: 2})
    address = serve(Starlette(routes=routes(Served(shelf), settings)))
    query = {"RA": 210, "DEC": 57, "SR": 0.01}
    with ThreadPoolExecutor(6) as six:
        asked = [six.submit(httpx.get, f"{address}/dr1/vo/cone", params=query) for _ in range(6)]
    answers = [one.result() for one in asked]
    assert sorted(answer.status_code for answer in answers) == [200, 200, 503, 503, 503, 503]
    (refused, *_) = [answer for answer in answers if answer.status_code == 503]
    assert refused.headers["retry-after"] == "60"
    assert "ask again" in refused.text


@pytest.mark.parametrize(
    "parameters", [{"SR": 0.01}, {"SR": 0}, {"SR": -1}, {"SR": 0.01, "head": True}]
)
def test_every_answer_gives_its_place_back(
    shelf: Shelf, serve: Callable[[Starlette], str], parameters: dict[str, Any]
) -> None:
    address = serve(Starlette(routes=routes(Served(shelf), VoSettings(max_streams=1))))
    ask = httpx.head if parameters.pop("head", False) else httpx.get
    for _ in range(3):
        answer = ask(f"{address}/dr1/vo/cone", params={"RA": 210, "DEC": 57, **parameters})
        assert answer.status_code == 200


def test_a_query_that_fails_gives_its_place_back(
    shelf: Shelf, serve: Callable[[Starlette], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise ProductError("objects.core.duckdb", found="checksum")

    monkeypatch.setattr(cone, "Answer", broken)
    address = serve(Starlette(routes=routes(Served(shelf), VoSettings(max_streams=1))))
    query = {"RA": 210, "DEC": 57, "SR": 0.01}
    assert {httpx.get(f"{address}/dr1/vo/cone", params=query).status_code for _ in "abc"} == {500}
