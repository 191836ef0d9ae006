"""What a dual catalogue says of sources that a band did not see, or not well."""

from __future__ import annotations

import numpy as np
import pytest

from tesela.products.columns import (
    DUAL,
    MASKED,
    MEASURED,
    NOT_DETECTED,
    NOT_OBSERVED,
    PER_BAND,
)  # fmt: skip
from tesela.products.maskbit import MaskBit
from tesela.stages.catalog import dual_colour

from .dual_sky import (
    ABSENT,
    GREEN,
    INFRARED,
    RED,
    SIZE,
    coadd,
    inputs,
    ratio,
    rows,
    run,
    sources,
    without_weight,
)  # fmt: skip


def test_bands_that_were_not_observed_are_null() -> None:
    made = run(inputs())
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
    for hole in ((slice(iy, iy + 1), slice(ix, ix + 1)), (slice(None), slice(200, None))):
        holed = without_weight(holed, hole)
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


def test_a_hole_is_masked_however_wide_and_only_beyond_the_edge_is_not_observed() -> None:
    """A star's core that was lost was looked at; a trail that runs out of the image is a hole."""
    x, y, _ = sources()
    inside, trail, beyond = 44, 4, 8
    ix, iy = np.rint(x).astype(int), np.rint(y).astype(int)
    wide = slice(iy[inside] - 10, iy[inside] + 11), slice(ix[inside] - 10, ix[inside] + 11)
    bleeding = slice(0, iy[trail] + 4), slice(ix[trail] - 2, ix[trail] + 3)
    corner = slice(0, iy[beyond] + 12), slice(ix[beyond] - 12, SIZE)
    holed = coadd("gSDSS")
    for hole in (wide, bleeding, corner):
        holed = without_weight(holed, hole)
    table = (made := run(inputs(gSDSS=holed))).catalogue.columns
    k = rows(made.catalogue)
    status = table["status"][k, GREEN]
    assert (status[inside], status[trail], status[beyond]) == (MASKED, MASKED, NOT_OBSERVED)
    assert np.count_nonzero(status == NOT_OBSERVED) == 1
    for name in ("flux_psfcor", "flux_auto", "flux_auto_err"):
        assert np.isnan(table[name][k[[inside, trail, beyond]], GREEN]).all()


def test_a_flux_that_could_not_be_taken_is_masked_not_undetected(monkeypatch) -> None:
    measure = dual_colour.measure

    def partly(*arguments):
        colour = measure(*arguments)
        colour.flux[3], colour.flux_err[4] = np.nan, np.nan
        return colour

    monkeypatch.setattr(dual_colour, "measure", partly)
    table = run(inputs()).catalogue.columns
    for band in (GREEN, RED, INFRARED):
        assert (table["status"][[3, 4], band] == MASKED).all()
        assert (table["status"][5:, band] == MEASURED).all()
    known = np.isfinite(table["flux_psfcor"]) & np.isfinite(table["flux_psfcor_err"])
    seen = np.isin(table["status"], (MEASURED, NOT_DETECTED))
    np.testing.assert_array_equal(known, seen)


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
