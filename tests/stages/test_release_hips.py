"""The image survey: pixels where HEALPix says, parents of children, all that a client asks for."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tests.stages.frozen import make_inputs

from tesela.pixels.colour import Curve
from tesela.sky import healpix
from tesela.sky.wcs import Wcs
from tesela.stages.release import ReleaseSettings, colours, coverage, hips
from tesela.stages.release.colours import Recipe
from tesela.stages.release.coverage import Coverage
from tesela.stages.release.settings import ReleaseInputs, silent

ORDER = 5
SETTINGS = ReleaseSettings(hips_order=ORDER)


class Drawn:
    """Planes of one tile with three stars of their own colours, elsewhere dark."""

    stars = ((209.93, 57.03, 0), (210.08, 57.05, 1), (209.98, 56.95, 2))
    recipe = Recipe(({}, {}, {}), (1, 1, 1), Curve(1.0, grey_sigma=0.0))

    def __init__(self, shape: tuple[int, int] = (400, 300)) -> None:
        self._wcs = Wcs.tangent_plane(210.0, 57.0, 2.0, shape, position_angle_deg=20.0)
        self.planes = np.full((3, *shape), 0.0, np.float32)
        y, x = np.mgrid[: shape[0], : shape[1]]
        for ra, dec, plane in self.stars:
            x0, y0 = self._wcs.sky_to_pix(ra, dec)
            self.planes[plane] += 1e4 * np.exp(-((x - x0) ** 2 + (y - y0) ** 2) / 40)

    def wcs(self, tile: str) -> Wcs:
        return self._wcs

    def __call__(self, tile: str) -> np.ndarray:
        return self.planes


def pixel_of(ra: float, dec: float, order: int) -> tuple[int, int, int]:
    """Cell, row and column by the numbers of HEALPix alone: nine orders finer is a pixel."""
    cell, inside = divmod(int(healpix.index(ra, dec, order + 9)), 4**9)
    row = sum((inside >> 2 * bit & 1) << bit for bit in range(9))
    column = sum((inside >> 2 * bit + 1 & 1) << bit for bit in range(9))
    return cell, row, column


def read(folder: Path, order: int, cell: int) -> np.ndarray:
    return np.asarray(Image.open(folder / hips.tile_path(order, cell))).astype(int)


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("hips")
    inputs = one_tile(make_inputs(folder / "in"))
    planes = Drawn()
    ra, dec = planes.wcs("").pix_to_sky(*np.meshgrid(np.arange(300), np.arange(400)))
    covered = Coverage(12, {"T-1": np.unique(healpix.index(ra, dec, 12))}, 0.1)
    order = hips.write(folder / "colour", inputs, planes, covered, SETTINGS, silent)  # type: ignore[arg-type]
    assert order == ORDER
    return folder / "colour"


def one_tile(inputs: ReleaseInputs) -> ReleaseInputs:
    return replace(inputs, tiles=inputs.tiles[:1])


@pytest.mark.parametrize("order", [ORDER, ORDER - 1])
@pytest.mark.parametrize("star", Drawn.stars)
def test_star_is_where_healpix_has_it(
    drawn: Path, star: tuple[float, float, int], order: int
) -> None:
    ra, dec, plane = star
    cell, row, column = pixel_of(ra, dec, order)
    tile = read(drawn, order, cell)
    top, left = np.unravel_index(tile[..., plane].argmax(), tile.shape[:2])
    assert abs(top - row) <= 2  # JPEG keeps colours of 2 x 2 pixels
    assert abs(left - column) <= 2
    others = [c for c in range(3) if c != plane]
    assert tile[top, left, plane] > 1.5 * tile[top, left, others].max()


def test_southern_corner_is_at_the_top_left_and_the_eastern_below_it() -> None:
    ra, dec = healpix.cell_grid(3, 300, 64)
    south, east, west = (ra[0, 0], dec[0, 0]), (ra[0, -1], dec[0, -1]), (ra[-1, 0], dec[-1, 0])
    assert south[1] == dec.min()
    assert east[0] > west[0]
    nudge = (ra[1, 1], dec[1, 1])
    _, row, column = pixel_of(*nudge, 3)
    assert row < 16
    assert column < 16
    _, row, column = pixel_of(ra[1, -2], dec[1, -2], 3)
    assert row > 490
    assert column < 16


def test_parent_shows_each_child_in_its_quarter(drawn: Path) -> None:
    for cell in {cell for cell, _, _ in (pixel_of(ra, dec, ORDER) for ra, dec, _ in Drawn.stars)}:
        child, parent = read(drawn, ORDER, cell), read(drawn, ORDER - 1, cell // 4)
        top, left = 256 * (cell & 1), 256 * (cell >> 1 & 1)
        quarter = parent[top : top + 256, left : left + 256]
        small = child.reshape(256, 2, 256, 2, 3).mean(axis=(1, 3))
        assert np.abs(quarter - small).mean() < 1.0


def test_client_finds_all_it_asks_for(drawn: Path) -> None:
    moc = coverage.read_moc(drawn / "Moc.fits")
    for order in range(ORDER + 1):
        cells = list(hips.cells_of(moc, order))
        assert cells
        there = {int(p.stem[4:]) for p in drawn.glob(f"Norder{order}/Dir*/Npix*.jpg")}
        assert there == set(cells)
    stated = hips.read_properties(drawn / "properties")
    assert all(stated[key] for key in hips.REQUIRED)
    assert stated["hips_order"] == str(ORDER)
    assert stated["hips_tile_format"] == "jpeg"
    assert stated["hips_release_date"] == "2026-01-02T03:04Z"
    assert float(stated["moc_sky_fraction"]) == pytest.approx(moc.sky_fraction, rel=1e-6)
    assert abs(float(stated["hips_initial_dec"]) - 57.0) < 0.05


def test_allsky_holds_the_tile_of_order_3_in_its_place(drawn: Path) -> None:
    allsky = np.asarray(Image.open(drawn / "Norder3" / "Allsky.jpg")).astype(int)
    assert allsky.shape == (29 * 64, 27 * 64, 3)
    cell = int(healpix.index(210.0, 57.0, 3))
    row, column = divmod(cell, 27)
    place = np.s_[64 * row : 64 * row + 64, 64 * column : 64 * column + 64]
    assert allsky[place].max() > 20
    allsky[place] = 0
    assert allsky.max() < 20


def test_order_follows_the_pixels_of_the_coadds() -> None:
    assert hips.pixel_arcsec(9) == pytest.approx(0.805, abs=1e-3)
    assert hips.order_of_scale(0.55) == 10
    assert hips.order_of_scale(0.68) == 9
    assert hips.order_of_scale(0.227) == 11
    for scale in np.geomspace(0.15, 30.0, 40):
        assert 0.6 * scale < hips.pixel_arcsec(hips.order_of_scale(scale)) <= 1.2 * scale
    assert hips.order_of_scale(3600.0) == 3


def test_recipe_gives_each_colour_its_bands_by_inverse_noise() -> None:
    noise = {"zSDSS": 2.0, "iSDSS": 1.0, "rSDSS": 1.0, "gSDSS": 1.0, "J0430": 4.0}
    recipe = colours.choose_recipe(noise, ReleaseSettings())
    red, green, blue = recipe.channels
    assert red == pytest.approx({"iSDSS": 2 / 3, "zSDSS": 1 / 3})
    assert green == pytest.approx({"gSDSS": 0.5, "rSDSS": 0.5})
    assert blue == {"J0430": 1.0}
    assert recipe.balance == ReleaseSettings().balance


def test_survey_of_other_bands_is_divided_by_wavelength() -> None:
    settings = ReleaseSettings()

    def channels(*bands: str) -> list[list[str]]:
        recipe = colours.choose_recipe(dict.fromkeys(bands, 1.0), settings)
        assert recipe.balance == (1, 1, 1)
        return [list(channel) for channel in recipe.channels]

    assert channels("gSDSS", "rSDSS", "iSDSS") == [["iSDSS"], ["rSDSS"], ["gSDSS"]]
    assert channels("rSDSS") == [["rSDSS"]] * 3
    assert channels("gSDSS", "rSDSS") == [["rSDSS"], ["gSDSS", "rSDSS"], ["gSDSS"]]
    assert channels("a", "b", "c", "d") == [["d"], ["b", "c"], ["a"]]


def test_noise_of_the_mean_is_that_of_its_bands() -> None:
    rng = np.random.default_rng(3)
    noise = {"gSDSS": 1.0, "rSDSS": 2.0}
    recipe = colours.choose_recipe(noise, ReleaseSettings())
    draws = {band: rng.normal(0, s, 200_000) for band, s in noise.items()}
    mean = sum(share * draws[b] for channel in recipe.channels for b, share in channel.items()) / 3
    assert recipe.curve.sigma == pytest.approx(np.std(mean), rel=0.01)
