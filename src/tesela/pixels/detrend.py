"""From raw ADU to electrons on a flat detector in one pass.

Level, bias, linearity, gain, dark and flat, in this order: the response of an amplifier is a
matter of ADU above its bias, and the gain comes before the flat.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
from numba import njit

from tesela.errors import BadInput
from tesela.pixels import threads as threading
from tesela.pixels.sections import as_raw, as_sections, per_amplifier, same_sizes

NOTHING = np.empty((0, 0), np.float32)
"""A plane, or coefficients, that are not there."""


class RawRows(Protocol):
    """A raw frame of which rows are read when it is sliced: an open file, or an array."""

    @property
    def shape(self) -> tuple[int, ...]: ...

    def __getitem__(self, rows: slice, /) -> Any: ...


def apply(
    raw: np.ndarray,
    data: npt.ArrayLike,
    dest: npt.ArrayLike,
    level: np.ndarray,
    gain: npt.ArrayLike,
    bias: np.ndarray = NOTHING,
    flat: np.ndarray = NOTHING,
    out: np.ndarray | None = None,
    *,
    dark: np.ndarray = NOTHING,
    exptime_s: float = 0.0,
    linearity: np.ndarray = NOTHING,
    pivot_adu: float = 1.0,
    threads: int = 1,
) -> np.ndarray:
    """Return the trimmed image in electrons: (x (1 + p(x)) gain - dark exptime) / flat.

    x is raw - level - bias, in ADU, and p(x) = sum_k c_k (x / pivot)^(k+1) undoes the
    non-linearity of the amplifier.

    Parameters
    ----------
    raw : (ny_raw, nx_raw) uint16 or float32, ADU
    data : (n_amp, 4) int
        Where the amplifiers' pixels lie in `raw`, half-open [x0, x1, y0, y1].
    dest : (n_amp, 4) int
        Where they go in the trimmed image, in the same orientation. Together the sections must
        cover the image; what they do not cover is 0.
    level : (n_amp, n_rows) float32, ADU
        Zero level of each row of the data sections (`overscan.Overscan.level`).
    gain : (n_amp,) or float, e-/ADU
    bias : (ny, nx) float32, ADU, or an empty array for none
    flat : (ny, nx) float32, mean 1 over the whole CCD, or an empty array for none
    out : (ny, nx) float32, optional
        Array to fill and return.
    dark : (ny, nx) float32, e-/s, or an empty array for none
    exptime_s : float
        Seconds of dark current.
    linearity : (n_amp, k) float, or an empty array for a linear detector
        The coefficients c_k.
    pivot_adu : float
        The level to which they refer.
    threads : int
        Amplifiers are shared between them.

    Returns
    -------
    (ny, nx) float32, electrons. NaN only where `raw` is: pixels whose flat is not positive and
    finite, or whose bias or dark is not finite, are 0; the caller masks them.

    Raises
    ------
    BadInput
        Sections, levels, coefficients or planes that do not fit each other.
    """
    raw = as_raw(raw)
    shape = _shape_of_image(bias, dark, flat, out, dest=dest)
    unit = _Unit.checked(data, dest, level, gain, linearity, pivot_adu, (raw.shape, shape))
    image = np.zeros(shape, dtype=np.float32) if out is None else out
    planes = [np.ascontiguousarray(plane, dtype=np.float32) for plane in (bias, dark, flat)]

    def amplifiers(part: tuple[int, int]) -> None:
        a = slice(*part)
        _detrend(
            raw, unit.data[a], unit.dest[a], unit.level[a], unit.gain[a], unit.coefficients[a],
            unit.inverse_pivot, planes[0], planes[1], planes[2], np.float32(exptime_s), image,
        )  # fmt: skip

    threading.each(amplifiers, threading.bands(len(unit.data), threads), threads)
    _leave_holes(raw, unit, image)
    return image


def rows(
    raw: RawRows,
    y0: int,
    y1: int,
    data: npt.ArrayLike,
    dest: npt.ArrayLike,
    level: np.ndarray,
    gain: npt.ArrayLike,
    bias: np.ndarray = NOTHING,
    flat: np.ndarray = NOTHING,
    *,
    dark: np.ndarray = NOTHING,
    exptime_s: float = 0.0,
    linearity: np.ndarray = NOTHING,
    pivot_adu: float = 1.0,
) -> np.ndarray:
    """Return rows [y0, y1) of what `apply` returns, bit for bit, from the raw rows they need.

    Amplifiers that lie elsewhere in the raw frame (the upper ones, behind the parallel overscan)
    are read from there. The parameters are those of `apply`, masters being whole planes; `raw` is
    sliced once for each such group of amplifiers.
    """
    shape = _shape_of_image(bias, dark, flat, None, dest=dest)
    raw_shape = (int(raw.shape[0]), int(raw.shape[1]))
    unit = _Unit.checked(data, dest, level, gain, linearity, pivot_adu, (raw_shape, shape))
    y0, y1 = max(y0, 0), min(y1, shape[0])
    image = np.zeros((max(y1 - y0, 0), shape[1]), np.float32)
    planes = [
        np.ascontiguousarray(plane[y0:y1], dtype=np.float32) if plane.size else NOTHING
        for plane in (bias, dark, flat)
    ]
    for first, last, part in unit.parts(y0, y1):
        source = as_raw(raw[first:last])
        _detrend(
            source, part.data, part.dest, part.level, part.gain,
            part.coefficients, part.inverse_pivot, planes[0], planes[1], planes[2],
            np.float32(exptime_s), image,
        )  # fmt: skip
        _leave_holes(source, part, image)
    return image


@dataclass(frozen=True)
class _Unit:
    """Amplifiers with what belongs to each; rows of the arrays are amplifiers."""

    data: np.ndarray
    dest: np.ndarray
    level: np.ndarray
    gain: np.ndarray
    coefficients: np.ndarray
    inverse_pivot: np.float32

    @classmethod
    def checked(
        cls,
        data: npt.ArrayLike,
        dest: npt.ArrayLike,
        level: np.ndarray,
        gain: npt.ArrayLike,
        linearity: np.ndarray,
        pivot_adu: float,
        shapes: tuple[tuple[int, ...], tuple[int, int]],
    ) -> _Unit:
        """Arrays of the types the kernel takes, that fit each other and the (raw, image) shapes."""
        sections = as_sections(data, (shapes[0][0], shapes[0][1]), "data")
        target = as_sections(dest, shapes[1], "destination")
        same_sizes(sections, target, "data and destination sections")
        n_rows = int((sections[:, 3] - sections[:, 2]).max(initial=0))
        levels = np.ascontiguousarray(level, dtype=np.float32)
        if levels.ndim != 2 or levels.shape[0] != len(sections) or levels.shape[1] < n_rows:
            raise BadInput(
                "overscan level",
                found=f"shape {levels.shape}",
                expected=f"({len(sections)}, {n_rows}): a value for each row of each amplifier",
                do="measure it with the same sections",
            )
        coefficients = np.ascontiguousarray(linearity, dtype=np.float32)
        if coefficients.size == 0:
            coefficients = np.zeros((len(sections), 0), np.float32)
        if coefficients.ndim != 2 or len(coefficients) != len(sections) or not pivot_adu > 0:
            raise BadInput(
                "coefficients of the linearity",
                found=f"shape {coefficients.shape}, pivot {pivot_adu:g} ADU",
                expected=f"a row for each of {len(sections)} amplifiers, a positive pivot",
                do="use a master of the same camera and read-out mode",
            )
        gains = per_amplifier(gain, len(sections), "gain")
        return cls(sections, target, levels, gains, coefficients, np.float32(1 / pivot_adu))

    def parts(self, y0: int, y1: int) -> Iterator[tuple[int, int, _Unit]]:
        """(first, last raw row, their amplifiers) for rows [y0, y1) of the image.

        Sections are relative to those rows.
        """
        low, high = np.maximum(self.dest[:, 2], y0), np.minimum(self.dest[:, 3], y1)
        shift = self.data[:, 2] - self.dest[:, 2]
        for way in np.unique(shift):
            amps = np.flatnonzero((shift == way) & (high > low))
            if not amps.size:
                continue
            begin, end = low[amps], high[amps]
            first, last = int(begin.min() + way), int(end.max() + way)
            data, dest = self.data[amps].copy(), self.dest[amps].copy()
            data[:, 2], data[:, 3] = begin + way - first, end + way - first
            level = np.zeros((amps.size, int((end - begin).max())), np.float32)
            for k, amp in enumerate(amps):
                j = begin[k] - dest[k, 2]
                level[k, : end[k] - begin[k]] = self.level[amp, j : j + end[k] - begin[k]]
            dest[:, 2], dest[:, 3] = begin - y0, end - y0
            yield first, last, _Unit(
                data, dest, level, self.gain[amps], self.coefficients[amps], self.inverse_pivot
            )  # fmt: skip


def _leave_holes(raw: np.ndarray, unit: _Unit, image: np.ndarray) -> None:
    """What a raw frame of floats has no number for has none after, whatever the masters are."""
    if raw.dtype.kind != "f":
        return
    for (x0, x1, y0, y1), (u0, u1, v0, v1) in zip(unit.data, unit.dest):
        image[v0:v1, u0:u1][np.isnan(raw[y0:y1, x0:x1])] = np.nan


def _shape_of_image(
    bias: np.ndarray,
    dark: np.ndarray,
    flat: np.ndarray,
    out: np.ndarray | None,
    *,
    dest: npt.ArrayLike,
) -> tuple[int, int]:
    ends = np.asarray(dest, dtype=np.int64).reshape(-1, 4)
    shape = (int(ends[:, 3].max(initial=0)), int(ends[:, 1].max(initial=0)))
    for name, plane in (("bias", bias), ("dark", dark), ("flat", flat), ("output", out)):
        if plane is not None and plane.size and plane.shape != shape:
            raise BadInput(
                f"{name} plane",
                found=f"shape {plane.shape}",
                expected=f"{shape}, the trimmed image",
                do="use masters of the same camera, read-out mode and binning",
            )
    if out is not None and (out.dtype != np.float32 or not out.flags.c_contiguous):
        raise BadInput(
            "output plane", found=f"{out.dtype}", expected="C-contiguous float32 to write into"
        )
    return shape


@njit(cache=True, nogil=True)
def _detrend(  # type: ignore[no-untyped-def]  # pragma: no cover
    raw, data, dest, level, gain, coefficients, inverse_pivot, bias, dark, flat, exptime_s, out
):
    has_bias = bias.size > 0
    has_dark = dark.size > 0
    has_flat = flat.size > 0
    n_terms = coefficients.shape[1]
    for amp in range(data.shape[0]):
        x_raw, y_raw, x_out, y_out = data[amp, 0], data[amp, 2], dest[amp, 0], dest[amp, 2]
        width = data[amp, 1] - x_raw
        terms = np.empty(width if n_terms > 0 else 0, np.float32)
        for j in range(data[amp, 3] - y_raw):
            source = raw[y_raw + j, x_raw : x_raw + width]
            row = out[y_out + j, x_out : x_out + width]
            zero = level[amp, j]
            # Short loops over one row in the first cache, which the compiler can vectorise.
            for i in range(width):
                row[i] = np.float32(source[i]) - zero
            if has_bias:
                offset = bias[y_out + j, x_out : x_out + width]
                for i in range(width):
                    row[i] -= offset[i]
            if n_terms > 0:
                for i in range(width):
                    terms[i] = coefficients[amp, n_terms - 1]
                for k in range(n_terms - 2, -1, -1):
                    for i in range(width):
                        terms[i] = terms[i] * (row[i] * inverse_pivot) + coefficients[amp, k]
                for i in range(width):
                    row[i] += row[i] * (terms[i] * (row[i] * inverse_pivot))
            for i in range(width):
                row[i] *= gain[amp]
            if has_dark:
                current = dark[y_out + j, x_out : x_out + width]
                for i in range(width):
                    row[i] -= current[i] * exptime_s
            if has_flat:
                lamp = flat[y_out + j, x_out : x_out + width]
                for i in range(width):
                    row[i] = row[i] / lamp[i] if lamp[i] > np.float32(0) else np.float32(0)
            if has_bias or has_dark:
                for i in range(width):
                    if not np.isfinite(row[i]):
                        row[i] = np.float32(0)
