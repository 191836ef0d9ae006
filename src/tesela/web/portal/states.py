"""The states of frames and products, as words, tones and shapes.

The order is that of attention: what comes later wants a person sooner.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True)
class State:
    """How a state is shown; the shape repeats what the colour says."""

    name: str
    word: str
    tone: str
    """ok, plain, warn or bad: a colour of the design."""
    shape: str
    """disc, ring, square, bar, triangle, cross or flag."""
    meaning: str


_ALL = (
    State("reduced", "reduced", "ok", "disc", "a reduced image is served"),
    State("used", "in a master", "ok", "disc", "a master that is served was made from it"),
    State("unused", "in no master", "plain", "ring", "no master that is served used it"),
    State("new", "not planned yet", "plain", "ring", "taken in; nothing was planned for it"),
    State("due", "due", "plain", "square", "its reduction is ready to run, or runs"),
    State("waiting", "waiting", "warn", "bar", "something that its reduction needs is missing"),
    State("rejected", "did not pass", "warn", "triangle", "reduced, and kept out of coadds"),
    State("skipped", "skipped", "warn", "triangle", "its data cannot give a result"),
    State("flagged", "flagged", "bad", "flag", "a person condemned it"),
    State("dead", "dead", "bad", "cross", "its reduction failed and will not be tried again"),
)

ABSENT: Final = State("absent", "not here", "warn", "ring", "no frame of this CCD was taken in")
"""Of a CCD of an exposure without a frame."""
STATES: Final[Mapping[str, State]] = {state.name: state for state in _ALL}
"""Of frames."""
RANK: Final[Mapping[str, int]] = {state.name: rank for rank, state in enumerate(_ALL)}

_PRODUCTS = (
    State("served", "served", "ok", "disc", "a version is served"),
    State("absent", "not made", "plain", "ring", "no version was made"),
    State("due", "due", "plain", "square", "its task is ready to run, or runs"),
    State("waiting", "waiting", "warn", "bar", "something that it needs is missing"),
    State("rejected", "did not pass", "warn", "triangle", "made, and its quality refused"),
    State("skipped", "skipped", "warn", "triangle", "its inputs cannot give a result"),
    State("dead", "dead", "bad", "cross", "its task failed and will not be tried again"),
)

PRODUCT_STATES: Final[Mapping[str, State]] = {state.name: state for state in _PRODUCTS}
"""Of what is made from frames."""

_MASTERS = (
    State("certified", "certified", "ok", "disc", "it may be used"),
    State("superseded", "superseded", "plain", "ring", "another was made in its place"),
    State("waits", "waits for a person", "warn", "bar",
          "it passed its gates and waits for a person to certify it"),
    State("proposed", "did not pass", "bad", "triangle",
          "a gate failed: it is kept and not used, unless a person certifies it"),
    State("invalid", "invalid", "bad", "flag", "it was taken out of service"),
    State("rejected", "rejected", "bad", "cross", "a person turned it down"),
)  # fmt: skip

MASTER_STATES: Final[Mapping[str, State]] = {state.name: state for state in _MASTERS}
"""Of masters: as the ledger has them, but for proposed ones, of which there are two sorts."""
OF_SIGNATURE: Final = ("", "waits for a person to certify it")
"""Reasons of proposed masters that passed their gates."""


def master_state(state: str, reason: str) -> State:
    """The state of a master as the ledger has it, with its reason."""
    name = "waits" if state == "proposed" and reason in OF_SIGNATURE else state
    return MASTER_STATES.get(name, MASTER_STATES["superseded"])


LEVELS: Final = (
    State("quiet", "quiet", "ok", "disc", "as on the nights before"),
    State("warning", "warning", "warn", "triangle", "further from the nights before than it may"),
    State("alarm", "alarm", "bad", "cross", "so far off that somebody must look"),
)
"""Levels of the monitors, 0, 1 and 2."""


def worst(rank: int) -> State:
    """The state of a rank, as queries give it for the frames of an exposure."""
    return _ALL[rank]
