"""Copies at other sites: what is owed, what counts, and that no question reads everything."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
import sqlalchemy as sa

from tesela.ledger import products, replicas, schema, shipments
from tesela.ledger.clock import now_mjd
from tesela.ledger.engine import Ledger
from tesela.ledger.queries import sites as queries


def add(ledger: Ledger, kind: str, *keys: str, checksum: str = "a" * 64) -> list[int]:
    with ledger.write() as conn:
        return [
            products.insert(
                conn,
                products.NewProduct(
                    kind, key, products.next_version(conn, kind, key), path=f"{key}.fits",
                    files=((f"{key}.fits", checksum, 7),), checksum=checksum,
                ),
            )
            for key in keys
        ]  # fmt: skip


def copy(
    ledger: Ledger, ids: Sequence[int], site: str, checksum: str = "a" * 64, at: float = 60000.0
) -> None:
    with ledger.write() as conn:
        replicas.put(
            conn,
            [
                {"product_id": i, "site": site, "checksum": checksum, "verified_mjd": at,
                 "shipment": "s", "path": "there"}
                for i in ids
            ],
        )  # fmt: skip


def unsent(ledger: Ledger, *kinds: str, after: int = 0) -> list[str]:
    with ledger.read() as conn:
        return [row["key"] for row in replicas.unsent(conn, "core", kinds, after)]


@pytest.mark.parametrize("window", [1, 2, 500])
def test_owed_is_what_is_current_and_has_no_copy_there(
    ledger: Ledger, window: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(replicas, "WINDOW", window)
    a, b, _ = add(ledger, "raw", "a", "b", "c")
    add(ledger, "coadd", "t")
    add(ledger, "coadd", "t")  # the first is replaced
    add(ledger, "master", "m")
    copy(ledger, [a], "core")
    copy(ledger, [b], "archive")
    assert unsent(ledger, "raw", "coadd") == ["b", "c", "t"]
    assert unsent(ledger, "raw", after=b) == ["c"]
    assert unsent(ledger) == []
    with ledger.write() as conn:
        conn.execute(schema.product.update().where(schema.product.c.id == b).values(dropped_mjd=1))
    assert unsent(ledger, "raw") == ["c"]


def test_an_older_verification_does_not_replace_a_newer_one(ledger: Ledger) -> None:
    ids = add(ledger, "raw", "a")
    copy(ledger, ids, "core", at=60010.0)
    copy(ledger, ids, "core", checksum="b" * 64, at=60000.0)
    with ledger.read() as conn:
        (row,) = replicas.of_product(conn, ids[0])
    assert (row["checksum"], row["verified_mjd"]) == ("a" * 64, 60010.0)


def test_by_name_gives_the_very_versions(ledger: Ledger) -> None:
    first, second = add(ledger, "coadd", "t"), add(ledger, "coadd", "t")
    with ledger.read() as conn:
        found = replicas.by_name(conn, [("coadd", "t", 1), ("coadd", "t", 3), ("raw", "t", 1)])
    assert [row["id"] for row in found.values()] == first
    assert second


def freeable(ledger: Ledger, **changes: Any) -> list[str]:
    asked = {"before_mjd": now_mjd() + 1, "fresh_mjd": 0.0, "copies": 2, **changes}
    window = asked.pop("window", (0, 1000))
    with ledger.read() as conn:
        return [row["key"] for row in replicas.freeable(conn, "obs", window, **asked)]


def test_two_sound_copies_of_two_other_sites_free_a_frame(ledger: Ledger) -> None:
    ids = add(ledger, "raw", "both", "one", "wrong", "own", "old")
    copy(ledger, ids, "core")
    copy(ledger, ids[:1], "archive")
    copy(ledger, ids[2:3], "archive", checksum="b" * 64)
    copy(ledger, ids[3:4], "obs")
    copy(ledger, ids[4:], "archive", at=50000.0)
    assert freeable(ledger, fresh_mjd=55000.0) == ["both"]
    assert freeable(ledger) == ["both", "old"]
    assert freeable(ledger, copies=3) == []
    assert freeable(ledger, before_mjd=0.0) == []
    assert freeable(ledger, window=(ids[0], ids[-1])) == ["old"]
    assert freeable(ledger, window=(0, ids[0])) == ["both"]


def test_dropping_looks_at_the_copies_once_more(ledger: Ledger) -> None:
    ids = add(ledger, "raw", "a")
    copy(ledger, ids, "core")
    row = {"id": ids[0], "key": "a", "path": "a.fits", "checksum": "a" * 64}
    asked: dict[str, Any] = {"fresh_mjd": 0.0, "copies": 2, "who": "x"}
    with ledger.write() as conn:
        assert not replicas.drop(conn, row, "obs", **asked)
    copy(ledger, ids, "archive")
    with ledger.write() as conn:
        assert not replicas.drop(conn, {**row, "checksum": "b" * 64}, "obs", **asked)
        assert replicas.drop(conn, row, "obs", **asked)
        assert not replicas.drop(conn, row, "obs", **asked)
    assert freeable(ledger) == []


def test_windows_give_every_product_once(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(replicas, "WINDOW", 3)
    ids = add(ledger, "raw", *"abcdefg") + add(ledger, "coadd", "t")
    seen = []
    with ledger.read() as conn:
        for window in replicas.windows(0, replicas.last_id(conn)):
            seen += [row["id"] for row in replicas.every(conn, window)]
        all_ = (0, 1000)
        assert [row["key"] for row in replicas.every(conn, all_, kinds=["coadd"])] == ["t"]
        assert replicas.every(conn, all_, since_mjd=now_mjd() + 1) == []
        assert replicas.ids_with_files(conn, all_, kinds=["raw"]) == ids[:-1]
        assert (replicas.count(conn), replicas.count(conn, ["raw"])) == (8, 7)
    assert seen == ids


def test_files_have_the_main_one_first() -> None:
    row = {"path": "b", "checksum": "c", "files_json": '[["a", "s", 1], ["b", "t", 2]]'}
    assert replicas.files_of(row) == [("b", "t", 2), ("a", "s", 1)]
    assert replicas.files_of({**row, "files_json": "[]"}) == [("b", "c", 0)]


def test_shipments_are_counted_by_way(ledger: Ledger) -> None:
    with ledger.write() as conn:
        for n, state in enumerate(("packed", "sent", "sent")):
            shipments.put(
                conn, f"s{n}", direction="out", site="core", state=state, files=2, n_bytes=1 << 40,
                packed_mjd=60000.0 + n,
            )  # fmt: skip
        shipments.end(conn, "s2", "verified")
    with ledger.read() as conn:
        ways = {row["state"]: int(row["bytes"]) for row in shipments.under_way(conn)}
        (last,) = shipments.latest(conn, "out", "core", "verified")
    assert ways == {"packed": 1 << 40, "sent": 1 << 40}
    assert last["id"] == "s2"


ASKED: dict[str, tuple[Any, dict[str, Any]]] = {
    "what is owed": (
        queries.UNSENT, {"site": "core", "kinds": ["raw"], "after": 10, "upto": 99}
    ),
    "what may be freed": (
        queries.FREEABLE,
        {"own": "obs", "before": 9e9, "fresh": 0.0, "copies": 2, "after": 10, "upto": 99},
    ),
    "the files of a page": (queries.EVERY_FILE, {"after": 10, "upto": 99, "since": 0.0}),
    "versions by key": (queries.VERSIONS_OF_KEYS, {"kind": "raw", "keys": ["a", "b"]}),
    "old copies": (
        queries.OLD_REPLICAS, {"site": "core", "before": 9e9, "kinds": ["raw"], "limit": 5}
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", ASKED)
def test_no_question_reads_every_product(ledger: Ledger, case: str) -> None:
    query, asked = ASKED[case]
    with ledger.write() as conn:
        if ledger.is_shared:
            conn.execute(sa.text("SET LOCAL enable_seqscan = off"))
        word = "EXPLAIN" if ledger.is_shared else "EXPLAIN QUERY PLAN"
        text = sa.text(f"{word} {query.text}").bindparams(*query._bindparams.values())
        plan = [" ".join(map(str, row)) for row in conn.execute(text, asked)]
    scans = [line for line in plan if "Seq Scan" in line or "SCAN p" in line or "SCAN r" in line]
    assert scans == [], plan
