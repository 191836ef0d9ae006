"""What changed in a flat against the reference flat of its epoch: gains, illumination, dust."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import find_objects, gaussian_filter, label

from tesela.cameras import Camera
from tesela.errors import QualityError
from tesela.pixels import background
from tesela.pixels.blocks import binned, factor_to
from tesela.products.images import Master, card_dict
from tesela.products.monitor import AmpValue
from tesela.stages.masters.settings import StabilitySettings

QUIET, WARNING, ALARM = 0, 1, 2
WORK_PX: Final = 2400
"""Side of the binned ratio on which dust is looked for: 4 pixels a bin for T80Cam."""
SMOOTHING_PX: Final = 3.0
SMOOTHED_DEPTH: Final = 0.85
"""What the smoothing leaves of the depth of the smallest rings."""
LEAST_WILD: Final = 0.05
SHOWN_PX: Final = 1000
MESH_PX: Final = 192
CLIP_SIGMA: Final = 5.0
LEAST_FILLED: Final = 0.25
"""Part of its box that a compact region fills; a bad column fills less."""
MOST_DUST: Final = 50
FEWEST_FOR_A_PLANE: Final = 6
PLANE_PASSES: Final = 40
LEAST_AWAY: Final = 1e-5
HISTOGRAM_HALF: Final = 0.03
N_HISTOGRAM: Final = 241

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Dust:
    """A compact region that lost light (`depth` above zero: dust that came) or gained it."""

    x: float
    """Centre, 0-based pixels of the CCD."""
    y: float
    diameter_px: float
    depth: float
    """Largest change of the smoothed ratio, as a fraction."""
    significance: float


@dataclass(frozen=True)
class Stability:
    """A flat over the reference, normalised to a median of one."""

    alert: int
    """QUIET, WARNING or ALARM."""
    says: tuple[str, ...]
    """Why, a sentence each."""
    amp: tuple[int, ...]
    amp_ratio: Floats
    """Median of each amplifier over the plane through those of all; (n_amp,)."""
    amp_error: Floats
    amp_scatter: Floats
    """Robust scatter of the pixels; (n_amp,)."""
    tilt: tuple[float, float]
    """Slope of that plane along x and y, as a fraction from edge to edge: no alert, for the sky has
    gradients of its own."""
    radius_px: Floats
    """Mean radius of each ring; (n_rings,)."""
    radial_ratio: Floats
    radial_scatter: Floats
    dust: tuple[Dust, ...]
    ratio: NDArray[np.float32]
    """The ratio in blocks of `bin_px` pixels, NaN where no pixel can be used."""
    bin_px: int
    histogram: NDArray[np.int64]
    histogram_edges: Floats
    scatter: float
    """Robust scatter of the pixels."""
    expected_scatter: float
    """What the photons of both flats let expect; 0 if the masters do not tell."""
    n: int
    """Frames of the flat."""

    def monitored(self) -> list[AmpValue]:
        """For the monitors."""
        return [
            AmpValue(amp, "flat_ratio", float(ratio), float(error), self.n)
            for amp, ratio, error in zip(self.amp, self.amp_ratio, self.amp_error)
            if np.isfinite(ratio)
        ]


def stability(
    flat: Master, reference: Master, camera: Camera, settings: StabilitySettings
) -> Stability:
    """Compare a flat with the reference.

    An amplifier's change is told against a plane through all amplifiers that no single one of them
    can tilt, since the sky of every evening has another gradient. Rings of equal area around
    the centre tell of illumination. Dust is sought in the ratio smoothed by 3 px, against its own
    surroundings, with the amplifiers' changes taken out.

    Memory: the ratio and a few planes of its binned size. Raises `QualityError` if the two do not
    fit together or no pixel is good in both.
    """
    if flat.image.shape != reference.image.shape or flat.image.shape != camera.shape:
        raise QualityError(
            "flat stability",
            found=f"flats of shapes {flat.image.shape} and {reference.image.shape}",
            expected=f"{camera.shape}, that of the camera",
        )
    usable = (flat.mask == 0) & (reference.mask == 0) & (reference.image > 0) & (flat.image > 0)
    if not usable.any():
        raise QualityError("flat stability", found="no pixel good in both", expected="some")
    ratio = np.divide(
        flat.image, reference.image, out=np.ones(camera.shape, np.float32), where=usable
    )
    medians, scatters, counts = _amplifiers(ratio, usable, camera)
    middle = float(np.nanmedian(medians))
    ratio /= np.float32(middle)
    amp_ratio, amp_scatter = medians / middle, scatters / middle
    scatter = float(np.nanmedian(amp_scatter))
    changes, tilt = _without_tilt(amp_ratio, camera)
    radius, ring, ring_scatter = _rings(ratio, usable, camera, settings.radial_bins)
    show_px = factor_to(camera.shape, SHOWN_PX)
    shown = binned(ratio, usable, show_px)
    edges = 1 + np.linspace(-HISTOGRAM_HALF, HISTOGRAM_HALF, N_HISTOGRAM + 1)
    histogram = np.histogram(ratio[usable], edges)[0]
    for value, amp in zip(amp_ratio, camera.amplifiers):  # their steps would pass for dust
        if np.isfinite(value):
            ratio[amp.dest.slices] /= np.float32(value)
    dust = _dust(ratio, usable, scatter, settings)
    n = int(card_dict(flat.cards).get("NCOMBINE") or 0)
    own, old = (float(card_dict(m.cards).get("MSTNOISE") or 0) for m in (flat, reference))
    alert, says = _judge(tuple(a.id for a in camera.amplifiers), changes, ring, dust, settings)
    return Stability(
        alert,
        says,
        tuple(a.id for a in camera.amplifiers),
        changes,
        1.2533 * amp_scatter / np.sqrt(np.maximum(counts, 1)),  # of a median
        amp_scatter,
        tilt,
        radius,
        ring,
        ring_scatter,
        dust,
        shown,
        show_px,
        histogram,
        edges,
        scatter,
        float(np.hypot(own, old)),
        n,
    )


def _amplifiers(
    ratio: NDArray[np.float32], usable: NDArray[np.bool_], camera: Camera
) -> tuple[Floats, Floats, Floats]:
    """Median, robust scatter and number of the usable pixels of each amplifier."""
    out = np.full((3, len(camera.amplifiers)), np.nan)
    for k, amp in enumerate(camera.amplifiers):
        values = ratio[amp.dest.slices][usable[amp.dest.slices]]
        out[2, k] = values.size
        if values.size:
            out[0, k] = np.median(values)
            out[1, k] = 1.4826 * np.median(np.abs(values - np.float32(out[0, k])))
    return out[0], out[1], out[2]


def _without_tilt(ratio: Floats, camera: Camera) -> tuple[Floats, tuple[float, float]]:
    """The amplifiers over the plane of least absolute deviations through them, and its slopes.

    With fewer than six amplifiers a plane could follow any of them: none is taken.
    """
    known = np.isfinite(ratio)
    if np.count_nonzero(known) < FEWEST_FOR_A_PLANE:
        return ratio, (0.0, 0.0)
    dest = camera.sections("dest")
    x = (dest[:, 0] + dest[:, 1]) / (2 * camera.nx) - 0.5
    y = (dest[:, 2] + dest[:, 3]) / (2 * camera.ny) - 0.5
    design = np.stack([np.ones_like(x), x, y], axis=1)
    away = ratio - 1
    plane: Floats = np.zeros(3)
    for _ in range(PLANE_PASSES):  # least squares, weighted to least absolute deviations
        weight = 1 / np.sqrt(np.maximum(np.abs(away - design @ plane), LEAST_AWAY))[known]
        scaled = design[known] * weight[:, None]
        plane = np.asarray(
            np.linalg.lstsq(scaled, away[known] * weight, rcond=None)[0], dtype=np.float64
        )
    return ratio / (1 + design @ plane), (float(plane[1]), float(plane[2]))


def _rings(
    ratio: NDArray[np.float32], usable: NDArray[np.bool_], camera: Camera, n: int
) -> tuple[Floats, Floats, Floats]:
    """Mean radius, median ratio and scatter in rings of equal area of the CCD's circle."""
    step = max(1, factor_to(camera.shape, WORK_PX) // 2)
    y, x = np.ogrid[: camera.ny : step, : camera.nx : step]
    r2 = (y - 0.5 * (camera.ny - 1)) ** 2 + (x - 0.5 * (camera.nx - 1)) ** 2
    index = np.minimum((n * r2 / r2.max()).astype(np.int64), n - 1)
    good, values = usable[::step, ::step], ratio[::step, ::step]
    out = np.full((3, n), np.nan)
    for k in range(n):
        here = good & (index == k)
        if not here.any():
            continue
        out[0, k] = np.sqrt(np.mean(r2[here]))
        out[1, k] = np.median(values[here])
        out[2, k] = 1.4826 * np.median(np.abs(values[here] - np.float32(out[1, k])))
    return out[0], out[1] / np.nanmedian(values[good]), out[2]


def _dust(
    ratio: NDArray[np.float32],
    usable: NDArray[np.bool_],
    scatter: float,
    settings: StabilitySettings,
) -> tuple[Dust, ...]:
    """Compact regions of the smoothed ratio that stand out, the deepest first."""
    bin_px = factor_to(ratio.shape, WORK_PX)
    sane = usable & (np.abs(ratio - 1) <= max(CLIP_SIGMA * scatter, LEAST_WILD))
    coarse = binned(ratio, sane, bin_px)
    away, known = _smooth(coarse, max(SMOOTHING_PX / bin_px, 0.75))
    surroundings = background.measure(away, ~known, mesh_px=MESH_PX // bin_px, filter_meshes=5)
    away = np.where(known, away - surroundings.level(), np.float32(0))
    noise = 1.4826 * float(np.median(np.abs(away[known])))
    limit = max(SMOOTHED_DEPTH * settings.dust_depth, settings.dust_sigma * noise)
    found = []
    for sign in (-1, 1):  # less light first: dust that came
        found += [
            replace(region, depth=-sign * region.depth)
            for region in _regions(sign * away, limit, noise, bin_px, settings)
        ]
    return tuple(sorted(found, key=lambda d: -abs(d.depth))[:MOST_DUST])


def _smooth(
    coarse: NDArray[np.float32], sigma: float
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """The mean of what is known around each pixel, less one, and where most of it is known."""
    there = np.isfinite(coarse)
    weight = gaussian_filter(there.astype(np.float32), sigma, mode="constant")
    full = gaussian_filter(np.ones_like(coarse), sigma, mode="constant")
    total = gaussian_filter(np.where(there, coarse - 1, 0), sigma, mode="constant")
    known = weight > 0.5 * full
    return np.where(known, total / np.maximum(weight, 1e-6), 0).astype(np.float32), known


def _regions(
    away: NDArray[np.float32], limit: float, noise: float, bin_px: int, settings: StabilitySettings
) -> list[Dust]:
    """Connected pixels above half the limit, of which some reach it, of the right size."""
    labels, n = label(away > max(0.5 * limit, 3 * noise))
    if not n:
        return []
    low, high = settings.dust_px
    found = []
    for k, box in enumerate(find_objects(labels), 1):
        values = np.where(labels[box] == k, away[box], 0)
        peak = float(values.max())
        inside = values > 0.5 * peak  # its size is that at half of its depth
        y, x = np.nonzero(inside)
        height, width = np.ptp(y) + 1, np.ptp(x) + 1
        side = max(height, width)
        if peak < limit or not low <= side * bin_px <= high:
            continue
        if inside.sum() < LEAST_FILLED * side**2:
            continue
        # The middle of the outline: a ring is not centred on its deepest part.
        y0 = box[0].start + y.min() + 0.5 * height
        x0 = box[1].start + x.min() + 0.5 * width
        found.append(
            Dust(
                float(x0 * bin_px - 0.5),
                float(y0 * bin_px - 0.5),
                float(side * bin_px),
                peak,
                peak / max(noise, 1e-9),
            )
        )
    return found


def _judge(
    ids: tuple[int, ...],
    amp_ratio: Floats,
    ring: Floats,
    dust: tuple[Dust, ...],
    settings: StabilitySettings,
) -> tuple[int, tuple[str, ...]]:
    alert, says = QUIET, []
    for amp, ratio in zip(ids, amp_ratio):
        change = ratio - 1
        if abs(change) >= settings.warn:
            alert = max(alert, ALARM if abs(change) >= settings.alarm else WARNING)
            says.append(
                f"amplifier {amp} changed by {100 * change:+.2f} % against the whole CCD "
                f"(warning at {100 * settings.warn:g} %, alarm at {100 * settings.alarm:g} %)"
            )
    span = float(np.nanmax(ring) - np.nanmin(ring)) if np.isfinite(ring).any() else 0.0
    if span >= settings.warn:
        alert = max(alert, ALARM if span >= settings.alarm else WARNING)
        says.append(
            f"the illumination changed with the radius by {100 * span:.2f} % "
            f"(warning at {100 * settings.warn:g} %, alarm at {100 * settings.alarm:g} %)"
        )
    for each in dust:
        alert = ALARM
        what = "new dust" if each.depth > 0 else "dust went away"
        says.append(
            f"{what} at x = {each.x:.0f}, y = {each.y:.0f}: {each.diameter_px:.0f} px wide, "
            f"{100 * abs(each.depth):.2f} % deep"
        )
    return alert, tuple(says)
