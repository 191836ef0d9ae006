"""Headers of every answer, crashes included, and the host names that a server answers to."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from tesela.web.archive.app import create_app as archive_app
from tesela.web.portal import create_app as portal_app
from tesela.web.shared.security import HEADERS, SecureApp, allowed_hosts

from . import browser, portal_site


def _crash(_request: Request) -> Response:
    raise RuntimeError("a defect")


def _own(_request: Request) -> Response:
    return PlainTextResponse("x", headers={"Referrer-Policy": "no-referrer"})


def _has_all(answer: httpx.Response) -> bool:
    return all(answer.headers.get(name) == value for name, value in HEADERS.items())


def test_an_answer_may_set_a_header_of_its_own() -> None:
    with browser.serving(SecureApp(routes=[Route("/", _own)])) as url:
        answer = httpx.get(url)
    assert answer.headers["referrer-policy"] == "no-referrer"
    assert answer.headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize("what", ["archive", "portal"])
def test_crashes_and_refusals_have_the_headers_of_pages(
    what: str, shelf: Path, tmp_path: Path
) -> None:
    app = (
        archive_app(shelf) if what == "archive" else portal_app(portal_site.make(tmp_path / "site"))
    )
    app.router.routes.insert(0, Route("/crash", _crash))
    with browser.serving(app) as url:
        answers = {
            500: httpx.get(f"{url}/crash"),
            400: httpx.get(f"{url}/", headers={"Host": "evil.example"}),
            404: httpx.get(f"{url}/a/b/c/d/e/f"),
            405: httpx.post(f"{url}/"),
            200: httpx.get(f"{url}/"),
        }
    for status, answer in answers.items():
        assert answer.status_code == status
        assert _has_all(answer), status
    assert "failed to make this page" in answers[500].text


def test_hosts_are_written_as_browsers_write_them() -> None:
    found = allowed_hosts(["https://[2001:db8::1]/", ""], ["192.0.2.1", "::2", "[::3]", "", "::1"])
    assert found[3:] == ["[2001:db8::1]", "192.0.2.1", "[::2]", "[::3]"]
