"""The variance of a detrended image, from what is known of the detector and the light.

Per pixel, in electrons squared, f being the response by which the image was divided, and r the
relative noise of the flat where f = 1 (its photons: r / sqrt(f) elsewhere):

    (sky + sources) / f  +  (sky + sources)^2 r^2 / f  +  (readnoise^2 + dark exptime) / f^2

The light of sources comes last, when they are known.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from numba import njit
from numpy.typing import NDArray

from tesela.pixels import threads as threading
from tesela.pixels.background import Background
from tesela.pixels.detrend import NOTHING
from tesela.pixels.meshrows import MeshRows, fill_row
from tesela.pixels.sections import as_sections, per_amplifier

LEAST_RESPONSE = 0.01


def without_sources(
    sky: Background | None,
    response: NDArray[np.float32],
    dest: npt.ArrayLike,
    readnoise_e: npt.ArrayLike,
    *,
    dark: NDArray[np.float32] = NOTHING,
    exptime_s: float = 0.0,
    flat_noise: float = 0.0,
    threads: int = 1,
) -> NDArray[np.float32]:
    """Variance of the sky's photons, the dark current and the read-out; of the flat under the sky.

    Parameters
    ----------
    sky : Background or None
        The level (electrons) that makes photon noise, where it is positive.
    response : (ny, nx) float32
        By which the image was divided; taken as 0.01 at least.
    dest : (n_amp, 4) int
        Amplifier sections in the image, half-open [x0, x1, y0, y1].
    readnoise_e : (n_amp,) or float, electrons
    dark : (ny, nx) float32, electrons a second, or an empty array for none
    exptime_s : float
        Seconds of dark current.
    flat_noise : float
        Relative noise of the flat where the response is 1.
    threads : int

    Returns
    -------
    (ny, nx) float32, electrons squared. Pixels that no section covers have no read noise.
    """
    shape = (response.shape[0], response.shape[1])
    sections = as_sections(dest, shape, "destination")
    noise2 = per_amplifier(readnoise_e, len(sections), "read noise") ** 2
    current = np.ascontiguousarray(dark, np.float32)
    divided = np.ascontiguousarray(response, np.float32)
    if sky is None:
        level = MeshRows(np.zeros(1), np.zeros((shape[0], 1)), np.zeros((shape[0], 1)))
    else:
        level = sky.rows()
    flat2 = np.float32(flat_noise**2)
    out = np.empty(shape, np.float32)

    def band(rows: tuple[int, int]) -> None:
        _without_sources(
            level, divided, current, np.float32(exptime_s), sections, noise2, flat2, *rows, out
        )

    threading.each(band, threading.bands(shape[0], threads), threads)
    return out


def add_sources(
    variance: NDArray[np.float32],
    image: NDArray[np.float32],
    objects: NDArray[np.bool_],
    response: NDArray[np.float32],
    *,
    sky_e: float = 0.0,
    flat_noise: float = 0.0,
    threads: int = 1,
) -> None:
    """Add the photons of what is inside `objects` (ny, nx; True) to `variance`, in place.

    With them comes what the flat's noise makes of that light above a sky of typically `sky_e`.
    `image` is sky-subtracted, electrons. Where nothing is detected the counts are not used: noise
    that sets its own weight would bias every weighted mean downwards.
    """
    below, flat2 = np.float32(max(sky_e, 0.0)), np.float32(flat_noise**2)

    def band(rows: tuple[int, int]) -> None:
        part = slice(*rows)
        _add_sources(variance[part], image[part], objects[part], response[part], below, flat2)

    threading.each(band, threading.bands(len(image), threads), threads)


@njit(cache=True, nogil=True)
def _without_sources(  # type: ignore[no-untyped-def]  # pragma: no cover
    level, response, dark, exptime_s, dest, noise2, flat2, y0, y1, out
):
    nx = out.shape[1]
    sky = np.empty(nx, np.float32)
    readout = np.empty(nx, np.float32)
    for y in range(y0, y1):
        fill_row(level, y, sky)
        readout[:] = 0
        for amp in range(dest.shape[0]):
            if dest[amp, 2] <= y < dest[amp, 3]:
                readout[dest[amp, 0] : dest[amp, 1]] = noise2[amp]
        if dark.size > 0:
            for x in range(nx):
                current = dark[y, x] * exptime_s
                readout[x] += current if current > 0 else np.float32(0)
        for x in range(nx):
            inverse = np.float32(1) / max(response[y, x], np.float32(LEAST_RESPONSE))
            light = max(sky[x], np.float32(0))
            out[y, x] = (light * (np.float32(1) + flat2 * light) + readout[x] * inverse) * inverse


@njit(cache=True, nogil=True)
def _add_sources(  # type: ignore[no-untyped-def]  # pragma: no cover
    variance, image, objects, response, below, flat2
):
    twice = np.float32(2) * below
    for y in range(variance.shape[0]):
        for x in range(variance.shape[1]):
            if objects[y, x] and image[y, x] > 0:
                # (sky + light)^2 - sky^2: the sky's own part is there.
                light = image[y, x] * (np.float32(1) + flat2 * (image[y, x] + twice))
                variance[y, x] += light / max(response[y, x], np.float32(LEAST_RESPONSE))
