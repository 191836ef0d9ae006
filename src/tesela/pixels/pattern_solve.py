"""One pattern and its amplitude in each of many images of the sky."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from tesela.errors import QualityError
from tesela.pixels import background, combine, robust
from tesela.pixels.pattern import NOTHING, Amplitude, regress
from tesela.pixels.pattern_smooth import Gain, Half, gain_of, smooth, without_large_scales

Plane = NDArray[np.float32]
PRIOR_SCATTER = 0.3
FIRST_RANGE = (0.2, 5.0)
UNUSUAL_SIGMA = 3.0
WIDE = 2.0
"""Means of the pattern within a Gaussian of mesh / WIDE are taken for sky."""


@dataclass
class SkyPlane:
    """A frame in blocks of pixels: first with its sky, then without.

    Attributes
    ----------
    name : str
    field : int
        Number of its field.
    image : (ny, nx) float32
        Electrons, NaN = no data. `solve` takes the large scales from it, in place.
    level : float
        Sky, electrons a pixel.
    gradient : float
        Range of the sky's mesh over its level.
    noise : float
        Of a block, relative to the level.
    amplitude : Amplitude
        Of the pattern, relative to the sky.
    scale : float
        The amplitude that is used: the measured one where it is certain, 1 where it is not.
    """

    name: str
    field: int
    image: Plane
    level: float = 0.0
    gradient: float = 0.0
    noise: float = 0.0
    amplitude: Amplitude = NOTHING
    scale: float = 1.0


@dataclass
class Solved:
    """A pattern relative to the sky, in blocks of pixels.

    Attributes
    ----------
    image : (ny, nx) float32
        Mean 0, NaN where too few frames have data.
    count : (ny, nx) uint16
        Frames a block.
    gain : Gain
        What was kept of each spatial frequency.
    agreement : Amplitude
        Of the pattern of one half of the fields in that of the other: 1 if they agree.
    rejected : dict of str to str
        Frames left out while solving, with the reason.
    """

    image: Plane
    count: NDArray[np.uint16]
    gain: Gain
    agreement: Amplitude
    rejected: dict[str, str] = field(default_factory=dict)

    @property
    def noise_rms(self) -> float:
        """Of the smoothed pattern, relative to the sky."""
        return self.gain.noise_rms * self.gain.noise_kept


def take_sky(plane: SkyPlane, mesh: int) -> None:
    """Subtract the large scales of a frame and note its level and gradient.

    mesh : int
        Side of a cell of the sky's mesh, in blocks.

    Raises `QualityError` where no cell is free enough.
    """
    sky = background.measure(plane.image, None, mesh_px=mesh)
    plane.level = sky.median_level
    plane.gradient = float(np.ptp(sky.mesh_level)) / max(plane.level, 1e-6)
    plane.image -= sky.level()


def solve(
    planes: Sequence[SkyPlane],
    *,
    mesh: int,
    cell: int,
    clip_sigma: float = 3.0,
    iterations: int = 3,
    least_count: int = 3,
    amplitude_range: tuple[float, float] = (0.3, 3.0),
) -> Solved:
    """Pattern and amplitudes, each from the other, a few times.

    An image without its large scales is level * (amplitude * pattern) + noise. From equal
    amplitudes: combine the images over level and amplitude, weighted by their noise; take the
    noise from the pattern (`pattern_smooth`); find the amplitude of every frame by regression on
    it; measure again, without the pattern, what the mesh took for sky; and so on. Amplitudes have
    the median 1. One that is not certain is drawn to 1 with a prior of 30 %; a frame whose
    amplitude is certainly outside `amplitude_range` is left out (clouds that glow, the wrong
    filter).

    Parameters
    ----------
    planes : sequence of SkyPlane
        After `take_sky`; changed in place.
    mesh : int
        Side of a cell of the sky's mesh, in blocks.
    cell : int
        Side of a cell of the regression, in blocks.
    clip_sigma : float
        Of `combine.clipped_mean`.
    iterations : int
    least_count : int
        A block with fewer values has no pattern.
    amplitude_range : (float, float)

    Returns
    -------
    Solved
        Memory: the planes, two more planes of them, and n x 256 rows.

    Raises
    ------
    QualityError
        Fewer than two frames are left.
    """
    used, rejected = list(planes), dict[str, str]()
    for plane in used:
        plane.noise = _rms(plane.image) / plane.level
    pattern = _solved(used, mesh, clip_sigma, least_count)
    for n in range(iterations):
        _fit(used, pattern, cell)
        unusual = _unusual(used, FIRST_RANGE if n == 0 else amplitude_range)
        rejected.update(unusual)
        used = [plane for plane in used if plane.name not in unusual]
        _scale(used)
        for plane in used:
            _take_sky_again(plane, pattern.image, mesh)
        pattern = _solved(used, mesh, clip_sigma, least_count)
    pattern.agreement = _agreement(used, mesh, cell, clip_sigma)
    _fit(used, pattern, cell)
    _scale(used)
    pattern.rejected = rejected
    return pattern


def _solved(used: Sequence[SkyPlane], mesh: int, clip_sigma: float, least_count: int) -> Solved:
    """Combine, compare two halves, smooth, set the mean to 0."""
    if len(used) < 2:
        raise QualityError(
            "pattern of the sky",
            found=f"{len(used)} frames left",
            expected="two or more in which it has a like amplitude",
            do="look at the amplitudes of the frames",
        )
    both = _combined(used, clip_sigma)
    image = _structure(both, min(least_count, len(used)), mesh)
    gain = gain_of(*(_half(part, mesh, clip_sigma) for part in _halves(used)))
    image = smooth(image, gain)
    if np.isfinite(image).any():
        image -= np.float32(np.nanmean(image, dtype=np.float64))
    return Solved(image, both.count, gain, NOTHING)


def _combined(used: Sequence[SkyPlane], clip_sigma: float) -> combine.Combined:
    scale = np.array([1.0 / (plane.level * plane.scale) for plane in used])
    noise = np.array([plane.noise / plane.scale for plane in used])
    return combine.clipped_mean(
        [plane.image for plane in used],
        clip_sigma=clip_sigma,
        scale=scale,
        variance=noise**2,
        noise=noise,
    )


def _structure(combined: combine.Combined, least_count: int, mesh: int) -> Plane:
    image = np.where(combined.count >= least_count, combined.image, np.float32(np.nan))
    return without_large_scales(image, mesh / WIDE)


def _half(part: Sequence[SkyPlane], mesh: int, clip_sigma: float) -> Half:
    weight = sum((plane.scale / plane.noise) ** 2 for plane in part)
    return Half(_structure(_combined(part, clip_sigma), 1, mesh), float(weight))


def _halves(used: Sequence[SkyPlane]) -> tuple[list[SkyPlane], list[SkyPlane]]:
    """Two like halves that share no field; of a single field, every other frame."""
    groups: dict[int, list[SkyPlane]] = {}
    for plane in used:
        groups.setdefault(plane.field, []).append(plane)
    parts = sorted(groups.values(), key=len, reverse=True)
    if len(parts) == 1:
        parts = [[plane] for plane in used]
    one: list[SkyPlane] = []
    other: list[SkyPlane] = []
    for part in parts:
        (one if len(one) <= len(other) else other).extend(part)
    return one, other


def _agreement(used: Sequence[SkyPlane], mesh: int, cell: int, clip_sigma: float) -> Amplitude:
    """The pattern of one half of the fields, sought in the other half."""
    one, other = (_half(part, mesh, clip_sigma) for part in _halves(used))
    return regress(other.image, smooth(one.image, gain_of(one, other)), cell=cell)


def _fit(used: Sequence[SkyPlane], pattern: Solved, cell: int) -> None:
    for plane in used:
        found = regress(plane.image, pattern.image, cell=cell)
        plane.amplitude = Amplitude(found.value / plane.level, found.error / plane.level, found.n)


def _scale(used: Sequence[SkyPlane]) -> None:
    """Scales for the next round, median 1; those of uncertain amplitudes drawn to 1."""
    for plane in used:
        certainty = PRIOR_SCATTER**2 / (PRIOR_SCATTER**2 + plane.amplitude.error**2)
        plane.scale = max(1.0 + certainty * (plane.amplitude.value - 1.0), FIRST_RANGE[0])
    middle = float(np.median([plane.scale for plane in used])) if used else 1.0
    for plane in used:
        plane.scale /= middle


def _unusual(used: Sequence[SkyPlane], within: tuple[float, float]) -> dict[str, str]:
    """Frames in which the pattern is certainly too weak or too strong beside the others.

    The first pattern is as weak as frames without any, and the smoothing, have made it: only the
    ratio to the median frame counts.
    """
    low, high = within
    middle = float(np.median([plane.amplitude.value for plane in used]))
    said: dict[str, str] = {}
    if not middle > 0:
        return said
    for plane in used:
        value, error = plane.amplitude.value / middle, plane.amplitude.error / middle
        margin = UNUSUAL_SIGMA * error
        if value + margin < low or value - margin > high:
            said[plane.name] = (
                f"amplitude {value:.2f} +- {error:.2f} of that of most frames, "
                f"outside {low:g} to {high:g}"
            )
    return said


def _take_sky_again(plane: SkyPlane, pattern: Plane, mesh: int) -> None:
    """Subtract what the mesh shows once the pattern is gone; the noise is what is left."""
    left = plane.image - np.float32(plane.level * plane.scale) * np.nan_to_num(pattern)
    sky = background.measure(left, None, mesh_px=mesh).level()
    plane.image -= sky
    plane.noise = _rms(left - sky) / plane.level


def _rms(image: Plane) -> float:
    """Robust, from a sample of rows."""
    sample = image[:: max(1, image.shape[0] // 256)]
    sample = sample[np.isfinite(sample)]
    return max(robust.sigma(sample), 1e-9)
