"""The astrometric solution beside SCAMP's, on one full-size frame; and the pattern that is left.

    python benchmarks/astrometry.py [SIZE]

A frame of T80Cam's size with 5 arcsec of distortion at 0.7 degrees, its header 8 arcsec off and
undistorted; the reference has errors of 20 mas. source-extractor and SCAMP 2.10 solve it with
degree 3, and so do we, from our own detections of the same image. Both are asked about the stars
that they matched, and about true positions. The pattern is the mean of what 20 dithered exposures
leave against the truth, each with 20 mas of atmosphere that neighbours share.
"""

from __future__ import annotations

import re
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pages
from astropy.io import fits
from numpy.typing import NDArray
from pages import Result

from tesela.pixels import apertures, detect
from tesela.sky import match, tpv
from tesela.sky.solve import Solution, solve
from tesela.sky.wcs import Wcs

Floats = NDArray[np.float64]
SCALE_ARCSEC, FWHM_PX, BETA = 0.55, 2.3, 3.2
SKY_SIGMA_E, ZEROPOINT_MAG, HIGH_SNR = 21.0, 24.7, 100.0
REFERENCE_MAS, STARS_A_SQUARE_DEGREE = 20.0, 2200
_HALF = 12
_EXPOSURES, _AIR_MAS, _AIR_ARCMIN = 20, 20.0, 6.0


@dataclass(frozen=True)
class Sky:
    """True positions and magnitudes, and the reference that is known of them."""

    wcs: Wcs
    ra: Floats
    dec: Floats
    mag: Floats
    ref_ra: Floats
    ref_dec: Floats

    @property
    def guess(self) -> Wcs:
        """What the header says."""
        flat = self.wcs.linearised()
        return Wcs.tangent_plane(
            flat.crval[0] + 8.0 / 3600, flat.crval[1], SCALE_ARCSEC, self.wcs.shape
        )


def true_wcs(size: int, ra_deg: float = 150.0, dec_deg: float = 40.0) -> Wcs:
    """A cubic distortion of 5 arcsec at 0.7 degrees, with some of every lower term."""
    flat = Wcs.tangent_plane(ra_deg, dec_deg, SCALE_ARCSEC, (size, size), position_angle_deg=0.03)
    pv = tpv.identity()
    pv[:, 7] = pv[:, 9] = 5.0 / 3600 / 0.7**3
    pv[:, 4:7] = [[2e-4, -1e-4, 1e-4], [-1e-4, 2e-4, 1e-4]]
    return replace(flat, pv=pv)


def make_sky(size: int, seed: int) -> Sky:
    """Stars of 15 to 21 mag; the reference ends at 19.5."""
    rng = np.random.default_rng(seed)
    wcs, margin = true_wcs(size), 400
    area = ((size + 2 * margin) * SCALE_ARCSEC / 3600) ** 2
    n = int(3.2 * STARS_A_SQUARE_DEGREE * area)
    mag = 15 + 6 * rng.power(2.5, n)
    ra, dec = wcs.pix_to_sky(*rng.uniform(-margin, size + margin, (2, n)))
    known = mag < 19.5
    noise = rng.normal(0, REFERENCE_MAS / 3.6e6, (2, known.sum()))
    ref_dec = dec[known] + noise[1]
    return Sky(wcs, ra, dec, mag, ra[known] + noise[0] / np.cos(np.radians(ref_dec)), ref_dec)


def draw(sky: Sky, seed: int) -> NDArray[np.float32]:
    """The frame: round Moffat stars, collected over pixels, photon and sky noise, no sky level."""
    rng = np.random.default_rng(seed)
    ny, nx = sky.wcs.shape
    image = rng.standard_normal((ny, nx), dtype=np.float32) * np.float32(SKY_SIGMA_E)
    x, y = sky.wcs.sky_to_pix(sky.ra, sky.dec)
    inside = (x > _HALF) & (x < nx - _HALF - 1) & (y > _HALF) & (y < ny - _HALF - 1)
    alpha2 = (FWHM_PX / 2) ** 2 / (2 ** (1 / BETA) - 1)
    gy, gx = np.mgrid[-_HALF : _HALF + 1, -_HALF : _HALF + 1].astype(float)
    thirds = (-1 / 3, 0, 1 / 3)
    for star_x, star_y, mag in zip(x[inside], y[inside], sky.mag[inside]):
        column, row = round(star_x), round(star_y)
        shape = sum(
            (1 + ((gx + column + a - star_x) ** 2 + (gy + row + b - star_y) ** 2) / alpha2) ** -BETA
            for a in thirds
            for b in thirds
        )
        light = 10 ** (-0.4 * (mag - ZEROPOINT_MAG)) * 30 * shape / shape.sum()
        image[row - _HALF : row + _HALF + 1, column - _HALF : column + _HALF + 1] += rng.poisson(
            light
        )
    return image


@dataclass(frozen=True)
class Measured:
    """What a solver gives: its WCS, its detections (pixels from 0), their S/N."""

    wcs: Wcs
    x: Floats
    y: Floats
    snr: Floats

    def rms_mas(self, ra: Floats, dec: Floats, snr: float) -> tuple[float, int]:
        """Of an axis, of the stars above an S/N against positions, clipped at 5 sigma."""
        keep = self.snr > snr
        found = self.wcs.pix_to_sky(self.x[keep], self.y[keep])
        i, k, _ = match.nearest(*found, ra, dec, 1.0)
        east = (found[0][i] - ra[k]) * np.cos(np.radians(dec[k])) * 3.6e6
        both = np.r_[east, (found[1][i] - dec[k]) * 3.6e6]
        for _ in range(5):
            both = both[np.abs(both) < 5 * 1.4826 * np.median(np.abs(both))]
        return float(np.sqrt(np.mean(both**2))), len(i)


def ours(image: NDArray[np.float32], sky: Sky) -> tuple[Measured, Solution, float, float]:
    """Solution, with CPU seconds of detection and of all that solves."""
    started = time.process_time()
    variance = np.full(image.shape, SKY_SIGMA_E**2, np.float32)
    objects, segmentation = detect.extract(image, SKY_SIGMA_E**2, None, threshold_sigma=5.0)
    table = apertures.measure(
        image, variance + np.maximum(image, 0), None, segmentation, objects, diameters_px=[6.0]
    )
    snr = table["flux_auto"] / table["flux_auto_err"]
    x, y, flux = table["x_win"], table["y_win"], table["flux_auto"]
    detected = time.process_time() - started
    error = 1.2 * FWHM_PX / 2.3548 / np.maximum(snr, 1)
    timed = []
    for _ in range(2):  # the second is warm
        started = time.process_time()
        solution = solve(
            x, y, flux, sky.ref_ra, sky.ref_dec, np.arange(len(sky.ref_ra)), sky.guess,
            x_err=error, y_err=error, ref_err_arcsec=np.full(len(sky.ref_ra), REFERENCE_MAS / 1e3),
        )  # fmt: skip
        timed.append(time.process_time() - started)
    return Measured(solution.wcs, x, y, snr), solution, detected, timed[-1]


# -- the peer -----------------------------------------------------------------------------------

_COLUMNS = (
    "XWIN_IMAGE", "YWIN_IMAGE", "ERRAWIN_IMAGE", "ERRBWIN_IMAGE", "ERRTHETAWIN_IMAGE",
    "FLUX_AUTO", "FLUXERR_AUTO", "FLAGS", "FLUX_RADIUS", "ELONGATION",
)  # fmt: skip


def _run(folder: Path, *command: str) -> float:
    """CPU seconds of a command."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, cwd=folder, check=True, capture_output=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def peer(
    image: NDArray[np.float32], sky: Sky, folder: Path
) -> tuple[Measured, float, float, float, float]:
    """SCAMP's solution, its own high-S/N rms (mas), CPU seconds of both programs."""
    header = fits.Header(list(sky.guess.to_cards().items()))
    header["EXPTIME"], header["FILTER"] = 30.0, "r"
    fits.writeto(folder / "frame.fits", image, header)
    (folder / "columns.txt").write_text("\n".join(_COLUMNS) + "\n")
    detected = _run(
        folder, "source-extractor", "frame.fits", "-PARAMETERS_NAME", "columns.txt",
        "-CATALOG_NAME", "frame.cat", "-CATALOG_TYPE", "FITS_LDAC", "-DETECT_THRESH", "5",
        "-ANALYSIS_THRESH", "5", "-FILTER", "N", "-BACK_TYPE", "MANUAL", "-BACK_VALUE", "0",
        "-GAIN", "1", "-SATUR_LEVEL", "1e9", "-PIXEL_SCALE", str(SCALE_ARCSEC),
    )  # fmt: skip
    _reference(sky, folder / "reference.cat")
    solved = _run(
        folder, "scamp", "frame.cat", "-ASTREF_CATALOG", "FILE", "-ASTREFCAT_NAME",
        "reference.cat", "-ASTREFCENT_KEYS", "RA,DEC", "-ASTREFERR_KEYS", "ERRA,ERRB,ERRT",
        "-ASTREFMAG_KEY", "MAG", "-ASTREFMAGERR_KEY", "MAGERR", "-DISTORT_DEGREES", "3",
        "-SOLVE_PHOTOM", "N", "-CHECKPLOT_TYPE", "NONE", "-CHECKPLOT_DEV", "NULL", "-XML_NAME",
        "scamp.xml", "-NTHREADS", "1", "-SN_THRESHOLDS", f"10.0,{HIGH_SNR}",
    )  # fmt: skip
    head = _read_head(folder / "frame.head")
    table = fits.getdata(folder / "frame.cat", 2)
    measured = Measured(
        Wcs.from_cards(head, sky.wcs.shape),
        table["XWIN_IMAGE"].astype(float) - 1,
        table["YWIN_IMAGE"].astype(float) - 1,
        table["FLUX_AUTO"] / table["FLUXERR_AUTO"],
    )
    return measured, _own_rms_mas(folder / "scamp.xml"), detected, solved, len(table)


def _reference(sky: Sky, path: Path) -> None:
    """A FITS-LDAC catalogue, as SCAMP wants it."""
    n = len(sky.ref_ra)
    card = fits.Header([("SIMPLE", True), ("BITPIX", 0), ("NAXIS", 0)]).tostring()
    field = fits.BinTableHDU.from_columns(
        [fits.Column("Field Header Card", f"{len(card)}A", array=[card])], name="LDAC_IMHEAD"
    )
    error = np.full(n, REFERENCE_MAS / 3.6e6)
    magnitude = np.linspace(15, 19.5, n)
    columns = {
        "RA": sky.ref_ra, "DEC": sky.ref_dec, "ERRA": error, "ERRB": error,
        "ERRT": np.zeros(n), "MAG": magnitude, "MAGERR": np.full(n, 0.02),
    }  # fmt: skip
    units = {"RA": "deg", "DEC": "deg", "ERRA": "deg", "ERRB": "deg", "ERRT": "deg"}
    table = fits.BinTableHDU.from_columns(
        [fits.Column(c, "1D", unit=units.get(c, "mag"), array=v) for c, v in columns.items()],
        name="LDAC_OBJECTS",
    )
    fits.HDUList([fits.PrimaryHDU(), field, table]).writeto(path)


def _read_head(path: Path) -> dict[str, object]:
    text = path.read_text(encoding="latin-1")
    lines = [line for line in text.splitlines() if not line.startswith(("COMMENT", "HISTORY"))]
    header = fits.Header.fromstring("\n".join(lines), sep="\n")
    return dict(header.items())


def _own_rms_mas(path: Path) -> float:
    """The mean of both axes of SCAMP's AstromSigma_Reference_HighSN."""
    text = path.read_text(encoding="latin-1")
    names = re.findall(r'<FIELD name="(\w+)"', text[text.index("FGroups") :])
    rows = re.findall(r"<TR>(.*?)</TR>", text[text.index("FGroups") :], re.DOTALL)
    cells = re.findall(r"<TD>(.*?)</TD>", rows[0])
    sigma = cells[names.index("AstromSigma_Reference_HighSN")].split()
    return 1e3 * float(np.sqrt(np.mean(np.square([float(each) for each in sigma[:2]]))))


# -- the pattern --------------------------------------------------------------------------------


def pattern(size: int, seed: int = 5) -> tuple[float, float, float]:
    """Rms and largest of the mean residual over cells of an eighth, and one exposure's rms, mas."""
    rng = np.random.default_rng(seed)
    sky = make_sky(size, seed)
    cells, total, single = 8, np.zeros((2, 8, 8)), []
    line = (np.arange(cells) + 0.5) / cells * (size - 1)
    grid_x, grid_y = (g.ravel() for g in np.meshgrid(line, line))
    for _ in range(_EXPOSURES):
        dither = rng.uniform(-60, 60, 2) / 3600
        wcs = true_wcs(size, 150.0 + dither[0], 40.0 + dither[1])
        x, y = wcs.sky_to_pix(sky.ra, sky.dec)
        inside = (x > 0) & (x < size - 1) & (y > 0) & (y < size - 1) & (sky.mag < 20.5)
        x, y, mag = x[inside], y[inside], sky.mag[inside]
        noise = np.hypot(0.01, 0.003 * 10 ** (0.3 * (mag - 15)))
        air = _atmosphere(rng, np.r_[x, grid_x], np.r_[y, grid_y], size)
        x, y = (c + rng.normal(0, noise) + a[: len(x)] for c, a in zip((x, y), air))
        flat = wcs.linearised()
        guess = Wcs.tangent_plane(flat.crval[0], flat.crval[1], SCALE_ARCSEC, wcs.shape)
        found = solve(
            x, y, -mag, sky.ref_ra, sky.ref_dec, np.arange(len(sky.ref_ra)), guess, x_err=noise,
            y_err=noise, ref_err_arcsec=np.full(len(sky.ref_ra), REFERENCE_MAS / 1e3),
        )  # fmt: skip
        # Where stars of the cells' middles are seen, and where the solution puts them.
        seen = [c + a[len(x) :] for c, a in zip((grid_x, grid_y), air)]
        there = wcs.sky_to_pix(*found.wcs.pix_to_sky(*seen))
        left = np.array([t - g for t, g in zip(there, (grid_x, grid_y))])
        left = 1e3 * SCALE_ARCSEC * left.reshape(2, cells, cells)
        total += left / _EXPOSURES
        single.append(float(np.sqrt(np.mean(left**2))))
    length = np.hypot(*total)
    return float(np.sqrt(np.mean(total**2))), float(length.max()), float(np.mean(single))


def crowded(n_reference: int, seed: int = 8) -> tuple[float, float, int]:
    """CPU seconds, largest error (mas) and detections of a field with that many reference stars."""
    rng = np.random.default_rng(seed)
    size = 9216
    wcs, margin = true_wcs(size), 650
    x, y = rng.uniform(-margin, size + margin, (2, n_reference))
    ra, dec = wcs.pix_to_sky(x, y)
    # Brightest first; the third that is faintest is not seen, nor are the saturated.
    seen = np.arange(n_reference) < 0.6 * n_reference
    seen &= (x > 0) & (x < size) & (y > 0) & (y < size) & (np.arange(n_reference) > 200)
    n = int(seen.sum())
    x, y = (c[seen] + rng.normal(0, 0.1, n) for c in (x, y))
    false = rng.uniform(0, size, (2, n // 5))
    x, y, flux = np.r_[x, false[0]], np.r_[y, false[1]], -np.r_[np.flatnonzero(seen), false[0]]
    flat = wcs.linearised()
    turn = flat.position_angle_deg + 1.5
    guess = Wcs.tangent_plane(
        flat.crval[0] + 0.02, flat.crval[1] - 0.01, 0.995 * SCALE_ARCSEC, wcs.shape,
        position_angle_deg=turn,
    )  # fmt: skip
    started = time.process_time()
    found = solve(x, y, flux, ra, dec, np.arange(n_reference), guess)
    took = time.process_time() - started
    there = wcs.sky_to_pix(*found.wcs.pix_to_sky(x, y))
    return took, 1e3 * SCALE_ARCSEC * float(np.hypot(there[0] - x, there[1] - y).max()), len(x)


def _atmosphere(rng: np.random.Generator, x: Floats, y: Floats, size: int) -> tuple[Floats, Floats]:
    """Smooth random displacements, pixels, shared over some arcminutes."""
    wave = rng.normal(0, SCALE_ARCSEC / 60 / _AIR_ARCMIN, (2, 60))
    shifts = []
    for _ in range(2):
        phase = rng.uniform(0, 2 * np.pi, 60)
        sum_ = np.cos(np.outer(x, wave[0]) + np.outer(y, wave[1]) + phase).sum(axis=1)
        shifts.append(_AIR_MAS / 1e3 / SCALE_ARCSEC * np.sqrt(2 / 60) * sum_)
    return shifts[0], shifts[1]


def results(size: int = 9216) -> Iterator[Result]:
    """Both solvers on one frame, then the pattern."""
    sky = make_sky(size, 3)
    image = draw(sky, 4)
    mine, solution, detected, solved = ours(image, sky)
    external, n = mine.rms_mas(sky.ref_ra, sky.ref_dec, HIGH_SNR)
    true, n_true = mine.rms_mas(sky.ra, sky.dec, HIGH_SNR)
    yield Result(
        "astrometry, tesela, one frame",
        f"{solved:.2f} CPU s",
        f"{len(mine.x)} detections, {len(sky.ref_ra)} reference stars, {solution.n_matched} "
        f"matched; its list took {detected:.1f} CPU s",
    )
    yield Result(
        "tesela, rms against the reference, S/N > 100", f"{external:.2f} mas", f"{n} stars"
    )
    yield Result("tesela, rms against the truth, S/N > 100", f"{true:.2f} mas", f"{n_true} stars")
    yield Result("tesela, WCS against the truth", f"{_worst_mas(mine.wcs, sky):.1f} mas", "largest")
    if shutil.which("scamp") is None or shutil.which("source-extractor") is None:
        yield Result("astrometry, SCAMP", "-", "skipped: scamp or source-extractor not installed")
    else:
        with tempfile.TemporaryDirectory(prefix="tesela-scamp-") as folder:
            theirs, own, took, scamp, found = peer(image, sky, Path(folder))
        other, n = theirs.rms_mas(sky.ref_ra, sky.ref_dec, HIGH_SNR)
        true_other, n_true = theirs.rms_mas(sky.ra, sky.dec, HIGH_SNR)
        yield Result(
            "astrometry, SCAMP, one frame",
            f"{scamp:.2f} CPU s",
            f"{found} detections; source-extractor's list took {took:.1f} CPU s",
        )
        yield Result(
            "SCAMP, rms against the reference, S/N > 100", f"{other:.2f} mas",
            f"{n} stars; it says {own:.1f}",
        )  # fmt: skip
        yield Result(
            "SCAMP, rms against the truth, S/N > 100", f"{true_other:.2f} mas", f"{n_true} stars"
        )
        yield Result(
            "SCAMP, WCS against the truth", f"{_worst_mas(theirs.wcs, sky):.1f} mas", "largest"
        )
        yield Result(
            "ratio of the rms against the reference", f"{external / other:.3f}", "at most 1.05"
        )
        yield Result("ratio of CPU seconds, solution alone", f"{scamp / solved:.0f}", "")
    del image
    for n_reference in (10_000, 100_000):
        took, worst, n = crowded(n_reference)
        yield Result(
            f"tesela, {n_reference} reference stars", f"{took:.2f} CPU s",
            f"{n} detections; 65 arcsec, 1.5 degrees and 0.5 % off; largest error {worst:.0f} mas",
        )  # fmt: skip
    rms, worst, single = pattern(size)
    yield Result(
        f"mean residual pattern of {_EXPOSURES} exposures", f"{rms:.1f} mas rms, {worst:.1f} worst",
        f"64 places; at most 10; one exposure {single:.0f}",
    )  # fmt: skip


def _worst_mas(wcs: Wcs, sky: Sky) -> float:
    size = sky.wcs.shape[0] - 1
    x, y = np.meshgrid(np.linspace(0, size, 9), np.linspace(0, size, 9))
    there = sky.wcs.sky_to_pix(*wcs.pix_to_sky(x, y))
    return 1e3 * SCALE_ARCSEC * float(np.hypot(there[0] - x, there[1] - y).max())


if __name__ == "__main__":
    print(pages.table(results(*map(int, sys.argv[1:2]))))
