"""What was measured on a product, as people read it: single numbers, and a table by band."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

UNITS: Final[Mapping[str, str]] = {
    "_e_per_s": "e\N{SUPERSCRIPT MINUS} s\u207b\u00b9",
    "_e_per_adu": "e\N{SUPERSCRIPT MINUS} ADU\u207b\u00b9",
    "_arcsec": "arcsec",
    "_mmag": "mmag",
    "_mag": "mag",
    "_px": "px",
    "_adu": "ADU",
    "_deg": "deg",
    "_days": "d",
    "_e": "e\N{SUPERSCRIPT MINUS} px\u207b\u00b9",
    "_s": "s",
}
"""Units by the ending of a metric's name; the first that fits."""


@dataclass(frozen=True)
class Measured:
    """Metrics of one version."""

    single: tuple[tuple[str, Any, str], ...] = ()
    """Name, value and unit."""
    header: tuple[tuple[str, str], ...] = ()
    """Name and unit of what was measured in each band."""
    by_band: tuple[tuple[str, tuple[Any, ...]], ...] = ()
    """Band and its values; None where there is none."""

    def __len__(self) -> int:
        return len(self.single) + len(self.header) * len(self.by_band)


def read(metrics_json: str | None) -> dict[str, Any]:
    """The metrics of a row of the ledger, empty if it has none."""
    found = json.loads(metrics_json or "{}")
    return found if isinstance(found, dict) else {}


def arrange(metrics: Mapping[str, Any], bands: Sequence[str]) -> Measured:
    """Put metrics called `<name>_<band>` into a table; what is no number or word is left out."""
    single: dict[str, Any] = {}
    tables: dict[str, dict[str, Any]] = {}
    for name, value in sorted(metrics.items()):
        if not isinstance(value, (bool, int, float, str)):
            continue
        base, _, band = name.rpartition("_")
        if base and band in bands:
            tables.setdefault(base, {})[band] = value
        else:
            single[name] = value
    seen = [band for band in bands if any(band in of for of in tables.values())]
    return Measured(
        tuple((words(name)[0], value, words(name)[1]) for name, value in single.items()),
        tuple(words(name) for name in tables),
        tuple((band, tuple(of.get(band) for of in tables.values())) for band in seen),
    )


def words(name: str) -> tuple[str, str]:
    """A metric's name in words, and its unit."""
    ending = next((e for e in UNITS if name.endswith(e)), "")
    return name.removesuffix(ending).replace("_", " "), UNITS.get(ending, "")
