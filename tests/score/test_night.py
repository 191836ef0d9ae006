from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tesela.products.catalogue import Catalogue
from tesela.score import night, table
from tesela.score.night import Products
from tesela.score.rows import Row

from .duals import write_dual
from .nights import ZERO, Night, coadd, frame_truth, write_frame_pair, write_tile

CURVE = {"m50": 99.0, "k": 5.0, "plateau": 1.0}


@pytest.fixture
def products(tmp_path: Path) -> Products:
    """Two bands of a tile, two frames; the coadd of r scales them wrongly by 4 mmag."""
    coadds, catalogues, frames = {}, {}, {}
    zeros = {}
    for name, error in (("f1", 0.0), ("f2", 0.010)):
        frames[name] = write_frame_pair(tmp_path, name, frame_truth(), zero_error_mag=error)
        zeros[name] = 23.98 + (0.004 if name == "f2" else 0.0)
    for band in ("rSDSS", "gSDSS"):
        one = Night(band=band, zero_offset_mag=0.005, shift_mas=(20.0, 10.0), injected=CURVE)
        _, _, found = write_tile(tmp_path, one)
        image = tmp_path / f"{band}.coadd.fits"
        coadd(one, zeros if band == "rSDSS" else None).write(image)
        coadds["SIM-00001", band], catalogues["SIM-00001", band] = image, found
    return Products(frames, coadds, catalogues)


def _row(rows: list[Row], metric: str, band: str = "") -> Row:
    return next(row for row in rows if (row.metric, row.band) == (metric, band))


def test_every_subject_has_its_rows(products: Products, tmp_path: Path) -> None:
    rows = night.evaluate(products, tmp_path)
    assert _row(rows, "astrometry rms RA").value == pytest.approx(20.0, abs=0.1)
    assert _row(rows, "zero point", "gSDSS").value == pytest.approx(5.0, abs=3.0)
    assert _row(rows, "zero point", "rSDSS").passed is True
    assert _row(rows, "completeness minus injected").value == pytest.approx(0.0, abs=0.03)
    assert _row(rows, "pull width").value == pytest.approx(1.0, abs=0.2)
    assert _row(rows, "frame zero points").value == pytest.approx(1.4826 * 5.0 * 2**0.5)
    scales = _row(rows, "scales within coadds")
    assert scales.value == pytest.approx(1.4826 * 2.0 * 2**0.5)
    assert scales.passed is False
    assert scales.n == 2
    assert not table.passed(rows)


def test_bands_come_in_order_of_wavelength(products: Products, tmp_path: Path) -> None:
    evaluation = night.measure(products, tmp_path)
    bands = [row.band for row in evaluation.rows if row.metric == "zero point"]
    assert bands == ["gSDSS", "rSDSS"]
    assert [part.band for part in evaluation.zeropoints] == bands


def test_the_same_products_give_the_same_rows(products: Products, tmp_path: Path) -> None:
    once, again = (table.to_json(night.evaluate(products, tmp_path)) for _ in range(2))
    assert once == again


def test_a_coadd_without_catalogue_and_no_frames_are_left_out(
    products: Products, tmp_path: Path
) -> None:
    only = {key: path for key, path in products.catalogues.items() if key[1] == "rSDSS"}
    rows = night.evaluate(Products({}, products.coadds, only), tmp_path)
    assert {row.band for row in rows} == {"", "rSDSS"}
    assert not any(row.metric.startswith("frame") or "trail" in row.metric for row in rows)


@pytest.fixture
def whole(products: Products, tmp_path: Path) -> Products:
    """The same with what is made of the whole tile."""
    nights = {band: Night(band=band, zero_offset_mag=0.005) for band in ("rSDSS", "gSDSS")}
    dual, extra = write_dual(tmp_path, nights)
    solution = {
        "band": np.array(["rSDSS", "gSDSS"], object), "frame": np.array(["", ""], object),
        "zeropoint_mag": np.full(2, ZERO - 0.005), "colour_coefficient": np.zeros(2),
        "colour_pivot": np.ones(2),
    }  # fmt: skip
    zero = tmp_path / "zeropoints.parquet"
    Catalogue(solution, {"tile": "SIM-00001"}, "zeropoints").write(zero)
    tile = "SIM-00001"
    return replace(products, duals={tile: dual}, zeropoints={tile: zero}, valueadded={tile: extra})


def test_products_of_the_whole_tile_have_their_rows(whole: Products, tmp_path: Path) -> None:
    rows = night.evaluate(whole, tmp_path)
    # The zero points of the coadds are wrong by 5 mmag, the published ones are not.
    assert _row(rows, "published zero point, worst band").value == pytest.approx(0.0, abs=1.0)
    assert _row(rows, "star colours, worst band").value == pytest.approx(0.0, abs=3.0)
    assert _row(rows, "stars: completeness at P > 0.5").value == 1.0
    # There is no galaxy in this tile: nothing is said of them.
    assert not any(row.metric.startswith("photo-z") for row in rows)


@pytest.mark.parametrize("gone", ["duals", "zeropoints", "valueadded", "catalogues"])
def test_a_missing_product_has_no_row_and_does_no_harm(
    whole: Products, tmp_path: Path, gone: str
) -> None:
    begins = {
        "duals": ("star colours", "galaxy colours", "stars: "),
        "zeropoints": ("published",),
        "valueadded": ("star colours", "galaxy colours", "stars: "),
        "catalogues": ("star colours", "published", "zero point"),
    }[gone]
    before = night.evaluate(whole, tmp_path)
    rows = night.evaluate(replace(whole, **{gone: {}}), tmp_path)
    assert any(row.metric.startswith(begins) for row in before)
    assert not any(row.metric.startswith(begins) for row in rows)
    assert _row(rows, "frame zero points") == _row(before, "frame zero points")
