"""Ghosts of one amplifier's light in the others, read out at the same moment."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from numba import njit

from tesela.errors import BadInput
from tesela.pixels import threads as threading
from tesela.pixels.sections import as_sections, per_amplifier

UNSOLVED_SIGMA = 3.0


def correct(
    image: np.ndarray,
    dest: npt.ArrayLike,
    matrix: np.ndarray,
    flip_x: npt.ArrayLike,
    flip_y: npt.ArrayLike,
    *,
    saturated: np.ndarray | None = None,
    readnoise_e: npt.ArrayLike = 0.0,
    threads: int = 1,
) -> tuple[np.ndarray, np.ndarray]:
    """Subtract I_b -= sum_a C[b, a] I_a at equal read-out positions.

    First order in C: what is left out is of the order of C squared (1e-6 of the aggressor). A
    saturated aggressor was brighter than what was recorded; its recorded light is subtracted, and
    victims that may still hold a ghost are flagged.

    Parameters
    ----------
    image : (ny, nx) float32, electrons, finite
    dest : (n_amp, 4) int
        Amplifier sections in the image, half-open [x0, x1, y0, y1], all of one size.
    matrix : (n_amp, n_amp) float32
        C[victim, aggressor], in electrons per electron; the diagonal is not used.
    flip_x, flip_y : (n_amp,) bool
        True where the amplifier reads its last column (row) first.
    saturated : (ny, nx) bool, optional
        True = saturated.
    readnoise_e : (n_amp,) or float, electrons
        A victim is unsolved where |C| times the saturated aggressor exceeds three of these.
    threads : int
        Rows are shared between them.

    Returns
    -------
    image : (ny, nx) float32, electrons; the input itself when the matrix is zero
    unsolved : (ny, nx) bool, True = may still hold a ghost
    """
    sections = as_sections(dest, (image.shape[0], image.shape[1]), "destination")
    n_amp = len(sections)
    coupling = np.array(matrix, dtype=np.float32, order="C")
    flips = [np.ascontiguousarray(flip, dtype=np.bool_) for flip in (flip_x, flip_y)]
    if coupling.shape != (n_amp, n_amp) or any(flip.shape != (n_amp,) for flip in flips):
        raise BadInput(
            "crosstalk matrix",
            found=f"shape {coupling.shape} and {flips[0].size}, {flips[1].size} flips",
            expected=f"{n_amp} x {n_amp} and {n_amp} flips",
            do="use the matrix measured for this camera and read-out mode",
        )
    unsolved = np.zeros(image.shape, dtype=np.bool_)
    np.fill_diagonal(coupling, 0)
    if not coupling.any():
        return image, unsolved
    sizes = np.stack([sections[:, 1] - sections[:, 0], sections[:, 3] - sections[:, 2]], axis=1)
    if (sizes != sizes[0]).any():
        raise BadInput(
            "crosstalk",
            found=f"amplifiers of sizes (x, y) {np.unique(sizes, axis=0).tolist()}",
            expected="amplifiers of one size, read at the same moments",
            do="leave the matrix out for this read-out mode",
        )
    source = np.ascontiguousarray(image, dtype=np.float32)
    result = source.copy()
    top = np.zeros((1, 1), dtype=np.bool_) if saturated is None else saturated
    limits = UNSOLVED_SIGMA * per_amplifier(readnoise_e, n_amp, "read noise")

    def band(rows: tuple[int, int]) -> None:
        _subtract(
            source, sections, coupling, flips[0], flips[1], top, limits, result, unsolved, *rows
        )

    threading.each(band, threading.bands(int(sizes[0, 1]), threads), threads)
    return result, unsolved


@njit(cache=True, nogil=True)
def _subtract(  # type: ignore[no-untyped-def]  # pragma: no cover
    image, dest, coupling, flip_x, flip_y, top, limit, out, unsolved, first, last
):
    n_amp = dest.shape[0]
    width = dest[0, 1] - dest[0, 0]
    any_top = top.shape == image.shape
    ghost = np.empty(width, dtype=np.float32)
    doubt = np.empty(width, dtype=np.bool_)
    for j in range(first, last):
        for victim in range(n_amp):
            ghost[:] = 0
            doubt[:] = False
            for amp in range(n_amp):
                share = coupling[victim, amp]
                if share == 0:
                    continue
                y = dest[amp, 3] - 1 - j if flip_y[amp] else dest[amp, 2] + j
                x0 = dest[amp, 1] - 1 if flip_x[amp] else dest[amp, 0]
                step = -1 if flip_x[amp] else 1
                for i in range(width):
                    ghost[i] += share * image[y, x0 + step * i]
                if any_top:
                    for i in range(width):
                        x = x0 + step * i
                        if top[y, x] and abs(share * image[y, x]) > limit[victim]:
                            doubt[i] = True
            y = dest[victim, 3] - 1 - j if flip_y[victim] else dest[victim, 2] + j
            x0 = dest[victim, 1] - 1 if flip_x[victim] else dest[victim, 0]
            step = -1 if flip_x[victim] else 1
            for i in range(width):
                out[y, x0 + step * i] -= ghost[i]
                if doubt[i]:
                    unsolved[y, x0 + step * i] = True
