"""Stamps of a source: small cuts out of the coadds, on one stretch in all bands."""

from __future__ import annotations

import io
import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

import fitsio
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from tesela.errors import ProductError
from tesela.pixels import thumbnail
from tesela.sky.wcs import Wcs

Floats = NDArray[np.float32]

PICTURE_PX: Final = 168
"""Least size of a picture; pixels are enlarged by a whole factor."""
MIN_ARCSEC, MAX_ARCSEC, DEFAULT_ARCSEC = 5.0, 120.0, 20.0
FAINTEST_SIGMA, BRIGHTEST_SIGMA, SOFT_SIGMA = -2.0, 250.0, 3.0
"""Black, white, and where the asinh turns from linear to logarithmic, in units of the noise."""
_NO_DATA: Final = np.array([24, 24, 40], np.uint8)
_ZERO_MAG: Final = 23.9


@dataclass(frozen=True)
class Cut:
    """Pixels around a position, NaN outside the image; row 0 is south, columns run to the west."""

    image: Floats
    noise: float
    """Median standard deviation of a pixel."""
    pixel_arcsec: float


def cut(path: Path, ra_deg: float, dec_deg: float, size_arcsec: float) -> Cut:
    """Read a square around a position; only those rows are read from the disk.

    Parameters
    ----------
    path : Path
        A coadd with IMAGE and VARIANCE.
    size_arcsec : float
        Side of the square.

    Raises
    ------
    ProductError
        The file is missing or damaged.
    """
    try:
        stat = path.stat()
        wcs = _wcs(str(path), stat.st_mtime_ns, stat.st_size)
        x, y = (float(v) for v in wcs.sky_to_pix(ra_deg, dec_deg))
        half = max(3, round(size_arcsec / wcs.pixel_scale_arcsec / 2))
        with fitsio.FITS(str(path)) as fits:
            image = _window(fits["IMAGE"], wcs.shape, x, y, half)
            variance = _window(fits["VARIANCE"], wcs.shape, x, y, half)
    except (OSError, ValueError, KeyError) as error:
        raise ProductError(
            path.name, found=str(error).split("\n")[0][:200], expected="an image of the release"
        ) from error
    good = variance[np.isfinite(variance) & (variance > 0)]
    noise = float(np.sqrt(np.median(good))) if good.size else math.nan
    return Cut(image, noise, wcs.pixel_scale_arcsec)


@lru_cache(maxsize=512)
def _wcs(path: str, _mtime_ns: int, _size: int) -> Wcs:
    with fitsio.FITS(path) as fits:
        hdu = fits["IMAGE"]
        header = hdu.read_header()
        cards = {record["name"]: record["value"] for record in header.records() if record["name"]}
        shape = hdu.get_dims()
    return Wcs.from_cards(cards, (int(shape[0]), int(shape[1])))


def _window(hdu: Any, shape: tuple[int, int], x: float, y: float, half: int) -> Floats:
    """Pixels within `half` of the one at (x, y); NaN where the image ends."""
    side = 2 * half + 1
    window = np.full((side, side), np.nan, np.float32)
    if not (math.isfinite(x) and math.isfinite(y)):
        return window
    left, low = round(x) - half, round(y) - half
    x0, x1 = max(left, 0), min(left + side, shape[1])
    y0, y1 = max(low, 0), min(low + side, shape[0])
    if x0 < x1 and y0 < y1:
        window[y0 - low : y1 - low, x0 - left : x1 - left] = hdu[y0:y1, x0:x1]
    return window


def grey(part: Cut, unit: float) -> bytes:
    """JPEG of a stamp: asinh from -2 to 250 times `unit`, north up, east left.

    Parameters
    ----------
    part : Cut
    unit : float
        Noise of the band itself, or one flux for all bands expressed in its pixels' unit.
    """
    if not (math.isfinite(unit) and unit > 0):
        picture = np.broadcast_to(_NO_DATA, (*part.image.shape, 3))
        return _jpeg(picture)
    tone = np.arcsinh(part.image / unit / SOFT_SIGMA)
    black, white = (math.asinh(v / SOFT_SIGMA) for v in (FAINTEST_SIGMA, BRIGHTEST_SIGMA))
    level = np.clip((tone - black) / (white - black), 0, 1)
    absent = ~np.isfinite(level)
    level[absent] = 0
    picture = np.repeat((255 * level).astype(np.uint8)[..., None], 3, axis=2)
    picture[absent] = _NO_DATA
    return _jpeg(picture[::-1])


def colour(parts: list[tuple[Cut, float]]) -> bytes:
    """JPEG of three bands (red, green, blue), each with the zero point of its pixels."""
    planes, noises = [], []
    for part, zeropoint_mag in parts:
        scale = 10 ** (-0.4 * (zeropoint_mag - _ZERO_MAG))
        planes.append(np.ascontiguousarray(part.image * scale, np.float32))
        noises.append(part.noise * scale)
    noise = float(np.nanmean(noises))
    picture = thumbnail.colour(
        *planes, max_px=4096, softening=10.0, stretch=12.0 * noise if noise > 0 else None
    )
    return _jpeg(picture)


def colour_bands(bands: Sequence[str]) -> tuple[str, str, str] | None:
    """Bands of the colour stamp, red, green and blue."""
    wanted = ("iSDSS", "rSDSS", "gSDSS")
    if all(band in bands for band in wanted):
        return wanted
    return (bands[-1], bands[len(bands) // 2], bands[0]) if len(bands) >= 3 else None


def microjansky(value_ujy: float, zeropoint_mag: float) -> float:
    """A flux density as counts in an image of that zero point."""
    return value_ujy * 10 ** (0.4 * (zeropoint_mag - _ZERO_MAG))


def _jpeg(picture: NDArray[np.uint8]) -> bytes:
    """Encode; small stamps are enlarged without smoothing, so that pixels stay pixels."""
    made = Image.fromarray(np.ascontiguousarray(picture))
    factor = max(1, math.ceil(PICTURE_PX / made.width))
    if factor > 1:
        made = made.resize((made.width * factor, made.height * factor), Image.Resampling.NEAREST)
    stream = io.BytesIO()
    made.save(stream, "JPEG", quality=88)
    return stream.getvalue()
