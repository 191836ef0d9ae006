"""Does a new master agree with its predecessor? The gates before it is certified."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from tesela.products.images import Master, card_dict
from tesela.stages.masters.settings import BiasSettings, FlatSettings


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
    good = (master.mask == 0) & (previous.mask == 0)
    difference = (master.image - previous.image)[good]
    limit = settings.compare_sigma * np.hypot(noise_adu, old_noise)
    fraction = float(np.mean(np.abs(difference) < limit))
    agreement = Agreement(
        {
            "compared": True,
            "fraction_within": fraction,
            "median_difference_adu": float(np.median(difference)),
        }
    )
    if fraction < settings.compare_fraction:
        agreement.reasons.append(
            f"{100 * fraction:.1f} % of the pixels within {settings.compare_sigma:g} sigma of the "
            f"previous master, {100 * settings.compare_fraction:.0f} % needed"
        )
    return agreement


def flats(master: Master, previous: Master | None, settings: FlatSettings) -> Agreement:
    """A flat agrees when its ratio to the predecessor scatters little and is one in the middle."""
    if previous is None:
        return Agreement({"compared": False})
    good = (master.mask == 0) & (previous.mask == 0) & (previous.image > 0)
    ratio = master.image[good] / previous.image[good]
    middle = float(np.median(ratio))
    scatter = float(1.4826 * np.median(np.abs(ratio - middle)))
    agreement = Agreement({"compared": True, "median_ratio": middle, "scatter_ratio": scatter})
    for name, value in (("median", abs(middle - 1)), ("scatter", scatter)):
        if value > settings.change:
            agreement.reasons.append(
                f"{name} of the ratio to the previous master differs by {100 * value:.2f} %, "
                f"{100 * settings.change:.2f} % allowed"
            )
    return agreement
