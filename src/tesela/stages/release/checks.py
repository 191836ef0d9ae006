"""What a validation says: one line a check."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import duckdb
import pyarrow as pa

from tesela.errors import TeselaError

_MANY = 5


@dataclass(frozen=True)
class Check:
    """One thing that was looked at."""

    name: str
    passed: bool | None
    """None: there was nothing to judge; it does not count."""
    found: str
    expected: str
    note: str = ""


@dataclass(frozen=True)
class Validation:
    """All checks of a release."""

    checks: tuple[Check, ...]

    @property
    def passed(self) -> bool:
        """Whether nothing failed."""
        return all(check.passed is not False for check in self.checks)

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {"passed": self.passed, "checks": [asdict(check) for check in self.checks]}


def guarded(name: str, expected: str, make: Callable[[], list[Check]]) -> list[Check]:
    """Run checks; what cannot even be read is a failed check with the reason."""
    try:
        return make()
    except (TeselaError, OSError, ValueError, KeyError, pa.ArrowException, duckdb.Error) as error:
        reason = str(error).split("\n")[0] or type(error).__name__
        return [Check(name, False, reason, expected)]


def none_of(name: str, bad: list[str], expected: str, counted: str) -> Check:
    """A check that passes if the list of what is wrong is empty."""
    if not bad:
        return Check(name, True, counted, expected)
    more = f" and {len(bad) - _MANY} more" if len(bad) > _MANY else ""
    return Check(name, False, "; ".join(bad[:_MANY]) + more, expected)
