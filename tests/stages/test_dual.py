"""Colours of the dual catalogue do not depend on seeing; statuses, flags and errors mean what they
say."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from tesela.errors import ProductError
from tesela.pixels.psf_model import PsfModel
from tesela.products.catalogue import Catalogue
from tesela.products.columns import (
    DUAL,
    MASKED,
    MEASURED,
    NOT_DETECTED,
    NOT_OBSERVED,
    PER_BAND,
)
from tesela.products.images import Coadd, Psf
from tesela.products.maskbit import MaskBit
from tesela.sky.wcs import Wcs
from tesela.stages import catalog
from tesela.stages.catalog import dual_columns

from . import drawn

SIZE, SIGMA, ZEROPOINT_MAG = 300, 0.02, 22.0
BANDS = ("gSDSS", "rSDSS", "iSDSS", "zSDSS")
GREEN, RED, INFRARED, ABSENT = range(4)
FWHM_PX = {"gSDSS": 4.0, "rSDSS": 3.0, "iSDSS": 2.6}
COLOUR = {"gSDSS": 0.5, "rSDSS": 1.0, "iSDSS": 1.6}
TILE = drawn.wcs(size=SIZE)
SETTINGS = catalog.DualSettings(
    detection=catalog.CatalogSettings(threshold_sigma=1.5, noise_apertures=400, injections=0)
)
GRID = np.arange(30.0, SIZE - 20, 30)


def psf(fwhm_px: float) -> Psf:
    """The very PSF that is drawn: a round Moffat, flux one within 15 arcsec."""
    model = PsfModel(
        coefficients=np.array([[np.log(fwhm_px)], [0.0], [0.0]]),
        beta=3.0,
        residual=np.zeros((1, 9, 9), np.float32),
        frame=(SIZE / 2, SIZE / 2, SIZE / 2),
        degree=0,
        norm_radius_px=15 / drawn.SCALE_ARCSEC,
        n_stars=50,
        chi2=1.0,
    )
    return Psf(*model.to_arrays())


@cache
def sources() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Every third source is a galaxy (the last of them faint), the others are stars."""
    rng = np.random.default_rng(5)
    x, y = (v.ravel() + rng.uniform(-0.5, 0.5, GRID.size**2) for v in np.meshgrid(GRID, GRID))
    return x, y, 10 ** rng.uniform(1.2, 2.6, x.size)


def galaxies() -> np.ndarray:
    return np.arange(sources()[0].size) % 3 == 0


@cache
def image(fwhm_px: float) -> np.ndarray:
    """Without noise. A galaxy is a cluster of points, so that every PSF convolves it exactly."""
    x, y, flux = sources()
    plane = np.zeros((SIZE, SIZE))
    star = ~galaxies()
    drawn.moffat(plane, x[star], y[star], flux[star], fwhm_px)
    for dx, dy, part in ((0, 0, 0.4), (1.8, 0.6, 0.2), (-1.5, 1.0, 0.2), (0.4, -2.0, 0.2)):
        drawn.moffat(plane, x[~star] + dx, y[~star] + dy, part * flux[~star], fwhm_px)
    return plane


def coadd(band: str, *, seed: int = 0, plane: np.ndarray | None = None) -> Coadd:
    fwhm_px = FWHM_PX[band]
    clean = COLOUR[band] * image(fwhm_px) if plane is None else plane
    rng = np.random.default_rng([seed, *band.encode()])
    shape = clean.shape
    return Coadd(
        (clean + rng.normal(0, SIGMA, shape)).astype(np.float32),
        np.full(shape, SIGMA**-2, np.float32),
        np.full(shape, SIGMA**2, np.float32),
        np.zeros(shape, np.uint8),
        np.full(shape, 3, np.uint8),
        psf(fwhm_px),
        [],
    )


def inputs(**changes: Coadd) -> catalog.DualInputs:
    """Three bands of four; `changes` take the place of a band's coadd."""
    made: dict[str, Callable[[], Coadd]] = {
        band: (lambda b=band: changes.get(b) or coadd(b)) for band in FWHM_PX
    }
    zero = dict.fromkeys(FWHM_PX, ZEROPOINT_MAG)
    return catalog.DualInputs("T-1", "rSDSS", BANDS, made, zero, TILE, {})


def run(given: catalog.DualInputs) -> catalog.DualOutputs:
    return catalog.dual(given, SETTINGS)


@pytest.fixture(scope="module")
def made() -> catalog.DualOutputs:
    return run(inputs())


def rows(catalogue: Catalogue) -> np.ndarray:
    """For each drawn source the row of the nearest one found."""
    x, y, _ = sources()
    table = catalogue.columns
    distance = np.hypot(table["x"][:, None] - x, table["y"][:, None] - y)
    assert (distance.min(axis=0) < 1.5).all()
    return distance.argmin(axis=0)


def ratio(made: catalog.DualOutputs, flux: str, band: int) -> np.ndarray:
    table = made.catalogue.columns
    k = rows(made.catalogue)
    return table[flux][k, band] / table[flux][k, RED] / COLOUR[BANDS[band]]


@pytest.mark.parametrize("band", [GREEN, INFRARED])
@pytest.mark.parametrize("kind", ["stars", "galaxies"])
def test_colours_do_not_depend_on_seeing(made, band: int, kind: str) -> None:
    chosen = galaxies() if kind == "galaxies" else ~galaxies()
    corrected = ratio(made, "flux_psfcor", band)[chosen]
    assert np.median(corrected) == pytest.approx(1, abs=0.003)
    assert np.abs(corrected - 1).max() < 0.06
    # In one fixed circle they do.
    assert abs(np.median(ratio(made, "flux_aper_1_5", band)[chosen]) - 1) > 0.04


def test_the_scale_is_auto_of_the_detection_band(made) -> None:
    table = made.catalogue.columns
    seen = np.isfinite(table["flux_psfcor"][:, RED])
    np.testing.assert_array_equal(table["flux_psfcor"][seen, RED], table["flux_auto"][seen, RED])
    total = table["flux_psfcor"][rows(made.catalogue), GREEN] / COLOUR["gSDSS"] / sources()[2]
    assert 0.85 < np.median(total) < 1.0


def test_the_detection_band_is_measured_as_by_itself(made) -> None:
    alone = catalog.catalog(
        catalog.CatalogInputs("T-1", "rSDSS", coadd("rSDSS"), TILE, ZEROPOINT_MAG),
        SETTINGS.detection,
    )
    single, table = alone.catalogue.columns, made.catalogue.columns
    for name in ("number", "ra", "dec", "kron_radius", "theta", "isoarea"):
        np.testing.assert_array_equal(table[name], single[name])
    np.testing.assert_allclose(table["flux_auto"][:, RED], single["flux_auto"], rtol=1e-6)
    np.testing.assert_allclose(table["flux_auto_err"][:, RED], single["flux_auto_err"], rtol=1e-6)
    assert made.catalogue.facts["depth_psf_mag"]["rSDSS"] == pytest.approx(
        alone.metrics["depth_psf_mag"], abs=1e-6
    )


@pytest.mark.parametrize("band", [GREEN, RED, INFRARED])
def test_psf_fluxes_are_those_drawn(made, band: int) -> None:
    star = ~galaxies()
    flux = made.catalogue.columns["flux_psf"][rows(made.catalogue)[star], band]
    true = COLOUR[BANDS[band]] * sources()[2][star]
    assert np.median(flux / true) == pytest.approx(1, abs=0.01)


def test_errors_are_the_scatter_of_the_colours() -> None:
    """The same faint sky twice, with other noise: the detection band's does not differ."""
    faint = COLOUR["iSDSS"] * image(FWHM_PX["iSDSS"]) * 0.01
    first, second = (
        run(inputs(iSDSS=coadd("iSDSS", seed=seed, plane=faint))).catalogue.columns
        for seed in (1, 2)
    )
    error = np.hypot(first["flux_psfcor_err"][:, INFRARED], second["flux_psfcor_err"][:, INFRARED])
    pull = (first["flux_psfcor"] - second["flux_psfcor"])[:, INFRARED] / error
    assert np.count_nonzero(np.isfinite(pull)) > 60
    assert 0.75 < np.nanstd(pull) < 1.3


def test_the_error_of_the_scale_is_for_totals(made) -> None:
    table = made.catalogue.columns
    k = rows(made.catalogue)
    share = table["psfcor_scale_err"][k]
    auto = table["flux_auto_err"][k, RED] / table["flux_auto"][k, RED]
    assert np.isfinite(share).all()
    assert (share <= 1.01 * auto).all()
    assert np.median(share / auto) > 0.5


def test_bands_that_were_not_observed_are_null(made) -> None:
    table = made.catalogue.columns
    assert (table["status"][:, ABSENT] == NOT_OBSERVED).all()
    assert (table["status"][:, RED] != NOT_OBSERVED).all()
    for name, column in DUAL.items():
        if column.length == PER_BAND and name.startswith("flux"):
            assert np.isnan(table[name][:, ABSENT]).all(), name
    assert "zSDSS" not in made.catalogue.facts["zeropoint_mag"]


def test_holes_are_masked_edges_not_observed_and_absence_is_measured() -> None:
    x, y, _ = sources()
    blank = coadd("iSDSS", plane=np.zeros((SIZE, SIZE)))
    holed = coadd("gSDSS")
    ix, iy = np.rint(x[4]).astype(int), np.rint(y[4]).astype(int)
    for plane in (holed.weight, holed.count):
        plane[iy, ix] = 0
        plane[:, 200:] = 0
    holed.mask[holed.weight == 0] = MaskBit.BAD
    holed.image[holed.weight == 0] = np.nan
    result = run(inputs(gSDSS=holed, iSDSS=blank))
    table, k = result.catalogue.columns, rows(result.catalogue)
    assert table["status"][k[4], GREEN] == MASKED
    assert table["mask_flags"][k[4], GREEN] & MaskBit.BAD
    assert table["flags"][k[4], GREEN] & 1
    outside = x > 210
    assert (table["status"][k[outside], GREEN] == NOT_OBSERVED).all()
    assert (table["n_exposures"][k[outside], GREEN] == 0).all()
    for name in ("flux_psfcor", "flux_auto", "flux_psf", "flux_aper_3_0", "flux_psfcor_err"):
        assert np.isnan(table[name][k[4], GREEN])
        assert np.isnan(table[name][k[outside], GREEN]).all()
    inside = (x < 180) & (np.arange(x.size) != 4)
    assert (table["status"][k[inside], GREEN] == MEASURED).all()
    assert np.mean(table["status"][:, INFRARED] == NOT_DETECTED) > 0.95
    seen = table["flux_psfcor"][:, INFRARED]
    assert np.isfinite(seen).all()
    assert 0.3 < np.mean(seen < 0) < 0.7  # what is not there scatters about zero, and is kept
    assert result.metrics["n_masked_gSDSS"] >= 1
    assert result.metrics["n_not_observed_gSDSS"] == np.sum(
        table["status"][:, GREEN] == NOT_OBSERVED
    )


def test_a_hole_at_the_side_costs_the_flux_little() -> None:
    """R loses the same pixels in both images, so its ratio stays."""
    x, y, _ = sources()
    holed = coadd("gSDSS")
    for xs, ys in zip(np.rint(x).astype(int), np.rint(y).astype(int), strict=True):
        holed.weight[ys - 1 : ys + 2, xs + 3] = 0
    corrected = ratio(run(inputs(gSDSS=holed)), "flux_psfcor", GREEN)
    assert np.isfinite(corrected).mean() > 0.9
    assert np.nanmedian(corrected) == pytest.approx(1, abs=0.01)


def test_saturation_is_told_by_band() -> None:
    x, y, _ = sources()
    bright = coadd("iSDSS")
    bright.mask[int(y[7]), int(x[7])] |= MaskBit.SATURATED
    result = run(inputs(iSDSS=bright))
    flags = result.catalogue.columns["flags"][rows(result.catalogue)[7]]
    assert flags[INFRARED] & 4
    assert not flags[GREEN] & 4


def test_counterparts_in_the_single_catalogues() -> None:
    x, y, _ = sources()
    ra, dec = TILE.pix_to_sky(x[:3] + 0.5, y[:3])
    single = Catalogue({"number": np.array([11, 12, 13], np.int32), "ra": ra, "dec": dec}, {})
    given = inputs()
    given.singles = {"gSDSS": single, "iSDSS": Catalogue({}, {})}
    result = run(given)
    matched = result.catalogue.columns["single_detect"]
    k = rows(result.catalogue)
    np.testing.assert_array_equal(matched[k[:3], GREEN], [11, 12, 13])
    assert (matched[k[3:], GREEN] == 0).all()
    assert (matched[:, [RED, INFRARED, ABSENT]] == 0).all()


@pytest.mark.parametrize("parity", [-1, 1])
def test_position_angles_are_on_the_sky(parity: int) -> None:
    turned = Wcs.tangent_plane(
        211.8, 55.1, 0.55, (300, 300), position_angle_deg=30.0, parity=parity
    )
    x = y = np.full(2, 150.0)
    angles = dual_columns.position_angle(turned, x, y, np.array([np.pi / 2, np.pi / 2 + 0.2]))
    assert angles[0] == pytest.approx(30.0, abs=0.01)
    assert angles[1] == pytest.approx(30.0 - parity * np.degrees(0.2), abs=0.05)
    assert dual_columns.position_angle(turned, x, y, np.array([9.0, -9.0])).min() >= 0


def test_columns_are_those_promised_and_survive_the_file(made, tmp_path: Path) -> None:
    assert list(made.catalogue.columns) == list(DUAL)
    for name, column in DUAL.items():
        values = made.catalogue.columns[name]
        assert values.dtype == np.dtype(column.dtype), name
        assert values.shape[1:] == ((4,) if column.length == PER_BAND else ()), name
    made.catalogue.write(tmp_path / "a.parquet")
    back = Catalogue.read(tmp_path / "a.parquet")
    assert back.kind == "dual"
    assert back.facts["bands"] == list(BANDS)
    np.testing.assert_array_equal(
        back.columns["flux_psfcor"], made.catalogue.columns["flux_psfcor"]
    )


def test_same_input_same_bytes_and_each_coadd_opened_once(made) -> None:
    opened: list[str] = []
    given = inputs()
    lazily = dict(given.coadds)

    def counted(band: str) -> Callable[[], Coadd]:
        return lambda: (opened.append(band), lazily[band]())[1]

    given.coadds = {band: counted(band) for band in lazily}
    again = run(given)
    assert again.catalogue.data_hash() == made.catalogue.data_hash()
    assert again.metrics == made.metrics
    assert sorted(opened) == sorted(FWHM_PX)


def test_an_empty_tile_has_an_empty_catalogue() -> None:
    empty = {band: coadd(band, plane=np.zeros((SIZE, SIZE))) for band in FWHM_PX}
    settings = replace(SETTINGS, detection=replace(SETTINGS.detection, threshold_sigma=20.0))
    found = catalog.dual(inputs(**empty), settings).catalogue
    assert len(found) == 0
    assert found.columns["flux_psfcor"].shape == (0, 4)


def test_a_kernel_that_fails_is_warned_of() -> None:
    wide = coadd("gSDSS", plane=COLOUR["gSDSS"] * image(FWHM_PX["gSDSS"]))
    crooked = psf(4.0)
    ghost = np.zeros((1, 65, 65), np.float32)
    ghost[:, 4:9, 4:9] = 0.5
    wide.psf = Psf({**crooked.arrays, "residual": ghost}, crooked.numbers)
    assert any("gSDSS: the PSF kernel" in line for line in run(inputs(gSDSS=wide)).warnings)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda given: setattr(given, "bands", BANDS[::-1]), "the order gSDSS, rSDSS"),
        (lambda given: setattr(given, "bands", BANDS[:2]), "bands of the survey"),
        (lambda given: given.coadds.pop("rSDSS"), "no coadd in the detection band rSDSS"),
        (lambda given: given.zeropoint_mag.pop("iSDSS"), "no zero point for iSDSS"),
        (lambda given: setattr(given, "wcs", drawn.wcs(size=200)), "the grid of the tile"),
    ],
)
def test_inputs_that_do_not_fit_are_refused(change, words: str) -> None:
    given = inputs()
    change(given)
    with pytest.raises(ProductError, match=words):
        run(given)
