"""The catalogue of a drawn coadd: fluxes, errors, completeness and columns mean what they say."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import sep

from tesela.pixels.psf_model import PsfModel
from tesela.products.columns import SINGLE
from tesela.products.images import Coadd
from tesela.products.maskbit import MaskBit
from tesela.sky import match
from tesela.stages import catalog

from . import drawn

SIZE, FWHM_PX, SIGMA, ZEROPOINT_MAG = 480, 3.0, 0.2, 22.0
TILE = drawn.wcs(size=SIZE)
SETTINGS = catalog.CatalogSettings(noise_apertures=600, injections=250)
GRID = np.arange(30, SIZE - 20, 35)


def model() -> PsfModel:
    """The very PSF that is drawn: a round Moffat."""
    found = drawn.reduced(drawn.Exposure(fwhm_px=FWHM_PX)).image.psf
    return PsfModel.from_arrays(found.arrays, found.numbers)


def tile(x: np.ndarray, y: np.ndarray, mag: np.ndarray, seed: int = 3) -> Coadd:
    """White noise of known sigma (e-/s) and stars without photon noise."""
    image = np.random.default_rng(seed).normal(0, SIGMA, (SIZE, SIZE))
    drawn.moffat(image, x, y, 10 ** (-0.4 * (mag - ZEROPOINT_MAG)), FWHM_PX)
    weight = np.full((SIZE, SIZE), SIGMA**-2, np.float32)
    return Coadd(
        image.astype(np.float32),
        weight,
        np.full((SIZE, SIZE), SIGMA**2, np.float32),
        np.zeros((SIZE, SIZE), np.uint8),
        np.full((SIZE, SIZE), 3, np.uint8),
        drawn.reduced().image.psf,
        [],
    )


def run(coadd: Coadd, settings: catalog.CatalogSettings = SETTINGS) -> catalog.CatalogOutputs:
    return catalog.catalog(catalog.CatalogInputs("T-1", "r", coadd, TILE, ZEROPOINT_MAG), settings)


def stars() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A grid of stars at random sub-pixel positions."""
    rng = np.random.default_rng(8)
    x, y = (v.ravel() + rng.uniform(-0.5, 0.5, GRID.size**2) for v in np.meshgrid(GRID, GRID))
    return x, y, rng.uniform(15.0, 19.5, x.size)


@pytest.fixture(scope="module")
def coadd() -> Coadd:
    return tile(*stars())


@pytest.fixture(scope="module")
def made(coadd: Coadd) -> catalog.CatalogOutputs:
    return run(coadd)


def matched(made: catalog.CatalogOutputs) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Rows of the drawn stars, and their true fluxes."""
    x, y, mag = stars()
    table = made.catalogue.columns
    ra, dec = TILE.pix_to_sky(x, y)
    i, j, _ = match.nearest(table["ra"], table["dec"], ra, dec, 0.8)
    return {k: v[i] for k, v in table.items()}, 10 ** (-0.4 * (mag[j] - ZEROPOINT_MAG))


def share(radius_px: float) -> float:
    alpha2 = (FWHM_PX / 2) ** 2 / (2 ** (1 / 3) - 1)
    total = 1 - (1 + (15 / drawn.SCALE_ARCSEC) ** 2 / alpha2) ** -2.0
    return (1 - (1 + radius_px**2 / alpha2) ** -2.0) / total


def test_psf_fluxes_are_total(made: catalog.CatalogOutputs) -> None:
    table, true = matched(made)
    bright = true > 100 * SIGMA * 5
    assert np.median(table["flux_psf"][bright] / true[bright]) == pytest.approx(1, abs=0.01)


def test_apertures_hold_the_share_of_their_circle(made: catalog.CatalogOutputs) -> None:
    table, true = matched(made)
    bright = true > 100 * SIGMA * 5
    diameters = (0.8, 1.0, 1.2, 1.5, 2.0, 3.0, 4.0, 6.0)
    for n, diameter in enumerate(diameters):
        expected = share(diameter / 2 / drawn.SCALE_ARCSEC)
        measured = np.median(table["flux_aper"][bright, n] / true[bright])
        if diameter < 2:  # the pixels' own size spreads the light over so small a circle
            assert 0.5 * expected < measured < 1.02 * expected
        else:
            assert measured == pytest.approx(expected, abs=0.025)


def test_auto_is_a_little_less_than_total(made: catalog.CatalogOutputs) -> None:
    table, true = matched(made)
    bright = true > 100 * SIGMA * 5
    assert 0.85 < np.median(table["flux_auto"][bright] / true[bright]) < 1.01


@pytest.mark.parametrize("flux", ["flux_psf", "flux_aper"])
def test_errors_are_the_scatter(made: catalog.CatalogOutputs, flux: str) -> None:
    table, true = matched(made)
    value, error = table[flux], table[f"{flux}_err"]
    if flux == "flux_aper":
        value, error, true = value[:, 4], error[:, 4], true * share(1 / drawn.SCALE_ARCSEC)
    faint = (table["flux_psf"] < 300 * SIGMA) & (table["flux_psf"] > 10 * table["flux_psf_err"])
    pull = ((value - true) / error)[faint]
    assert np.count_nonzero(faint) > 40
    spread = 1.4826 * np.median(np.abs(pull - np.median(pull)))
    assert 0.75 < spread < 1.3


def test_depth_is_five_times_the_noise_of_an_aperture(made: catalog.CatalogOutputs) -> None:
    rng = np.random.default_rng(77)
    noise = rng.normal(0, SIGMA, (SIZE, SIZE)).astype(np.float32)
    x, y = rng.uniform(10, SIZE - 10, (2, 3000))
    sums, _, _ = sep.sum_circle(noise, x, y, 1.5 / drawn.SCALE_ARCSEC, subpix=0)
    expected = ZEROPOINT_MAG - 2.5 * np.log10(5 * np.std(sums))
    assert made.metrics["depth_3arcsec_mag"] == pytest.approx(expected, abs=0.07)


def test_completeness_is_that_of_stars_really_put_in(made: catalog.CatalogOutputs) -> None:
    m50 = made.metrics["completeness_m50"]
    x, y, mag = stars()
    rng = np.random.default_rng(21)
    found = {}
    for offset in (-0.8, 0.0, 0.8):
        # Halfway between the grid's stars, with a PSF that is none of the pipeline's own.
        new_x, new_y = x[: -GRID.size] + 17, y[: -GRID.size] + 17
        keep = new_x < SIZE - 20
        new_x, new_y = new_x[keep], new_y[keep] + rng.uniform(-0.5, 0.5, keep.sum())
        faint = np.full(new_x.size, m50 + offset)
        both = tile(np.r_[x, new_x], np.r_[y, new_y], np.r_[mag, faint])
        table = run(both, catalog.CatalogSettings(noise_apertures=200, injections=0))
        rows = table.catalogue.columns
        ra, dec = TILE.pix_to_sky(new_x, new_y)
        near, _, _ = match.nearest(ra, dec, rows["ra"], rows["dec"], 0.6 * FWHM_PX * 0.55)
        found[offset] = len(near) / len(new_x)
    assert found[-0.8] > 0.8
    assert 0.25 < found[0.0] < 0.8
    assert found[0.8] < 0.35


def test_columns_are_those_of_the_one_table(made: catalog.CatalogOutputs, tmp_path: Path) -> None:
    made.catalogue.write(tmp_path / "c.parquet")
    schema = pq.read_schema(tmp_path / "c.parquet")
    assert set(schema.names) <= set(SINGLE)
    assert {"ra", "dec", "flux_auto", "flux_psf", "flux_aper", "a", "b", "theta", "flags",
            "mask_flags"} <= set(schema.names)  # fmt: skip
    for name in schema.names:
        stated = {k.decode(): v.decode() for k, v in schema.field(name).metadata.items()}
        assert stated["unit"] == SINGLE[name].unit
        assert stated["ucd"] == SINGLE[name].ucd
        assert stated["description"]
    for name, values in made.catalogue.columns.items():
        assert values.dtype == SINGLE[name].dtype
    assert made.catalogue.facts["tile"] == "T-1"


def test_isolated_stars_carry_no_flag(made: catalog.CatalogOutputs) -> None:
    table, true = matched(made)
    assert np.mean(table["flags"][true > 100] == 0) > 0.9


def test_flags_say_blended_saturated_and_truncated() -> None:
    x = np.array([100.0, 106.0, 250.0, 478.5])
    y = np.array([100.0, 100.0, 250.0, 300.0])
    coadd = tile(x, y, np.full(4, 14.0))
    coadd.mask[248:253, 248:253] = MaskBit.SATURATED
    table = run(coadd, catalog.CatalogSettings(noise_apertures=200, injections=0))
    columns = table.catalogue.columns

    def row(n: int) -> int:
        return int(np.argmin(np.hypot(columns["x"] - x[n], columns["y"] - y[n])))

    flags, codes = columns["flags"], columns["mask_flags"]
    assert flags[row(0)] & 2
    assert flags[row(1)] & 2
    assert row(0) != row(1)
    assert flags[row(2)] & 4
    assert codes[row(2)] & MaskBit.SATURATED
    assert flags[row(3)] & 8
    assert not codes[row(0)] & MaskBit.SATURATED


def test_noise_alone_gives_few_sources() -> None:
    nothing = np.empty(0)
    made = run(
        tile(nothing, nothing, nothing),
        catalog.CatalogSettings(noise_apertures=200, injections=0),
    )
    sure = made.catalogue.columns["flux_psf"] > 5 * made.catalogue.columns["flux_psf_err"]
    assert np.count_nonzero(sure) <= 2


def test_same_coadd_same_bytes(coadd: Coadd, made: catalog.CatalogOutputs) -> None:
    assert run(coadd).catalogue.data_hash() == made.catalogue.data_hash()


def test_a_hole_in_a_core_is_told_and_never_passes_for_certainty(coadd: Coadd) -> None:
    x, y, mag = stars()
    star = int(np.argmin(mag))
    ix, iy = round(x[star]), round(y[star])
    weight, mask = coadd.weight.copy(), coadd.mask.copy()
    weight[iy - 1 : iy + 2, ix] = 0
    mask[iy - 1 : iy + 2, ix] = MaskBit.BAD
    image = np.where(weight > 0, coadd.image, 0).astype(np.float32)
    holed = replace(coadd, image=image, weight=weight, mask=mask)
    columns = run(holed, replace(SETTINGS, injections=0)).catalogue.columns
    near = np.argmin(np.hypot(columns["x"] - x[star], columns["y"] - y[star]))
    assert columns["flags"][near] & 1
    assert columns["mask_flags"][near] & MaskBit.BAD
    whole = run(coadd, replace(SETTINGS, injections=0)).catalogue.columns
    same = np.argmin(np.hypot(whole["x"] - x[star], whole["y"] - y[star]))
    for name in ("flux_auto_err", "flux_psf_err"):
        assert columns[name][near] > 0.5 * whole[name][same]
    assert (columns["flux_aper_err"][near] > 0.5 * whole["flux_aper_err"][same]).all()
    far = np.hypot(columns["x"] - x[star], columns["y"] - y[star]) > 20
    assert (columns["mask_flags"][far] & MaskBit.BAD == 0).all()
