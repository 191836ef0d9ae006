"""Values of amplifiers by night: the newest version speaks, bad products are silent."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic import command
from sqlalchemy.dialects import postgresql

from tesela.errors import LedgerError, NotFound
from tesela.ledger import amp_quality, engine, masters, products, queries, schema
from tesela.ledger.amp_quality import Judged
from tesela.ledger.engine import Ledger
from tesela.ledger.keys import Configuration, MasterKey
from tesela.products.monitor import AmpValue

CCD = Configuration("JAST80", "t80cam", "01", "-", "fast")
RED = Configuration("JAST80", "t80cam", "01", "rSDSS_1", "fast")
DETECTOR = "JAST80.t80cam.01.-.fast"
NIGHTS = ("2017-07-01", "2017-07-02", "2017-07-03")


def level(value: float, *, amp: int = 1, raised: int = 0, metric: str = "bias_level") -> Judged:
    return AmpValue(amp, metric, value, 0.5, 30), raised, "jumped" if raised else ""


def enter(
    ledger: Ledger,
    night: str,
    rows: list[Judged],
    *,
    kind: str = "BIAS",
    configuration: Configuration = CCD,
) -> int:
    """One more version of the master of a night, with what it says."""
    key = MasterKey(kind, configuration, night)
    with ledger.write() as conn:
        version = products.next_version(conn, "master", str(key))
        product_id = products.insert(conn, products.NewProduct("master", str(key), version))
        masters.add(conn, product_id, key, masters.Interval(0.0, 1.0), n_frames=30)
        amp_quality.put(conn, product_id, configuration, night, rows)
    return product_id


def values(ledger: Ledger, metric: str = "bias_level", **which: object) -> list[float]:
    with ledger.read() as conn:
        rows = amp_quality.series(conn, DETECTOR, metric, **which)  # type: ignore[arg-type]
    return [row.value for row in rows]


def test_what_was_put_comes_back(ledger: Ledger) -> None:
    product_id = enter(ledger, NIGHTS[0], [level(1000.0, amp=3, raised=2)])
    with ledger.read() as conn:
        (row,) = amp_quality.series(conn, DETECTOR, "bias_level")
    assert (row.detector, row.filter, row.source) == (DETECTOR, "-", "BIAS")
    assert (row.night, row.amp, row.value, row.error, row.n) == (NIGHTS[0], 3, 1000.0, 0.5, 30)
    assert (row.level, row.reason, row.product_id) == (2, "jumped", product_id)
    assert row.at_mjd > 57000


def test_what_could_not_be_measured_is_a_row_without_a_value(ledger: Ledger) -> None:
    enter(ledger, NIGHTS[0], [(AmpValue(1, "gain", math.nan), 1, "not measured")])
    with ledger.read() as conn:
        (row,) = amp_quality.series(conn, DETECTOR, "gain")
        assert conn.scalar(sa.select(schema.amp_quality.c.value)) is None
    assert math.isnan(row.value)
    assert math.isnan(row.error)


def test_a_new_version_replaces_all_that_the_old_one_said(ledger: Ledger) -> None:
    enter(ledger, NIGHTS[0], [level(1000.0), level(1010.0, amp=2)])
    enter(ledger, NIGHTS[1], [level(1001.0)])
    enter(ledger, NIGHTS[0], [level(1002.0)])
    assert values(ledger) == [1002.0, 1001.0]


def test_a_series_is_the_latest_nights_before_one(ledger: Ledger) -> None:
    for i, night in enumerate(NIGHTS):
        enter(ledger, night, [level(i), level(10 + i, amp=2)])
    assert values(ledger) == [0, 10, 1, 11, 2, 12]
    assert values(ledger, limit=2) == [1, 11, 2, 12]
    assert values(ledger, limit=1, before=NIGHTS[2], amp=2) == [11]
    assert values(ledger, since=NIGHTS[1], before=NIGHTS[2]) == [1, 11]


def test_each_quantity_has_nights_of_its_own(ledger: Ledger) -> None:
    enter(ledger, NIGHTS[0], [level(1e-4, metric="crosstalk")], kind="CROSSTALK")
    for i, night in enumerate(NIGHTS):
        enter(ledger, night, [level(i)])
    assert values(ledger, "", limit=1) == [2, 1e-4]


def test_twilight_and_lamp_are_two_series_and_so_are_two_filters(ledger: Ledger) -> None:
    blue = Configuration("JAST80", "t80cam", "01", "gSDSS_1", "fast")
    flat = [level(20000.0, metric="flat_level")]
    enter(ledger, NIGHTS[0], flat, kind="FLAT", configuration=RED)
    lamp = [level(30000.0, metric="flat_level")]
    enter(ledger, NIGHTS[0], lamp, kind="DOMEFLAT", configuration=RED)
    other = [level(10000.0, metric="flat_level")]
    enter(ledger, NIGHTS[0], other, kind="FLAT", configuration=blue)
    assert values(ledger, "flat_level", filter="rSDSS_1", source="FLAT") == [20000.0]
    assert values(ledger, "flat_level", filter="rSDSS_1", source="DOMEFLAT") == [30000.0]
    assert values(ledger, "flat_level", source="FLAT") == [10000.0, 20000.0]
    with ledger.read() as conn:
        found = amp_quality.followed(conn)
    assert [(f.filter, f.source, f.nights, f.latest) for f in found] == [
        ("gSDSS_1", "FLAT", 1, NIGHTS[0]),
        ("rSDSS_1", "DOMEFLAT", 1, NIGHTS[0]),
        ("rSDSS_1", "FLAT", 1, NIGHTS[0]),
    ]


@pytest.mark.parametrize("how", ["retired", "rejected"])
def test_what_a_bad_product_said_is_left_out(ledger: Ledger, how: str) -> None:
    ids = [enter(ledger, night, [level(i, raised=1)]) for i, night in enumerate(NIGHTS)]
    with ledger.write() as conn:
        if how == "retired":
            products.retire(conn, ids[1], "light leak")
        else:
            masters.set_state(conn, ids[1], "rejected", "light leak")
    assert values(ledger) == [0, 2]
    with ledger.read() as conn:
        assert [row.night for row in amp_quality.alerts(conn)] == [NIGHTS[2], NIGHTS[0]]
        assert [count.night for count in amp_quality.nights(conn)] == [NIGHTS[2], NIGHTS[0]]


def test_alerts_come_latest_and_gravest_first(ledger: Ledger) -> None:
    enter(ledger, NIGHTS[0], [level(1, raised=2)])
    enter(ledger, NIGHTS[1], [level(2, raised=1), level(3, amp=2, raised=2), level(4, amp=3)])
    with ledger.read() as conn:
        assert [row.value for row in amp_quality.alerts(conn)] == [3, 2, 1]
        assert [row.value for row in amp_quality.alerts(conn, level=2)] == [3, 1]
        assert [row.value for row in amp_quality.alerts(conn, NIGHTS[1])] == [3, 2]
        assert amp_quality.alerts(conn, detector="another") == []
        counts = amp_quality.nights(conn)
    assert [(c.night, c.n, c.warnings, c.alarms) for c in counts] == [
        (NIGHTS[1], 3, 1, 1),
        (NIGHTS[0], 1, 0, 1),
    ]


def test_values_of_no_product_are_refused(ledger: Ledger) -> None:
    with pytest.raises(NotFound, match="product 7"), ledger.write() as conn:
        amp_quality.put(conn, 7, CCD, NIGHTS[0], [level(1.0)])


def at_first_revision(path: Path) -> None:
    """A ledger as the first version wrote it, with a master in it."""
    old = Ledger.create(path)
    key = MasterKey("BIAS", CCD, NIGHTS[0])
    with old.write() as conn:
        product_id = products.insert(conn, products.NewProduct("master", str(key), 1))
        masters.add(conn, product_id, key, masters.Interval(0.0, 1.0), n_frames=30)
    config = engine._alembic_config()
    with old.engine.connect() as conn:
        config.attributes["connection"] = conn
        command.downgrade(config, "0001")
        conn.commit()
    old.close()


def test_a_ledger_of_the_first_revision_is_upgraded_with_its_rows(tmp_path: Path) -> None:
    path = tmp_path / "ledger.sqlite"
    at_first_revision(path)
    with pytest.raises(LedgerError, match="revision 0001"):
        Ledger.open(path)
    Ledger.migrate(path).close()
    ledger = Ledger.open(path)
    with ledger.write() as conn:
        row = masters.get(conn, 1)
        amp_quality.put(conn, 1, CCD, NIGHTS[0], [level(1000.0)])
    assert (row["master_kind"], row["n_frames"]) == ("BIAS", 30)
    assert values(ledger) == [1000.0]
    ledger.close()


def test_an_upgraded_ledger_goes_back_with_its_rows(tmp_path: Path) -> None:
    path = tmp_path / "ledger.sqlite"
    at_first_revision(path)
    ledger = Ledger.migrate(path)
    config = engine._alembic_config()
    with ledger.engine.connect() as conn:
        config.attributes["connection"] = conn
        command.downgrade(config, "0001")
        conn.commit()
        assert not sa.inspect(conn).has_table("amp_quality")
        assert masters.get(conn, 1)["n_frames"] == 30
    ledger.close()


def test_a_ledger_of_a_later_version_is_not_migrated(tmp_path: Path) -> None:
    path = tmp_path / "ledger.sqlite"
    ledger = Ledger.create(path)
    with ledger.write() as conn:
        conn.execute(sa.text("UPDATE alembic_version SET version_num = '9999'"))
    ledger.close()
    with pytest.raises(LedgerError, match="revision 9999"):
        Ledger.migrate(path)
    with pytest.raises(LedgerError, match="no ledger"):
        Ledger.migrate(tmp_path / "none.sqlite")


def test_the_table_is_one_for_postgresql_too() -> None:
    made = str(sa.schema.CreateTable(schema.amp_quality).compile(dialect=postgresql.dialect()))
    assert "SERIAL" not in made
    assert "PRIMARY KEY (detector, metric, filter, source, night, amp)" in made


@pytest.mark.parametrize("one", ["filter", "amp"])
def test_a_series_is_found_by_an_index_in_the_order_of_nights(ledger: Ledger, one: str) -> None:
    if ledger.is_shared:
        pytest.skip("SQLite's plan is asked for; test_ledger_big.py asks both")
    which = " AND a.filter = 'r' AND a.source = 'FLAT'" if one == "filter" else " AND a.amp = 1"
    explain = sa.text(f"EXPLAIN QUERY PLAN {queries.AMP_SERIES.format(which=which)}")
    wanted = {"detector": DETECTOR, "metric": "gain", "since": "", "before": "9", "limit": 60}
    with ledger.read() as conn:
        plan = [row.detail for row in conn.execute(explain, wanted)]
    assert not any(step.startswith("SCAN a") for step in plan)
    assert sum(step.startswith("SEARCH a") for step in plan) == 2
    assert sum("TEMP B-TREE" in step for step in plan) <= 1
