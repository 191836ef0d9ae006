"""The solver on raw frames of a crowded open cluster whose headers hold no WCS.

CAFOS at the Calar Alto 2.2 m telescope, NGC 2420: x grows to the north, y to the east, and the
pointing is given for the equinox of date.
"""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import sep
from astropy.io import fits

from tesela.errors import QualityError
from tesela.sky import epoch
from tesela.sky.solve import solve
from tesela.sky.wcs import Wcs

REAL = Path(
    os.environ.get("TESELA_REAL_DATA", Path(__file__).resolve().parents[3] / "shared" / "data")
)
CLUSTER = REAL / "cafos_ngc2420"

pytestmark = [
    pytest.mark.real,
    pytest.mark.skipif(not CLUSTER.is_dir(), reason="no real observations at TESELA_REAL_DATA"),
]

BIAS_ADU = 672.0
SCALE_ARCSEC = 0.526
FWHM_PX = 2.2 / SCALE_ARCSEC


def detect(image):
    """Positions, fluxes and centroid errors of sources above 2 sigma."""
    background = sep.Background(image, bw=64, bh=64)
    image = image - background
    found = sep.extract(image, 2.0, err=background.globalrms, minarea=5)
    x, y, _ = sep.winpos(image, found["x"], found["y"], np.full(len(found), FWHM_PX / 2.35))
    flux, error, _ = sep.sum_circle(image, x, y, 6.0, err=background.globalrms, gain=1.4)
    return x, y, flux, 0.42 * FWHM_PX * error / np.maximum(flux, error)


def reference():
    """Positions and the mean of g and r, NaN where neither was measured."""
    table = np.genfromtxt(
        CLUSTER / "reference_NGC2420_ugriz_daophot.csv", delimiter=",", names=True
    )
    measured = [np.where(table[band] < 90, table[band], np.nan) for band in ("g", "r")]
    either = np.where(np.isfinite(measured[0]), measured[0], measured[1])
    mag = np.where(np.isfinite(measured[1]), 0.5 * (either + measured[1]), either)
    return table["ra"], table["dec"], mag


@pytest.mark.parametrize(
    ("number", "fewest", "largest_rms_px"),
    [(29, 150, 0.2), (30, 150, 0.2), (31, 215, 0.13), (32, 215, 0.13), (33, 215, 0.13)],
)
@pytest.mark.parametrize("weighted", [False, True])
def test_raw_frame_is_solved(number, fewest, largest_rms_px, weighted):
    with fits.open(CLUSTER / "science_V" / f"uamA_{number:04d}.fits") as frame:
        header = frame[0].header
        image = frame[0].data.astype(np.float32) - np.float32(BIAS_ADU)
    ra, dec = epoch.precess_to_icrs(header["RA"], header["DEC"], 2021.24)
    guess = Wcs.tangent_plane(
        float(ra), float(dec), SCALE_ARCSEC, image.shape, position_angle_deg=90.0
    )
    x, y, flux, error = detect(image)
    errors = {"x_err": error, "y_err": error} if weighted else {}
    solution = solve(x, y, flux, *reference(), guess, **errors)
    rms_px = solution.rms_arcsec / solution.wcs.pixel_scale_arcsec
    assert solution.n_matched >= fewest
    assert rms_px.max() <= largest_rms_px
    assert solution.chance_log10 < -100
    assert solution.offset_arcsec < 20
    assert solution.rotation_deg == pytest.approx(-0.98, abs=0.05)
    assert solution.scale_ratio == pytest.approx(1.0023, abs=0.001)


def test_the_cluster_turned_upside_down_is_not_recognised():
    with fits.open(CLUSTER / "science_V" / "uamA_0031.fits") as frame:
        image = frame[0].data.astype(np.float32) - np.float32(BIAS_ADU)
    guess = Wcs.tangent_plane(114.6, 21.57, SCALE_ARCSEC, image.shape, position_angle_deg=90.0)
    x, y, flux, _ = detect(image)
    with pytest.raises(QualityError, match="check pointing"):
        solve(1023.0 - x, 1023.0 - y, flux, *reference(), guess)
