"""The value-added catalogue of a drawn dual catalogue."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tesela.bands import filters
from tesela.errors import ProductError
from tesela.products.catalogue import Catalogue
from tesela.products.columns import MASKED, NOT_DETECTED, NOT_OBSERVED, VALUEADDED
from tesela.stages import valueadded as stage

ZEROPOINT_MAG = 22.0
DETECTION = "rSDSS"


def dual(bands: tuple[str, ...], n: int = 120, detection: str = DETECTION) -> Catalogue:
    """Half stars, half galaxies of less concentration; flat spectra with some noise."""
    rng = np.random.default_rng(4)
    flux = 10 ** rng.uniform(1.5, 3.5, n)
    small = np.where(np.arange(n) < n // 2, 0.45, 0.3) * flux
    shape = (n, len(bands))
    columns: dict[str, Any] = {
        "number": np.arange(1, n + 1, dtype=np.int32),
        "x": rng.uniform(0, 1000, n),
        "y": rng.uniform(0, 1000, n),
        "status": np.zeros(shape, np.int8),
        "flags": np.zeros(shape, np.int16),
        "mask_flags": np.zeros(shape, np.int16),
    }
    for kind, of_all in (("auto", flux), ("psfcor", flux), ("aper_1_5", small), ("aper_3_0", flux)):
        values = of_all[:, None] * (1 + 0.01 * rng.normal(size=shape))
        columns[f"flux_{kind}"] = values.astype(np.float32)
        columns[f"flux_{kind}_err"] = (0.01 * values).astype(np.float32)
    return Catalogue(
        columns, {"tile": "T", "bands": list(bands), "detection_band": detection}, "dual"
    )


def zeropoints(bands: tuple[str, ...]) -> Catalogue:
    columns = {
        "band": np.array(bands, dtype=object),
        "frame": np.array([""] * len(bands), dtype=object),
        "zeropoint_mag": np.full(len(bands), ZEROPOINT_MAG),
        "zeropoint_err_mag": np.full(len(bands), 0.01),
    }
    return Catalogue(columns, {"tile": "T"}, "zeropoints")


def run(catalogue: Catalogue, solution: Catalogue) -> stage.ValueaddedOutputs:
    return stage.valueadded(stage.ValueaddedInputs(catalogue, solution), stage.ValueaddedSettings())


def test_rows_and_columns_are_those_of_the_dual_catalogue_and_the_table(tmp_path: Path) -> None:
    bands = filters.names()
    made = run(dual(bands), zeropoints(bands))
    columns = made.catalogue.columns
    assert list(columns) == list(VALUEADDED)
    for name, column in VALUEADDED.items():
        shape = (120,) if column.length == 1 else (120, column.length)
        assert (columns[name].dtype, columns[name].shape) == (np.dtype(column.dtype), shape), name
    assert made.warnings == []
    assert np.isfinite(columns["photoz"]).all()
    assert np.median(columns["prob_star"][:60]) > 0.9
    assert np.median(columns["prob_star"][60:]) < 0.1
    made.catalogue.write(tmp_path / "valueadded.parquet")
    assert Catalogue.read(tmp_path / "valueadded.parquet").kind == "valueadded"
    assert made.catalogue.facts == {"tile": "T", "bands": list(bands), "detection_band": DETECTION}


def test_a_survey_of_one_band_has_classes_and_says_that_it_has_no_redshifts() -> None:
    made = run(dual(("V",), detection="V"), zeropoints(("V",)))
    columns = made.catalogue.columns
    assert np.isnan(columns["photoz"]).all()
    assert np.isnan(columns["photoz_quantiles"]).all()
    assert (columns["photoz_bands"] == 0).all()
    assert np.isfinite(columns["prob_star"]).all()
    assert made.warnings == ["no redshifts: 0 calibrated bands with a known curve, 5 needed"]
    assert made.metrics["median_odds"] is None


def test_saturated_and_unseen_sources_are_not_judged_by_their_concentration() -> None:
    bands = filters.names()
    catalogue = dual(bands)
    detection = bands.index(DETECTION)
    catalogue.columns["flags"][0, detection] = 4
    catalogue.columns["mask_flags"][1, detection] = 2
    catalogue.columns["status"][2:5, detection] = (NOT_OBSERVED, MASKED, NOT_DETECTED)
    columns = run(catalogue, zeropoints(bands)).catalogue.columns
    assert np.isnan(columns["concentration"][:5]).all()
    assert np.isfinite(columns["prob_star"][:2]).all()
    assert np.isnan(columns["prob_star"][2:5]).all()
    assert np.isfinite(columns["photoz"][:2]).all()
    assert np.isnan(columns["photoz"][2:5]).all()
    assert (columns["photoz_template"][2:5] == 0).all()


def test_an_empty_tile_gives_an_empty_catalogue() -> None:
    bands = filters.names()
    made = run(dual(bands, 0), zeropoints(bands))
    assert len(made.catalogue) == 0
    assert made.metrics["star_fraction"] is None


def test_a_dual_catalogue_without_its_detection_band_is_refused() -> None:
    with pytest.raises(ProductError, match="tile T: detection band rSDSS; expected one of"):
        run(dual(("V",)), zeropoints(("V",)))
