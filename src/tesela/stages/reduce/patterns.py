"""Fringes and stray light with a fixed pattern: scaled to the frame and subtracted."""

from __future__ import annotations

from tesela.products.images import Master
from tesela.products.maskbit import MaskBit
from tesela.stages.reduce.frame import Frame, needed
from tesela.stages.reduce.settings import ReduceInputs

_SIGNIFICANT_SIGMA = 5.0


def remove(frame: Frame, inputs: ReduceInputs) -> None:
    """Subtract fringe and pattern, each by its own amplitude in this frame, where it shows."""
    for kind in ("FRINGE", "PATTERN"):
        if kind in inputs.masters:
            _remove(frame, kind, inputs.masters[kind])
        else:
            frame.did(kind.lower(), source="none")


def _remove(frame: Frame, kind: str, master: Master) -> None:
    """One pattern, relative to the sky: what of it is in the frame, and away with that."""
    from tesela.pixels import pattern

    name, sky_e = kind.lower(), needed(frame.provisional_sky_e, "provisional sky")
    objects = needed(frame.objects, "object mask")
    usable = ~(frame.unusable | objects)
    if master.mask.size:
        holes = (master.mask & MaskBit.HOLE) > 0
        usable &= ~holes
    fitted = pattern.amplitude(frame.image, master.image, usable, sky_e=sky_e)
    frame.metrics.update({f"{name}_scale": fitted.value, f"{name}_scale_err": fitted.error})
    numbers = {"scale": fitted.value, "scale_err": fitted.error, "sky_e": sky_e}
    if not fitted.value > _SIGNIFICANT_SIGMA * fitted.error:
        frame.did(name, source=kind, subtracted=False, **numbers)
        return
    pattern.subtract(frame.image, master.image, fitted.value * sky_e)
    n_holes = frame.set(MaskBit.HOLE, holes) if master.mask.size else 0
    frame.did(name, source=kind, subtracted=True, **numbers, holes=n_holes)
