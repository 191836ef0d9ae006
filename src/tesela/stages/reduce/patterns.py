"""Fringes and stray light with a fixed pattern: scaled to the frame and subtracted."""

from __future__ import annotations

import math

from tesela.pixels import pattern
from tesela.products.images import Master
from tesela.products.maskbit import MaskBit
from tesela.stages.reduce.frame import Frame, needed

_LEAST_SIGMA = 3.0


def remove(frame: Frame) -> None:
    """Subtract fringe and pattern, each by its own amplitude in this frame, where it shows."""
    for kind in ("FRINGE", "PATTERN"):
        if kind in frame.calset.patterns:
            _remove(frame, kind, frame.calset.patterns[kind])
        else:
            frame.did(kind.lower(), source="none")


def _remove(frame: Frame, kind: str, master: Master) -> None:
    """One pattern, relative to the sky; where it has no data, the image keeps what it had."""
    name, sky_e = kind.lower(), needed(frame.provisional_sky_e, "provisional sky")
    holes = (master.mask & MaskBit.HOLE) > 0 if master.mask.size else None
    usable = ~(frame.unusable | needed(frame.objects, "object mask"))
    if holes is not None:
        usable &= ~holes
    found = pattern.NOTHING
    if sky_e > 0:
        found = pattern.amplitude(frame.image, master.image, usable, sky_e=sky_e)
    subtracted = found.significance > _LEAST_SIGMA
    if subtracted:
        pattern.subtract(frame.image, master.image, found.value * sky_e)
        if holes is not None:
            frame.set(MaskBit.HOLE, holes)
    error = found.error if math.isfinite(found.error) else None
    frame.metrics.update({f"{name}_scale": found.value, f"{name}_scale_err": error})
    frame.did(
        name, source=kind, subtracted=subtracted, scale=found.value, scale_err=error, sky_e=sky_e
    )
