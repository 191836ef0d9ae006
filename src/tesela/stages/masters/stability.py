"""What changed in a flat against the reference flat of its epoch: gains, illumination, dust."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from tesela.cameras import Camera
from tesela.errors import QualityError
from tesela.pixels import flatchange, robust
from tesela.pixels.blocks import binned, factor_to
from tesela.pixels.flatchange import Dust, DustLimits, Large
from tesela.products.images import Master, card_dict
from tesela.products.monitor import WHOLE_CCD, AmpValue
from tesela.stages.masters.settings import StabilitySettings

__all__ = ["ALARM", "QUIET", "WARNING", "Dust", "Stability", "stability"]

QUIET, WARNING, ALARM = 0, 1, 2
SHOWN_PX: Final = 1000
HISTOGRAM_HALF: Final = 0.03
N_HISTOGRAM: Final = 241

Floats = NDArray[np.float64]


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
    """Slope of that plane along x and y, as a fraction from edge to edge; its limits are wide, for
    the sky has gradients of its own."""
    step: tuple[float, float]
    """Upper half of the CCD over the lower one, minus one, along x and y; 0 where it is below a
    warning. It is part of `amp_ratio`."""
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
        ratios = [
            AmpValue(amp, "flat_ratio", float(ratio), float(error), self.n)
            for amp, ratio, error in zip(self.amp, self.amp_ratio, self.amp_error)
            if np.isfinite(ratio)
        ]
        deepest = max((abs(each.depth) for each in self.dust), default=0.0)
        return [*ratios, AmpValue(WHOLE_CCD, "flat_dust", float(deepest), n=self.n)]


def stability(
    flat: Master, reference: Master, camera: Camera, settings: StabilitySettings
) -> Stability:
    """Compare a flat with the reference.

    An amplifier's change is told against a plane through all amplifiers that no single one of them
    can tilt, since the sky of every evening has another gradient. Before the plane takes it, a step
    between two halves of the CCD is looked for, as a read-out board would make. Rings of equal area
    around the centre tell of illumination. Dust is sought in the ratio, binned to 2400 pixels a
    side at the most and smoothed, against its own surroundings, with the amplifiers' changes taken
    out.

    Memory: the ratio and a few planes of its binned size. T80Cam's 85 million pixels take 6 s, of
    which dust 1 s, on 4 x 4 bins. Raises `QualityError` if the two do not
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
    dest = camera.sections("dest")
    large = flatchange.large(ratio, usable, dest, amp_ratio, least_step=settings.warn)
    x, y = flatchange.centres(dest, camera.shape)
    changes = amp_ratio / (1 + large.at(x, y, steps=False))
    radius, ring, ring_scatter = flatchange.rings(ratio, usable, settings.radial_bins)
    show_px = factor_to(camera.shape, SHOWN_PX)
    shown = binned(ratio, usable, show_px)
    edges = 1 + np.linspace(-HISTOGRAM_HALF, HISTOGRAM_HALF, N_HISTOGRAM + 1)
    histogram = np.histogram(ratio[usable], edges)[0]
    for value, amp in zip(amp_ratio, camera.amplifiers):  # their steps would pass for dust
        if np.isfinite(value):
            ratio[amp.dest.slices] /= np.float32(value)
    dust = flatchange.dust(ratio, usable, scatter, _dust_limits(settings, camera))
    n = int(card_dict(flat.cards).get("NCOMBINE") or 0)
    own, old = (float(card_dict(m.cards).get("MSTNOISE") or 0) for m in (flat, reference))
    alone = amp_ratio / (1 + large.at(x, y))
    ids = tuple(a.id for a in camera.amplifiers)
    alert, says = _judge(ids, alone, large, ring, dust, settings)
    return Stability(
        alert,
        says,
        ids,
        changes,
        robust.MEDIAN_ERROR * amp_scatter / np.sqrt(np.maximum(counts, 1)),  # of a median
        amp_scatter,
        large.tilt,
        large.step,
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
            out[1, k] = robust.sigma(values, out[0, k])
    return out[0], out[1], out[2]


def _dust_limits(settings: StabilitySettings, camera: Camera) -> DustLimits:
    largest = settings.dust_share * min(camera.shape)
    return DustLimits(settings.dust_depth, settings.dust_px, largest, settings.dust_sigma)


def _judge(
    ids: tuple[int, ...],
    amp_ratio: Floats,
    large: Large,
    ring: Floats,
    dust: tuple[Dust, ...],
    settings: StabilitySettings,
) -> tuple[int, tuple[str, ...]]:
    """The alert, and a sentence for each change that is beyond its limit."""
    found: list[tuple[int, str]] = []
    warn, alarm = settings.warn, settings.alarm

    def hold(change: float, what: str, warn: float = warn, alarm: float = alarm) -> None:
        if abs(change) >= warn:
            limits = f"(warning at {100 * warn:g} %, alarm at {100 * alarm:g} %)"
            found.append((ALARM if abs(change) >= alarm else WARNING, f"{what} {limits}"))

    for amp, ratio in zip(ids, amp_ratio):
        change = ratio - 1
        hold(change, f"amplifier {amp} changed by {100 * change:+.2f} % against the whole CCD")
    for change, which, other in zip(large.step, ("right", "upper"), ("left", "lower")):
        hold(change, f"the {which} half of the CCD changed by {100 * change:+.2f} % against the "
             f"{other} one: a read-out board?")  # fmt: skip
    tilt_x, tilt_y = large.tilt
    hold(
        float(np.hypot(tilt_x, tilt_y)),
        f"the light is tilted by {100 * tilt_x:+.2f} % in x and {100 * tilt_y:+.2f} % in y from "
        "edge to edge",
        settings.tilt_warn,
        settings.tilt_alarm,
    )
    if np.isfinite(ring).any():
        span = float(np.nanmax(ring) - np.nanmin(ring))
        hold(span, f"the illumination changed with the radius by {100 * span:.2f} %")
    for each in dust:
        what = "new dust" if each.depth > 0 else "dust went away"
        found.append(
            (
                ALARM,
                f"{what} at x = {each.x:.0f}, y = {each.y:.0f}: {each.diameter_px:.0f} px wide, "
                f"{100 * abs(each.depth):.2f} % deep",
            )
        )
    return max((level for level, _ in found), default=QUIET), tuple(says for _, says in found)
