"""What a quick look found, as people read it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

_SHOWN = (
    ("fwhm_arcsec", "seeing", "{:.2f} arcsec"),
    ("ellipticity", "ellipticity", "{:.3f}"),
    ("sky_e", "sky", "{:z.0f} e-"),
    ("zeropoint_mag", "zero point", "{:.3f} mag"),
    ("transparency", "transparency", "{:.0%}"),
    ("level_adu", "level", "{:z.0f} ADU"),
    ("readnoise_e", "read noise", "{:.1f} e-"),
    ("fraction_saturated", "saturated", "{:.3%}"),
)
_OF_DETECTOR = ("level_adu", "readnoise_e")
"""Of a frame with a sky they tell nothing new."""


def numbers(metrics: Mapping[str, Any]) -> Iterator[str]:
    """The numbers that matter, word and unit with each; what was not measured is left out."""
    has_sky = metrics.get("sky_e") is not None
    for name, word, form in _SHOWN:
        value = metrics.get(name)
        if value is not None and not (name in _OF_DETECTOR and has_sky):
            yield f"{word} {form.format(value)}"
