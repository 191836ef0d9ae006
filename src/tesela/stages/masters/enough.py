"""How many frames a master is made of, and how many pixels it marks: limits without history."""

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
    if n == 1:
        what = what.removesuffix("s")
    return [f"only {n} {what} combined where {inputs.wanted} are wanted"]


def gates(n: int, rejected: Mapping[str, str], most_rejected: float) -> list[str]:
    """Why a master of which too large a share of the frames was rejected needs a person.

    Where most frames are bad, nobody knows whether the others are good.
    """
    share = len(rejected) / max(n + len(rejected), 1)
    if share <= most_rejected:
        return []
    return [
        f"{len(rejected)} of {n + len(rejected)} frames rejected, {most_rejected:.0%} allowed: "
        "look at the reasons"
    ]


def few_bad(n_bad: int, n_pixels: int, most_bad: float) -> list[str]:
    """Why a master that marks too many pixels bad needs a person, the first of its kind too."""
    share = n_bad / max(n_pixels, 1)
    if share <= most_bad:
        return []
    return [f"{share:.1%} of the pixels marked bad, {most_bad:.1%} allowed"]
