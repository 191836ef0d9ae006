"""What settings of the masters can be meant: limits that no builder could work with are refused
before anything is built, where a wrong one would spoil masters in silence."""

from __future__ import annotations

import math
from dataclasses import fields, is_dataclass
from typing import Any

from tesela.errors import ConfigError

POSITIVE = frozenset(
    {
        "clip_sigma", "hot_sigma", "compare_sigma", "object_sigma", "dust_sigma", "lamp_sigma",
        "shutter_sigma_s", "significance", "neighbourhood_px", "mesh_px", "sky_mesh_px", "bin_px",
        "cell_px", "pivot_adu", "flats", "iterations", "min_levels", "min_values", "radial_bins",
    }
)  # fmt: skip
"""Zero of these leaves nothing to work with, or divides by it."""
SHARES = frozenset(
    {
        "compare_fraction", "max_bad", "max_rejected", "saturated", "dim", "column_fraction",
        "max_fraction", "part", "isolation_share", "empty_share", "rejected_share", "min_free",
        "min_correlation", "max_holes", "dust_share",
    }
)  # fmt: skip
"""Parts of a whole. All other numbers are tolerances, counts and sizes: zero or more."""
ORDERED = (("low", "high"), ("warn", "alarm"), ("tilt_warn", "tilt_alarm"))
"""Settings of one table of which the first may not be above the second."""


def check(settings: Any, where: str) -> None:
    """Raise `ConfigError` for the first number of the tables that cannot be meant."""
    for field in fields(settings):
        value, name = getattr(settings, field.name), f"{where}.{field.name}"
        if is_dataclass(value):
            check(value, name)
        elif isinstance(value, tuple):
            _check_range(value, name)
        elif not isinstance(value, bool):
            _check_number(field.name, value, name)
    for first, second in ORDERED:
        if hasattr(settings, first) and getattr(settings, first) > getattr(settings, second):
            raise ConfigError(
                f"{where}.{first}",
                found=f"{getattr(settings, first):g}, and {second} = {getattr(settings, second):g}",
                expected=f"{first} at most {second}",
            )


def _check_range(limits: tuple[float, float], where: str) -> None:
    low, high = limits
    if not 0 <= low < high < math.inf:
        raise ConfigError(
            where, found=f"{low:g}, {high:g}", expected="two numbers from zero, the lower first"
        )


def _check_number(name: str, value: float, where: str) -> None:
    if name in SHARES:
        is_sound, expected = 0 <= value <= 1, "a part, from 0 to 1"
    elif name in POSITIVE:
        is_sound, expected = 0 < value < math.inf, "a positive number"
    else:
        is_sound, expected = 0 <= value < math.inf, "zero or a positive number"
    if not is_sound:
        raise ConfigError(where, found=f"{value:g}", expected=expected)
