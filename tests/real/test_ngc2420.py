"""Real frames of an open cluster, whose numbers an independent plain script has reached too.

Those numbers: a cubic solution matches 220 to 249 stars in the 60 s frames with 0.11 px an axis,
0.05 to 0.06 px above S/N 50; zero points for 1 s, ADU and a radius of 8 px, V from g and r by
Lupton (2005), of 22.55, 22.50 and 22.43 while the transparency falls.
"""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest

from tesela.products.catalogue import Catalogue
from tesela.products.files import read_fits
from tesela.products.images import Coadd, ReducedImage, card_dict
from tesela.sky import match
from verbs import well

from .conftest import Cluster

pytestmark = pytest.mark.real

ZEROPOINTS = {"uamA_0031": 22.55, "uamA_0032": 22.50, "uamA_0033": 22.43}
SHORT = ("uamA_0029", "uamA_0030")
SCALE_ARCSEC = 0.53


def test_everything_is_made_and_nothing_failed(cluster: Cluster) -> None:
    assert cluster.summary["dead"] == cluster.summary["skipped"] == 0
    assert cluster.summary["done"] == 3 + 5 + 1 + 1 + 4  # masters, images, band, whole tile
    assert sorted(key.split(".")[0] for key in cluster.keys("master")) == [
        "BADPIXEL",
        "BIAS",
        "DOMEFLAT",
    ]
    assert cluster.keys("reduced") == sorted([*SHORT, *ZEROPOINTS])
    assert cluster.keys("coadd") == cluster.keys("catalogue") == ["NGC-2420.V"]


@pytest.mark.parametrize("frame", ZEROPOINTS)
def test_astrometry_of_the_long_frames(cluster: Cluster, frame: str) -> None:
    m = cluster.metrics(frame)
    assert m["n_astrometry"] >= 215
    for axis in ("ra", "dec"):
        assert m[f"astrometry_rms_{axis}_arcsec"] / SCALE_ARCSEC <= 0.13
        assert m[f"astrometry_rms_bright_{axis}_arcsec"] / SCALE_ARCSEC <= 0.07


@pytest.mark.parametrize("frame", SHORT)
def test_short_frames_are_solved_too(cluster: Cluster, frame: str) -> None:
    m = cluster.metrics(frame)
    assert m["n_astrometry"] >= 100
    assert m["astrometry_rms_ra_arcsec"] / SCALE_ARCSEC <= 0.25
    assert m["n_zeropoint"] >= 10


@pytest.mark.parametrize("frame", ZEROPOINTS)
def test_zero_points_of_the_long_frames(cluster: Cluster, frame: str) -> None:
    m = cluster.metrics(frame)
    assert m["zeropoint_aperture_px"] == pytest.approx(8.0)
    assert m["zeropoint_aperture_adu_mag"] == pytest.approx(ZEROPOINTS[frame], abs=0.03)


@pytest.mark.parametrize("frame", ZEROPOINTS)
def test_scatter_about_the_zero_points(cluster: Cluster, frame: str) -> None:
    m = cluster.metrics(frame)
    assert m["zeropoint_aperture_scatter_mag"] <= 0.09
    assert m["zeropoint_scatter_mag"] < m["zeropoint_aperture_scatter_mag"]


@pytest.mark.parametrize("pair", combinations(ZEROPOINTS, 2), ids="-".join)
def test_zero_points_differ_as_the_common_stars_do(cluster: Cluster, pair: tuple[str, str]) -> None:
    coadd = card_dict(Coadd.read(cluster.path("coadd", "NGC-2420.V")).cards)
    used = {coadd[f"TSL IN{n} NAME"]: coadd[f"TSL IN{n} ZP"] for n in range(1, 6)}
    a, b = (ReducedImage.read(cluster.path("reduced", name)).sources for name in pair)
    bright = [(t["flags"] == 0) & (t["flux_psf"] > 50 * t["flux_psf_err"]) for t in (a, b)]
    a, b = ({k: v[good] for k, v in t.items()} for t, good in zip((a, b), bright))
    i, j, _ = match.nearest(a["ra"], a["dec"], b["ra"], b["dec"], 0.5)
    assert len(i) > 80
    # Both are exposures of 60 s, and m_true = m_inst + ZP is the same for both.
    difference = 2.5 * np.median(np.log10(a["flux_psf"][i] / b["flux_psf"][j]))
    assert used[pair[0]] - used[pair[1]] == pytest.approx(difference, abs=0.005)
    expected = ZEROPOINTS[pair[0]] - ZEROPOINTS[pair[1]]
    assert used[pair[0]] - used[pair[1]] == pytest.approx(expected, abs=0.01)


def test_coadd_is_deeper_than_its_frames_and_the_catalogue_holds_the_cluster(
    cluster: Cluster,
) -> None:
    coadd = Coadd.read(cluster.path("coadd", "NGC-2420.V"))
    catalogue = Catalogue.read(cluster.path("catalogue", "NGC-2420.V")).columns
    frame = ReducedImage.read(cluster.path("reduced", "uamA_0031"))
    assert coadd.count.max() == 5
    # Electrons a second a pixel: three exposures of 60 s halve the noise, nearly.
    noise = 1 / np.sqrt(np.median(coadd.weight[coadd.weight > 0]))
    assert noise < 0.65 * np.sqrt(np.median(frame.variance)) / 60
    stars = frame.sources
    sure = (stars["flux_psf"] > 20 * stars["flux_psf_err"]) & (stars["flags"] == 0)
    i, _, _ = match.nearest(
        stars["ra"][sure], stars["dec"][sure], catalogue["ra"], catalogue["dec"], 0.7
    )
    assert np.count_nonzero(sure) > 100
    assert len(i) >= 0.95 * np.count_nonzero(sure)  # the rest is blended


def test_two_biases_and_one_flat_are_a_warning_not_a_refusal(cluster: Cluster) -> None:
    said = {
        kind: well("history", key, "--site", cluster.site, "--json").out
        for key in cluster.keys("master")
        for kind in [key.split(".")[0]]
    }
    assert "only 2 frames combined where 10 are wanted" in said["BIAS"]
    assert "only 1 frame combined where 10 are wanted" in said["DOMEFLAT"]


def test_why_tells_that_the_calibrations_are_days_away(cluster: Cluster) -> None:
    said = well("why", "uamA_0031", "--site", cluster.site).out
    for part, kind, through in (("BIAS", "BIAS", "-"), ("FLAT", "DOMEFLAT", "V_-")):
        assert f"{part}: {kind}.CA-2_2.cafos.01.{through}.normal.20210318 version 1, 9." in said
        assert f"reduced: warning: {kind} of 2021-03-18 is used 9." in said
    assert "stands in for a FLAT, of which there is none" in said
    assert 9.0 < cluster.metrics("uamA_0031")["fallback_days"] < 10.0
    header = read_fits(cluster.path("reduced", "uamA_0031"), []).cards["IMAGE"]
    assert 9.0 < header["TSL FALLBACK"] < 10.0


def test_a_second_run_does_nothing(cluster: Cluster) -> None:
    assert well("run", "--site", cluster.site, "--json").data["done"] == 0
