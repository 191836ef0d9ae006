"""Whether a frame is what an observer wants: the outcome of the quick look, with its reasons."""

from __future__ import annotations

import math
from typing import Any, Final

from tesela.stages.reduce.exposed import Exposed
from tesela.stages.reduce.quick_settings import QuickOutputs, QuickSettings

ALWAYS: Final = {
    "science": (
        "fwhm_arcsec", "ellipticity", "sky_e", "sky_rms_e", "zeropoint_mag", "transparency",
        "n_sources",
    ),
}  # fmt: skip
"""Metrics that are there for every frame of a type, None where nothing could be measured."""


def judge(
    found: QuickOutputs,
    seen: Exposed,
    obstype: str,
    settings: QuickSettings,
    usual_zeropoint_mag: float | None,
) -> None:
    """Add the transparency, the reasons not to pass, and what else should be known.

    A frame of which something could not be measured has its reason already.
    """
    metrics = found.metrics
    if obstype == "science" and metrics.get("transparency") is None:
        # The survey does not say what a clear night is: earlier frames do.
        metrics["transparency"] = transparency(metrics.get("zeropoint_mag"), usual_zeropoint_mag)
    for name in ALWAYS.get(obstype, ()):
        metrics.setdefault(name, None)
    reasons = [*_of_exposure(seen, obstype, settings), *_of_sky(metrics, settings)]
    found.rejections[:0] = reasons
    if seen.dead:
        numbers = ", ".join(map(str, seen.dead))
        found.warnings.append(f"no noise in amplifier {numbers}: it is dead or was not read")


def transparency(zeropoint_mag: float | None, usual_mag: float | None) -> float | None:
    """Light that arrived, over that of a clear night in the same filter."""
    if zeropoint_mag is None or usual_mag is None:
        return None
    return float(10 ** (0.4 * (zeropoint_mag - usual_mag)))


def _of_exposure(seen: Exposed, obstype: str, settings: QuickSettings) -> list[str]:
    reasons = []
    if seen.fraction_saturated > settings.max_saturated:
        found, limit = 100 * seen.fraction_saturated, 100 * settings.max_saturated
        reasons.append(f"{found:.0f} % of the pixels are saturated, allowed are {limit:.0f} %")
    level = float(seen.metrics()["level_adu"])
    low, high = settings.flat_level_adu
    if obstype == "flat" and not low <= level <= high:
        reasons.append(f"a flat of {level:.0f} ADU, wanted are {low:.0f} to {high:.0f}")
    return reasons


def _of_sky(metrics: dict[str, Any], settings: QuickSettings) -> list[str]:
    reasons = []
    fwhm, light = metrics.get("fwhm_arcsec"), metrics.get("transparency")
    if fwhm is not None and 0 < settings.max_fwhm_arcsec < fwhm:
        reasons.append(f"seeing {fwhm:.2f} arcsec, allowed is {settings.max_fwhm_arcsec:g}")
    if light is not None and light < settings.min_transparency and math.isfinite(light):
        reasons.append(
            f"clouds: {100 * light:.0f} % of the light of a clear night, wanted are "
            f"{100 * settings.min_transparency:.0f} %"
        )
    return reasons
