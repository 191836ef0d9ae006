"""Certified masters never overlap, whatever the order in which they are certified."""

from __future__ import annotations

import itertools

import pytest
import sqlalchemy as sa

from tesela.ledger import masters, products, schema
from tesela.ledger.engine import Ledger
from tesela.ledger.keys import Configuration, MasterKey
from tesela.products.frame import night_span

CCD = Configuration("JAST80", "t80cam", "01", "-", "fast")
NIGHTS = ("2017-07-01", "2017-07-03", "2017-07-04")


def noon_mjd(night: str) -> float:
    return night_span(night, 0.0)[0]


def enter(ledger: Ledger, night: str, *, days: float = 10.0) -> int:
    key = MasterKey("BIAS", CCD, night)
    begin = noon_mjd(night)
    with ledger.write() as conn:
        version = products.next_version(conn, "master", str(key))
        new = products.NewProduct("master", str(key), version)
        product_id = products.insert(conn, new)
        masters.add(conn, product_id, key, masters.Interval(begin, begin + days), n_frames=3)
    return product_id


def certified(ledger: Ledger) -> dict[str, tuple[float, float]]:
    with ledger.read() as conn:
        rows = conn.execute(schema.master.select().where(schema.master.c.state == "certified"))
        day = noon_mjd(NIGHTS[0])
        return {row.night: (row.valid_begin - day, row.valid_end - day) for row in rows}


@pytest.mark.parametrize("order", list(itertools.permutations(NIGHTS)))
def test_each_holds_until_the_next_begins(ledger: Ledger, order: tuple[str, ...]) -> None:
    for night in order:
        product_id = enter(ledger, night)
        with ledger.write() as conn:
            masters.certify(conn, product_id)
    assert certified(ledger) == {NIGHTS[0]: (0, 2), NIGHTS[1]: (2, 3), NIGHTS[2]: (3, 13)}


def test_an_invalid_master_gives_its_time_back(ledger: Ledger) -> None:
    ids = [enter(ledger, night) for night in NIGHTS]
    with ledger.write() as conn:
        for product_id in ids:
            masters.certify(conn, product_id)
        masters.set_state(conn, ids[1], "invalid", "light leak")
    assert certified(ledger) == {NIGHTS[0]: (0, 3), NIGHTS[2]: (3, 13)}


def test_a_later_version_takes_the_place_of_one_that_is_proposed_still(ledger: Ledger) -> None:
    first = enter(ledger, NIGHTS[0])
    with ledger.write() as conn:
        masters.certify(conn, first)
    waiting, latest = enter(ledger, NIGHTS[0]), enter(ledger, NIGHTS[0])
    with ledger.read() as conn:
        states = [masters.get(conn, i)["state"] for i in (first, waiting, latest)]
    assert states == ["certified", "superseded", "proposed"]


@pytest.mark.parametrize("change", ["insert", "update"])
def test_the_database_itself_refuses_an_overlap(ledger: Ledger, change: str) -> None:
    first, second = enter(ledger, NIGHTS[0]), enter(ledger, NIGHTS[1])
    with ledger.write() as conn:
        masters.certify(conn, first)
    table = schema.master
    with pytest.raises(sa.exc.IntegrityError, match=r"may.not.overlap"), ledger.write() as conn:
        row = masters.get(conn, second)
        if change == "insert":
            conn.execute(table.delete().where(table.c.product_id == second))
            conn.execute(table.insert().values(**{**row, "state": "certified"}))
        else:
            conn.execute(
                table.update().where(table.c.product_id == second).values(state="certified")
            )


def test_intervals_that_only_touch_are_allowed(ledger: Ledger) -> None:
    ids = [enter(ledger, night, days=1.0) for night in NIGHTS[1:]]
    with ledger.write() as conn:
        for product_id in ids:
            masters.certify(conn, product_id)
    assert certified(ledger) == {NIGHTS[1]: (2, 3), NIGHTS[2]: (3, 4)}


def test_the_masters_around_an_instant(ledger: Ledger) -> None:
    ids = [enter(ledger, night, days=1.0) for night in NIGHTS]
    with ledger.write() as conn:
        for product_id in ids:
            masters.certify(conn, product_id)
        found = masters.around(conn, "BIAS", CCD, noon_mjd(NIGHTS[0]) + 1.5)
        assert [row["night"] for row in found] == [NIGHTS[0], NIGHTS[1]]
        assert masters.around(conn, "FLAT", CCD, noon_mjd(NIGHTS[0])) == []
        assert masters.previous(conn, MasterKey("BIAS", CCD, NIGHTS[2])) == ids[1]
        assert masters.previous(conn, MasterKey("BIAS", CCD, NIGHTS[0])) is None
