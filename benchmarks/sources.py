"""Detection and measurement beside source-extractor on one drawn field, at equal settings.

    python benchmarks/sources.py [SIDE]

The field, of SIDE pixels, has no sky to subtract; both take the same absolute threshold, filter,
deblending, masks and apertures. The truth is only used to know which detections are stars of 16 to
20 mag.
"""

from __future__ import annotations

import functools
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import fitsio
import galsim
import numpy as np
import pages
from numpy.typing import NDArray
from pages import Result
from scipy.spatial import cKDTree

from tesela.pixels import apertures, detect
from tesela.products.columns import APERTURE_DIAMETERS_ARCSEC

SIGMA_E, ZERO_MAG, SCALE = 21.0, 28.2, 0.55
DENSITY = 3.8e-4  # of stars, and of galaxies, a pixel: some 30,000 detections in 85 Mpix
FWHM_PX, BETA = 2.4, 3.2
DIAMETERS_PX = tuple(d / SCALE for d in (*APERTURE_DIAMETERS_ARCSEC, 6.0))
MATCH_PX = 0.5

_OUTPUT = """NUMBER X_IMAGE Y_IMAGE XWIN_IMAGE YWIN_IMAGE ERRX2_IMAGE ERRY2_IMAGE ERRX2WIN_IMAGE
ERRY2WIN_IMAGE ERRAWIN_IMAGE A_IMAGE B_IMAGE THETA_IMAGE FLUX_AUTO FLUXERR_AUTO KRON_RADIUS
FLUX_PETRO FLUXERR_PETRO PETRO_RADIUS FLUX_ISO FLUXERR_ISO ISOAREA_IMAGE FLUX_APER({n})
FLUXERR_APER({n}) FLUX_RADIUS(3) FWHM_IMAGE FLUX_MAX ELONGATION ELLIPTICITY FLAGS"""
_PYRAMID = "CONV NORM\n1 2 1\n2 4 2\n1 2 1\n"


@dataclass(frozen=True)
class Field:
    """An image, electrons, and its stars."""

    image: NDArray[np.float32]
    x: NDArray[np.float64]
    y: NDArray[np.float64]
    mag: NDArray[np.float64]


def draw(side: int, seed: int = 5) -> Field:
    """Stars with a Moffat PSF, galaxies under it, photons and a constant noise."""
    rng = np.random.default_rng(seed)
    psf = galsim.Moffat(beta=BETA, fwhm=FWHM_PX)
    light, n = np.zeros((side, side), np.float32), round(DENSITY * side**2)
    x, y = rng.uniform(2, side - 3, (2, n))
    mag = 15.0 + 7.5 * rng.power(2.2, n)
    for xs, ys, m in zip(x, y, mag, strict=True):
        _add(light, psf, xs, ys, m)
    for _ in range(n):
        m = 17.0 + 5.0 * rng.power(3.0)
        profile = galsim.Sersic(n=rng.choice([1.0, 2.0, 4.0]), half_light_radius=rng.gamma(3, 0.7))
        sheared = profile.shear(q=rng.uniform(0.3, 1.0), beta=rng.uniform(0, 180) * galsim.degrees)
        _add(light, galsim.Convolve(sheared, psf), *rng.uniform(2, side - 3, 2), m)
    noise = rng.normal(size=light.shape) * np.sqrt(SIGMA_E**2 + light)
    return Field((light + noise).astype(np.float32), x, y, mag)


def _add(
    image: NDArray[np.float32], profile: galsim.GSObject, x: float, y: float, m: float
) -> None:
    """Draw a profile of a magnitude at a place; stamps of bright ones are large."""
    flux = 10 ** (-0.4 * (m - ZERO_MAG))
    half = int(np.clip(12 * (flux / 3000.0) ** 0.3, 16, 120))
    ix, iy = round(x), round(y)
    bounds = galsim.BoundsI(ix - half, ix + half, iy - half, iy + half)
    stamp = galsim.Image(bounds, dtype=np.float32)
    centre = galsim.PositionD(x, y)
    profile.withFlux(flux).drawImage(stamp, scale=1.0, center=centre)
    inside = bounds & galsim.BoundsI(0, len(image) - 1, 0, len(image) - 1)
    rows = slice(inside.ymin, inside.ymax + 1)
    image[rows, inside.xmin : inside.xmax + 1] += stamp[inside].array


def ours(field: Field) -> tuple[dict[str, NDArray], float, float]:
    """Columns, CPU seconds of detection, and of measurement, kernels warm."""
    variance = SIGMA_E**2 + np.maximum(field.image, 0)
    for side in (200, len(variance), len(variance)):
        image, plane = (np.ascontiguousarray(p[:side, :side]) for p in (field.image, variance))
        started = time.process_time()
        objects, labels = detect.extract(image, SIGMA_E**2, None)
        between = time.process_time()
        measured = apertures.measure(image, plane, None, labels, objects, diameters_px=DIAMETERS_PX)
        ended = time.process_time()
    counted = apertures.measure(
        image, plane, None, labels, objects, diameters_px=DIAMETERS_PX, subpixels=5
    )
    table = {**objects, **measured, "flux_counted": counted["flux_aper"]}
    return table, between - started, ended - between


def theirs(program: str, field: Field, folder: Path) -> tuple[NDArray, float, float]:
    """Catalogue, and CPU seconds with all columns, and with the position alone."""
    fitsio.write(folder / "field.fits", field.image, clobber=True)
    (folder / "pyramid.conv").write_text(_PYRAMID)
    seconds = []
    for name, columns in (("few", "NUMBER X_IMAGE"), ("all", _OUTPUT.format(n=len(DIAMETERS_PX)))):
        (folder / "columns.param").write_text("\n".join(columns.split()) + "\n")
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run(_command(program, name), cwd=folder, check=True, capture_output=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        seconds.append(after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime)
    return fitsio.read(folder / "all.cat", ext=1), seconds[1], seconds[0]


def _command(program: str, name: str) -> list[str]:
    settings = {
        "CATALOG_NAME": f"{name}.cat",
        "CATALOG_TYPE": "FITS_1.0",
        "PARAMETERS_NAME": "columns.param",
        "FILTER_NAME": "pyramid.conv",
        "THRESH_TYPE": "ABSOLUTE",
        "DETECT_THRESH": f"{1.5 * SIGMA_E}",
        "ANALYSIS_THRESH": f"{1.5 * SIGMA_E}",
        "BACK_TYPE": "MANUAL",
        "BACK_VALUE": "0.0",
        "MASK_TYPE": "CORRECT",
        "PHOT_APERTURES": ",".join(f"{d:.6f}" for d in DIAMETERS_PX),
        "PHOT_FLUXFRAC": "0.2,0.5,0.8",
        "GAIN": "1.0",
        "SATUR_LEVEL": "1e9",
        "WRITE_XML": "N",
        "VERBOSE_TYPE": "QUIET",
    }
    parts = [part for key, value in settings.items() for part in (f"-{key}", value)]
    return [program, "field.fits", "-c", "/dev/null", *parts]


def results(folder: Path, side: int = 2600) -> Iterator[Result]:
    """Numbers found, times, then each column of the detections in common."""
    program = shutil.which("source-extractor") or shutil.which("sex")
    if program is None:
        yield Result("source-extractor", "-", "skipped: source-extractor is not installed")
        return
    field = draw(side)
    table, detection_s, measurement_s = ours(field)
    peer, all_s, few_s = theirs(program, field, folder)
    at = np.c_[peer["X_IMAGE"] - 1, peer["Y_IMAGE"] - 1]
    away, k = cKDTree(at).query(np.c_[table["x"], table["y"]], distance_upper_bound=MATCH_PX)
    both = np.flatnonzero(np.isfinite(away))
    yield from _numbers(field, table, peer, len(both))
    yield Result(
        "detection",
        f"{detection_s:.2f} CPU s",
        f"source-extractor {few_s:.2f} with positions alone, {few_s / detection_s:.1f} times",
    )
    yield Result(
        "measurement",
        f"{measurement_s:.2f} CPU s",
        f"source-extractor {all_s - few_s:.2f} more for the same columns, "
        f"{(all_s - few_s) / measurement_s:.1f} times",
    )
    match = {name: values[both] for name, values in table.items()}
    star = _stars(field, match, 16.0, 20.0)
    yield from _magnitudes(match, peer[k[both]], star)
    yield from _shapes(match, peer[k[both]], star)


def _numbers(
    field: Field, table: dict[str, NDArray], peer: NDArray, common: int
) -> Iterator[Result]:
    n = len(table["x"])
    yield Result(
        "detections in common",
        f"{common}",
        f"of {n} here and {len(peer)} of source-extractor, within {MATCH_PX} px; "
        f"{len(field.image)} px a side",
    )
    bright = field.mag < 20.5
    there = {
        "here": np.c_[table["x"], table["y"]],
        "peer": np.c_[peer["X_IMAGE"] - 1, peer["Y_IMAGE"] - 1],
    }
    missed = {
        name: np.count_nonzero(cKDTree(places).query(np.c_[field.x, field.y][bright])[0] > 2)
        for name, places in there.items()
    }
    yield Result(
        "stars to 20.5 mag not found within 2 px",
        f"{missed['here']}",
        f"of {bright.sum()}; source-extractor {missed['peer']}",
    )


def _stars(field: Field, table: dict[str, NDArray], low: float, high: float) -> NDArray[np.bool_]:
    """Detections that are true stars of these magnitudes."""
    away, k = cKDTree(np.c_[field.x, field.y]).query(np.c_[table["x_win"], table["y_win"]])
    return (away < 0.7) & (field.mag[k] > low) & (field.mag[k] < high)


def _magnitudes(
    table: dict[str, NDArray], peer: NDArray, star: NDArray[np.bool_]
) -> Iterator[Result]:
    """Differences of magnitudes of stars from 16 to 20 mag."""
    pairs = [
        ("AUTO", table["flux_auto"], peer["FLUX_AUTO"]),
        ("PETRO", table["flux_petro"], peer["FLUX_PETRO"]),
        ("ISO", table["flux_iso"], peer["FLUX_ISO"]),
    ]
    pairs += [
        (f"aperture of {arcsec} arcsec, {how}", table[name][:, m], peer["FLUX_APER"][:, m])
        for name, how in (("flux_counted", "5 x 5 parts"), ("flux_aper", "exact parts"))
        for m, arcsec in enumerate(APERTURE_DIAMETERS_ARCSEC)
    ]
    for name, one, other in pairs:
        mmag = -2500 * np.log10(one[star] / other[star])
        mmag = mmag[np.isfinite(mmag)]
        yield Result(
            f"{name}, stars of 16-20 mag",
            f"{np.median(mmag):+.2f} mmag",
            f"95 % within {np.percentile(np.abs(mmag), 95):.2f} mmag of source-extractor's; "
            f"{len(mmag)} stars",
        )


def _shapes(table: dict[str, NDArray], peer: NDArray, star: NDArray[np.bool_]) -> Iterator[Result]:
    """Differences or ratios of the other columns, of all detections in common."""
    differ = functools.partial(_compare, relative=False)
    ratio = functools.partial(_compare, relative=True)
    yield differ("x", table["x"], peer["X_IMAGE"] - 1, "px")
    yield differ("x_win", table["x_win"], peer["XWIN_IMAGE"] - 1, "px")
    yield ratio("x_iso_err", table["x_iso_err"], np.sqrt(peer["ERRX2_IMAGE"]))
    yield ratio("x_win_err", table["x_win_err"], np.sqrt(peer["ERRX2WIN_IMAGE"]))
    yield ratio("err_a_win", table["err_a_win"], peer["ERRAWIN_IMAGE"])
    yield ratio("a", table["a"], peer["A_IMAGE"])
    yield ratio("b", table["b"], peer["B_IMAGE"])
    yield ratio("elongation", table["elongation"], peer["ELONGATION"])
    yield ratio("kron_radius", np.maximum(2.5 * table["kron_radius"], 3.5), peer["KRON_RADIUS"])
    yield ratio("petro_radius", np.fmax(2 * table["petro_radius"], 3.5), peer["PETRO_RADIUS"])
    yield ratio("isoarea", table["isoarea"], peer["ISOAREA_IMAGE"])
    for name, of in (("auto", "AUTO"), ("petro", "PETRO"), ("iso", "ISO")):
        yield ratio(f"flux_{name}_err", table[f"flux_{name}_err"], peer[f"FLUXERR_{of}"])
    for m, part in enumerate(apertures.FRACTIONS):
        yield ratio(f"flux_radii, {part}", table["flux_radii"][:, m], peer["FLUX_RADIUS"][:, m])
    yield ratio("fwhm, stars of 16-20 mag", table["fwhm_px"][star], peer["FWHM_IMAGE"][star])
    yield ratio("peak", table["peak"], peer["FLUX_MAX"])
    for bit, name in ((1, "neighbour"), (2, "blended"), (8, "truncated"), (16, "incomplete")):
        here, there = (flags & bit > 0 for flags in (table["flags"], peer["FLAGS"]))
        yield Result(
            f"flag {bit}, {name}",
            f"{np.count_nonzero(here)}",
            f"source-extractor {np.count_nonzero(there)}, both {np.count_nonzero(here & there)}",
        )


def _compare(name: str, one: NDArray, other: NDArray, unit: str = "", *, relative: bool) -> Result:
    one, other = np.asarray(one, np.float64), np.asarray(other, np.float64)
    good = np.isfinite(one) & np.isfinite(other) & ((other > 0) | (not relative))
    off = one[good] / other[good] - 1 if relative else one[good] - other[good]
    scale, unit = (100.0, "%") if relative else (1.0, unit)
    return Result(
        f"{name}",
        f"{scale * np.median(off):+.3f} {unit}",
        f"median difference; 95 % within {scale * np.percentile(np.abs(off), 95):.3f} {unit}",
    )


def main() -> None:
    """Print the table."""
    with tempfile.TemporaryDirectory(prefix="tesela-bench-") as folder:
        print(pages.table(results(Path(folder), *(int(side) for side in sys.argv[1:2]))))


if __name__ == "__main__":
    main()
