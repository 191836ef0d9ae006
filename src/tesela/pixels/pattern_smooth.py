"""Noise taken out of a pattern, by what two independent halves of its frames have in common."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import fft
from scipy.ndimage import gaussian_filter
from scipy.signal.windows import tukey

from tesela.pixels.pattern_bins import expand, shrink

STEP = 8
PAD = 32
TAPER = 16
RING_MODES = 3.0
LEAST_SIGMA = 3.0
FILL_SIGMA = 2.0


@dataclass(frozen=True)
class Half:
    """A pattern from some of the frames, and its weight: the inverse of its noise variance."""

    image: NDArray[np.float32]
    """(ny, nx), NaN = no data."""
    weight: float


@dataclass(frozen=True)
class Gain:
    """What is kept of each spatial frequency.

    Attributes
    ----------
    gain : (n,) float64
        Between 0 (noise) and 1 (structure), of rings in cycles a pixel.
    edges : (n + 1,) float64
        Of the rings.
    noise_rms : float
        Of the pattern before smoothing.
    """

    gain: NDArray[np.float64]
    edges: NDArray[np.float64]
    noise_rms: float

    def at(self, frequency: NDArray[np.float32]) -> NDArray[np.float32]:
        """Gain at spatial frequencies, interpolated between the rings."""
        middle = 0.5 * (self.edges[1:] + self.edges[:-1])
        return np.interp(frequency, middle, self.gain).astype(np.float32)

    @property
    def noise_kept(self) -> float:
        """Part of the noise that is left after smoothing (rms, white noise assumed)."""
        area = np.diff(self.edges**2)
        return float(np.sqrt(np.sum(self.gain**2 * area) / np.sum(area)))


def gain_of(one: Half, other: Half) -> Gain:
    """Wiener's filter of the mean of two halves, from their cross power.

    In every ring of spatial frequency the structure is the real part of the cross spectrum of the
    halves, the noise is their difference. The gain is structure over structure and noise (Wiener
    1949), and 0 where the structure is below three times its error. Frequencies at which a pattern
    stands above the noise are kept whole; so nothing needs to be known of its scale.

    Parameters
    ----------
    one, other : Half
        Of frames that share neither noise nor objects.
    """
    window = _window(one.image.shape)
    a, b = (np.asarray(fft.rfft2(window * _filled(half.image))) for half in (one, other))
    ring, edges = _rings((one.image.shape[0], one.image.shape[1]))
    n = np.maximum(np.bincount(ring.ravel(), minlength=len(edges) - 1), 1)
    cross = _ring_sums(ring, (a * b.conj()).real, len(n)) / n
    total = one.weight + other.weight
    apart = one.weight * other.weight / total**2
    noise = apart * _ring_sums(ring, np.abs(a - b) ** 2, len(n)) / n
    error = 2 * noise / np.sqrt(n)
    signal = np.where(cross > LEAST_SIGMA * error, cross, 0.0)
    gain = np.divide(signal, signal + noise, out=np.zeros_like(signal), where=signal > 0)
    power = float(np.sum(window.astype(np.float64) ** 2))
    return Gain(gain, edges, float(np.sqrt(np.sum(noise * n) / np.sum(n) / power)))


def smooth(pattern: NDArray[np.float32], gain: Gain) -> NDArray[np.float32]:
    """The pattern with each frequency multiplied by its gain; NaN stays NaN.

    Beyond its edges it goes on oddly, with its slope: opposite edges must not meet.
    """
    wide = np.pad(_filled(pattern), PAD, mode="reflect", reflect_type="odd")
    spectrum = np.asarray(fft.rfft2(wide))
    spectrum *= gain.at(_radius(wide.shape))
    out = fft.irfft2(spectrum, s=wide.shape)[PAD:-PAD, PAD:-PAD]
    return np.where(np.isnan(pattern), np.float32(np.nan), out).astype(np.float32)


def without_large_scales(pattern: NDArray[np.float32], width: float) -> NDArray[np.float32]:
    """The pattern less its mean in a Gaussian of that sigma (pixels); NaN stays NaN.

    What is as wide belongs to the sky of each image, and is no more certain than that.
    """
    coarse = shrink(pattern, np.isfinite(pattern), STEP, least_part=0.1)
    known = np.isfinite(coarse)
    total = gaussian_filter(np.where(known, coarse, 0).astype(np.float32), width / STEP)
    weight = gaussian_filter(known.astype(np.float32), width / STEP)
    wide = total / np.maximum(weight, np.float32(1e-3))
    return pattern - expand(wide, (pattern.shape[0], pattern.shape[1]), STEP)


def _filled(pattern: NDArray[np.float32]) -> NDArray[np.float32]:
    """Holes filled from their neighbourhood, far inside by zero."""
    hole = np.isnan(pattern)
    if not hole.any():
        return pattern
    known = np.where(hole, 0, pattern).astype(np.float32)
    weight = gaussian_filter((~hole).astype(np.float32), FILL_SIGMA)
    near = gaussian_filter(known, FILL_SIGMA) / np.maximum(weight, np.float32(1e-3))
    return np.where(hole, near, pattern).astype(np.float32)


def _window(shape: tuple[int, ...]) -> NDArray[np.float32]:
    """Tapered edges: where opposite ones do not meet, they would spread over all frequencies."""
    rows, columns = (tukey(n + 2, min(1.0, 2 * TAPER / n))[1:-1] for n in shape)
    return (rows[:, None] * columns[None, :]).astype(np.float32)


def _radius(shape: tuple[int, ...]) -> NDArray[np.float32]:
    """Spatial frequency of each value of a real transform, cycles a pixel."""
    ky, kx = np.fft.fftfreq(shape[0]), np.fft.rfftfreq(shape[1])
    return np.hypot(ky[:, None], kx[None, :]).astype(np.float32)


def _rings(shape: tuple[int, int]) -> tuple[NDArray[Any], NDArray[Any]]:
    """Ring of each value of a real transform, and the rings' edges in cycles a pixel."""
    width = RING_MODES / min(shape)
    n = int(np.sqrt(0.5) / width) + 1
    ring = np.minimum((_radius(shape) / width).astype(np.intp), n - 1)
    return ring, width * np.arange(n + 1, dtype=np.float64)


def _ring_sums(ring: NDArray[Any], values: NDArray[np.float32], n: int) -> NDArray[Any]:
    return np.bincount(ring.ravel(), weights=values.ravel(), minlength=n)
