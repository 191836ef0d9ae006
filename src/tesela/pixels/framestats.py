"""What is measured of a frame before it is combined: levels, noise, profiles by amplifier."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from numba import njit

from tesela.pixels.sections import as_sections

SAMPLE = 4_000_000
NOISE_ROWS = 256
CLIP_SIGMA = 5.0


def sample(image: np.ndarray, n: int = SAMPLE) -> np.ndarray:
    """Every k-th pixel of every k-th row, about `n` of them, as a view; small images whole."""
    step = max(1, int(math.sqrt(image.size / n)))
    return image[::step, ::step]


def medians(
    image: np.ndarray, sections: npt.ArrayLike, bad: np.ndarray | None = None
) -> np.ndarray:
    """Median of each amplifier, (n_amp,) float64, from a sample of its pixels.

    Parameters
    ----------
    image : (ny, nx) float32
    sections : (n_amp, 4) int, half-open [x0, x1, y0, y1] in `image`
    bad : (ny, nx) bool, optional
        True = leave out. NaN where nothing is left.
    """
    boxes = as_sections(sections, (image.shape[0], image.shape[1]), "destination")
    found = np.full(len(boxes), np.nan)
    for k, (x0, x1, y0, y1) in enumerate(boxes):
        part = sample(image[y0:y1, x0:x1], SAMPLE // len(boxes))
        if bad is not None:
            part = part[~sample(bad[y0:y1, x0:x1], SAMPLE // len(boxes))]
        if part.size:
            found[k] = np.median(part)
    return found


def noises(image: np.ndarray, sections: npt.ArrayLike) -> np.ndarray:
    """Noise of one pixel of each amplifier, (n_amp,) float64, unit of the image.

    1.4826 times the median absolute difference of neighbours in a row, over sqrt(2): neither
    levels nor gradients nor stray events count. Differences of whole numbers would have a coarse
    median; levelled rows are no whole numbers.
    """
    boxes = as_sections(sections, (image.shape[0], image.shape[1]), "destination")
    found = np.zeros(len(boxes))
    for k, (x0, x1, y0, y1) in enumerate(boxes):
        part = image[y0:y1, x0:x1][:: max(1, (y1 - y0) // NOISE_ROWS)]
        if part.shape[1] > 1:
            # The mean of what lies within three sigma is finer than the median of digitised steps.
            steps = np.diff(part, axis=1).ravel()
            steps = np.abs(steps - np.median(steps))
            first = max(1.4826 * float(np.median(steps)), 1e-6)
            near = steps[steps < 3 * first].astype(np.float64)
            rms = math.sqrt(float(np.mean(near**2))) / 0.98658  # of a Gaussian cut at 3 sigma
            found[k] = rms / math.sqrt(2)
    return found


@dataclass(frozen=True)
class Profiles:
    """Mean of every row and column of each amplifier about its median.

    Attributes
    ----------
    rows : (n_amp, h) float32
    columns : (n_amp, w) float32
        Beyond a shorter amplifier: 0.
    """

    rows: np.ndarray
    columns: np.ndarray

    def rms(self) -> tuple[np.ndarray, np.ndarray]:
        """Root mean square of both, (n_amp,) each."""
        rows, columns = (
            np.sqrt(np.mean(p.astype(np.float64) ** 2, axis=1)) for p in (self.rows, self.columns)
        )
        return rows, columns


def profiles(
    image: np.ndarray, sections: npt.ArrayLike, level: np.ndarray, noise: np.ndarray
) -> Profiles:
    """Mean rows and columns of each amplifier, less its level, of pixels within five sigma of it.

    Parameters
    ----------
    image : (ny, nx) float32
    sections : (n_amp, 4) int
    level, noise : (n_amp,)
        What `medians` and `noises` gave; structure beyond 5 sigma + 10 units is cut.
    """
    boxes = as_sections(sections, (image.shape[0], image.shape[1]), "destination")
    height = int((boxes[:, 3] - boxes[:, 2]).max(initial=0))
    width = int((boxes[:, 1] - boxes[:, 0]).max(initial=0))
    rows = np.zeros((len(boxes), height), np.float32)
    columns = np.zeros((len(boxes), width), np.float32)
    reach = (CLIP_SIGMA * noise + 10.0).astype(np.float32)
    _profiles(np.ascontiguousarray(image), boxes, level.astype(np.float32), reach, rows, columns)
    return Profiles(rows, columns)


@njit(cache=True, nogil=True)
def _profiles(image, boxes, level, reach, rows, columns):  # type: ignore[no-untyped-def]  # pragma: no cover
    for amp in range(boxes.shape[0]):
        x0, x1, y0, y1 = boxes[amp]
        total = np.zeros(x1 - x0, np.float64)
        number = np.zeros(x1 - x0, np.int64)
        for y in range(y0, y1):
            mean, n = 0.0, 0
            for x in range(x0, x1):
                away = image[y, x] - level[amp]
                if abs(away) <= reach[amp]:
                    mean += away
                    n += 1
                    total[x - x0] += away
                    number[x - x0] += 1
            if n:
                rows[amp, y - y0] = mean / n
        for i in range(x1 - x0):
            if number[i]:
                columns[amp, i] = total[i] / number[i]
