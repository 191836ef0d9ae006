"""The model of the point-spread function beside psfex's, on stars held out from both.

    python benchmarks/psf.py

A field whose PSF varies from 2.0 to 2.9 px, with ellipticities up to 0.08 and an aureole of 2 %
(`psf_field`). Every third star that is chosen is held out; psfex gets the rest, in the vignettes
of source-extractor. Sizes and ellipticities are adaptive moments (Hirata & Seljak 2003, MNRAS 343,
459) by one code on models and on the noiseless truth.
"""

from __future__ import annotations

import resource
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import galsim
import galsim.des
import numpy as np
import pages
import psf_field
from astropy.io import fits
from numpy.typing import NDArray
from pages import Result
from psf_field import Field, Floats
from scipy.spatial import cKDTree

from tesela.pixels import apertures, detect, psf
from tesela.pixels.psf_model import PsfModel

HALF = 15
FIT_PX = 8.0
MAX_STARS = 450
MATCH_PX = 1.0
Stamp = Callable[[float, float], Floats]
"""Of a star at x, y: (2 HALF + 1, 2 HALF + 1), centred on its pixel."""


@dataclass(frozen=True)
class Judged:
    """One model on the held-out stars."""

    chi2: Floats
    size: Floats
    """Relative error of the adaptive moments' sigma."""
    ellipticity: Floats
    """(n, 2), model minus truth."""


def ours(
    field: Field, table: dict[str, NDArray], rows: NDArray[np.int64]
) -> tuple[PsfModel, float]:
    """The model, and CPU seconds with warm kernels."""
    for _ in range(2):
        started = time.process_time()
        model = psf.fit(
            field.image,
            field.variance,
            field.saturated,
            table["x_win"][rows],
            table["y_win"][rows],
            fwhm_guess_px=2.5,
            norm_radius_px=psf_field.NORM_PX,
        )
        seconds = time.process_time() - started
    return model, seconds


def theirs(
    field: Field, at: Floats, folder: Path
) -> tuple[galsim.des.DES_PSFEx, float, float, int]:
    """psfex's model of the stars at these places; CPU seconds of both programs, stars accepted."""
    fits.writeto(folder / "field.fits", field.image, overwrite=True)
    columns = "VIGNET(35,35) X_IMAGE Y_IMAGE FLUX_RADIUS SNR_WIN FLUX_APER(1) FLUXERR_APER(1) "
    columns += "ELONGATION FLAGS"
    (folder / "columns.param").write_text("\n".join(columns.split()) + "\n")
    (folder / "pyramid.conv").write_text("CONV NORM\n1 2 1\n2 4 2\n1 2 1\n")
    extractor = shutil.which("source-extractor") or "sex"
    first = _run(folder, [
        extractor, "field.fits", "-c", "/dev/null", "-CATALOG_NAME", "field.cat", "-CATALOG_TYPE",
        "FITS_LDAC", "-PARAMETERS_NAME", "columns.param", "-FILTER_NAME", "pyramid.conv",
        "-DETECT_THRESH", "10", "-BACK_TYPE", "MANUAL", "-BACK_VALUE", "0.0", "-PHOT_APERTURES",
        "10", "-GAIN", "1.0", "-SATUR_LEVEL", "55000", "-VERBOSE_TYPE", "QUIET",
    ])  # fmt: skip
    with fits.open(folder / "field.cat") as catalogue:
        rows = catalogue[2].data
        there = np.c_[rows["X_IMAGE"] - 1, rows["Y_IMAGE"] - 1]
        catalogue[2].data = rows[cKDTree(at).query(there)[0] < MATCH_PX]
        catalogue.writeto(folder / "stars.cat", overwrite=True)
    second = _run(folder, [
        "psfex", "stars.cat", "-NTHREADS", "1", "-CHECKIMAGE_TYPE", "NONE", "-CHECKPLOT_TYPE",
        "NONE", "-PSFVAR_DEGREES", "2", "-WRITE_XML", "N", "-PSF_SIZE", "51,51",
        "-PSF_SAMPLING", "0.5",  # the best for it of this, 0.7, 1 and its own choice
    ])  # fmt: skip
    path = folder / "stars.psf"
    accepted = int(fits.getheader(path, 1)["ACCEPTED"])
    return galsim.des.DES_PSFEx(str(path)), first, second, accepted


def _run(folder: Path, command: list[str]) -> float:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, cwd=folder, check=True, capture_output=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime


def stamp_of_psfex(model: galsim.des.DES_PSFEx) -> Stamp:
    """Its PSF at a place; it contains the pixel."""

    def stamp(x: float, y: float) -> Floats:
        profile = model.getPSF(galsim.PositionD(x + 1, y + 1))
        offset = galsim.PositionD(x - round(x), y - round(y))
        image = profile.drawImage(
            nx=2 * HALF + 1, ny=2 * HALF + 1, scale=1.0, offset=offset, method="no_pixel"
        )
        return np.asarray(image.array, np.float64)

    return stamp


def stamp_of_ours(model: PsfModel) -> Stamp:
    """Our PSF at a place."""
    return lambda x, y: np.asarray(model.stamp(x, y, HALF), np.float64)


def judge(field: Field, stamp: Stamp, held: NDArray[np.int64]) -> Judged:
    """Chi2 of held-out stars (rows of the truth), and moments against the truth."""
    chi2, size, shape = [], [], []
    for k in held:
        x, y = field.x[k], field.y[k]
        chi2.append(_chi2(field, stamp, k))
        one, other = (_moments(image) for image in (stamp(x, y), psf_field.true_stamp(x, y, HALF)))
        size.append(one[0] / other[0] - 1)
        shape.append((one[1] - other[1], one[2] - other[2]))
    return Judged(np.array(chi2), np.array(size), np.array(shape))


def _moments(image: Floats) -> tuple[float, float, float]:
    found = galsim.hsm.FindAdaptiveMom(galsim.Image(image.astype(np.float64)))
    return found.moments_sigma, found.observed_shape.e1, found.observed_shape.e2


def _chi2(field: Field, stamp: Stamp, k: int) -> float:
    """Reduced chi2 of the best flux, position and sky of one star."""
    x, y = float(field.x[k]), float(field.y[k])
    ix, iy = round(x), round(y)
    cut = np.s_[iy - HALF : iy + HALF + 1, ix - HALF : ix + HALF + 1]
    data = field.image[cut].astype(np.float64)
    truth = psf_field.true_stamp(x, y, HALF) * field.flux[k]
    step = np.arange(-HALF, HALF + 1)
    inside = step[:, None] ** 2 + step**2 <= FIT_PX**2
    weight = 1 / (truth[inside] + psf_field.SKY_E + psf_field.READNOISE_E**2)
    for _ in range(3):
        model = stamp(np.clip(x, ix - 0.499, ix + 0.499), np.clip(y, iy - 0.499, iy + 0.499))
        down, right = np.gradient(model)
        design = np.c_[model[inside], -right[inside], -down[inside], np.ones(inside.sum())]
        root = np.sqrt(weight)
        answer = np.linalg.lstsq(design * root[:, None], data[inside] * root, rcond=None)[0]
        left = data[inside] - design @ answer
        x, y = x + answer[1] / answer[0], y + answer[2] / answer[0]
    return float((left**2 * weight).sum() / (inside.sum() - 4))


def total_mmag(field: Field, model: PsfModel, held: NDArray[np.int64]) -> Floats:
    """Magnitude errors of the PSF fluxes of held-out stars within the norm radius."""
    found = psf.photometry(
        field.image, field.variance, field.saturated, model, field.x.copy(), field.y.copy()
    )
    truth = [
        field.flux[k] * psf_field.within(field.x[k], field.y[k], psf_field.NORM_PX) for k in held
    ]
    return -2500 * np.log10(found["flux"][held] / np.array(truth))


def results(folder: Path) -> Iterator[Result]:
    """Rows for both models."""
    field = psf_field.draw()
    table, stars = chosen(field)
    held = np.arange(len(stars)) % 3 == 0
    at = np.c_[table["x_win"], table["y_win"]][stars]
    model, seconds = ours(field, table, stars[~held])
    away, true = cKDTree(np.c_[field.x, field.y]).query(at)
    inside = (np.abs(at - psf_field.SIDE / 2) < psf_field.SIDE / 2 - HALF - 1).all(axis=1)
    rows = true[held & inside & (away < 0.3)]
    yield Result(
        "psf: stars chosen", f"{len(stars)}", f"{held.sum()} held out; {model.n_stars} in the fit"
    )
    here = judge(field, stamp_of_ours(model), rows)
    off = total_mmag(field, model, rows)
    if shutil.which("psfex") is None:
        yield Result("psf: psfex", "-", "skipped: psfex is not installed")
        there = None
    else:
        peer, first, second, accepted = theirs(field, at[~held], folder)
        there = judge(field, stamp_of_psfex(peer), rows)
        yield Result(
            "psf: fit",
            f"{seconds:.2f} CPU s",
            f"psfex {second:.1f} with {accepted} stars, and {first:.1f} for its vignettes",
        )
    yield from _rows(field, rows, here, there)
    yield Result(
        "psf: fluxes within 15 arcsec, held-out stars",
        f"{np.median(off):+.2f} mmag",
        f"median against the truth; S/N > 100: {np.median(off[field.flux[rows] > 2e4]):+.2f}; "
        f"wings {1000 * model.wings:.2f} parts in a thousand, true {1000 * _wings():.2f}",
    )
    slope, error = model.size_slope
    yield Result(
        "psf: change of size per magnitude",
        f"{1000 * slope:+.2f} +- {1000 * error:.2f} parts in a thousand",
        "the drawn stars do not grow with their charge",
    )


def _wings() -> float:
    """True light of the aureole between the map and the norm radius, in units of the rest."""
    inner, outer = (psf_field.aureole_within(r) for r in (8.5, psf_field.NORM_PX))
    return psf_field.AUREOLE * (outer - inner)


def chosen(field: Field) -> tuple[dict[str, NDArray], NDArray[np.int64]]:
    """Our detections, and those chosen for the PSF."""
    image = field.image.copy()
    objects, labels = detect.extract(image, psf_field.SKY_E + psf_field.READNOISE_E**2, None)
    measured = apertures.measure(
        image, field.variance, field.saturated, labels, objects, diameters_px=(10.0,)
    )
    table = {**objects, **measured}
    return table, psf.select_stars(table, max_stars=MAX_STARS)


def _rows(
    field: Field, rows: NDArray[np.int64], here: Judged, there: Judged | None
) -> Iterator[Result]:
    def beside(what: str, value: Callable[[Judged], str], note: str) -> Result:
        other = "" if there is None else f"psfex {value(there)}; "
        return Result(f"psf: {what}", value(here), other + note)

    mag = -2.5 * np.log10(field.flux[rows])
    edges = np.quantile(mag, [0, 1 / 3, 2 / 3, 1])
    place = [
        (field.x[rows] * 3 // psf_field.SIDE == i) & (field.y[rows] * 3 // psf_field.SIDE == j)
        for i in range(3)
        for j in range(3)
    ]
    yield beside("reduced chi2, mean", lambda j: f"{j.chi2.mean():.3f}", f"{len(rows)} stars")
    for part, low, high in zip(("bright", "middle", "faint"), edges, edges[1:]):
        bright = (mag >= low) & (mag <= high)
        note = f"fluxes {field.flux[rows][bright].min():.0f}-{field.flux[rows][bright].max():.0f}"
        yield beside(
            f"reduced chi2, {part} third",
            lambda j, b=bright: f"{j.chi2[b].mean():.3f}",
            f"{note}; median {np.median(here.chi2[bright]):.3f}",
        )
    yield beside(
        "size, mean error", lambda j: f"{100 * j.size.mean():+.2f} %", "model against truth"
    )
    yield beside("size, rms error", lambda j: f"{100 * np.sqrt((j.size**2).mean()):.2f} %", "")
    yield beside(
        "size, worst of 3 x 3 parts of the field",
        lambda j: f"{max((100 * j.size[p].mean() for p in place), key=abs):+.2f} %",
        "mean of each",
    )
    yield beside(
        "ellipticity, rms error of a component",
        lambda j: f"{np.sqrt((j.ellipticity**2).mean()):.4f}",
        "",
    )
    yield beside(
        "ellipticity, worst of 3 x 3 parts",
        lambda j: f"{max(np.abs(j.ellipticity[p].mean(axis=0)).max() for p in place):.4f}",
        "mean of a component",
    )


def main() -> None:
    """Print the table."""
    with tempfile.TemporaryDirectory(prefix="tesela-psf-") as folder:
        print(pages.table(results(Path(folder))), end="")


if __name__ == "__main__":
    main()
