"""Raw frames for programs: who may have which, whole or in parts."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from flow import toys
from tesela.ledger import accounts, products, schema, verdicts
from tesela.ledger.clock import now_mjd
from tesela.products.frame import night_span
from tesela.web.portal import PortalSettings

from . import api_site
from .api_site import CONTENT, NIGHT, OURS, THEIRS, ApiSite


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiSite]:
    made = api_site.make(tmp_path_factory.mktemp("api"))
    yield made
    made.ledger.close()


@pytest.fixture(scope="module")
def client(site: ApiSite) -> Iterator[httpx.Client]:
    with api_site.asking(site) as asking:
        yield asking


@pytest.fixture
def own(tmp_path: Path) -> Iterator[ApiSite]:
    """A site to be spoiled."""
    made = api_site.make(tmp_path)
    yield made
    made.ledger.close()


def names(answer: httpx.Response) -> list[str]:
    assert answer.status_code == 200, answer.text
    return [one["name"] for one in answer.json()["frames"]]


def told(answer: httpx.Response, status: int) -> str:
    """What an error says, and what to do."""
    assert answer.status_code == status, answer.text
    error = answer.json()["error"]
    assert error["status"] == status
    assert error["message"]
    assert error["do"]
    return f"{error['message']}; {error['do']}"


def file_of(name: str) -> str:
    return f"/api/frames/{name}/file"


# -- who ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/api/frames", file_of("ours1"), file_of("nothing")])
@pytest.mark.parametrize(
    "header",
    [
        None, "", "Bearer", "Basic dXNlcjpwdw==", "Bearer tsl_", "tsl_x",
        "Bearer tsl_" + "A" * 43, "Bearer " + "A" * 4000, "Bearer ' OR 1=1 --",
        b"Bearer tsl_\xff\xfe", "Bearer tsl_A B",
    ],
)  # fmt: skip
def test_nobody_is_told_anything_without_a_good_token(
    site: ApiSite, path: str, header: str | bytes | None
) -> None:
    with api_site.asking(site) as fresh:
        answer = fresh.get(path, headers=[] if header is None else [("Authorization", header)])
    assert told(answer, 401)
    assert answer.headers["www-authenticate"].startswith("Bearer")
    assert "ours" not in answer.text


def test_two_tokens_are_none(site: ApiSite, client: httpx.Client) -> None:
    both = [("Authorization", f"Bearer {site.tokens[one]}") for one in ("ana", "op")]
    told(client.get("/api/frames", headers=both), 401)


def test_members_see_their_projects_and_operators_all(site: ApiSite, client: httpx.Client) -> None:
    of = {who: sorted(names(client.get("/api/frames", headers=site.as_(who))))
          for who in ("ana", "ben", "op")}  # fmt: skip
    assert of["ana"] == ["bias1", "ours1", "ours2", "ours3"]
    assert of["ben"] == ["theirs1"]
    assert of["op"] == sorted(of["ana"] + of["ben"])


def test_a_member_of_no_project_is_told(site: ApiSite, client: httpx.Client) -> None:
    said = told(client.get("/api/frames", headers=site.as_("eva")), 403)
    assert "no project" in said
    told(client.get(file_of("ours1"), headers=site.as_("eva")), 404)


@pytest.mark.parametrize("project", [THEIRS, "a project that nobody has"])
def test_another_project_may_not_be_asked_for_whether_there_is_one_or_not(
    site: ApiSite, client: httpx.Client, project: str
) -> None:
    answer = client.get("/api/frames", params={"project": project}, headers=site.as_("ana"))
    said = told(answer, 403)
    assert said.replace(project, "X") == (
        f"account ana is not a member of project X; leave it out, or choose of {OURS}"
    )


def test_a_frame_of_another_project_is_as_if_it_were_not(
    site: ApiSite, client: httpx.Client
) -> None:
    theirs, none = (client.get(file_of(name), headers=site.as_("ana"))
                    for name in ("theirs1", "theirs2"))  # fmt: skip
    told(theirs, 404)
    varying = ("date",)
    assert theirs.content == none.content
    assert {k: v for k, v in theirs.headers.items() if k not in varying} == {
        k: v for k, v in none.headers.items() if k not in varying
    }
    for query in ({"name": "theirs1"}, {"exposure": "theirs1"}, {"tile": "T10", "name": "theirs1"}):
        assert names(client.get("/api/frames", params=query, headers=site.as_("ana"))) == []


def test_a_file_removed_of_another_project_is_no_secret_told(own: ApiSite) -> None:
    _drop(own, "theirs1")
    with api_site.asking(own) as client:
        told(client.get(file_of("theirs1"), headers=own.as_("ana")), 404)


@pytest.mark.parametrize(
    ("how", "status", "word"),
    [("expired", 401, "ended"), ("revoked", 401, "revoked"), ("disabled", 403, "disabled")],
)
def test_what_ends_a_token_ends_it_at_once(own: ApiSite, how: str, status: int, word: str) -> None:
    with api_site.asking(own) as client:
        assert names(client.get("/api/frames", headers=own.as_("ana")))
        with own.ledger.write() as conn:
            if how == "expired":
                table = schema.access_token
                conn.execute(
                    table.update().where(table.c.account == "ana").values(expires_mjd=now_mjd())
                )
            elif how == "revoked":
                accounts.revoke_tokens(conn, "ana", who="op")
            else:
                accounts.disable(conn, "ana", who="op")
        for path in ("/api/frames", file_of("ours1")):
            assert word in told(client.get(path, headers=own.as_("ana")), status)


def test_a_project_that_is_granted_is_seen_at_once_and_one_revoked_no_more(own: ApiSite) -> None:
    with api_site.asking(own) as client:
        told(client.get(file_of("theirs1"), headers=own.as_("ana")), 404)
        with own.ledger.write() as conn:
            accounts.grant(conn, "ana", THEIRS, who="op")
            accounts.revoke(conn, "ana", OURS, who="op")
        assert client.get(file_of("theirs1"), headers=own.as_("ana")).status_code == 200
        assert names(client.get("/api/frames", headers=own.as_("ana"))) == ["theirs1"]
        told(client.get(file_of("ours1"), headers=own.as_("ana")), 404)


# -- the list -------------------------------------------------------------------------------------


def test_the_facts_of_a_frame(site: ApiSite, client: httpx.Client) -> None:
    answer = client.get("/api/frames", params={"name": "ours1"}, headers=site.as_("ana"))
    assert answer.headers["cache-control"] == "no-store"
    (one,) = answer.json()["frames"]
    content = site.path("ours1").read_bytes()
    assert one["sha256"] == hashlib.sha256(content).hexdigest()
    assert one["bytes"] == len(content)
    assert (one["night"], one["band"], one["ccd"], one["project"]) == (NIGHT, "r", "01", OURS)
    assert one["start"].startswith("2017-07-03T")
    assert (one["flagged"], one["reduced"], one["dropped"]) == (None, None, None)
    assert one["file"] == file_of("ours1")
    assert answer.json()["next"] is None


def test_what_became_of_a_frame(own: ApiSite) -> None:
    with own.ledger.write() as conn:
        verdicts.set_bad(conn, "raw", "ours1", reason="trail", comment="", who="op")
        made = products.insert(conn, products.NewProduct("reduced", "ours2", 3))
        products.add_quality(conn, made, {}, rejections=["seeing"])
        products.insert(conn, products.NewProduct("reduced", "ours3", 1))
    _drop(own, "ours3")
    with api_site.asking(own) as client:
        answer = client.get("/api/frames", headers=own.as_("op")).json()
    found = {one["name"]: one for one in answer["frames"]}
    assert found["ours1"]["flagged"] == "trail"
    assert found["ours2"]["reduced"] == {"version": 3, "passed": False}
    assert found["ours3"]["reduced"] == {"version": 1, "passed": False}
    assert found["ours3"]["dropped"].startswith("20")
    assert found["theirs1"]["dropped"] is None


def test_the_size_of_a_frame_from_before_sizes_were_kept_is_looked_up(own: ApiSite) -> None:
    table = schema.product
    with own.ledger.write() as conn:
        conn.execute(table.update().where(table.c.kind == "raw").values(files_json="[]"))
    own.path("ours2").unlink()
    with api_site.asking(own) as client:
        answer = client.get("/api/frames", headers=own.as_("ana")).json()
    sizes = {one["name"]: one["bytes"] for one in answer["frames"]}
    assert sizes["ours1"] == len(CONTENT) + 5
    assert sizes["ours2"] is None


BEGIN = night_span(NIGHT, 0.0)[0] + 0.45


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({"night": NIGHT}, ["bias1", "ours1", "ours2", "ours3"]),
        ({"night": "2017-07-04"}, []),
        ({"obstype": "bias"}, ["bias1"]),
        ({"band": "r", "tile": "T20"}, ["ours3"]),
        ({"exposure": "ours2"}, ["ours2"]),
        ({"exposure": "JAST80.toycam.ours2"}, ["ours2"]),
        ({"name": "ours2", "night": "2017-07-04"}, []),
        ({"object": "field", "camera": "toycam", "ccd": "01", "telescope": "JAST80",
          "obstype": "science", "project": OURS}, ["ours1", "ours2", "ours3"]),
        ({"ra": "10.25", "dec": "0.05"}, ["ours1", "ours2"]),
        ({"ra": "-349.75", "dec": "0.05"}, ["ours1", "ours2"]),
        ({"ra": "10.3", "dec": "0.0"}, ["ours2"]),
        ({"ra": "10.4", "dec": "0.0", "radius": "0.05"}, ["ours2"]),
        ({"ra": "10.4", "dec": "0.0", "radius": "0.15"}, ["ours1", "ours2"]),
        ({"ra": "10.25", "dec": "-0.3", "radius": "0.23"}, []),
        ({"ra": "10.25", "dec": "-0.3", "radius": "0.25", "band": "r"}, ["ours1", "ours2"]),
        ({"ra": "10.25", "dec": "0.0", "radius": "0.1", "tile": "T20"}, []),
        ({"ra": "200", "dec": "90", "radius": "5"}, []),
        ({"since": "2017-07-03", "until": "2017-07-05"}, ["bias1", "ours1", "ours2", "ours3"]),
        ({"since": repr(BEGIN), "until": repr(BEGIN + 1e-6)}, ["bias1", "ours1", "ours2", "ours3"]),
        ({"since": repr(BEGIN + 1e-6)}, []),
        ({"until": repr(BEGIN)}, []),
        ({"since": "2017-07-03T22:00:00Z", "until": "2017-07-04T00:50:00+02:00"},
         ["bias1", "ours1", "ours2", "ours3"]),
        ({"since": "2017-07-03T23:00:00"}, []),
    ],
    ids=str,
)  # fmt: skip
def test_frames_are_found_by_what_is_known_of_them(
    site: ApiSite, client: httpx.Client, query: dict[str, str], expected: list[str]
) -> None:
    answer = client.get("/api/frames", params=query, headers=site.as_("ana"))
    assert sorted(names(answer)) == expected


def test_pages_are_followed_to_the_end(site: ApiSite, client: httpx.Client) -> None:
    path: str | None = "/api/frames?limit=1&night=2017-07-03&project=survey"
    found = []
    while path is not None:
        answer = client.get(path, headers=site.as_("ana"))
        assert len(names(answer)) <= 1
        found += names(answer)
        path = answer.json()["next"]
    assert sorted(found) == ["bias1", "ours1", "ours2", "ours3"]


def test_a_frame_that_comes_in_is_there_at_the_next_request(own: ApiSite) -> None:
    with api_site.asking(own) as client:
        before = names(client.get("/api/frames", headers=own.as_("ana")))
        own.add(toys.facts("late", "science", ra=10.4, project=OURS))
        after = names(client.get("/api/frames", headers=own.as_("ana")))
        assert set(after) - set(before) == {"late"}
        assert client.get(file_of("late"), headers=own.as_("ana")).content == CONTENT + b"late"


def test_long_lists_come_compressed(site: ApiSite, client: httpx.Client) -> None:
    answer = client.get("/api/frames", headers=site.as_("ana"))
    assert answer.headers["content-encoding"] == "gzip"


# -- the file -------------------------------------------------------------------------------------


def test_a_file_comes_as_it_is(site: ApiSite, client: httpx.Client) -> None:
    answer = client.get(file_of("ours1"), headers=site.as_("ana"))
    content = CONTENT + b"ours1"
    digest = hashlib.sha256(content)
    assert answer.status_code == 200
    assert answer.content == content
    assert answer.headers["content-length"] == str(len(content))
    assert answer.headers["etag"] == f'"{digest.hexdigest()}"'
    assert answer.headers["accept-ranges"] == "bytes"
    assert answer.headers["content-type"] == "application/fits"
    assert answer.headers["content-disposition"] == 'attachment; filename="ours1.fits"'
    assert answer.headers["repr-digest"] == (
        f"sha-256=:{base64.b64encode(digest.digest()).decode()}:"
    )
    assert "content-encoding" not in answer.headers
    assert "public" not in answer.headers["cache-control"]


def test_head_tells_the_same_and_sends_nothing(site: ApiSite, client: httpx.Client) -> None:
    whole = client.get(file_of("ours1"), headers=site.as_("ana"))
    head = client.head(file_of("ours1"), headers=site.as_("ana"))
    assert head.status_code == 200
    assert head.content == b""
    for name in ("content-length", "etag", "accept-ranges", "content-disposition", "content-type"):
        assert head.headers[name] == whole.headers[name]
    assert client.head(file_of("ours1")).status_code == 401


N = len(CONTENT) + 5


@pytest.mark.parametrize(
    ("asked", "begin", "end"),
    [
        ("bytes=0-0", 0, 1),
        ("bytes=5-9", 5, 10),
        (f"bytes={N - 3}-", N - 3, N),
        ("bytes=-4", N - 4, N),
        (f"bytes=-{N + 100}", 0, N),
        (f"bytes=100-{N + 100}", 100, N),
        ("bytes=262140-262150", 262140, 262151),
        ("bytes=0-", 0, N),
    ],
)
def test_a_part_is_sent(
    site: ApiSite, client: httpx.Client, asked: str, begin: int, end: int
) -> None:
    answer = client.get(file_of("ours1"), headers={**site.as_("ana"), "Range": asked})
    assert answer.status_code == 206
    assert answer.content == (CONTENT + b"ours1")[begin:end]
    assert answer.headers["content-range"] == f"bytes {begin}-{end - 1}/{N}"
    assert answer.headers["content-length"] == str(end - begin)
    head = client.head(file_of("ours1"), headers={**site.as_("ana"), "Range": asked})
    assert (head.status_code, head.headers["content-length"]) == (206, str(end - begin))


@pytest.mark.parametrize("asked", [f"bytes={N}-", f"bytes={N + 7}-{N + 9}", "bytes=-0"])
def test_a_part_beyond_the_end_is_none(site: ApiSite, client: httpx.Client, asked: str) -> None:
    answer = client.get(file_of("ours1"), headers={**site.as_("ana"), "Range": asked})
    assert answer.status_code == 416
    assert answer.headers["content-range"] == f"bytes */{N}"


@pytest.mark.parametrize(
    "asked",
    ["bytes=9-5", "bytes=-", "lines=1-2", "bytes=a-b", "bytes=1-2,4-5", "bytes=" + "9" * 400 + "-",
     "bytes=0-" + ",0-" * 2000, "", "bytes"],
)  # fmt: skip
def test_parts_that_are_not_understood_give_the_whole(
    site: ApiSite, client: httpx.Client, asked: str
) -> None:
    answer = client.get(file_of("ours1"), headers={**site.as_("ana"), "Range": asked})
    assert answer.status_code == 200
    assert len(answer.content) == N


def test_a_download_is_resumed_if_the_file_is_still_the_same(
    site: ApiSite, client: httpx.Client
) -> None:
    tag = client.head(file_of("ours1"), headers=site.as_("ana")).headers["etag"]
    rest = {**site.as_("ana"), "Range": "bytes=1000-"}
    same = client.get(file_of("ours1"), headers={**rest, "If-Range": tag})
    assert (same.status_code, same.content) == (206, (CONTENT + b"ours1")[1000:])
    for other in ('"another"', f"W/{tag}", "Wed, 21 Oct 2015 07:28:00 GMT"):
        whole = client.get(file_of("ours1"), headers={**rest, "If-Range": other})
        assert (whole.status_code, len(whole.content)) == (200, N)


def test_who_has_the_file_already_is_told(site: ApiSite, client: httpx.Client) -> None:
    tag = client.head(file_of("ours1"), headers=site.as_("ana")).headers["etag"]
    for known in (tag, f'"x", {tag}', f"W/{tag}", "*"):
        answer = client.get(file_of("ours1"), headers={**site.as_("ana"), "If-None-Match": known})
        assert (answer.status_code, answer.content) == (304, b"")
        assert answer.headers["etag"] == tag
    other = client.get(file_of("ours1"), headers={**site.as_("ana"), "If-None-Match": '"x"'})
    assert other.status_code == 200


def _drop(site: ApiSite, name: str, copies: tuple[str, ...] = ()) -> None:
    table = schema.product
    with site.ledger.write() as conn:
        found = products.current(conn, "raw", name)
        assert found is not None
        conn.execute(table.update().where(table.c.id == found["id"]).values(dropped_mjd=57940.0))
        for copy in copies:
            row = {"product_id": found["id"], "site": copy, "checksum": found["checksum"]}
            conn.execute(schema.replica.insert().values(**row, verified_mjd=57939.0))
    site.path(name).unlink()


def test_a_file_that_was_removed_on_purpose_is_gone_and_where_a_copy_is_is_told(
    own: ApiSite,
) -> None:
    _drop(own, "ours1", ("core", "vault"))
    _drop(own, "ours2")
    with api_site.asking(own) as client:
        said = told(client.get(file_of("ours1"), headers=own.as_("ana")), 410)
        assert "removed here on 2017-07-06" in said
        assert "core (verified 2017-07-05), vault (verified 2017-07-05)" in said
        assert "no other copy" in told(client.get(file_of("ours2"), headers=own.as_("ana")), 410)
        assert client.head(file_of("ours1"), headers=own.as_("ana")).status_code == 410


def test_only_pages_can_be_left_out(site: ApiSite) -> None:
    with api_site.asking(site, PortalSettings(pages=False)) as client:
        for path in ("/", "/frame/ours1", f"/night/{NIGHT}", "/static/portal.css"):
            assert client.get(path).status_code == 404
        assert client.get(file_of("ours1"), headers=site.as_("ana")).status_code == 200


def test_the_answers_are_json_that_other_sites_pages_cannot_read(
    site: ApiSite, client: httpx.Client
) -> None:
    headers = {**site.as_("ana"), "Origin": "https://elsewhere.example"}
    answer = client.get("/api/frames", headers=headers)
    assert json.loads(answer.text)
    assert "access-control-allow-origin" not in answer.headers
    assert answer.headers["x-content-type-options"] == "nosniff"


def test_the_ledger_is_not_written(site: ApiSite, client: httpx.Client) -> None:
    def everything() -> list[Any]:
        with site.ledger.read() as conn:
            return [conn.execute(table.select()).all() for table in schema.metadata.sorted_tables]

    before = everything()
    client.get("/api/frames", headers=site.as_("ana"))
    client.get("/api/frames", headers={"Authorization": "Bearer tsl_" + "B" * 43})
    client.get(file_of("ours1"), headers=site.as_("ana"))
    assert everything() == before
