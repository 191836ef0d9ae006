"""NGC 2420 with CAFOS: the ordinary commands beside a short script around sep."""

from __future__ import annotations

import contextlib
import io
import os
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import sep
from numpy.typing import NDArray
from pages import ROOT, Result
from scipy.spatial import cKDTree

from tesela.bands import transform
from tesela.cli import ingest, init, refcat, run
from tesela.products import rawfile
from tesela.products.catalogue import read_parquet
from tesela.products.images import ReducedImage, card_dict

FRAMES = ("uamA_0031", "uamA_0032", "uamA_0033")
_GAIN, _EXPTIME_S, _RADIUS_PX = 1.43, 60.0, 8.0


def data() -> Path | None:
    """The folder of the frames, None where there is none."""
    place = Path(os.environ.get("TESELA_REAL_DATA", ROOT.parent / "shared" / "data"))
    folder = place / "cafos_ngc2420"
    return folder if folder.is_dir() else None


def results(frames: Path, folder: Path) -> Iterator[Result]:
    """Process, then compare each 60 s frame with the plain script."""
    site = folder / "cafos"
    started = time.perf_counter()
    with contextlib.redirect_stdout(io.StringIO()):
        init.init(site, ROOT / "examples" / "cafos_ngc2420" / "survey.toml", as_json=True)
        refcat.add("sdss", next(frames.glob("reference*.csv")), site, as_json=True)
        ingest.ingest([frames], site, as_json=True)
        run.run(site, 1, as_json=True, dry_run=False)
    yield Result(
        "CAFOS: 8 raw frames to coadd and catalogue",
        f"{time.perf_counter() - started:.0f} s",
        "one worker",
    )
    reference, _ = read_parquet(next(site.glob("products/refcat/*.parquet")))
    v_mag, _ = transform.apply("lupton2005_V", {"g": reference["g"], "r": reference["r"]})
    for name in FRAMES:
        image = ReducedImage.read(next(site.glob(f"products/reduced/*/{name}.v1.fits")))
        yield _frame(name, image, _plain(frames, name, image, np.asarray(v_mag)))


def _frame(name: str, image: ReducedImage, plain: tuple[float, float, int]) -> Result:
    cards, table = card_dict(image.cards), image.sources
    aperture_adu = float(cards["MAGZPAP"]) - 2.5 * np.log10(_GAIN)
    rms = max(float(cards["ASTRRMS1"]), float(cards["ASTRRMS2"])) / 0.526
    zero, scatter, number = plain
    note = (
        f"V, 1 s, ADU, r = 8 px; {np.count_nonzero(table['i_ref'] >= 0)} matches, rms at most "
        f"{rms:.2f} px an axis. Plain script: {zero:.3f}, scatter {scatter:.3f} of {number} stars"
    )
    return Result(f"CAFOS: zero point of {name}", f"{aperture_adu:.3f} mag", note)


def _plain(
    frames: Path, name: str, image: ReducedImage, v_mag: NDArray[np.float64]
) -> tuple[float, float, int]:
    """Bias, flat, mesh of 64 pixels, circles of 8: zero point, robust scatter, stars.

    Only the identification of the stars is taken from the reduced image.
    """
    pixels = {
        path.stem: rawfile.read(path)[1].astype(np.float32)
        for path in sorted(frames.rglob("*.fits"))
    }
    bias = np.minimum(pixels["uamA_0001"], pixels["uamA_0002"])
    flat = pixels["uamA_0048"] - bias
    flat /= np.median(flat)
    data = (pixels[name] - bias) / np.maximum(flat, np.float32(0.3))
    sky = sep.Background(data, bw=64, bh=64)
    stars = sep.extract(data - sky.back(), 3.0, err=sky.globalrms, minarea=5)
    flux, error, _ = sep.sum_circle(
        data - sky.back(), stars["x"], stars["y"], _RADIUS_PX, err=sky.globalrms, gain=_GAIN
    )
    ours = image.sources
    away, row = cKDTree(np.c_[ours["x"], ours["y"]]).query(np.c_[stars["x"], stars["y"]])
    known = ours["i_ref"][row]
    good = (away < 1.5) & (known >= 0) & (flux > 50 * error) & (stars["peak"] < 40000)
    zero = v_mag[known[good]] + 2.5 * np.log10(flux[good] / _EXPTIME_S)
    zero = zero[np.isfinite(zero)]
    middle = float(np.median(zero))
    return middle, 1.4826 * float(np.median(np.abs(zero - middle))), len(zero)
