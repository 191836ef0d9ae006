"""The kinds of masters: what each is made from, needs and corrects. The one table of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

RAW, IMAGES, MASTERS = "raw", "images", "masters"
"""What a master is combined from: raw frames, detrended images, or other masters."""

FULL, DETRENDED, QUICK = "reduced", "detrended", "quicklook"
"""Profiles of the reduction; the profile is the kind of the product."""


@dataclass(frozen=True)
class MasterKind:
    """One kind of calibration frame.

    Days and numbers are defaults; `[calibration]` of survey.toml overrides them by kind.
    """

    name: str
    says: str
    """What it holds, in a phrase."""
    source: str
    """RAW, IMAGES or MASTERS."""
    obstype: str
    """Of the frames it is made from."""
    flat_kinds: tuple[str, ...] = ()
    """Of the flats it is made from."""
    is_per_filter: bool = False
    needs: tuple[str, ...] = ()
    """Kinds applied to its frames before they are combined, where there are any."""
    profiles: tuple[str, ...] = (FULL, DETRENDED, QUICK)
    """Images that it corrects."""
    wanted: int = 1
    cadence_days: float = 1.0
    """One is due for each such period with frames."""
    validity_days: float = 1.0
    fallback_days: float = 30.0
    crosses_interventions: bool = False
    """Whether one from before an intervention may be used after it, where nothing better is."""


_DETECTOR = ("BIAS", "DARK", "LINEARITY")

KINDS: Final[dict[str, MasterKind]] = {
    kind.name: kind
    for kind in (
        MasterKind(
            "BIAS", "zero-exposure structure, ADU", RAW, "bias",
            wanted=30, crosses_interventions=True,
        ),
        MasterKind(
            "DARK", "dark current, electrons a second", RAW, "dark",
            needs=("BIAS",), wanted=10, validity_days=30.0, fallback_days=90.0,
            crosses_interventions=True,
        ),
        MasterKind(
            "LINEARITY", "response of each amplifier against level", RAW, "flat", ("dome", "ramp"),
            needs=("BIAS", "DARK"), wanted=10, validity_days=365.0, fallback_days=365.0,
            crosses_interventions=True,
        ),
        MasterKind(
            "CROSSTALK", "ghosts of amplifiers in each other", RAW, "science",
            needs=_DETECTOR, profiles=(FULL, DETRENDED), wanted=20, cadence_days=30.0,
            validity_days=90.0, fallback_days=365.0, crosses_interventions=True,
        ),
        MasterKind(
            "FLAT", "response of pixels to the twilight sky", RAW, "flat", ("sky",),
            is_per_filter=True, needs=_DETECTOR, wanted=10,
        ),
        MasterKind(
            "DOMEFLAT", "response of pixels to the lamp", RAW, "flat", ("dome",),
            is_per_filter=True, needs=_DETECTOR, wanted=10,
        ),
        MasterKind(
            "BADPIXEL", "hot and cold pixels", MASTERS, "",
            needs=("BIAS", "DARK", "FLAT", "DOMEFLAT"), cadence_days=30.0, validity_days=30.0,
            fallback_days=365.0, crosses_interventions=True,
        ),
        MasterKind(
            "ILLUMINATION", "what the flat tells wrongly of large scales, mag", IMAGES, "science",
            is_per_filter=True, profiles=(FULL, QUICK), wanted=15, cadence_days=30.0,
            validity_days=365.0, fallback_days=365.0, crosses_interventions=True,
        ),
        MasterKind(
            "FRINGE", "interference of the night sky's lines in the CCD", IMAGES, "science",
            is_per_filter=True, needs=("ILLUMINATION",), profiles=(FULL,), wanted=15,
            cadence_days=15.0, validity_days=15.0, fallback_days=60.0,
            crosses_interventions=True,
        ),
        MasterKind(
            "PATTERN", "stray light with a fixed pattern", IMAGES, "science",
            is_per_filter=True, needs=("ILLUMINATION",), profiles=(FULL,), wanted=15,
            cadence_days=15.0, validity_days=15.0, fallback_days=30.0,
        ),
    )
}  # fmt: skip
"""In the order in which they are needed."""

STANDS_IN: Final = {"FLAT": "DOMEFLAT"}
"""The kind that is taken, with a warning, where there is none of the first."""


def of_profile(profile: str) -> tuple[str, ...]:
    """Names of the kinds that correct the images of a profile; one that only stands in is left
    out."""
    return tuple(
        name
        for name, kind in KINDS.items()
        if profile in kind.profiles and name not in STANDS_IN.values()
    )
