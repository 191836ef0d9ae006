"""How many frames a master is made of: too few refuse it, fewer than wanted are a warning."""

from __future__ import annotations

from collections.abc import Mapping

from tesela.errors import QualityError
from tesela.stages.masters.inputs import MasterInputs


def require(
    inputs: MasterInputs, kind: str, n: int, rejected: Mapping[str, str], *, what: str = "frames"
) -> None:
    """Raise `QualityError` with every rejected frame and its reason if too few are left."""
    minimum = max(1, inputs.minimum)
    if n >= minimum:
        return
    said = ", ".join(f"{name} ({reason})" for name, reason in rejected.items()) or "none"
    raise QualityError(
        inputs.key,
        found=f"{n} usable {kind} {what}, rejected: {said}",
        expected=f"at least {minimum}",
        do=f"take more, or lower calibration.minimum.{kind.upper()} in survey.toml",
    )


def warnings(inputs: MasterInputs, n: int, *, what: str = "frames") -> list[str]:
    """What to say of a master that has enough frames, but not as many as wanted."""
    if n >= inputs.wanted:
        return []
    return [f"only {n} {what} combined where {inputs.wanted} are wanted"]
