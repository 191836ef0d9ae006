"""From electrons in the pixels to the numbers a camera writes."""

from __future__ import annotations

import numpy as np

from tesela.cameras import Amplifier, Section
from tesela.simulate.detector import LINEAR_ADU, Detector
from tesela.simulate.structure import bias_structure, overscan_offset

TRAILING = 4e-4  # charge left behind by the last pixel of a row, decaying into the overscan
TRAILING_DECAY = 0.35


def read_out(electrons: np.ndarray, detector: Detector, rng: np.random.Generator) -> np.ndarray:
    """Read the detector.

    Parameters
    ----------
    electrons : ndarray, (ny, nx) float32
        Charge in the trimmed image.
    detector : Detector
    rng : Generator
        Read noise and this frame's drift of the bias.

    Returns
    -------
    ndarray, (raw_ny, raw_nx) uint16
        Raw frame, clipped to 16 bits.
    """
    camera = detector.camera
    signal = _crosstalk(
        [_read_order(electrons[amp.dest.slices], amp) for amp in camera.amplifiers],
        detector.crosstalk,
    )
    raw = np.zeros((camera.raw_ny, camera.raw_nx), np.float32)
    sigma = np.zeros_like(raw)
    common = rng.normal(0, 3.0)
    for k, amp in enumerate(camera.amplifiers):
        level = detector.bias_adu[k] + common + rng.normal(0, 1.0)
        rows = level + _row_curve(signal[k].shape[0], detector.row_shape[k], rng)
        adu = _recorded(signal[k] / np.float32(detector.gain[k]), detector.nonlinearity[k])
        whole = _block(amp)
        raw[whole] = rows[-1]
        sigma[whole] = detector.readnoise_e[k] / detector.gain[k]
        _fill(raw, amp, adu, rows.astype(np.float32), detector=detector, k=k)
    for y in range(0, camera.raw_ny, 256):
        part = raw[y : y + 256]
        part += sigma[y : y + 256] * rng.standard_normal(part.shape, dtype=np.float32)
    return np.clip(np.rint(raw), 0, 65535).astype(np.uint16)


def _block(amp: Amplifier) -> tuple[slice, slice]:
    """The rectangle of the raw frame that one amplifier writes, corners of the strips included."""
    parts = [s for s in (amp.data, amp.prescan, amp.overscan, amp.parallel) if s]
    return (
        slice(min(s.y0 for s in parts), max(s.y1 for s in parts)),
        slice(min(s.x0 for s in parts), max(s.x1 for s in parts)),
    )


def _read_order(image: np.ndarray, amp: Amplifier) -> np.ndarray:
    """View of an amplifier's pixels with the first one read at [0, 0]."""
    return image[:: -1 if amp.flip_y else 1, :: -1 if amp.flip_x else 1]


def with_crosstalk(electrons: np.ndarray, detector: Detector) -> np.ndarray:
    """(ny, nx) float32: an image with what each output hears of the others."""
    amplifiers = detector.camera.amplifiers
    parts = [_read_order(electrons[amp.dest.slices], amp) for amp in amplifiers]
    image = np.empty_like(electrons)
    for amp, part in zip(amplifiers, _crosstalk(parts, detector.crosstalk)):
        _read_order(image[amp.dest.slices], amp)[...] = part
    return image


def _crosstalk(signal: list[np.ndarray], matrix: np.ndarray) -> list[np.ndarray]:
    """Each output hears the others at the same instant of the read-out."""
    if len({part.shape for part in signal}) > 1 or not matrix.any():
        return signal
    heard = []
    for victim, own in enumerate(signal):
        total = own.astype(np.float32, copy=True)
        for aggressor, other in enumerate(signal):
            if matrix[victim, aggressor]:
                total += np.float32(matrix[victim, aggressor]) * other
        heard.append(total)
    return heard


def _row_curve(n: int, shape: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """(n,) ADU in the order of reading: start-up, slope and a slow wave that differs by frame."""
    t = np.arange(n) / n
    start, slope, wave = shape * (1 + rng.normal(0, 0.1, 3))
    phase = rng.uniform(0, 2 * np.pi)
    return start * np.exp(-t / 0.06) + slope * t + wave * np.sin(2 * np.pi * 1.5 * t + phase)


def _recorded(adu: np.ndarray, coefficients: np.ndarray) -> np.ndarray:
    """What an amplifier that is not linear makes of true ADU above its bias."""
    if not coefficients.any():
        return adu
    a, b = coefficients.astype(np.float32)
    level = adu / np.float32(LINEAR_ADU)
    return adu * (1 - level * (a + b * level))


def _fill(
    raw: np.ndarray,
    amp: Amplifier,
    adu: np.ndarray,
    rows: np.ndarray,
    *,
    detector: Detector,
    k: int,
) -> None:
    """Write one amplifier's sections into the raw frame."""
    order = slice(None, None, -1 if amp.flip_y else 1), slice(None, None, -1 if amp.flip_x else 1)
    data = adu + rows[:, None] + bias_structure(detector, k)
    raw[amp.data.slices] = data[order]
    trailing = TRAILING * TRAILING_DECAY ** np.arange(64, dtype=np.float32)
    if amp.overscan:
        width = amp.overscan.shape[1]
        level = (rows + overscan_offset(detector, k))[:, None]
        strip = level + adu[:, -1:] * trailing[:width] if width <= 64 else None
        if strip is None:
            strip = np.repeat(level, width, axis=1)
            strip[:, :64] += adu[:, -1:] * trailing
        raw[amp.overscan.slices] = strip[order]
    if amp.prescan:
        raw[amp.prescan.slices] = np.repeat(rows[order[0], None], amp.prescan.shape[1], axis=1)
    if amp.parallel:
        _fill_parallel(raw, amp.parallel, adu[-1], rows[-1], trailing=trailing, order=order)


def _fill_parallel(
    raw: np.ndarray,
    section: Section,
    last_row: np.ndarray,
    level: np.float32,
    *,
    trailing: np.ndarray,
    order: tuple[slice, slice],
) -> None:
    height, width = section.shape
    strip = np.full((height, width), level, np.float32)
    depth = min(height, trailing.size)
    strip[:depth] += trailing[:depth, None] * last_row[:width]
    raw[section.slices] = strip[order]
