from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tesela.score import colours, dual, objects, tiles
from tesela.score.dual import DualTile

from .duals import write_dual
from .nights import Night, universe, write_tile

NIGHTS = {band: Night(band=band, noise=False) for band in ("gSDSS", "rSDSS")}


def _read(folder: Path, nights: dict[str, Night] | None = None, **options: Any) -> DualTile:
    nights = nights or NIGHTS
    singles = {}
    for band, night in nights.items():
        truth, image, found = write_tile(folder, night)
        singles[band] = tiles.read(image, found, objects.read(truth))
    catalogue, extra = write_dual(folder, nights, **options)
    return dual.read(catalogue, extra, singles, objects.read(truth))


def _spoilt(shape: tuple[int, int], value: float, dtype: Any) -> np.ndarray:
    """A column that is `value` in g and 0 in r."""
    made = np.zeros(shape, dtype)
    made[:, 0] = value
    return made


@pytest.fixture(scope="module")
def right(tmp_path_factory: pytest.TempPathFactory) -> DualTile:
    """A tile without any error."""
    return _read(tmp_path_factory.mktemp("right"))


def test_every_source_is_paired_with_its_own_truth(right: DualTile) -> None:
    assert len(right.mag) > 500
    np.testing.assert_allclose(right.mag, right.true_mag, atol=2e-4)
    np.testing.assert_allclose(right.snr, 100.0, rtol=1e-3)
    assert right.bands == ("gSDSS", "rSDSS")
    assert right.detection == 1
    np.testing.assert_array_equal(right.r_mag, right.true_mag[:, 1])
    assert right.is_star.all()
    assert right.usable.all()
    assert np.median(right.stolen) < 0.001
    assert right.valueadded["photoz"].shape == right.redshift.shape


def test_objects_below_the_depth_are_no_ones_truth(right: DualTile) -> None:
    assert 21.5 < right.r_mag.max() < 22.0


def test_errors_of_the_zero_points_do_not_enter_the_colours(tmp_path: Path) -> None:
    """The singles show the same error: it is of the zero point, not of the dual catalogue."""
    nights = {
        "gSDSS": Night(band="gSDSS", noise=False, zero_offset_mag=0.2),
        "rSDSS": Night(band="rSDSS", noise=False, zero_offset_mag=-0.1),
    }
    found = _read(tmp_path, nights, zero_wrong_mag={"gSDSS": 0.2, "rSDSS": -0.1})
    values = colours.stars(found, 0)
    assert values.size > 300
    assert np.abs(values).max() < 1.0


def test_an_error_that_only_the_dual_catalogue_makes_comes_back(tmp_path: Path) -> None:
    found = _read(tmp_path, zero_wrong_mag={"gSDSS": 0.04})
    assert np.median(colours.stars(found, 0)) == pytest.approx(40.0, abs=0.5)


@pytest.mark.parametrize(
    ("column", "value", "dtype"),
    [
        ("status", 3, np.int8),
        ("flags", 4, np.int16),
        ("mask_flags", 2, np.int16),
        ("norm_weight", 0.5, np.float32),
    ],
)
def test_a_band_that_is_not_well_measured_is_not_used(
    tmp_path: Path, right: DualTile, column: str, value: float, dtype: Any
) -> None:
    shape = (_all_sources(), 2)
    spoilt = _spoilt(shape, value, dtype)
    if column == "norm_weight":
        spoilt[:, 1] = 1
    found = _read(tmp_path, spoil={column: spoilt})
    assert len(found.mag) == len(right.mag)
    assert not found.usable[:, 0].any()
    assert found.usable[:, 1].all()


def _all_sources() -> int:
    return len(universe(Night(), np.random.default_rng(1)).id)


def test_a_band_without_a_single_catalogue_has_no_magnitudes(tmp_path: Path) -> None:
    truth, image, found = write_tile(tmp_path, NIGHTS["rSDSS"])
    true = objects.read(truth)
    singles = {"rSDSS": tiles.read(image, found, true)}
    catalogue, extra = write_dual(tmp_path, NIGHTS)
    one = dual.read(catalogue, extra, singles, true)
    assert np.isnan(one.mag[:, 0]).all()
    assert np.isfinite(one.mag[:, 1]).all()
    assert colours.stars(one, 0).size == 0


def test_neighbours_take_from_each_other(tmp_path: Path, right: DualTile) -> None:
    near = {band: Night(band=band, noise=False, step_px=6.0) for band in ("gSDSS", "rSDSS")}
    crowded = _read(tmp_path, near)
    assert np.median(crowded.stolen) > 10 * np.median(right.stolen)


def test_nothing_together_is_nothing() -> None:
    assert dual.together([]).size == 0
    assert dual.together([np.ones(2), np.zeros(1)]).tolist() == [1, 1, 0]
