"""Cutouts of DECam, 90Prime and Mosaic-3: image, weight and mask, TPV, PsfEx, Gaia's stars."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.io import fits
from astropy.wcs import WCS
from numpy.typing import NDArray

from tesela.pixels import apertures, background, cosmics, detect
from tesela.sky import match
from tesela.sky.wcs import Wcs

from .seeing import moffat_fwhm

pytestmark = pytest.mark.real

COSMIC_RAY = 5  # of the pipeline's `ood`
SATURATED = (1, 2, 3, 4)
GAIA_DR2_MJD = 57205.875  # J2015.5
STARS = "testcase8/images/decam/CP/V4.8.2a/CP20171112/c4d_171113_060340_ooi_r_ls9.N6.fits"
HIT = (
    "testcase4/images/decam/CP/V4.8.2/CP20170315/c4d_170316_062107_ooi_z_ls9.N2.fits",
    "testcase9/images/decam/CP/V4.8.2a/CP20141028/c4d_141029_043225_ooi_g_ls9.N26.fits",
)


@dataclass(frozen=True)
class Cutout:
    """An image with its weights, its mask, and its cards."""

    path: Path
    image: NDArray[np.float32]
    weight: NDArray[np.float32]
    mask: NDArray[np.int32]
    cards: dict[str, Any]
    primary: dict[str, Any]

    @classmethod
    def read(cls, path: Path) -> Cutout:
        """The three files."""
        with fits.open(path) as hdus:
            image, header = hdus[1].data.astype(np.float32), hdus[1].header
            primary = dict(hdus[0].header)
        planes = [fits.getdata(str(path).replace("_ooi_", f"_{k}_"), 1) for k in ("oow", "ood")]
        cards = {k: v for k, v in header.items() if k not in ("COMMENT", "HISTORY", "")}
        weight = planes[0].astype(np.float32)
        return cls(path, image, weight, planes[1].astype(np.int32), cards, primary)

    @property
    def wcs(self) -> Wcs:
        """Ours, of the cards."""
        return Wcs.from_cards(self.cards, self.image.shape)

    def measured(self) -> dict[str, NDArray]:
        """Detections above 3 sigma, with positions on the sky; weights are the noise."""
        bad = (self.weight <= 0) | (self.mask > 0)
        mesh = 64 if min(self.image.shape) > 100 else 32
        light = self.image - background.measure(self.image, bad, mesh_px=mesh).level()
        light[bad] = 0
        variance = np.where(bad, 1, 1 / np.maximum(self.weight, 1e-9)).astype(np.float32)
        objects, labels = detect.extract(light, variance, bad, threshold_sigma=3.0)
        found = apertures.measure(light, variance, bad, labels, objects, diameters_px=[8.0, 26.7])
        ra, dec = self.wcs.pix_to_sky(found["x_win"], found["y_win"])
        return {**objects, **found, "ra": ra, "dec": dec}


@pytest.fixture(scope="module")
def folder(real_data: Path) -> Path:
    place = real_data / "decam_legacypipe_cutouts"
    if not place.is_dir():
        pytest.skip("no cutouts of the Legacy Surveys among the real observations")
    return place


def images(folder: Path) -> list[Path]:
    """All image files."""
    return sorted(p for p in folder.rglob("*_ooi_*.fits") if "calib" not in p.parts)


def test_every_tpv_header_is_read_as_astropy_reads_it(folder: Path) -> None:
    paths = images(folder)
    assert len(paths) > 35
    for path in paths:
        header = fits.getheader(path, 1)
        assert header["CTYPE1"] == "RA---TPV"
        ny, nx = header["NAXIS2"], header["NAXIS1"]
        ours = Wcs.from_cards(dict(header), (ny, nx))
        x, y = (
            g.ravel() for g in np.meshgrid(np.linspace(0, nx - 1, 7), np.linspace(0, ny - 1, 7))
        )
        ra, dec = ours.pix_to_sky(x, y)
        ra_0, dec_0 = WCS(header).all_pix2world(x, y, 0)
        apart = np.hypot((ra - ra_0) * np.cos(np.radians(dec_0)), dec - dec_0)
        assert apart.max() * 3.6e6 < 1e-2, path.name  # mas
        back = np.hypot(*(a - b for a, b in zip(ours.sky_to_pix(ra, dec), (x, y))))
        assert back.max() < 1e-6, path.name


def gaia(folder: Path, cutout: Cutout) -> dict[str, NDArray[np.float64]]:
    """Stars of the chunks of its case, at the epoch of the exposure."""
    case = folder / cutout.path.relative_to(folder).parts[0]
    tables = [fits.getdata(path, 1) for path in sorted((case / "gaia").glob("*.fits"))]
    names = ("ra", "dec", "pmra", "pmdec", "phot_g_mean_mag")
    stars = {
        n: np.concatenate([np.asarray(t[n], np.float64) for t in tables if len(t)] or [np.empty(0)])
        for n in names
    }
    mjd = cutout.primary.get("MJD-OBS", cutout.cards.get("MJD-OBS"))
    years = (float(mjd) - GAIA_DR2_MJD) / 365.25
    stars["dec"] += np.nan_to_num(stars["pmdec"]) * years / 3.6e6
    cos = np.cos(np.radians(stars["dec"]))
    stars["ra"] += np.nan_to_num(stars["pmra"]) * years / 3.6e6 / cos
    return stars


def test_stars_lie_where_gaia_has_them(folder: Path) -> None:
    """Through the pipeline's own WCS; single cutouts hold one to eight of its stars."""
    east, north = [], []
    for path in images(folder):
        cutout = Cutout.read(path)
        if not (folder / path.relative_to(folder).parts[0] / "gaia").is_dir():
            continue
        if min(cutout.image.shape) < 100 or np.isin(cutout.mask, SATURATED).mean() > 0.01:
            continue
        stars, found = gaia(folder, cutout), cutout.measured()
        i, j, _ = match.nearest(stars["ra"], stars["dec"], found["ra"], found["dec"], 0.8)
        cos = np.cos(np.radians(stars["dec"][i]))
        east += list((found["ra"][j] - stars["ra"][i]) * cos * 3600)
        north += list((found["dec"][j] - stars["dec"][i]) * 3600)
    assert len(east) >= 18
    assert abs(np.median(east)) < 0.05
    assert abs(np.median(north)) < 0.05
    assert np.median(np.hypot(east, north)) < 0.1


@pytest.fixture(scope="module")
def stars(folder: Path) -> tuple[Cutout, dict[str, NDArray], dict[str, NDArray[np.float64]]]:
    """The cutout with the most stars, what is found on it, and Gaia's."""
    cutout = Cutout.read(folder / STARS)
    return cutout, cutout.measured(), gaia(folder, cutout)


def test_all_of_gaias_stars_are_found(stars) -> None:
    cutout, found, known = stars
    x, y = cutout.wcs.sky_to_pix(known["ra"], known["dec"])
    ny, nx = cutout.image.shape
    inside = (x > 5) & (y > 5) & (x < nx - 6) & (y < ny - 6)
    i, _, _ = match.nearest(
        known["ra"][inside], known["dec"][inside], found["ra"], found["dec"], 0.8
    )
    assert np.count_nonzero(inside) >= 7
    assert len(i) >= np.count_nonzero(inside) - 1


def psfex(path: Path, x: float, y: float) -> NDArray[np.float64]:
    """Its model at a place: images whose weights are 1, u, u^2, v, uv, v^2."""
    (row,) = fits.getdata(path, 1)
    u = (x - row["polzero1"]) / row["polscal1"]
    v = (y - row["polzero2"]) / row["polscal2"]
    assert (row["poldeg1"], row["psf_samp"]) == (2, 1)
    weights = np.array([1, u, u**2, v, u * v, v**2])
    return np.tensordot(weights, np.asarray(row["psf_mask"], np.float64), axes=1)


def test_seeing_is_that_of_psfex(folder: Path, stars) -> None:
    cutout, found, known = stars
    ny, nx = cutout.image.shape
    path = next(folder.glob("testcase8/calib/psfex/**/*-psfex.fits"))
    fwhm_px = moffat_fwhm(psfex(path, 0.5 * nx, 0.5 * ny))
    _, j, _ = match.nearest(known["ra"], known["dec"], found["ra"], found["dec"], 0.8)
    bright = j[found["flux_auto"][j] > 50 * found["flux_auto_err"][j]]
    assert len(bright) >= 5
    assert np.median(found["fwhm_px"][bright]) == pytest.approx(fwhm_px, rel=0.05)


def test_magnitudes_are_near_gaias(folder: Path, stars) -> None:
    """By the survey's own zero point; r and G of a star differ by its colour."""
    cutout, found, known = stars
    table = fits.getdata(folder / "testcase8" / "survey-ccds-1.fits.gz", 1)
    row = table[[name.endswith(cutout.path.name) for name in table["image_filename"]]][0]
    i, j, _ = match.nearest(known["ra"], known["dec"], found["ra"], found["dec"], 0.8)
    rate = found["flux_aper"][j, 1] / row["exptime"]
    mag = row["ccdzpt"] - 2.5 * np.log10(rate)
    assert abs(np.median(mag - known["phot_g_mean_mag"][i])) < 0.4


def test_weights_are_the_noise_of_the_sky(stars) -> None:
    cutout, _, _ = stars
    sky = background.measure(cutout.image, cutout.weight <= 0, mesh_px=64)
    stated = 1 / np.sqrt(np.median(cutout.weight))
    assert sky.median_rms == pytest.approx(stated, rel=0.05)


@pytest.mark.parametrize("file", HIT, ids=("z", "g"))
def test_cosmic_rays_are_those_of_the_pipeline(folder: Path, file: str) -> None:
    """Its mask has a ring around each; what we find lies inside, what stands out there is found."""
    cutout = Cutout.read(folder / file)
    closed, theirs = np.isin(cutout.mask, SATURATED), cutout.mask == COSMIC_RAY
    gain, read_e = float(cutout.cards["GAINA"]), float(cutout.cards["RDNOISEA"])
    sky = background.measure(cutout.image, closed, mesh_px=64)
    electrons = ((cutout.image - sky.level()) * gain).astype(np.float32)
    level_e = sky.median_level * gain
    ours = cosmics.find(electrons, read_e, closed, sky=level_e, fwhm_px=float(cutout.cards["FWHM"]))
    both = np.count_nonzero(ours & theirs)
    assert np.count_nonzero(theirs) > 60
    assert both >= 0.95 * np.count_nonzero(ours)
    noise = np.sqrt(level_e + read_e**2)
    sure = theirs & (electrons > 8 * noise)
    assert np.count_nonzero(ours & sure) >= 0.9 * np.count_nonzero(sure)
