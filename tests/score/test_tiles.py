from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tesela.errors import ProductError
from tesela.products.catalogue import Catalogue
from tesela.score import objects, tiles

from .nights import SIZE, TILE_WCS, Night, coadd, write_tile

Change = Callable[[np.ndarray], np.ndarray]


def _read(folder: Path, night: Night | None = None, **spoil: Change) -> tiles.TileBand:
    truth, image, found = write_tile(folder, night or Night(), **spoil)
    return tiles.read(image, found, objects.read(truth))


def test_every_visible_star_is_paired_with_itself(tmp_path: Path) -> None:
    tile = _read(tmp_path)
    np.testing.assert_allclose(
        tile.measured("ra"), tile.truth.ra_deg[tile.i_truth], atol=0.01 / 3600
    )
    assert len(tile.i_truth) == np.count_nonzero(tile.truth.mag < tile.depth_mag + 1)
    assert tile.fwhm_px == pytest.approx(2.5)
    assert (tile.tile, tile.band) == ("SIM-00001", "rSDSS")


def test_stars_outside_the_covered_pixels_are_not_expected(tmp_path: Path) -> None:
    truth, image, found = write_tile(tmp_path, Night())
    half = coadd(Night())
    half.weight = half.weight.copy()
    half.weight[:, : SIZE // 2] = 0
    half.write(tmp_path / "half.fits")
    tile = tiles.read(tmp_path / "half.fits", found, objects.read(truth))
    assert len(tile.truth.x) > 100
    assert tile.truth.x.min() > SIZE // 2 - 0.5
    assert len(tiles.read(image, found, objects.read(truth)).truth.x) > 1.8 * len(tile.truth.x)


@pytest.mark.parametrize(("column", "code"), [("flags", 4), ("mask_flags", 2)])
def test_saturated_stars_are_no_calibrators(tmp_path: Path, column: str, code: int) -> None:
    whole = _read(tmp_path / "a")
    spoiled = _read(tmp_path / "b", **{column: lambda v: np.full_like(v, code)})
    assert np.count_nonzero(whole.calibrators) > 100
    assert not spoiled.calibrators.any()
    assert spoiled.offset_mag == 0.0


@pytest.mark.parametrize(("column", "code"), [("flags", 3), ("mask_flags", 64)])
def test_other_flags_do_not_matter(tmp_path: Path, column: str, code: int) -> None:
    whole = _read(tmp_path / "a")
    flagged = _read(tmp_path / "b", **{column: lambda v: np.full_like(v, code)})
    np.testing.assert_array_equal(whole.calibrators, flagged.calibrators)


def test_crowded_stars_are_no_calibrators(tmp_path: Path) -> None:
    loose, crowded = _read(tmp_path / "a"), _read(tmp_path / "b", Night(step_px=5.0))
    share = [tile.calibrators.sum() / tile.bright.sum() for tile in (loose, crowded)]
    assert share[0] > 0.9
    assert share[1] < 0.5 * share[0]


def test_the_offset_is_what_was_put_in(tmp_path: Path) -> None:
    assert _read(tmp_path, Night(zero_offset_mag=0.123, noise=False)).offset_mag == pytest.approx(
        0.123, abs=1e-4
    )


def test_a_rejected_core_is_told_from_the_edge_of_a_frame() -> None:
    count = np.full((100, 100), 3, np.uint8)
    count[:, 60:] = 2  # a frame ends here
    count[30:33, 20] = 2  # a core that lost an input
    x, y = np.array([20.0, 40.0, 70.0, 90.0]), np.array([31.4, 50.0, 50.0, 98.0])
    found = tiles.core_rejected(count, x, y, 2.5)
    np.testing.assert_array_equal(found, [True, False, False, False])


def test_sources_without_flux_or_position_do_no_harm(tmp_path: Path) -> None:
    def spoil(values: np.ndarray) -> np.ndarray:
        return np.where(np.arange(values.size) % 5 == 0, np.nan, values)

    def negative(values: np.ndarray) -> np.ndarray:
        return np.where(np.arange(values.size) % 7 == 0, -1.0, values).astype(np.float32)

    tile = _read(tmp_path, Night(zero_offset_mag=0.05), ra=spoil, flux_psf=negative)
    assert tile.offset_mag == pytest.approx(0.05, abs=0.003)


def test_a_coadd_without_its_cards_is_named(tmp_path: Path) -> None:
    truth, _, found = write_tile(tmp_path, Night())
    bare = coadd(Night())
    bare.cards = [("FILTER", "rSDSS", ""), *((k, v, "") for k, v in TILE_WCS.to_cards().items())]
    bare.write(tmp_path / "bare.fits")
    with pytest.raises(ProductError, match=r"bare\.fits: no card FWHM"):
        tiles.read(tmp_path / "bare.fits", found, objects.read(truth))


def test_the_catalogue_is_the_products_own_format(tmp_path: Path) -> None:
    _, _, found = write_tile(tmp_path, Night())
    assert Catalogue.read(found).facts["depth_psf_mag"] == 21.0
