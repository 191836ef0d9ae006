import json

import numpy as np
import pyarrow.parquet as pq
import pytest

from tesela.bands import filters
from tesela.simulate import reference, settings, universe


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    wanted = settings.tiny(stars_per_field=1500.0, galaxies_per_field=300.0)
    sky = universe.make(wanted)
    path = tmp_path_factory.mktemp("reference") / "refcat.parquet"
    stated = reference.write(path, wanted, sky)
    return sky, pq.read_table(path), stated


def test_columns(made):
    _, table, _ = made
    expected = {"ra", "dec", "ra_err_mas", "dec_err_mas", "pmra", "pmdec", "ref_epoch"}
    expected |= {f"mag_{b}" for b in filters.names()} | {f"mag_err_{b}" for b in filters.names()}
    assert expected <= set(table.column_names)
    assert set(table["ref_epoch"].to_pylist()) == {2016.0}


def test_stated_errors_are_the_true_ones(made):
    sky, table, stated = made
    rows = np.array(stated["object_id"])
    for k, band in enumerate(filters.names()):
        off = table[f"mag_{band}"].to_numpy() - sky.mag_published[rows, k]
        pull = off / table[f"mag_err_{band}"].to_numpy()
        assert abs(np.mean(pull)) < 5 / np.sqrt(rows.size)
        assert np.std(pull) == pytest.approx(1.0, abs=5 / np.sqrt(2 * rows.size))
    pull = (table["dec"].to_numpy() - sky.dec[rows]) * 3.6e6 / table["dec_err_mas"].to_numpy()
    assert np.std(pull) == pytest.approx(1.0, abs=5 / np.sqrt(2 * rows.size))


def test_bright_stars_reach_the_floor_and_a_tenth_are_poor(made):
    _, table, stated = made
    poor = np.array(stated["is_poor"])
    assert poor.sum() == pytest.approx(0.1 * (~poor).sum(), abs=1.5)
    err = {b: table[f"mag_err_{b}"].to_numpy() for b in ("uJAVA", "J0378", "rSDSS")}
    for band, floor in (("uJAVA", 0.020), ("J0378", 0.010), ("rSDSS", 0.005)):
        assert floor <= err[band][~poor].min() < 1.2 * floor
    assert err["rSDSS"][poor].min() > 0.05
    assert table["ra_err_mas"].to_numpy()[poor].min() > 5
    assert (table["mag_rSDSS"].to_numpy()[~poor] < 18.6).all()


def test_the_offset_of_the_true_system_is_recorded(made, tmp_path):
    sky, _, stated = made
    offsets = stated["true_minus_published"]
    assert set(offsets) == set(filters.names())
    assert max(abs(v["median_mag"]) for v in offsets.values()) < 0.05
    reference.write_truth(tmp_path / "reference.json", stated)
    assert json.loads((tmp_path / "reference.json").read_text())["rows"] == stated["rows"]
    assert sky.id.size > stated["rows"]
