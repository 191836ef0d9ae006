"""Does a new master agree with its predecessor? The gates before it is certified."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tesela.cameras import Camera
from tesela.pixels import flatcheck, framestats, robust
from tesela.products.images import Master, card_dict
from tesela.stages.masters.calibrate import Measured
from tesela.stages.masters.settings import (
    BadPixelSettings,
    BiasSettings,
    DarkSettings,
    FlatSettings,
)


@dataclass
class Agreement:
    """Numbers of the comparison and the reasons why it failed, if it did."""

    metrics: dict[str, Any] = field(default_factory=dict)
    reasons: list[str] = field(default_factory=list)


def biases(
    master: Master, previous: Master | None, noise_adu: float, settings: BiasSettings
) -> Agreement:
    """A bias agrees when enough pixels lie within so many sigma of the predecessor."""
    if previous is None:
        return Agreement({"compared": False})
    old_noise = float(card_dict(previous.cards).get("MSTNOISE") or noise_adu)
    new, old, good = _samples(master, previous)
    if not good.any():
        return _nothing_in_common()
    difference = (new - old)[good]
    limit = settings.compare_sigma * np.hypot(noise_adu, old_noise)
    fraction = float(np.mean(np.abs(difference) < limit))
    agreement = Agreement(
        {
            "compared": True,
            "fraction_within": fraction,
            "median_difference_adu": float(np.median(difference)),
        }
    )
    if not fraction >= settings.compare_fraction:
        agreement.reasons.append(
            f"{100 * fraction:.1f} % of the pixels within {settings.compare_sigma:g} sigma of the "
            f"previous master, {100 * settings.compare_fraction:.0f} % needed"
        )
    return agreement


def darks(
    master: Master, previous: Master | None, camera: Camera, settings: DarkSettings
) -> Agreement:
    """A dark agrees when no amplifier's current has changed by much."""
    if previous is None:
        return Agreement({"compared": False})
    dest = camera.sections("dest")
    away = framestats.medians(master.image, dest) - framestats.medians(previous.image, dest)
    worst = int(np.argmax(np.abs(away)))
    agreement = Agreement({"compared": True, "largest_change_e_per_s": float(away[worst])})
    if not abs(away[worst]) <= settings.change_e_per_s:
        agreement.reasons.append(
            f"dark current of amplifier {camera.amplifiers[worst].id} differs from the previous "
            f"master's by {away[worst]:+.3f} electrons a second, "
            f"{settings.change_e_per_s:g} allowed"
        )
    return agreement


def flats(
    master: Master, previous: Master | None, camera: Camera, settings: FlatSettings
) -> Agreement:
    """A flat agrees when its ratio to the predecessor scatters little and is one: in the middle, in
    every amplifier and on large scales."""
    if previous is None:
        return Agreement({"compared": False})
    new, old, good = _samples(master, previous)
    good &= old > 0
    if not good.any():
        return _nothing_in_common()
    ratio = new[good] / old[good]
    middle = float(np.median(ratio))
    scatter = robust.sigma(ratio, middle)
    amplifiers = _amplifier_ratios(master, previous, camera)
    worst = int(np.argmax(np.abs(amplifiers - 1)))
    shape = flatcheck.departure(_cell_levels(master), _cell_levels(previous))
    agreement = Agreement(
        {
            "compared": True,
            "median_ratio": middle,
            "scatter_ratio": scatter,
            "amplifier_ratios": [
                round(float(value), 5) if np.isfinite(value) else None for value in amplifiers
            ],
            "shape_ratio": shape,
        }
    )
    name = f"median in amplifier {camera.amplifiers[worst].id}"
    for what, value, allowed in (
        ("median", abs(middle - 1), settings.change),
        ("scatter", scatter, settings.change),
        (name, abs(amplifiers[worst] - 1), settings.change_amplifier),
        ("large-scale light", shape, settings.change_shape),
    ):
        if not value <= allowed:
            agreement.reasons.append(
                f"{what} of the ratio to the previous master differs by {100 * value:.2f} %, "
                f"{100 * allowed:.2f} % allowed"
            )
    return agreement


def bad_pixels(
    mask: NDArray[np.uint8], previous: Master | None, settings: BadPixelSettings
) -> Agreement:
    """A list of bad pixels agrees when the detector has few of them, and few others than before."""
    fraction = float(np.count_nonzero(mask)) / mask.size
    agreement = Agreement({"fraction_bad": fraction, "compared": previous is not None})
    if not fraction <= settings.max_fraction:
        agreement.reasons.append(
            f"{100 * fraction:.2f} % of the pixels are bad, "
            f"{100 * settings.max_fraction:.2f} % allowed"
        )
    if previous is not None:
        new, old = mask > 0, previous.mask > 0
        n_new, n_gone = int(np.count_nonzero(new & ~old)), int(np.count_nonzero(old & ~new))
        agreement.metrics |= {"n_new": n_new, "n_gone": n_gone}
        changed = (n_new + n_gone) / mask.size
        if not changed <= settings.change:
            agreement.reasons.append(
                f"{n_new} bad pixels are new and {n_gone} are gone since the previous master, "
                f"{100 * settings.change:.2f} % of all pixels allowed"
            )
    return agreement


def _nothing_in_common() -> Agreement:
    return Agreement({"compared": True}, ["no pixel is good in this and in the previous master"])


def clipped_fractions(
    frames: Sequence[Measured[Any]], clipped: NDArray[np.int64], n_pixels: int
) -> dict[str, float]:
    """The part of each frame's pixels that was left out: which frame was bad, if any."""
    return {frame.name: round(float(n) / n_pixels, 6) for frame, n in zip(frames, clipped)}


def _samples(
    master: Master, previous: Master
) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.bool_]]:
    """Evenly spread pixels of both, and which of them are good in both."""
    good = (framestats.sample(master.mask) == 0) & (framestats.sample(previous.mask) == 0)
    return framestats.sample(master.image), framestats.sample(previous.image), good


def _amplifier_ratios(master: Master, previous: Master, camera: Camera) -> NDArray[np.float64]:
    """Median ratio of each amplifier, from evenly spread pixels; NaN where none is good in both."""
    n = framestats.SAMPLE // len(camera.amplifiers)
    found = []
    for amp in camera.amplifiers:
        new, old = (framestats.sample(m.image[amp.dest.slices], n) for m in (master, previous))
        good = framestats.sample(master.mask[amp.dest.slices], n) == 0
        good &= (framestats.sample(previous.mask[amp.dest.slices], n) == 0) & (old > 0)
        found.append(float(np.median(new[good] / old[good])) if good.any() else np.nan)
    return np.array(found)


def _cell_levels(master: Master) -> NDArray[np.float32]:
    return flatcheck.cells(master.image, master.mask > 0).level
