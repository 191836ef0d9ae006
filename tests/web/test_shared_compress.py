"""Text is sent compressed where the client takes it; data are not."""

from __future__ import annotations

import gzip
from collections.abc import Iterator

import httpx
import pytest
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from tesela.web.shared.compress import TYPES, Compressed

from .browser import serving

TEXT = b"the same words again and again " * 200


def answer(request: object) -> Response:
    query = request.query_params  # type: ignore[attr-defined]
    kind, pieces = query.get("type", "text/html"), int(query.get("pieces", "1"))
    status, size = int(query.get("status", "200")), int(query.get("size", len(TEXT)))
    headers = {"ETag": '"one"', "Vary": "Cookie"}
    if pieces == 1:
        return Response(TEXT[:size], status, headers=headers, media_type=kind)
    step = -(-len(TEXT) // pieces)
    parts = (TEXT[k : k + step] for k in range(0, len(TEXT), step))
    return StreamingResponse(parts, status, headers=headers, media_type=kind)


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    app = Starlette(routes=[Route("/", answer)], middleware=[Middleware(Compressed)])
    with serving(app) as there:
        yield there


@pytest.mark.parametrize("pieces", [1, 5])
@pytest.mark.parametrize("kind", sorted(TYPES))
def test_text_is_compressed_and_its_tag_is_weak(address: str, kind: str, pieces: int) -> None:
    query = {"type": kind, "pieces": str(pieces)}
    with httpx.stream("GET", address, params=query, headers={"Accept-Encoding": "gzip"}) as got:
        raw = b"".join(got.iter_raw())
    assert got.headers["content-encoding"] == "gzip"
    assert got.headers["vary"] == "Cookie, Accept-Encoding"
    assert got.headers["etag"] == 'W/"one"'
    assert len(raw) < len(TEXT) / 5
    assert gzip.decompress(raw) == TEXT


@pytest.mark.parametrize(("query", "accepted"), [
    ({"type": "image/jpeg"}, "gzip"), ({"type": "application/x-votable+xml"}, "gzip"),
    ({"type": "application/vnd.apache.parquet"}, "gzip"), ({"size": "100"}, "gzip"),
    ({"status": "206"}, "gzip"), ({}, ""), ({}, "br"), ({}, "br, gzip;q=0"),
])  # fmt: skip
def test_other_answers_are_left_as_they_are(
    address: str, query: dict[str, str], accepted: str
) -> None:
    got = httpx.get(address, params=query, headers={"Accept-Encoding": accepted})
    assert "content-encoding" not in got.headers
    assert got.headers["etag"] == '"one"'
    assert got.content == TEXT[: int(query.get("size", len(TEXT)))]


def test_a_head_has_no_body(address: str) -> None:
    got = httpx.head(address, headers={"Accept-Encoding": "gzip"})
    assert got.status_code == 200
    assert got.content == b""
