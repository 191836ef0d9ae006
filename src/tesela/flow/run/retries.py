"""What happens to a task whose attempt failed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tesela.flow.run.steps import Report

FAULT_LIMIT = 3
INTERRUPTION_LIMIT = 10
MEMORY_LIMIT = 2
"""One that took too much is tried once more, with twice the request."""

_FIRST_DELAY_S = 0.5
_LONGEST_DELAY_S = 60.0


@dataclass(frozen=True)
class Fate:
    """The state a task moves to: ready (after a delay), skipped or dead."""

    state: str
    reason: str = ""
    delay_s: float = 0.0


def fate(task: dict[str, Any], report: Report) -> Fate:
    """Decide from the class of the fault and how often that happened before.

    `task` is the row before this attempt is counted.
    """
    kind = report.fault_class
    if kind == "quality":
        return Fate("skipped", report.message)
    if kind == "impossible":
        return Fate("dead", report.message)
    before, limit = {
        "infrastructure": (task["interruptions"], INTERRUPTION_LIMIT),
        "memory": (task["memory_faults"], MEMORY_LIMIT),
    }.get(kind, (task["faults"], FAULT_LIMIT))
    if before + 1 >= limit:
        return Fate("dead", f"{report.message} ({kind}, {before + 1} times)")
    delay = min(_FIRST_DELAY_S * 2**before, _LONGEST_DELAY_S) if kind == "infrastructure" else 0.0
    return Fate("ready", delay_s=delay)
