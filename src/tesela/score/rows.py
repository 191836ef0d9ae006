"""One measured number with its error, its target and the verdict."""

from __future__ import annotations

from dataclasses import dataclass

from tesela.errors import ConfigError

BEYOND_ERRORS = "abs - 2 err <="
"""Chance alone does not fail such a row: two errors are taken off before it is judged."""

COMPARISONS = ("<=", ">=", "abs <=", BEYOND_ERRORS, "1 +-")


@dataclass(frozen=True)
class Row:
    """A line of the score table.

    Parameters
    ----------
    metric : str
        What was measured.
    band : str
        Band, empty for all together.
    value, error : float
        The number and its bootstrap error; NaN if there was nothing to measure.
    n : int
        Objects, pixels or frames behind it (`note` tells which if it could be doubted).
    unit : str
    target : float or None
        None: printed for information, not judged.
    comparison : str
        How value and target are compared: one of `COMPARISONS`; "1 +-" means that the value lies
        within the target of one.
    note : str
    """

    metric: str
    band: str
    value: float
    error: float
    n: int
    unit: str
    target: float | None = None
    comparison: str = ""
    note: str = ""

    def __post_init__(self) -> None:
        if self.target is not None and self.comparison not in COMPARISONS:
            raise ConfigError(
                f"score row {self.metric!r}",
                found=f"comparison {self.comparison!r}",
                expected=f"one of {', '.join(COMPARISONS)}",
            )

    @property
    def passed(self) -> bool | None:
        """None without a target; a value that could not be measured has not passed."""
        if self.target is None:
            return None
        if self.comparison == ">=":
            return self.value >= self.target
        value = {
            "<=": self.value,
            "abs <=": abs(self.value),
            BEYOND_ERRORS: abs(self.value) - 2 * self.error,
            "1 +-": abs(self.value - 1),
        }
        return value[self.comparison] <= self.target

    @property
    def goal(self) -> str:
        """The target in words: "<= 40", "1 +- 0.1", empty without one."""
        if self.target is None:
            return ""
        if self.comparison == BEYOND_ERRORS:
            return f"|x| <= {self.target:g} + 2 err"
        sign = "|x| <=" if self.comparison == "abs <=" else self.comparison
        return f"{sign} {self.target:g}"

    def as_dict(self) -> dict[str, object]:
        """All fields and the verdict, for JSON: NaN becomes None."""
        return {
            "metric": self.metric,
            "band": self.band,
            "value": _finite(self.value),
            "error": _finite(self.error),
            "n": self.n,
            "unit": self.unit,
            "target": self.target,
            "comparison": self.comparison,
            "passed": self.passed,
            "note": self.note,
        }


def _finite(value: float) -> float | None:
    return value if abs(value) < float("inf") else None
