"""What a product should be made from, as the planner finds it."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass


@dataclass(frozen=True)
class Wanted:
    """The wanted inputs of one key, or why there are none.

    Exactly one of three holds: `nothing` says why no product should exist, `missing` says what it
    waits for, or `inputs` is complete.
    """

    inputs: frozenset[int] = frozenset()
    """Product ids, walked by staleness."""
    evidence: frozenset[int] = frozenset()
    """Product ids that are shown and never walked."""
    grows_with: frozenset[int] = frozenset()
    """Of the evidence, the images that a master is built from: more of them make it anew."""
    megapixels: float = 1.0
    missing: str = ""
    pending: bool = False
    """What is missing is under way (due or running)."""
    nothing: str = ""
    keep: bool = False
    """No work, but a version that exists stays served."""
    stale: str = ""
    """A newer choice exists, to be taken only on request."""
    family: str = ""
    """CCD and read-out mode, by which new masters find those that wait for them."""

    @property
    def digest(self) -> str:
        """Fingerprint of the inputs."""
        text = ",".join(str(i) for i in (*sorted(self.inputs), *sorted(self.grows_with)))
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    @property
    def sources(self) -> tuple[tuple[int, str], ...]:
        """(product id, role) of every edge to be."""
        edges = [(i, "input") for i in sorted(self.inputs)]
        edges += [(i, "evidence") for i in sorted(self.evidence - self.inputs)]
        return tuple(edges)
