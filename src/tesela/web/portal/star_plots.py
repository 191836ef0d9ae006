"""The stars of one image, drawn: their size against their brightness."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from tesela.errors import ProductError
from tesela.products import files
from tesela.web.shared import svg
from tesela.web.shared.svg import Frame, Plot

Floats = NDArray[np.float64]

_FRAME: Final = Frame(560, 320, 54, 12, 12, 46)
_MOST: Final = 2500
"""Sources drawn: the brightest."""
_SPOILED: Final = 4 | 8 | 16
_BIN_MAG: Final = 1.0


def size_magnitude(
    image: Path, pixel_scale_arcsec: float, seeing_arcsec: float | None
) -> Plot | None:
    """FWHM of the sources of a reduced image against their magnitude; None where there are few.

    Stars make a level sequence; where it rises to the bright end, the sensor spreads bright stars
    (brighter-fatter) or they saturate. Galaxies lie above it, cosmic rays below. Reads the star
    list alone. Raises `ProductError` if the file is missing or damaged.
    """
    fits = files.read_fits(image, ["SOURCES"])
    cards = fits.cards.get("IMAGE", {})
    table = fits.data["SOURCES"]
    missing = {"flux_psf", "fwhm", "flags"} - set(table.dtype.names or ())
    if missing:
        raise ProductError(str(image), found=f"no column {', '.join(missing)}", expected="SOURCES")
    flux = table["flux_psf"].astype(np.float64) / float(cards.get("EXPTIME") or 1.0)
    size = table["fwhm"].astype(np.float64) * pixel_scale_arcsec
    good = (flux > 0) & np.isfinite(size) & (size > 0) & ((table["flags"] & _SPOILED) == 0)
    if np.count_nonzero(good) < 10:
        return None
    mag = -2.5 * np.log10(flux[good]) + float(cards.get("MAGZP") or 0.0)
    brightest = np.argsort(mag, kind="stable")[:_MOST]
    return _plot(mag[brightest], size[good][brightest], seeing_arcsec)


def _plot(mag: Floats, size: Floats, seeing: float | None) -> Plot:
    typical = seeing or float(np.median(size))
    low, high = 0.0, max(3.0 * typical, 0.1)
    first, last = np.floor(mag.min()), np.ceil(mag.max()) + 0.01
    x = svg.scale(float(first), float(last), _FRAME.x0, _FRAME.x1)
    y = svg.scale(low, high, _FRAME.y0, _FRAME.y1)
    shown = np.clip(size, low, high)
    dots = "".join(f"M{x(m):.1f} {y(s):.1f}h0" for m, s in zip(mag, shown))
    parts = [
        *svg.y_axis(_FRAME, svg.ticks(low, high), y, "FWHM, arcsec"),
        *svg.x_axis(_FRAME, svg.ticks(float(first), float(last)), x, "magnitude, PSF"),
        f'<path class="dots" d="{dots}"/>',
    ]
    if seeing is not None:
        parts.append(svg.line("level", _FRAME.x0, y(seeing), _FRAME.x1, y(seeing)))
    rows = _rows(mag, size)
    title = "Size of sources against their magnitude"
    described = f"{len(mag)} sources from magnitude {mag.min():.1f} to {mag.max():.1f}"
    if seeing is not None:
        described += f"; the PSF has {seeing:.2f} arcsec"
    picture: Markup = svg.picture(_FRAME, "size-magnitude", title, described, parts)
    return Plot(picture, title, ("Magnitude", "Sources", "Median FWHM, arcsec"), rows)


def _rows(mag: Floats, size: Floats) -> tuple[tuple[str, ...], ...]:
    """The table twin: medians in bins of one magnitude."""
    edges = np.arange(np.floor(mag.min()), mag.max() + _BIN_MAG, _BIN_MAG)
    rows = []
    for low in edges:
        inside = (mag >= low) & (mag < low + _BIN_MAG)
        if inside.any():
            number = str(int(np.count_nonzero(inside)))
            rows.append((f"{low + _BIN_MAG / 2:.1f}", number, f"{np.median(size[inside]):.2f}"))
    return tuple(rows)
