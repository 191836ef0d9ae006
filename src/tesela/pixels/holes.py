"""Raw frames of floats have pixels that are no number: what stands in for them, and where."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from tesela.pixels.sections import as_sections


def find(raw: np.ndarray) -> np.ndarray | None:
    """True where a raw frame has no number, (ny_raw, nx_raw) bool; None if it has one everywhere.

    Frames of integers cost nothing.
    """
    if raw.dtype.kind != "f":
        return None
    holes = ~np.isfinite(raw)
    return holes if holes.any() else None


def fill(raw: np.ndarray, holes: np.ndarray, sections: npt.ArrayLike) -> np.ndarray:
    """Return a copy of `raw` with something harmless in its holes.

    A hole takes the median of the numbers in its row of its section, so that neither the level of
    an overscan nor a profile is moved; that of the section where the row has none, 0 where the
    section has none.

    Parameters
    ----------
    raw : (ny_raw, nx_raw) float32, ADU
    holes : (ny_raw, nx_raw) bool
    sections : (n, 4) int, half-open [x0, x1, y0, y1]
        Data, overscans and whatever else is read; holes elsewhere become 0.
    """
    filled = np.where(holes, np.float32(0), raw)
    for x0, x1, y0, y1 in as_sections(sections, (raw.shape[0], raw.shape[1]), "raw"):
        box = (slice(y0, y1), slice(x0, x1))
        missing = holes[box]
        if not missing.any() or missing.all():
            continue
        part = raw[box]
        typical = np.median(part[~missing])
        for row in np.flatnonzero(missing.any(axis=1)):
            known = part[row][~missing[row]]
            filled[box][row][missing[row]] = np.median(known) if known.size else typical
    return filled


def trimmed(
    holes: np.ndarray, data: npt.ArrayLike, dest: npt.ArrayLike, shape: tuple[int, int]
) -> np.ndarray:
    """The holes in the coordinates of the trimmed image: (ny, nx) bool.

    `data` and `dest` are (n_amp, 4) int sections of the raw frame and of the image.
    """
    found = np.zeros(shape, np.bool_)
    sources = as_sections(data, (holes.shape[0], holes.shape[1]), "data")
    for (x0, x1, y0, y1), (u0, u1, v0, v1) in zip(sources, as_sections(dest, shape, "destination")):
        found[v0:v1, u0:u1] = holes[y0:y1, x0:x1]
    return found
