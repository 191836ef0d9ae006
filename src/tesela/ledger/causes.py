"""Telling together what has the same cause: reasons that differ in numbers or names alone."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

_NUMBER = re.compile(r"\d+(\.\d+)?")


def alike(rows: Iterable[Mapping[str, Any]], *by: str) -> list[dict[str, Any]]:
    """Group rows by some columns and by the cause that their `reason` tells.

    Parameters
    ----------
    rows : iterable of rows
        Each with `reason`, `example` (a key, which the reason may name) and perhaps `n`, of how
        many it speaks.
    by : str
        Columns that the rows of a group share.

    Returns
    -------
    list of dict
        The first row of each group with `n` as their sum, the largest group first.
    """
    groups: dict[tuple[Any, ...], dict[str, Any]] = {}
    for row in rows:
        cause = _NUMBER.sub("#", row["reason"].replace(row["example"], "#"))
        key = (*(row[name] for name in by), cause)
        group = groups.setdefault(key, {**row, "n": 0})
        group["n"] += row.get("n", 1)
    return sorted(groups.values(), key=lambda row: (-row["n"], *(row[name] for name in by)))
