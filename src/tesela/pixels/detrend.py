"""From raw ADU to electrons on a flat detector: level, bias, gain and flat in one pass."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from numba import njit

from tesela.errors import BadInput
from tesela.pixels.sections import as_raw, as_sections, per_amplifier, same_sizes


def apply(
    raw: np.ndarray,
    data: npt.ArrayLike,
    dest: npt.ArrayLike,
    level: np.ndarray,
    gain: npt.ArrayLike,
    bias: np.ndarray,
    flat: np.ndarray,
    out: np.ndarray | None = None,
) -> np.ndarray:
    """Return (raw - level - bias) * gain / flat, trimmed, in electrons.

    Parameters
    ----------
    raw : (ny_raw, nx_raw) uint16, ADU
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

    Returns
    -------
    (ny, nx) float32, electrons. Never NaN: pixels whose flat is not positive and finite, or whose
    bias is not finite, are 0; the caller masks them.
    """
    raw = as_raw(raw)
    sections = as_sections(data, (raw.shape[0], raw.shape[1]), "data")
    shape = _shape_of_image(bias, flat, out, dest)
    target = as_sections(dest, shape, "destination")
    same_sizes(sections, target, "data and destination sections")
    gains = per_amplifier(gain, len(sections), "gain")
    levels = np.ascontiguousarray(level, dtype=np.float32)
    rows = int((sections[:, 3] - sections[:, 2]).max(initial=0))
    if levels.ndim != 2 or levels.shape[0] != len(sections) or levels.shape[1] < rows:
        raise BadInput(
            "overscan level",
            found=f"shape {levels.shape}",
            expected=f"({len(sections)}, {rows}): a value for each row of each amplifier",
            do="measure it with the same sections",
        )
    image = np.zeros(shape, dtype=np.float32) if out is None else out
    planes = [np.ascontiguousarray(plane, dtype=np.float32) for plane in (bias, flat)]
    _detrend(raw, sections, target, levels, gains, planes[0], planes[1], image)
    return image


def _shape_of_image(
    bias: np.ndarray, flat: np.ndarray, out: np.ndarray | None, dest: npt.ArrayLike
) -> tuple[int, int]:
    ends = np.asarray(dest, dtype=np.int64).reshape(-1, 4)
    shape = (int(ends[:, 3].max(initial=0)), int(ends[:, 1].max(initial=0)))
    for name, plane in (("bias", bias), ("flat", flat), ("output", out)):
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


@njit(cache=True)
def _detrend(raw, data, dest, level, gain, bias, flat, out):  # type: ignore[no-untyped-def]  # pragma: no cover
    has_bias = bias.size > 0
    has_flat = flat.size > 0
    for amp in range(data.shape[0]):
        x_raw, y_raw, x_out, y_out = data[amp, 0], data[amp, 2], dest[amp, 0], dest[amp, 2]
        width = data[amp, 1] - x_raw
        for j in range(data[amp, 3] - y_raw):
            source = raw[y_raw + j, x_raw : x_raw + width]
            row = out[y_out + j, x_out : x_out + width]
            zero = level[amp, j]
            # Short loops over one row in the first cache, which the compiler can vectorise.
            for i in range(width):
                row[i] = np.float32(source[i]) - zero
            if has_bias:
                dark = bias[y_out + j, x_out : x_out + width]
                for i in range(width):
                    row[i] -= dark[i]
            for i in range(width):
                row[i] *= gain[amp]
            if has_flat:
                lamp = flat[y_out + j, x_out : x_out + width]
                for i in range(width):
                    row[i] = row[i] / lamp[i] if lamp[i] > np.float32(0) else np.float32(0)
            if has_bias:
                for i in range(width):
                    if not np.isfinite(row[i]):
                        row[i] = np.float32(0)
