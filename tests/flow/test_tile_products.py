"""What the products of a whole tile wait for and are made from."""

from __future__ import annotations

from pathlib import Path

import pytest

from tesela.flow.plan import downstream, tile_products
from tesela.flow.plan.batch import Batch
from tesela.flow.plan.rules import Rules
from tesela.flow.plan.wanted import Wanted
from tesela.ledger import products, tasks
from tesela.ledger.engine import Ledger
from tesela.ledger.tasks import Due

from .toys import add_frames, add_refcat, controller, facts, new_site, rules, small_night

PLANS = {
    "dual": tile_products.dual,
    "zeropoints": tile_products.zeropoints,
    "valueadded": tile_products.valueadded,
    "science": tile_products.science,
}


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    """A toy night, processed."""
    made = new_site(tmp_path)
    add_frames(made, tmp_path, small_night(), rules())
    controller(made, tmp_path).run()
    return made


def _wanted(ledger: Ledger, kind: str, the_rules: Rules | None = None) -> Wanted:
    with ledger.write() as conn:
        item = Due(kind, "T10", "a test", False)
        known = Batch(conn, [item]).known(item)
        return PLANS[kind](conn, the_rules or rules(), item, known)


def _sources(ledger: Ledger, found: Wanted) -> set[str]:
    with ledger.read() as conn:
        rows = [row for kind in downstream.PLANNED for row in products.all_current(conn, kind)]
        rows += products.all_current(conn, "refcat")
    return {f"{row['kind']} {row['key']}" for row in rows if row["id"] in found.inputs}


def _mark(ledger: Ledger, kind: str, key: str) -> None:
    with ledger.write() as conn:
        tasks.mark_dirty(conn, [(kind, key)], "a test")


def _retire(ledger: Ledger, kind: str, key: str) -> None:
    with ledger.write() as conn:
        products.retire(conn, products.current(conn, kind, key)["id"], "a test")


def test_each_is_made_from_what_it_needs_and_no_more(ledger: Ledger) -> None:
    band = {"coadd T10.r", "catalogue T10.r"}
    frames = {"reduced sci1", "reduced sci2", "reduced sci3"}
    assert _sources(ledger, _wanted(ledger, "dual")) == band
    found = _sources(ledger, _wanted(ledger, "zeropoints"))
    assert found == band | frames | {"refcat stars"}
    assert _sources(ledger, _wanted(ledger, "valueadded")) == {"dual T10", "zeropoints T10"}
    found = _sources(ledger, _wanted(ledger, "science"))
    assert found == band | {"dual T10", "zeropoints T10", "valueadded T10"}


def test_what_was_made_has_the_inputs_that_are_wanted(ledger: Ledger) -> None:
    for kind in tile_products.KINDS:
        with ledger.read() as conn:
            made = products.current(conn, kind, "T10")
            assert products.input_ids(conn, made["id"]) == _wanted(ledger, kind).inputs


@pytest.mark.parametrize("kind", ["dual", "zeropoints", "science"])
@pytest.mark.parametrize("awaited", ["coadd", "catalogue"])
def test_a_band_under_way_is_waited_for(ledger: Ledger, kind: str, awaited: str) -> None:
    _mark(ledger, awaited, "T10.r")
    found = _wanted(ledger, kind)
    assert found.pending
    assert found.missing == "catalogues of 1 bands being made: r"


def test_the_other_products_of_the_tile_are_waited_for(ledger: Ledger) -> None:
    _mark(ledger, "zeropoints", "T10")
    for kind in ("valueadded", "science"):
        found = _wanted(ledger, kind)
        assert found.pending
        assert found.missing == "zeropoints of tile T10 being made"
    assert not _wanted(ledger, "dual").missing


def test_a_tile_that_others_do_not_need_is_not_waited_for(ledger: Ledger) -> None:
    for kind, key in (("coadd", "T11.r"), ("dual", "T11"), ("catalogue", "T20.r")):
        _mark(ledger, kind, key)
    for kind in tile_products.KINDS:
        assert not _wanted(ledger, kind).missing


def test_without_the_detection_band_there_is_nothing_to_detect_on(ledger: Ledger) -> None:
    found = _wanted(ledger, "dual", rules(detection_band="g"))
    assert found.nothing == "tile T10 has no coadd in g"
    assert not _wanted(ledger, "zeropoints", rules(detection_band="g")).nothing


def test_a_tile_without_catalogues_has_no_products(ledger: Ledger) -> None:
    _retire(ledger, "catalogue", "T10.r")
    assert _wanted(ledger, "dual").nothing == "tile T10 has no coadd in r"
    assert _wanted(ledger, "zeropoints").nothing == "tile T10 has no catalogue"


@pytest.mark.parametrize("gone", ["dual", "zeropoints", "valueadded"])
def test_without_one_of_its_products_a_tile_is_not_loaded(ledger: Ledger, gone: str) -> None:
    _retire(ledger, gone, "T10")
    assert _wanted(ledger, "science").nothing == f"there is no {gone} of tile T10"


def test_a_second_band_joins_and_all_of_the_tile_is_made_again(
    ledger: Ledger, tmp_path: Path
) -> None:
    before = {kind: _version(ledger, kind) for kind in tile_products.KINDS}
    flats = [facts(f"gflat{n}", "flat", band="g", filter_serial="G1") for n in (1, 2)]
    new = facts("scig", "science", ra=10.2, band="g", filter_serial="G1")
    add_frames(ledger, tmp_path, [*flats, new], rules())
    controller(ledger, tmp_path).run()
    assert {kind: _version(ledger, kind) for kind in before} == dict.fromkeys(before, 2)
    band = {f"{kind} T10.{band}" for kind in ("coadd", "catalogue") for band in "gr"}
    assert _sources(ledger, _wanted(ledger, "dual")) == band


def test_a_new_reference_makes_the_solution_stale_not_due(ledger: Ledger, tmp_path: Path) -> None:
    add_refcat(ledger, tmp_path, "better stars")
    controller(ledger, tmp_path).run()
    with ledger.read() as conn:
        solution = products.current(conn, "zeropoints", "T10")
        dual = products.current(conn, "dual", "T10")
    assert solution["version"] == 1
    assert solution["stale"]
    assert not dual["stale"]


def _version(ledger: Ledger, kind: str) -> int:
    with ledger.read() as conn:
        return int(products.current(conn, kind, "T10")["version"])
