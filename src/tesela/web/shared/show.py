"""Numbers as people read them: positions, counts, sizes, values with errors."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, Final

import numpy as np

MISSING: Final = "\N{EM DASH}"
_MINUS = "\N{MINUS SIGN}"


def _absent(value: Any) -> bool:
    """True for NULL, NaN and infinities, Python's and numpy's."""
    return value is None or (
        isinstance(value, (float, np.floating)) and not math.isfinite(float(value))
    )


def number(value: Any, digits: int = 3) -> str:
    """A number with fixed decimals; a dash if it is missing."""
    if _absent(value):
        return MISSING
    return f"{value:.{digits}f}".replace("-", _MINUS)


def significant(value: Any, digits: int = 6) -> str:
    """Any value of a table: numbers with so many significant digits, lists with commas."""
    if _absent(value):
        return MISSING
    if isinstance(value, (bool, np.bool_)):
        return "yes" if value else "no"
    if isinstance(value, (float, np.floating)):
        return f"{value:.{digits}g}"
    return str(value)


def count(value: int) -> str:
    """An integer with thin spaces between thousands."""
    return f"{value:,}".replace(",", "\N{NARROW NO-BREAK SPACE}")


def size(n_bytes: int) -> str:
    """A number of bytes."""
    value = float(n_bytes)
    for unit in ("bytes", "kB", "MB", "GB"):
        if value < 1000:
            return f"{value:.0f} {unit}" if unit == "bytes" else f"{value:.3g} {unit}"
        value /= 1000
    return f"{value:.3g} TB"


def decimal_position(ra_deg: float, dec_deg: float) -> str:
    """ICRS in decimal degrees, as programs and clipboards like it: `150.116321 +2.205800`."""
    return f"{ra_deg:.6f} {dec_deg:+.6f}"


def ra_hms(ra_deg: float) -> str:
    """Right ascension as `10:00:27.917` (hours; 1 ms of time is 15 mas)."""
    milliseconds = round(ra_deg / 15 * 3_600_000) % 86_400_000
    hours, rest = divmod(milliseconds, 3_600_000)
    minutes, rest = divmod(rest, 60_000)
    return f"{hours:02d}:{minutes:02d}:{rest / 1000:06.3f}"


def dec_dms(dec_deg: float) -> str:
    """Declination as `+02:12:20.88`."""
    hundredths = round(abs(dec_deg) * 360_000)
    degrees, rest = divmod(hundredths, 360_000)
    minutes, rest = divmod(rest, 6000)
    return f"{'-' if dec_deg < 0 else '+'}{degrees:02d}:{minutes:02d}:{rest / 100:05.2f}"


def with_error(value: Any, error: Any, digits: int = 3) -> str:
    """`20.123 ± 0.045`; the value alone if the error is missing."""
    if number(error, digits) == MISSING or number(value, digits) == MISSING:
        return number(value, digits)
    return f"{number(value, digits)} ± {number(error, digits)}"


FILTERS: Final[Mapping[str, Callable[..., Any]]] = {
    "number": number,
    "significant": significant,
    "count": count,
    "size": size,
    "decimal_position": decimal_position,
    "ra_hms": ra_hms,
    "dec_dms": dec_dms,
    "with_error": with_error,
}
"""For templates."""
