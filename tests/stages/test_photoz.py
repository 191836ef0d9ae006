"""Photometric redshifts: what Bayes, the templates and the prior must do whatever the galaxies."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from astropy.cosmology import FlatLambdaCDM
from numpy.typing import NDArray

from tesela.bands import filters
from tesela.errors import ConfigError, ProductError
from tesela.products.calibrated import AB_ZERO_UJY_MAG
from tesela.products.columns import MASKED, NOT_DETECTED, NOT_OBSERVED, QUANTILES, VALUEADDED
from tesela.stages.valueadded import photoz, photoz_pdf, photoz_posterior, photoz_prior
from tesela.stages.valueadded.photoz_settings import PhotozSettings

BANDS = filters.names()
R = BANDS.index("rSDSS")
SETTINGS = PhotozSettings(dust_ebv_mag=(0.0, 0.2), line_strength=(0.0, 1.0), z_max=0.8)
COLUMNS = {name: c for name, c in VALUEADDED.items() if name.startswith(("photoz", "odds"))}


def model(cell: int, template: int, r_ujy: float = 200.0) -> NDArray[np.float32]:
    """Fluxes of a model of the grid, (1, 12), scaled to a flux in r."""
    grid = photoz.make_grid(BANDS, "rSDSS", SETTINGS)
    flux = grid.model_ujy[cell, :, template]
    return (flux * (r_ujy / flux[R]))[None, :].astype(np.float32)


def estimate(flux: NDArray[np.float32], snr: float = 100.0, **changes: object) -> dict:
    """Redshifts of fluxes whose errors are those of r, all measured."""
    error = np.broadcast_to(np.abs(flux[:, R : R + 1]) / np.float32(snr), flux.shape)
    arguments: dict = {
        "flux_ujy": flux,
        "flux_err_ujy": error.copy(),
        "status": np.zeros(flux.shape, np.int8),
        "bands": BANDS,
        "detection_band": "rSDSS",
        "settings": SETTINGS,
    }
    return photoz.estimate(**{**arguments, **changes})


@pytest.mark.parametrize("cell", [12, 30, 60, 110])
def test_a_template_comes_back_at_its_redshift(cell: int) -> None:
    z = photoz.make_grid(BANDS, "rSDSS", SETTINGS).z[cell]
    faint_floor = replace(SETTINGS, floor=0.003, floor_blue=0.003)
    for template in (0, 20, 60):
        found = estimate(model(cell, template), 1000.0, settings=faint_floor)
        assert abs(found["photoz"][0] - z) < 0.006 * (1 + z)
        assert abs(found["photoz_mode"][0] - z) < 0.006 * (1 + z)
        assert found["photoz_chi2"][0] < 1.0
        assert found["odds"][0] > 0.9


def test_columns_are_those_of_the_table() -> None:
    found = estimate(np.vstack([model(30, 0), model(60, 9)]))
    assert set(found) == set(COLUMNS)
    for name, column in COLUMNS.items():
        shape = (2, QUANTILES) if column.length == QUANTILES else (2,)
        assert found[name].dtype == column.dtype, name
        assert found[name].shape == shape, name


def test_quantiles_grow_and_hold_the_other_numbers() -> None:
    rng = np.random.default_rng(2)
    flux = np.vstack([model(c, t, 30.0) for c, t in rng.integers(5, 100, (40, 2))])
    noisy = (flux + rng.normal(0, 3.0, flux.shape)).astype(np.float32)
    found = estimate(noisy, 10.0)
    quantiles = found["photoz_quantiles"]
    assert (np.diff(quantiles, axis=1) >= 0).all()
    assert (quantiles[:, 0] >= 0).all() and (quantiles[:, -1] <= 0.81).all()
    middle = quantiles[:, 15:17]
    assert (middle[:, 0] <= found["photoz"]).all() and (found["photoz"] <= middle[:, 1]).all()
    assert (found["photoz_low"] <= found["photoz"]).all()
    assert (found["photoz"] <= found["photoz_high"]).all()
    half = 0.5 * (found["photoz_high"] - found["photoz_low"])
    np.testing.assert_allclose(found["photoz_err"], half, rtol=1e-5)
    assert ((found["odds"] >= 0) & (found["odds"] <= 1)).all()


def test_truths_drawn_from_prior_and_noise_lie_evenly_in_their_distributions() -> None:
    """The law of Bayes: with the true prior and noise, the PIT is uniform."""
    grid = photoz.make_grid(BANDS, "rSDSS", SETTINGS)
    rng = np.random.default_rng(5)
    n, r_ujy, sigma = 1500, 60.0, 6.0
    light = r_ujy / grid.reference_ujy.astype(np.float64)
    log_p = grid.log_prior + (grid.slope + 1) * np.log(light) - light
    p = np.exp(log_p - log_p.max()).ravel()
    cell, template = np.unravel_index(rng.choice(p.size, n, p=p / p.sum()), log_p.shape)
    edges, _ = photoz_pdf.cells(SETTINGS.z_max, SETTINGS.z_step)
    truth = np.expm1(edges[cell] + rng.uniform(0, SETTINGS.z_step, n))
    flux = grid.model_ujy[cell, :, template] * light[cell, template][:, None]
    error = np.full(flux.shape, sigma, np.float32)
    error[:, R] = 0.2  # r is the given of the prior: p(z, T | r)
    noisy = (flux + error * rng.normal(size=flux.shape)).astype(np.float32)
    exact = replace(SETTINGS, floor=1e-4, floor_blue=1e-4)
    found = estimate(noisy, flux_err_ujy=error, settings=exact)
    levels = (np.arange(QUANTILES) + 0.5) / QUANTILES
    pit = [np.interp(t, q, levels) for t, q in zip(truth, found["photoz_quantiles"])]
    counts = np.histogram(pit, np.linspace(0, 1, 9))[0]
    assert np.abs(counts - n / 8).max() < 4 * np.sqrt(n / 8)


def test_flux_alone_moves_a_good_redshift_little_and_the_prior_much() -> None:
    bright, faint = model(40, 10, 2000.0), model(40, 10, 20.0)
    sharp = [estimate(flux, 1000.0)["photoz"][0] for flux in (bright, faint)]
    assert abs(sharp[0] - sharp[1]) < 0.01
    blunt = [estimate(flux, 1.5)["photoz"][0] for flux in (bright, faint)]
    assert blunt[1] > 1.5 * blunt[0]


def test_fewer_bands_know_less() -> None:
    flux = model(50, 4)
    status = np.zeros((1, 12), np.int8)
    whole = estimate(flux, 30.0)
    status[0, [0, 1, 2, 3, 4, 6, 8, 10]] = NOT_OBSERVED, MASKED, *([MASKED] * 6)
    part = estimate(flux, 30.0, status=status, settings=replace(SETTINGS, min_bands=4))
    assert whole["photoz_bands"][0] == 12 and part["photoz_bands"][0] == 4
    assert part["photoz_err"][0] > 1.5 * whole["photoz_err"][0]


def test_too_few_bands_give_no_redshift() -> None:
    status = np.full((2, 12), NOT_OBSERVED, np.int8)
    status[:, R] = 0
    status[0, :3] = 0
    status[1, :4] = 0
    found = estimate(np.vstack([model(50, 4)] * 2), status=status)
    assert found["photoz_bands"].tolist() == [4, 5]
    assert found["photoz_template"][0] == 0 and found["photoz_template"][1] > 0
    for name, column in COLUMNS.items():
        if column.dtype == "float32":
            assert np.isnan(found[name][0]).all() and np.isfinite(found[name][1]).all(), name


def test_what_is_not_known_has_no_weight() -> None:
    flux = model(50, 4)
    error = np.full((1, 12), 2.0, np.float32)
    status = np.zeros((1, 12), np.int8)
    status[0, 3] = MASKED
    expected = estimate(flux, flux_err_ujy=error, status=status)
    for value, sigma in ((np.nan, 2.0), (9e9, np.nan), (1.0, 0.0), (1.0, -1.0), (np.inf, 1.0)):
        broken, sigmas = flux.copy(), error.copy()
        broken[0, 3], sigmas[0, 3] = value, sigma
        found = estimate(broken, flux_err_ujy=sigmas)
        np.testing.assert_array_equal(found["photoz_quantiles"], expected["photoz_quantiles"])


def test_negative_fluxes_are_measurements() -> None:
    """A galaxy without blue light: an upper limit there still tells."""
    flux = model(90, 0, 30.0)
    status = np.zeros((1, 12), np.int8)
    flux[0, :3] = -0.5
    status[0, :3] = NOT_DETECTED
    with_limits = estimate(flux, 30.0, status=status)
    status[0, :3] = NOT_OBSERVED
    without = estimate(flux, 30.0, status=status)
    assert np.isfinite(with_limits["photoz"][0])
    assert with_limits["photoz_bands"][0] == 12 and without["photoz_bands"][0] == 9
    assert with_limits["photoz_err"][0] != without["photoz_err"][0]


def test_all_fluxes_negative_is_no_error() -> None:
    found = estimate(-model(50, 4), flux_err_ujy=np.ones((1, 12), np.float32))
    assert np.isfinite(found["photoz"][0]) and np.isfinite(found["photoz_chi2"][0])


@pytest.mark.parametrize("code", [NOT_DETECTED, NOT_OBSERVED, MASKED])
def test_what_the_detection_band_did_not_measure_has_no_redshift(code: int) -> None:
    """The prior would invent one, for a source that is seen nowhere too."""
    status = np.zeros((2, 12), np.int8)
    status[0, R] = code
    found = estimate(np.vstack([model(50, 4)] * 2), 300.0, status=status)
    assert found["photoz_template"][0] == 0 and found["photoz_template"][1] > 0
    assert found["photoz_bands"].tolist() == [12 if code == NOT_DETECTED else 11, 12]
    for name, column in COLUMNS.items():
        if column.dtype == "float32":
            assert np.isnan(found[name][0]).all() and np.isfinite(found[name][1]).all(), name


def test_neither_the_order_of_bands_nor_of_rows_matters() -> None:
    rng = np.random.default_rng(7)
    flux = np.vstack([model(c, t, 30.0) for c, t in rng.integers(5, 90, (20, 2))])
    flux = (flux + rng.normal(0, 2.0, flux.shape)).astype(np.float32)
    error = np.full(flux.shape, 2.0, np.float32)
    expected = estimate(flux, flux_err_ujy=error)
    turn, rows = rng.permutation(12), rng.permutation(20)
    bands = tuple(BANDS[k] for k in turn)
    found = estimate(flux[rows][:, turn], flux_err_ujy=error, bands=bands)
    for name in COLUMNS:
        assert found[name].tobytes() == expected[name][rows].tobytes(), name


def test_bands_without_a_curve_are_left_out() -> None:
    flux = model(50, 4)
    more = np.hstack([flux, np.full((1, 1), 1e6, np.float32)])
    error = np.full(more.shape, 2.0, np.float32)
    found = photoz.estimate(
        more, error, np.zeros(more.shape, np.int8), (*BANDS, "V"), "rSDSS", SETTINGS
    )
    expected = estimate(flux, flux_err_ujy=error[:, :12])
    np.testing.assert_array_equal(found["photoz_quantiles"], expected["photoz_quantiles"])


def test_a_survey_of_unknown_bands_gets_no_redshift() -> None:
    one = np.ones((3, 1), np.float32)
    found = photoz.estimate(one, one, np.zeros((3, 1), np.int8), ("V",), "V", SETTINGS)
    assert np.isnan(found["photoz"]).all() and (found["photoz_bands"] == 0).all()


def test_no_objects_give_empty_columns() -> None:
    found = estimate(np.zeros((0, 12), np.float32))
    assert all(len(values) == 0 for values in found.values())


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"bands": BANDS[:-1]}, "shape"),
        ({"status": np.zeros((2, 12), np.int8)}, "status"),
        ({"bands": ("rSDSS",) * 12}, "each band once"),
        ({"detection_band": "V"}, "detection band"),
    ],
)
def test_bad_input_is_told(changes: dict, message: str) -> None:
    with pytest.raises(ProductError, match=message):
        estimate(model(50, 4), **changes)


@pytest.mark.parametrize(
    "wrong",
    [
        {"z_max": 0.0},
        {"z_max": float("nan")},
        {"z_step": 0.5},
        {"min_bands": 1},
        {"floor": 0.0},
        {"floor_blue": 1.0},
        {"odds_half_width": -0.1},
        {"dust_ebv_mag": ()},
        {"line_strength": (0.0, float("nan"))},
    ],
)
def test_wrong_settings_are_refused(wrong: dict) -> None:
    with pytest.raises(ConfigError, match=next(iter(wrong))):
        PhotozSettings(**wrong)


@pytest.mark.parametrize(("limit_mag", "median"), [(17.77, 0.104), (19.8, 0.2)])
def test_the_prior_gives_the_redshifts_of_real_surveys(limit_mag: float, median: float) -> None:
    """Medians of the SDSS main sample (Strauss et al. 2002) and of GAMA (Baldry et al. 2010)."""
    grid = photoz.make_grid(BANDS, "rSDSS", PhotozSettings())
    total = np.zeros(len(grid.z))
    for mag in np.arange(13.0, limit_mag, 0.1):
        light = 10 ** (0.4 * (AB_ZERO_UJY_MAG - mag)) / grid.reference_ujy
        log_p = grid.log_prior + (grid.slope + 1) * np.log(light) - light
        total += np.exp(log_p).sum(axis=1)
    found = np.interp(0.5, np.cumsum(total) / total.sum(), grid.z)
    assert abs(found / median - 1) < 0.1


def test_distances_are_those_of_a_flat_universe() -> None:
    """Against astropy."""
    z = np.array([0.01, 0.3, 1.0])
    flat = FlatLambdaCDM(H0=100.0, Om0=photoz_prior.OMEGA_M)
    found = photoz_prior.space(z)
    np.testing.assert_allclose(found.distance_modulus, flat.distmod(z).value, atol=0.002)
    volume = flat.differential_comoving_volume(z).value
    np.testing.assert_allclose(found.volume / found.volume[0], volume / volume[0], rtol=1e-3)


def test_the_kernel_is_the_formula() -> None:
    """Against numpy in double precision."""
    grid = photoz.make_grid(BANDS, "rSDSS", SETTINGS)
    flux = model(40, 7, 50.0) + np.linspace(-3, 3, 12, dtype=np.float32)
    weight = np.full((1, 12), 0.1, np.float32)
    found = photoz_posterior.posterior(flux, weight, flux[:, R], grid)
    m, f, w = grid.model_ujy.astype(np.float64), flux[0].astype(np.float64), 0.1
    cross, square = w * np.einsum("zbt,b->zt", m, f), w * np.einsum("zbt,zbt->zt", m, m)
    chi2 = w * (f @ f) - cross**2 / square
    light = f[R] / grid.reference_ujy
    log_p = grid.log_prior + (grid.slope + 1) * np.log(light) - light - 0.5 * chi2
    p = np.exp(log_p - log_p.max()).sum(axis=1)
    np.testing.assert_allclose(found.probability[0], p / p.sum(), atol=2e-4)
    best = np.unravel_index(log_p.argmax(), log_p.shape)
    assert found.chi2[0] == pytest.approx(chi2[best], rel=1e-2)
    assert found.template[0] == grid.base[best[1]]


def test_a_gaussian_distribution_is_described() -> None:
    edges, z = photoz_pdf.cells(0.8, 0.002)
    sigma, centre = 0.02, np.log1p(0.3)
    p = np.exp(-0.5 * ((np.log1p(z) - centre) / sigma) ** 2)[None, :]
    found = photoz_pdf.summary((p / p.sum()).astype(np.float32), edges, 0.02)
    assert found.median[0] == pytest.approx(0.3, abs=5e-4)
    assert found.mode[0] == pytest.approx(0.3, abs=5e-4)
    assert found.low[0] == pytest.approx(np.expm1(centre - sigma), abs=5e-4)
    assert found.high[0] == pytest.approx(np.expm1(centre + sigma), abs=5e-4)
    assert found.odds[0] == pytest.approx(0.683, abs=0.01)


def test_a_distribution_at_the_edge_keeps_its_odds_in_range() -> None:
    edges, z = photoz_pdf.cells(0.8, 0.004)
    p = np.zeros((2, len(z)), np.float32)
    p[0, 0], p[1, -1] = 1, 1
    found = photoz_pdf.summary(p, edges, 0.03)
    assert found.mode[0] == pytest.approx(z[0], abs=1e-6)
    assert found.mode[1] == pytest.approx(z[-1], abs=1e-6)
    np.testing.assert_allclose(found.odds, 1.0)
