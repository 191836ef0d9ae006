"""Others read the headers that we write: source-extractor, SWarp and ds9, where they are
installed."""

import os
import re
import shutil
import subprocess
from contextlib import contextmanager
from dataclasses import replace

import numpy as np
import pytest
from astropy.io import fits
from astropy.wcs import WCS

from tesela.sky import match, tpv
from tesela.sky.wcs import Wcs

SIZE, SCALE_ARCSEC = 1200, 4.0
COLUMNS = ("XWIN_IMAGE", "YWIN_IMAGE", "ALPHAWIN_J2000", "DELTAWIN_J2000")


def bent() -> Wcs:
    """A degree and a third, 20 arcsec of distortion at the corners, every term of a cubic."""
    pv = tpv.identity()
    pv[:, 7] = pv[:, 9] = 0.006 / 0.94**3
    pv[0, 0], pv[1, 0] = 1e-3, -2e-3
    pv[:, 2], pv[:, 4:7] = [1e-4, -2e-4], [[1e-3, -4e-4, 2e-4], [-6e-4, 3e-4, 5e-4]]
    pv[0, 8], pv[1, 10] = 3e-4, -4e-4
    return replace(
        Wcs.tangent_plane(0.3, 40.0, SCALE_ARCSEC, (SIZE, SIZE), position_angle_deg=5.0), pv=pv
    )


@pytest.fixture(scope="module")
def frame(tmp_path_factory):
    """A FITS file with our cards and some stars, most in the corners."""
    rng = np.random.default_rng(1)
    image = rng.normal(0.0, 1.0, (SIZE, SIZE)).astype(np.float32)
    grid = np.mgrid[-9:10, -9:10]
    near = rng.uniform(20, 140, (2, 30))
    stars = np.hstack([near, SIZE - near, rng.uniform(20, SIZE - 20, (2, 120))])
    for x, y in stars.T:
        column, row = round(x), round(y)
        away2 = (grid[1] + column - x) ** 2 + (grid[0] + row - y) ** 2
        image[row - 9 : row + 10, column - 9 : column + 10] += 500 * np.exp(-away2 / 4.5)
    path = tmp_path_factory.mktemp("frame") / "frame.fits"
    fits.writeto(path, image, fits.Header(list(bent().to_cards().items())))
    return path


def run(*command, folder):
    if shutil.which(command[0]) is None:
        pytest.skip(f"{command[0]} is not installed")
    subprocess.run(command, cwd=folder, check=True, capture_output=True, timeout=120)


def extracted(path):
    """source-extractor's catalogue, rows with sky positions by the file's header."""
    folder = path.parent
    (folder / "columns.txt").write_text("\n".join(COLUMNS) + "\n")
    name = f"{path.stem}.cat"
    run(
        "source-extractor", path.name, "-PARAMETERS_NAME", "columns.txt", "-FILTER", "N",
        "-CATALOG_NAME", name, "-CATALOG_TYPE", "FITS_1.0", "-DETECT_THRESH", "15", folder=folder,
    )  # fmt: skip
    return fits.getdata(folder / name, 1)


def test_astropy_reads_them_to_a_millionth_of_a_pixel(frame):
    peer, x, y = WCS(fits.getheader(frame)), *np.random.default_rng(2).uniform(0, SIZE, (2, 500))
    ra, dec = peer.all_pix2world(x, y, 0)
    there = bent().sky_to_pix(ra, dec)
    assert np.hypot(there[0] - x, there[1] - y).max() < 1e-6


def test_source_extractor_reads_them(frame):
    found = extracted(frame)
    assert len(found) > 120
    ra, dec = bent().pix_to_sky(found["XWIN_IMAGE"] - 1, found["YWIN_IMAGE"] - 1)
    assert np.allclose(found["ALPHAWIN_J2000"], ra, rtol=0, atol=1e-9)
    assert np.allclose(found["DELTAWIN_J2000"], dec, rtol=0, atol=1e-9)


def test_swarp_reads_them(frame):
    run(
        "SWarp", frame.name, "-IMAGEOUT_NAME", "warped.fits", "-WEIGHTOUT_NAME", "weight.fits",
        "-SUBTRACT_BACK", "N", "-WRITE_XML", "N", folder=frame.parent,
    )  # fmt: skip
    warped = frame.parent / "warped.fits"
    assert fits.getheader(warped)["CTYPE1"] == "RA---TAN"
    before, after = extracted(frame), extracted(warped)
    _, _, away = match.nearest(
        *(table[name] for table in (before, after) for name in COLUMNS[2:]), 2.0
    )
    assert len(away) > 0.9 * len(before)
    # 20 arcsec of distortion are gone; what is left is the noise of two centroids.
    assert np.median(away) < 0.02 * SCALE_ARCSEC


@contextmanager
def screen():
    """A display that nobody looks at; its number."""
    if shutil.which("Xvfb") is None:
        pytest.skip("Xvfb is not installed")
    read, write = os.pipe()
    command = ["Xvfb", "-displayfd", str(write), "-screen", "0", "800x600x24"]
    server = subprocess.Popen(command, pass_fds=[write], stderr=subprocess.DEVNULL)
    os.close(write)
    try:
        with os.fdopen(read) as pipe:
            yield f":{pipe.readline().strip()}"
    finally:
        server.terminate()
        server.wait()


def test_ds9_reads_them(frame):
    if shutil.which("ds9") is None:
        pytest.skip("ds9 is not installed")
    x, y = np.random.default_rng(3).uniform(1, SIZE, (2, 20)).round(2)
    folder = frame.parent
    points = "\n".join(f"point({a},{b})" for a, b in zip(x, y))
    (folder / "pixels.reg").write_text(f"image\n{points}\n")
    with screen() as display:
        command = ["ds9", frame.name, "-regions", "load", "pixels.reg", "-regions", "system", "wcs"]
        command += ["-regions", "sky", "icrs", "-regions", "skyformat", "degrees"]
        command += ["-regions", "save", "sky.reg", "-exit"]
        environment = {**os.environ, "DISPLAY": display, "HOME": str(folder)}
        subprocess.run(
            command, cwd=folder, check=True, capture_output=True, timeout=120, env=environment
        )
    found = re.findall(r"point\(([-0-9.]+),([-0-9.]+)\)", (folder / "sky.reg").read_text())
    read_ra, read_dec = np.array(found, float).T
    ra, dec = bent().pix_to_sky(x - 1, y - 1)
    assert np.allclose(read_ra, ra, rtol=0, atol=2e-7)  # it writes seven decimals
    assert np.allclose(read_dec, dec, rtol=0, atol=2e-7)
