"""Environments and settings, each kept once, and what differs between versions."""

from __future__ import annotations

import pytest

from tesela.ledger import history, products, provenance, schema
from tesela.ledger.engine import Ledger
from tesela.products.environment import environment_now, hash_of

OLD, NEW = {"python": "3.11.7", "numpy": "2.0.1"}, {"python": "3.11.7", "numpy": "2.1.0"}


def test_each_is_kept_once(ledger: Ledger) -> None:
    settings = {"stage": {"sky": {"mesh_px": 1024}}, "filters": {}}
    for _ in range(3):
        with ledger.write() as conn:
            assert provenance.put_environment(conn, OLD) == hash_of(OLD)
            provenance.put_settings(conn, "abc", settings)
    with ledger.read() as conn:
        assert len(conn.execute(schema.environment.select()).all()) == 1
        assert len(conn.execute(schema.settings.select()).all()) == 1
        assert provenance.environment_of(conn, hash_of(OLD)) == OLD
        assert provenance.settings_of(conn, "abc") == settings
        assert provenance.settings_of(conn, "none") is None
        assert provenance.environment_of(conn, "") is None


def test_nothing_is_kept_of_nothing(ledger: Ledger) -> None:
    with ledger.write() as conn:
        assert provenance.put_environment(conn, {}) == ""
        provenance.put_settings(conn, "", {"a": 1})
        assert conn.execute(schema.environment.select()).all() == []
        assert conn.execute(schema.settings.select()).all() == []


def test_the_environment_of_now_can_be_kept(ledger: Ledger) -> None:
    with ledger.write() as conn:
        digest = provenance.put_environment(conn, environment_now().versions)
        assert digest == environment_now().hash
        assert provenance.environment_of(conn, digest) == dict(environment_now().versions)


@pytest.fixture
def versions(ledger: Ledger) -> Ledger:
    """A coadd in four versions: other code, settings and libraries, then settings nobody kept."""
    with ledger.write() as conn:
        provenance.put_settings(conn, "s1", {"stage": {"sky": {"mesh": 1, "clip": 3.0}, "a": []}})
        provenance.put_settings(conn, "s2", {"stage": {"sky": {"mesh": 2}, "a": [], "b": True}})
        old, new = (provenance.put_environment(conn, one) for one in (OLD, NEW))
        for version, (code, settings, environment) in enumerate(
            [("1.0", "s1", old), ("1.1", "s2", new), ("1.1", "s3", new), ("1.1", "s3", "")], 1
        ):
            new_one = products.NewProduct(
                "coadd", "T.r", version, code_version=code, settings_hash=settings,
                environment=environment,
            )  # fmt: skip
            products.insert(conn, new_one)
    return ledger


def test_what_differs_between_versions_is_said(versions: Ledger) -> None:
    with versions.read() as conn:
        rows = history.of_key(conn, "T.r")["versions"]
    assert rows[0]["differences"] == []
    assert rows[1]["differences"] == [
        "code 1.1, was 1.0",
        "settings stage.b = true, was not set",
        "settings stage.sky.clip = not set, was 3.0",
        "settings stage.sky.mesh = 2, was 1",
        'environment numpy = "2.1.0", was "2.0.1"',
    ]
    assert rows[2]["differences"] == ["settings s3, was s2"]
    assert rows[3]["differences"] == [], "nothing is said of what was not recorded"
    assert [row["libraries"] for row in rows] == [OLD, NEW, NEW, None]
