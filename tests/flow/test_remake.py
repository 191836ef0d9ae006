"""What can be made again exactly may be dropped, is made again where it is needed, and put back."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tesela.errors import LedgerError, ProductError
from tesela.flow.plan.rules import STEPS
from tesela.flow.run import drop
from tesela.flow.run.site import Site
from tesela.flow.run.steps import Registry
from tesela.ledger import products, schema, tasks
from tesela.ledger.engine import Ledger

from . import toys


@pytest.fixture
def site(tmp_path: Path) -> Path:
    return tmp_path / "site"


@pytest.fixture
def ledger(site: Path) -> Iterator[Ledger]:
    made = toys.new_site(site)
    toys.add_frames(made, site, toys.small_night(), toys.rules())
    toys.controller(made, site).run()
    yield made
    made.close()


def opened(ledger: Ledger, site: Path) -> Site:
    return Site(site, None, (), None, ledger, toys.rules())  # type: ignore[arg-type]


def of(ledger: Ledger, kind: str, key: str) -> dict[str, Any]:
    with ledger.read() as conn:
        row = products.current(conn, kind, key)
    assert row is not None
    return row


def dropped(
    ledger: Ledger, site: Path, *which: tuple[str, str], steps: Registry | None = None
) -> int:
    rows = [of(ledger, kind, key) for kind, key in which]
    with ledger.read() as conn:
        steps = steps or toys.registry()
        found = list(drop.candidates(conn, opened(ledger, site), steps, rows))
    assert [one.why_not for one in found] == [""] * len(found)
    return drop.drop(opened(ledger, site), found, "somebody")


def why_not(ledger: Ledger, site: Path, kind: str, key: str, **options: Any) -> str:
    with ledger.read() as conn:
        steps = toys.registry(**options)
        rows = [of(ledger, kind, key)]
        return next(drop.candidates(conn, opened(ledger, site), steps, rows)).why_not


def test_a_dropped_product_is_made_again_where_it_is_needed(
    ledger: Ledger, site: Path, tmp_path: Path
) -> None:
    """A late frame remakes a coadd: the images of the others, though dropped, are in it."""
    freed = dropped(ledger, site, ("reduced", "sci1"), ("reduced", "sci2"))
    assert freed > 0
    assert not (site / of(ledger, "reduced", "sci1")["path"]).exists()
    late = toys.facts("late", "science", ra=10.2)
    toys.add_frames(ledger, site, [late], toys.rules())
    assert toys.controller(ledger, site, workers=2).run().dead == 0
    # They were made for that coadd alone.
    assert not (site / of(ledger, "reduced", "sci1")["path"]).exists()

    other = toys.new_site(tmp_path / "other")
    toys.add_frames(other, tmp_path / "other", [*toys.small_night(), late], toys.rules())
    toys.controller(other, tmp_path / "other").run()
    assert toys.served(ledger) == toys.served(other)


def test_restoring_puts_back_what_was_recorded(ledger: Ledger, site: Path) -> None:
    before = of(ledger, "reduced", "sci1")
    content = (site / before["path"]).read_bytes()
    dropped(ledger, site, ("reduced", "sci1"))
    assert drop.restore(opened(ledger, site), toys.registry(), of(ledger, "reduced", "sci1"), "me")
    after = of(ledger, "reduced", "sci1")
    assert (site / after["path"]).read_bytes() == content
    assert after["dropped_mjd"] is None
    assert (after["version"], after["data_hash"]) == (before["version"], before["data_hash"])
    # Again it only looks, and finds it as it should be.
    assert not drop.restore(opened(ledger, site), toys.registry(), after, "me")


def test_what_stands_on_dropped_products_is_restored_through_them(
    ledger: Ledger, site: Path
) -> None:
    dropped(ledger, site, ("reduced", "sci1"))
    dropped(ledger, site, ("coadd", "T10.r"))
    coadd = of(ledger, "coadd", "T10.r")
    assert drop.restore(opened(ledger, site), toys.registry(), coadd, "me")
    assert of(ledger, "reduced", "sci1")["dropped_mjd"] is not None


def test_what_is_never_dropped_but_lost_is_made_again(ledger: Ledger, site: Path) -> None:
    """A damaged disk asks for no verdict on a good product."""
    with ledger.read() as conn:
        key = products.all_current(conn, "master")[0]["key"]
    file = site / of(ledger, "master", key)["path"]
    content = file.read_bytes()
    file.unlink()
    with ledger.read() as conn:
        row = drop.version_of(conn, key, "", 0, STEPS)
    assert drop.restore(opened(ledger, site), toys.registry(), row, "me")
    assert file.read_bytes() == content


def test_an_old_version_is_made_again_from_its_own_inputs(ledger: Ledger, site: Path) -> None:
    """Not from what is served now."""
    first = of(ledger, "coadd", "T10.r")
    content = (site / first["path"]).read_bytes()
    late = toys.facts("late", "science", ra=10.2)
    toys.add_frames(ledger, site, [late], toys.rules())
    toys.controller(ledger, site).run()
    assert of(ledger, "coadd", "T10.r")["version"] == 2
    (site / first["path"]).unlink()
    with ledger.read() as conn:
        old = products.version(conn, "coadd", "T10.r", 1)
    assert drop.restore(opened(ledger, site), toys.registry(), old, "me")
    assert (site / first["path"]).read_bytes() == content


def test_data_that_come_out_otherwise_are_refused(ledger: Ledger, site: Path) -> None:
    dropped(ledger, site, ("reduced", "sci1"))
    row = of(ledger, "reduced", "sci1")
    raw = site / of(ledger, "raw", "sci1")["path"]
    raw.write_text("other pixels")
    with pytest.raises(ProductError, match="expected"):
        drop.restore(opened(ledger, site), toys.registry(), row, "me")
    assert not (site / row["path"]).exists()


def test_the_settings_of_an_old_version_are_those_that_were_kept(
    ledger: Ledger, site: Path
) -> None:
    """They have changed since; what was kept at the commit is used."""
    kept = {"settings_hash": "s"}
    row = of(ledger, "reduced", "sci1")
    assert kept["settings_hash"] == row["settings_hash"]
    with ledger.read() as conn:
        table = schema.settings
        assert conn.execute(table.select().where(table.c.hash == "s")).first() is not None
    dropped(ledger, site, ("reduced", "sci1"))
    changed = toys.registry(settings={"delay_s": 0.01})
    assert drop.restore(opened(ledger, site), changed, of(ledger, "reduced", "sci1"), "me")


@pytest.mark.parametrize(
    ("kind", "key", "said"),
    [
        ("raw", "sci1", "only detrended, reduced, coadd"),
        ("catalogue", "T10.r", "only detrended, reduced, coadd"),
    ],
)
def test_what_cannot_be_made_again_is_kept(
    ledger: Ledger, site: Path, kind: str, key: str, said: str
) -> None:
    assert said in why_not(ledger, site, kind, key)


def test_what_other_code_made_is_kept(ledger: Ledger, site: Path) -> None:
    assert "made by code 1, and this is 2" in why_not(
        ledger, site, "reduced", "sci1", code_version="2"
    )


def test_what_was_made_from_something_that_is_gone_is_kept(ledger: Ledger, site: Path) -> None:
    (site / of(ledger, "raw", "sci1")["path"]).unlink()
    assert "raw sci1, which it was made from, is not there" in why_not(
        ledger, site, "reduced", "sci1"
    )


def test_what_a_task_waits_for_is_kept(ledger: Ledger, site: Path) -> None:
    with ledger.write() as conn:
        image = products.current(conn, "reduced", "sci1")["id"]
        coadd = tasks.get(conn, "coadd", "T10.r")["id"]
        source = schema.task_input.insert().values(task_id=coadd, source=image, role="input")
        conn.execute(source)
        conn.execute(schema.task.update().where(schema.task.c.id == coadd).values(state="ready"))
    assert "a task that is ready or runs needs it" in why_not(ledger, site, "reduced", "sci1")


def test_without_its_settings_it_is_not_made_again(ledger: Ledger, site: Path) -> None:
    with ledger.write() as conn:
        conn.execute(schema.settings.delete())
        conn.execute(schema.product.update().values(settings_hash="lost"))
    with pytest.raises(LedgerError, match="its settings were not kept"):
        drop.restore(opened(ledger, site), toys.registry(), of(ledger, "reduced", "sci1"), "me")
