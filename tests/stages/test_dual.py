"""Colours of the dual catalogue do not depend on seeing; errors mean what they say."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tesela.errors import ProductError
from tesela.products.catalogue import Catalogue
from tesela.products.columns import DUAL, PER_BAND
from tesela.products.images import Coadd, Psf
from tesela.sky.wcs import Wcs
from tesela.stages import catalog
from tesela.stages.catalog import dual_columns

from . import drawn
from .dual_sky import (
    ABSENT,
    BANDS,
    COLOUR,
    FWHM_PX,
    GREEN,
    INFRARED,
    RED,
    SETTINGS,
    SIZE,
    TILE,
    ZEROPOINT_MAG,
    coadd,
    galaxies,
    image,
    inputs,
    psf,
    ratio,
    rows,
    run,
    sources,
)  # fmt: skip


@pytest.fixture(scope="module")
def made() -> catalog.DualOutputs:
    return run(inputs())


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
    """The same faint sky twice, with other noise: the detection band's does not differ.

    One band is broader than the detection band, the other is sharper and is convolved itself.
    """
    faint = {band: 0.01 * COLOUR[band] * image(FWHM_PX[band]) for band in ("gSDSS", "iSDSS")}
    first, second = (
        run(
            inputs(**{band: coadd(band, seed=seed, plane=faint[band]) for band in faint})
        ).catalogue.columns
        for seed in (1, 2)
    )
    every = (first["flux_psfcor"] - second["flux_psfcor"]) / np.hypot(
        first["flux_psfcor_err"], second["flux_psfcor_err"]
    )
    for band in (GREEN, INFRARED):
        assert np.count_nonzero(np.isfinite(every[:, band])) > 60
        assert 0.75 < np.nanstd(every[:, band]) < 1.3


def test_the_error_of_the_scale_is_for_totals(made) -> None:
    table = made.catalogue.columns
    k = rows(made.catalogue)
    share = table["psfcor_scale_err"][k]
    auto = table["flux_auto_err"][k, RED] / table["flux_auto"][k, RED]
    assert np.isfinite(share).all()
    assert (share <= 1.01 * auto).all()
    assert np.median(share / auto) > 0.5


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
