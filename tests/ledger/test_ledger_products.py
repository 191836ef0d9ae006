"""Versions, edges, verdicts, tasks."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import sqlalchemy as sa

from tesela.errors import LedgerError, NotFound
from tesela.ledger import (
    attempts,
    engine,
    events,
    leases,
    products,
    schema,
    status,
    steps,
    tasks,
    verdicts,
)
from tesela.ledger.engine import Ledger
from tesela.ledger.keys import Scope
from tesela.ledger.queries import judging


def add(ledger: Ledger, kind: str, key: str, *sources: tuple[int, str]) -> int:
    with ledger.write() as conn:
        version = products.next_version(conn, kind, key)
        return products.insert(conn, products.NewProduct(kind, key, version), sources)


def test_only_the_last_version_is_current(ledger: Ledger) -> None:
    first, second = add(ledger, "coadd", "T.r"), add(ledger, "coadd", "T.r")
    with ledger.read() as conn:
        current = products.current(conn, "coadd", "T.r")
        assert current is not None
        assert (current["id"], current["version"]) == (second, 2)
        assert products.next_version(conn, "coadd", "T.r") == 3
    with pytest.raises(sa.exc.IntegrityError), ledger.write() as conn:
        table = schema.product
        conn.execute(table.update().where(table.c.id == first).values(is_current=True))


def test_users_are_found_through_inputs_and_not_through_evidence(ledger: Ledger) -> None:
    raw = add(ledger, "raw", "a")
    reduced = add(ledger, "reduced", "a", (raw, "input"))
    coadd = add(ledger, "coadd", "T.r", (reduced, "input"))
    add(ledger, "catalogue", "T.r", (coadd, "input"))
    add(ledger, "master", "FRINGE", (reduced, "evidence"))
    with ledger.read() as conn:
        assert products.users(conn, "raw", "a") == [
            ("catalogue", "T.r"),
            ("coadd", "T.r"),
            ("reduced", "a"),
        ]


def test_what_only_an_old_version_used_is_a_past_user(ledger: Ledger) -> None:
    raw, other = add(ledger, "raw", "a"), add(ledger, "raw", "b")
    add(ledger, "coadd", "T.r", (raw, "input"))
    add(ledger, "coadd", "T.r", (other, "input"))
    with ledger.read() as conn:
        assert products.users(conn, "raw", "a") == []
        assert products.users(conn, "raw", "a", past=True) == [("coadd", "T.r")]


def test_a_retired_product_has_no_current_version_and_leaves_an_event(ledger: Ledger) -> None:
    product_id = add(ledger, "coadd", "T.r")
    with ledger.write() as conn:
        products.retire(conn, product_id, "no frame is left")
        assert products.current(conn, "coadd", "T.r") is None
        found = events.history(conn, "T.r")
    assert [row["what"] for row in found["events"]] == ["retired"]
    assert found["versions"][0]["state"] == "invalid"


def test_quality_keeps_numbers_typed_and_the_rest_whole(ledger: Ledger) -> None:
    product_id = add(ledger, "reduced", "a")
    with ledger.write() as conn:
        metrics = {"fwhm_arcsec": 1.2, "depth_psf_mag": math.nan, "own": [1, 2]}
        products.add_quality(conn, product_id, metrics, rejections=("trail", "clouds"))
        row = products.quality_of(conn, product_id)
    assert row is not None
    assert (row["fwhm_arcsec"], row["depth_psf_mag"], row["passed"]) == (1.2, None, False)
    assert row["reason"] == "trail; clouds"
    assert '"own": [1, 2]' in row["metrics_json"]


def test_one_verdict_is_in_force_at_a_time_and_the_past_is_kept(ledger: Ledger) -> None:
    with ledger.write() as conn:
        verdicts.set_bad(conn, "raw", "a", reason="trail", comment="bright", who="eva")
    with pytest.raises(LedgerError, match="flagged already by eva"), ledger.write() as conn:
        verdicts.set_bad(conn, "raw", "a", reason="moon", comment="", who="tom")
    with ledger.write() as conn:
        verdicts.withdraw(conn, "raw", "a", who="tom")
        assert verdicts.standing(conn, "raw", "a") is None
        past = events.history(conn, "a")
    assert [row["what"] for row in past["events"]] == ["flagged", "unflagged"]
    assert past["verdicts"][0]["withdrawn_by"] == "tom"
    with pytest.raises(NotFound), ledger.write() as conn:
        verdicts.withdraw(conn, "raw", "a", who="tom")


def put(ledger: Ledger, key: str, *, priority: int = 0, digest: str = "x") -> int:
    with ledger.write() as conn:
        new = tasks.NewTask("reduce", "reduced", key, digest, (), "a test", 1.0, priority)
        return tasks.put(conn, new)


def test_urgent_tasks_are_claimed_first_and_none_twice(ledger: Ledger) -> None:
    for key, priority in (("a", 0), ("b", 10), ("c", 0)):
        put(ledger, key, priority=priority)
    with ledger.write() as conn:
        assert [claim.key for claim in tasks.claim(conn, 2)] == ["b", "a"]
        assert [claim.key for claim in tasks.claim(conn, 2)] == ["c"]
        assert tasks.claim(conn, 2) == []


def test_an_attempt_that_lost_its_task_cannot_end_it(ledger: Ledger) -> None:
    put(ledger, "a")
    with ledger.write() as conn:
        (first,) = tasks.claim(conn, 1)
        leases.recover(conn, "the controller died")
        (second,) = tasks.claim(conn, 1)
        assert second.number == first.number + 1
        assert not tasks.end(conn, first, "done", attempts.Ending("done"))
        assert tasks.end(conn, second, "done", attempts.Ending("done"))
        assert not tasks.end(conn, second, "done", attempts.Ending("done"))
        row = tasks.get(conn, "reduced", "a")
    assert row is not None
    assert (row["state"], row["interruptions"]) == ("done", 0)


def test_a_delayed_task_waits_its_time(ledger: Ledger) -> None:
    put(ledger, "a")
    with ledger.write() as conn:
        (claim,) = tasks.claim(conn, 1)
        ending = attempts.Ending("failed", "infrastructure")
        tasks.end(conn, claim, "ready", ending, delay_s=3600.0)
        assert tasks.claim(conn, 1) == []
        assert len(tasks.claim(conn, 1, now=1e6)) == 1


def test_a_dead_task_is_tried_again_on_request(ledger: Ledger) -> None:
    put(ledger, "a")
    with ledger.write() as conn:
        (claim,) = tasks.claim(conn, 1)
        tasks.end(conn, claim, "dead", attempts.Ending("failed", "fault"), reason="defect")
        assert status.overview(conn)["ended_badly"][0]["reason"] == "defect"
        again = {"kind": "reduced", "keys": ["a"], "why": "again"}
        assert conn.execute(judging.RETRY, again).rowcount == 1
        assert conn.execute(judging.RETRY, again).rowcount == 0
        assert len(tasks.claim(conn, 1)) == 1


def test_dirty_marks_merge_and_a_wish_for_fresh_choices_is_kept(ledger: Ledger) -> None:
    with ledger.write() as conn:
        tasks.mark_dirty(conn, [("coadd", "T.r")], "flag", fresh=True)
        tasks.mark_dirty(conn, [("coadd", "T.r")], "frame", not_before=100.0)
        assert tasks.due(conn, 99.0, 10) == []
        assert tasks.due(conn, 100.0, 10) == [tasks.Due("coadd", "T.r", "frame", True)]


def test_registering_a_step_again_is_no_event_and_a_change_is_one(ledger: Ledger) -> None:
    row = steps.StepRow("reduce", "reduced", "1", "s", 1, 500.0, 1.5)
    with ledger.write() as conn:
        steps.register(conn, [row])
        steps.register(conn, [row])
        assert conn.execute(schema.event.select()).all() == []
        changed = steps.StepRow("reduce", "reduced", "2", "s", 1, 500.0, 1.5)
        steps.register(conn, [changed])
        assert [e.what for e in conn.execute(schema.event.select())] == ["step changed"]


def test_the_migration_gives_products_the_scope_of_their_settings(tmp_path: Path) -> None:
    from alembic import command

    path = tmp_path / "ledger.sqlite"
    ledger = Ledger.create(path)
    master = "FLAT.T80.cam.01.r_-.fast.20170703"
    with ledger.write() as conn:
        step = {"code_version": "1", "settings_hash": "h", "cores": 1, "memory_mb": 1.0}
        for name, kind in (("reduce", "reduced"), ("master", "master"), ("coadd", "coadd")):
            row = {"name": name, "kind": kind, "seconds_per_mpix": 1.0, **step}
            conn.execute(schema.step.insert().values(**row))
        conn.execute(schema.project.insert().values(name="open time"))
        conn.execute(
            schema.exposure.insert().values(
                id=1, key="T80.cam.a", name="a", telescope="T80", camera="cam", project="open time",
                night="2017-07-03", obstype="science", readout_mode="fast", mjd_start=1.0,
                exptime_s=1.0,
            )
        )  # fmt: skip
        ids = {}
        for kind, key in (("raw", "a"), ("reduced", "a"), ("master", master), ("coadd", "T.r")):
            new = products.NewProduct(kind, key, 1, code_version="1", settings_hash="h")
            ids[kind] = products.insert(conn, new)
        conn.execute(
            schema.frame.insert().values(
                product_id=ids["raw"], exposure_id=1, name="a", ccd="01", configuration="c",
                nx=1, ny=1, sha256="s", data_sha256="d",
            )
        )  # fmt: skip
        conn.execute(
            schema.master.insert().values(
                product_id=ids["master"], master_kind="FLAT", configuration="T80.cam.01.r_-.fast",
                night="2017-07-03", valid_begin=1, valid_end=2, natural_end=2, state="certified",
                n_frames=1,
            )
        )  # fmt: skip
    config = engine._alembic_config()
    with ledger.engine.connect() as conn:
        config.attributes["connection"] = conn
        command.downgrade(config, "0003")
        conn.commit()
    ledger.close()
    ledger = Ledger.migrate(path)
    with ledger.write() as conn:
        scopes = {row.kind: row.scope for row in conn.execute(schema.product.select())}
        assert scopes == {
            "raw": "", "reduced": "cam.open_time.science", "master": "cam.-.flat", "coadd": "",
        }  # fmt: skip
        assert steps.scope_of(conn, "reduced", "a") == Scope.parse(scopes["reduced"])
        assert steps.scope_of(conn, "master", master) == Scope.parse(scopes["master"])
        assert status.stale(conn) == []
        steps.register_scopes(conn, "reduce", lambda scope: f"for {scope.project}")
        assert [row["kind"] for row in status.stale(conn)] == ["reduced"]
    ledger.close()
