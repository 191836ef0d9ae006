"""Programs that ask for what they should not have, or in ways that make no sense."""

from __future__ import annotations

import logging
import os
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tesela.errors import ProductError
from tesela.ledger import accounts, products, schema
from tesela.web.portal.gatekeeper import MOST_FAILURES, WITHIN_S, Gatekeeper, Refusal
from tesela.web.portal.raw_files import disposition, open_raw
from web import api_site
from web.api_site import CONTENT, ApiSite


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiSite]:
    made = api_site.make(tmp_path_factory.mktemp("asked"))
    yield made
    made.ledger.close()


@pytest.fixture(scope="module")
def client(site: ApiSite) -> Iterator[httpx.Client]:
    with api_site.asking(site) as asking:
        yield asking


def assert_told(answer: httpx.Response, status: int) -> str:
    """One sentence in JSON, without what only the server should know."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/json"
    said = f"{answer.json()['error']['message']}; {answer.json()['error']['do']}"
    for secret in ("Traceback", "sqlalchemy", "SELECT", "/raw/"):
        assert secret not in said
    return said


# -- addresses ------------------------------------------------------------------------------------

NONSENSE = {
    "unknown": ({"colour": "red"}, "'colour'"),
    "twice": ([("night", "2017-07-03"), ("night", "2017-07-04")], "one value"),
    "empty": ({"band": ""}, "printable"),
    "NUL": ({"name": "a\0b"}, "printable"),
    "newline": ({"object": "a\nb"}, "printable"),
    "endless": ({"object": "x" * 5000}, "printable"),
    "night in words": ({"night": "yesterday"}, "2017-07-03"),
    "night of SQL": ({"night": "2017-07-03' OR '1'='1"}, "2017-07-03"),
    "a day that never was": ({"night": "2017-02-30"}, "2017-07-03"),
    "since in words": ({"since": "noon"}, "an MJD"),
    "since never": ({"since": "nan"}, "an MJD"),
    "until infinity": ({"until": "inf"}, "an MJD"),
    "before time": ({"until": "0001-01-01"}, "an MJD"),
    "a year too far": ({"until": "99999-01-01"}, "an MJD"),
    "until before since": ({"since": "2017-07-04", "until": "2017-07-03"}, "before until"),
    "a sort of frame that nobody takes": (
        {"obstype": "banana"},
        "one of bias, dark, flat, science",
    ),
    "limit none": ({"limit": "0"}, "1 to 1000"),
    "limit all": ({"limit": "1001"}, "1 to 1000"),
    "limit huge": ({"limit": "9" * 200}, "1 to 1000"),
    "limit negative": ({"limit": "-1"}, "1 to 1000"),
    "limit in words": ({"limit": "ten"}, "1 to 1000"),
    "limit in other digits": ({"limit": "\N{SUPERSCRIPT THREE}"}, "1 to 1000"),
    "after nothing": ({"after": "x"}, "follow `next`"),
    "after SQL": ({"after": "1_1_1; DROP TABLE frame"}, "follow `next`"),
    "after nan": ({"after": "nan_1_1"}, "follow `next`"),
    "ra alone": ({"ra": "1"}, "ra and dec"),
    "radius alone": ({"radius": "1"}, "ra and dec"),
    "off the sky": ({"ra": "1", "dec": "91"}, "-90 to 90"),
    "nowhere": ({"ra": "nan", "dec": "0"}, "-360 to 360"),
    "too wide": ({"ra": "1", "dec": "0", "radius": "90"}, "0 to 5"),
    "inside out": ({"ra": "1", "dec": "0", "radius": "-1"}, "0 to 5"),
}


@pytest.mark.parametrize("case", NONSENSE)
def test_an_address_that_makes_no_sense_is_one_sentence(
    site: ApiSite, client: httpx.Client, case: str
) -> None:
    query, expected = NONSENSE[case]
    answer = client.get("/api/frames", params=query, headers=site.as_("ana"))  # type: ignore[arg-type]
    assert expected in assert_told(answer, 400)


@pytest.mark.parametrize(
    "words", ["x' OR 1=1 --", "%", "_", "*", "\N{SNOWMAN}", "a b", "../x", "NULL", "\\"]
)
@pytest.mark.parametrize("name", ["name", "exposure", "tile", "object", "ccd", "band"])
def test_words_are_words_and_no_part_of_a_statement(
    site: ApiSite, client: httpx.Client, name: str, words: str
) -> None:
    answer = client.get("/api/frames", params={name: words}, headers=site.as_("op"))
    assert answer.status_code == 200
    assert answer.json() == {"frames": [], "next": None}


@pytest.mark.parametrize(
    "path",
    [
        "/api/frames/..%2F..%2F..%2Fetc%2Fpasswd/file",
        "/api/frames/../../etc/passwd/file",
        "/api/frames/%2Fetc%2Fpasswd/file",
        "/api/frames/raw%2F2017-07-03%2Fours1.fits/file",
        "/api/frames/ours1%00/file",
        "/api/frames/ours1%0a/file",
        "/api/frames/ours1.fits/file",
        "/api/frames/OURS1/file",
        "/api/frames/%E2%98%83/file",
        "/api/frames/%ff%fe/file",
        "/api/frames/" + "x" * 3000 + "/file",
        "/api/frames/ours1/file/",
        "/api/frames/ours1",
        "/api/frames/",
        "/api/",
        "/api/frames//file",
        "/api/ledger.sqlite",
    ],
)
def test_no_path_leads_anywhere_else(site: ApiSite, client: httpx.Client, path: str) -> None:
    """Sent as it is: clients would put it in order."""
    answer = client.get(httpx.URL(client.base_url, raw_path=path.encode()), headers=site.as_("op"))
    assert answer.status_code == 404
    assert CONTENT[:64] not in answer.content
    assert b"root:" not in answer.content


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS"])
@pytest.mark.parametrize("path", ["/api/frames", "/api/frames/ours1/file"])
def test_nothing_can_be_changed(
    site: ApiSite, client: httpx.Client, method: str, path: str
) -> None:
    assert_told(client.request(method, path, headers=site.as_("op")), 405)


def test_another_host_name_is_not_answered(site: ApiSite, client: httpx.Client) -> None:
    """A page of somebody else's, whose name was made to point here, has the wrong name."""
    answer = client.get("/api/frames", headers={**site.as_("op"), "Host": "evil.example"})
    assert answer.status_code == 400


# -- tokens ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["token", "access_token", "Token", "name", "after", "x"])
def test_a_token_in_an_address_is_refused_and_not_repeated(
    site: ApiSite, client: httpx.Client, name: str
) -> None:
    query = {name: site.tokens["ana"]}
    said = assert_told(client.get("/api/frames", params=query, headers=site.as_("ana")), 400)
    assert "revoked" in said
    assert site.tokens["ana"] not in said


def test_a_token_is_in_no_log(
    site: ApiSite, client: httpx.Client, caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """Not even when the server fails in the middle."""
    wrong = "tsl_" + "C" * 43
    with caplog.at_level(logging.DEBUG):
        client.get("/api/frames", headers=site.as_("ana"))
        client.get("/api/frames", headers={"Authorization": f"Bearer {wrong}"})
        with api_site.asking(site) as failing:

            def fail(*_: object) -> None:
                raise ZeroDivisionError

            monkeypatch.setattr(accounts, "identify", fail)
            answer = failing.get("/api/frames", headers=site.as_("ana"))
            assert "the reason is in its log" in assert_told(answer, 500)
    said = caplog.text + "".join(capfd.readouterr())
    assert "ZeroDivisionError" in said
    for token in (site.tokens["ana"], wrong):
        assert token not in said


def test_who_shows_many_wrong_tokens_is_told_to_wait_and_users_beside_are_not(
    site: ApiSite,
) -> None:
    with api_site.asking(site) as client:
        assert client.get("/api/frames", headers=site.as_("ana")).status_code == 200
        for n in range(MOST_FAILURES):
            wrong = {"Authorization": f"Bearer tsl_{n:043d}"}
            assert_told(client.get("/api/frames", headers=wrong), 401)
        answer = client.get("/api/frames", headers=wrong)
        assert_told(answer, 429)
        assert 0 < int(answer.headers["retry-after"]) <= WITHIN_S
        assert client.get("/api/frames", headers=site.as_("ana")).status_code == 200
        assert client.get("/").status_code == 200


def _request(address: str, token: str) -> httpx.Request:
    from starlette.requests import Request

    headers = [(b"authorization", f"Bearer {token}".encode())]
    scope = {"type": "http", "method": "GET", "headers": headers, "client": (address, 1)}
    return Request(scope)  # type: ignore[return-value]


def _status(keeper: Gatekeeper, site: ApiSite, address: str, token: str) -> int:
    try:
        with site.ledger.read() as conn:
            keeper.account(conn, _request(address, token))  # type: ignore[arg-type]
    except Refusal as refusal:
        return refusal.status
    return 200


def test_patience_returns_after_a_minute_and_is_of_each_address(site: ApiSite) -> None:
    now = [0.0]
    keeper = Gatekeeper(lambda: now[0])
    wrong = "tsl_" + "D" * 43
    for _ in range(MOST_FAILURES):
        now[0] += 1
        assert _status(keeper, site, "10.0.0.1", wrong) == 401
    assert _status(keeper, site, "10.0.0.1", wrong) == 429
    assert _status(keeper, site, "10.0.0.1", site.tokens["ana"]) == 429, "not known as good"
    assert _status(keeper, site, "10.0.0.2", wrong) == 401
    assert _status(keeper, site, "10.0.0.2", site.tokens["ana"]) == 200
    assert _status(keeper, site, "10.0.0.1", site.tokens["ana"]) == 200, "known by now"
    now[0] = 1 + WITHIN_S
    assert _status(keeper, site, "10.0.0.1", wrong) == 401


def test_a_token_that_was_good_and_is_wrong_now_counts(tmp_path: Path) -> None:
    site = api_site.make(tmp_path)
    keeper = Gatekeeper(lambda: 0.0)
    assert _status(keeper, site, "10.0.0.1", site.tokens["ana"]) == 200
    with site.ledger.write() as conn:
        accounts.revoke_tokens(conn, "ana", who="op")
    found = [_status(keeper, site, "10.0.0.1", site.tokens["ana"]) for _ in range(25)]
    assert found == [401] * MOST_FAILURES + [429] * (25 - MOST_FAILURES)
    site.ledger.close()


# -- files ----------------------------------------------------------------------------------------


@pytest.fixture
def own(tmp_path: Path) -> Iterator[ApiSite]:
    made = api_site.make(tmp_path / "site")
    yield made
    made.ledger.close()


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    path = tmp_path / "secret.fits"
    path.write_bytes(b"secret")
    return path


def _say_path(site: ApiSite, name: str, path: str) -> None:
    table = schema.product
    with site.ledger.write() as conn:
        found = products.current(conn, "raw", name)
        assert found is not None
        conn.execute(
            table.update().where(table.c.id == found["id"]).values(path=path, files_json="[]")
        )


def _ask(site: ApiSite, name: str = "ours1") -> httpx.Response:
    with api_site.asking(site) as client:
        answer = client.get(f"/api/frames/{name}/file", headers=site.as_("ana"))
    assert b"secret" not in answer.content
    return answer


def test_a_link_in_place_of_a_frame_is_not_followed(own: ApiSite, secret: Path) -> None:
    own.path("ours1").unlink()
    own.path("ours1").symlink_to(secret)
    _say_path(own, "ours1", "raw/2017-07-03/ours1.fits")
    assert "a link" in assert_told(_ask(own), 503)


def test_a_link_to_another_frame_is_not_followed_either(own: ApiSite) -> None:
    own.path("ours1").unlink()
    own.path("ours1").symlink_to(own.path("theirs1"))
    _say_path(own, "ours1", "raw/2017-07-03/ours1.fits")
    assert_told(_ask(own), 503)


def test_a_folder_that_is_a_link_is_not_followed(own: ApiSite, secret: Path) -> None:
    (own.folder / "raw" / "away").symlink_to(secret.parent)
    _say_path(own, "ours1", "raw/away/secret.fits")
    assert_told(_ask(own), 503)


def test_the_folder_of_raw_frames_may_be_on_another_disk(own: ApiSite, tmp_path: Path) -> None:
    (own.folder / "raw").rename(tmp_path / "disk")
    (own.folder / "raw").symlink_to(tmp_path / "disk")
    assert _ask(own).status_code == 200


def test_a_frame_that_was_left_where_it_was_is_sent_but_not_through_a_link(
    own: ApiSite, tmp_path: Path, secret: Path
) -> None:
    """`archive = "reference"` keeps whole paths."""
    away = (tmp_path / "night").resolve() / "a.fits"
    away.parent.mkdir()
    away.write_bytes(b"frame")
    _say_path(own, "ours1", str(away))
    assert _ask(own).content == b"frame"
    away.unlink()
    away.symlink_to(secret)
    assert_told(_ask(own), 503)


@pytest.mark.parametrize(
    "path",
    [
        "", ".", "raw", "raw/2017-07-03", "ledger.sqlite", "survey.toml", "raw/../survey.toml",
        "raw/../../secret.fits", "../secret.fits", "raw/2017-07-03/../../../secret.fits",
        "raw/none.fits", "raw/\0", "raw/" + "x" * 5000, "/dev/zero", "/dev/null", "/proc/self/mem",
    ],
)  # fmt: skip
def test_what_is_no_frame_is_not_sent_whatever_the_ledger_says(
    own: ApiSite, secret: Path, path: str
) -> None:
    with pytest.raises(ProductError):
        open_raw(own.folder, path, 0)


def test_a_pipe_and_a_socket_are_no_frames(own: ApiSite) -> None:
    """And nobody waits for what comes out of them."""
    pipe, plug = own.path("pipe"), own.path("plug")
    os.mkfifo(pipe)
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(plug))
        for path in (pipe, plug):
            with pytest.raises(ProductError):
                open_raw(own.folder, f"raw/2017-07-03/{path.name}", 0)


def test_a_frame_that_is_missing_shorter_or_unreadable_is_told(own: ApiSite) -> None:
    path = own.path("ours1")
    path.write_bytes(path.read_bytes()[:-1])
    assert "bytes" in assert_told(_ask(own), 503)
    path.unlink()
    assert "no file" in assert_told(_ask(own), 503)
    if os.geteuid():
        own.path("ours2").chmod(0)
        assert_told(_ask(own, "ours2"), 503)


def test_a_file_that_shrinks_while_it_is_sent_ends_the_connection(own: ApiSite) -> None:
    """What came is not taken for the whole."""
    big = own.path("ours1")
    with big.open("r+b") as handle:
        handle.truncate(1 << 26)
    _say_path(own, "ours1", "raw/2017-07-03/ours1.fits")
    with (
        api_site.asking(own) as client,
        pytest.raises(httpx.RemoteProtocolError),
        client.stream("GET", "/api/frames/ours1/file", headers=own.as_("ana")) as answer,
    ):
        pieces = answer.iter_bytes(1 << 16)
        next(pieces)
        with big.open("r+b") as handle:
            handle.truncate(1 << 17)
        for _ in pieces:
            pass


def test_no_file_stays_open(own: ApiSite) -> None:
    def held() -> int:
        count = 0
        for link in Path("/proc/self/fd").iterdir():
            try:
                count += "/raw/" in str(link.readlink())
            except OSError:
                continue
        return count

    if not Path("/proc/self/fd").is_dir():
        pytest.skip("no list of open files on this system")
    tag = f'"{"0" * 64}"'
    with api_site.asking(own) as client:
        for extra in ({}, {"Range": "bytes=1-2"}, {"Range": "bytes=99999999-"},
                      {"If-None-Match": "*"}, {"If-Range": tag, "Range": "bytes=1-"}):  # fmt: skip
            for method in ("GET", "HEAD"):
                client.request(
                    method, "/api/frames/ours1/file", headers={**own.as_("ana"), **extra}
                )
        with client.stream("GET", "/api/frames/ours1/file", headers=own.as_("ana")) as answer:
            next(answer.iter_bytes(10))
    end = time.monotonic() + 10  # the server notices later that nobody listens
    while held() and time.monotonic() < end:
        time.sleep(0.05)
    assert held() == 0


def test_a_name_of_a_file_is_no_header_of_its_own() -> None:
    odd = 'raw/n/a"b;\r\nSet-Cookie: x=1.fits'
    said = disposition(odd)
    assert "\n" not in said
    assert "Set-Cookie: " not in said
    assert disposition("raw/n/a.fits.fz") == 'attachment; filename="a.fits.fz"'
