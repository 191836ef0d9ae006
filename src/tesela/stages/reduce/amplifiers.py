"""Amplifiers that gave nothing, or not what the others saw: masked as a whole, with a warning."""

from __future__ import annotations

import numpy as np

from tesela.errors import QualityError
from tesela.pixels import ampsky, framestats, overscan_faults
from tesela.pixels.overscan import Overscan
from tesela.products.maskbit import MaskBit
from tesela.stages.reduce.frame import Frame
from tesela.stages.reduce.settings import ReduceInputs

_MOST_DEAD = 0.5
_TOLD = 2
_FEW_ROWS = 25
"""Of light in an overscan, as a star's bleeding leaves it every night: no word is lost on them."""
_UNFLATTENED = ampsky.Limits(share=0.5, least_e=30.0)
"""Where responses differ by what no flat has taken out."""


def faults(inputs: ReduceInputs) -> dict[int, str]:
    """What is wrong with amplifiers, by their place in the camera, as the raw frame alone says it.

    `inputs` have the frame as it was read: pixels without a number still have none.
    """
    camera, raw = inputs.camera, inputs.pixels
    strips = overscan_faults.find(
        raw,
        camera.sections("overscan"),
        camera.values("saturation_adu"),
        parallel=camera.sections("parallel"),
    )
    found = {k: f"the overscan {fault}" for k, fault in enumerate(strips) if fault}
    for k, amp in enumerate(camera.amplifiers):
        data = raw[amp.data.slices]
        # A sample says no, mostly; all pixels are looked at where it does not.
        if any(_varies(part) for part in (data[::16, ::16], data)):
            continue
        known = np.isfinite(data).any()
        found[k] = f"every pixel is {data.flat[0]} ADU" if known else "no pixel has a number"
    return found


def sentences(inputs: ReduceInputs, found: dict[int, str]) -> list[str]:
    """A warning for each amplifier with a fault."""
    names = inputs.camera.amplifiers
    return [f"amplifier {names[k].id} is dead: {fault}" for k, fault in found.items()]


def set_aside(frame: Frame, inputs: ReduceInputs, found: dict[int, str]) -> None:
    """Mask amplifiers, and let nothing of them reach the others.

    Raises `QualityError` if too few are left.
    """
    amplifiers = inputs.camera.amplifiers
    for k in found:
        place = amplifiers[k].dest.slices
        frame.dead.append(place)
        frame.mask[place] |= np.uint8(MaskBit.BAD)
        frame.image[place] = 0
    frame.warnings += sentences(inputs, found)
    frame.metrics["n_dead_amplifiers"] = len(frame.dead)
    if len(frame.dead) > _MOST_DEAD * len(amplifiers):
        reasons = list(dict.fromkeys(found.values()))
        told = "; ".join(reasons[:_TOLD]) + ("; ..." if len(reasons) > _TOLD else "")
        raise QualityError(
            inputs.facts.name,
            found=f"{len(frame.dead)} of {len(amplifiers)} amplifiers dead: {told}",
            expected="at most half of them",
            do="check the controller of the camera, and that the masters are of this read-out",
        )


def warn_of_light(frame: Frame, inputs: ReduceInputs, strip: Overscan) -> None:
    """Say where the level of rows had to be interpolated."""
    for amp, rows in zip(inputs.camera.amplifiers, strip.lit_rows):
        if rows > _FEW_ROWS:
            frame.warnings.append(
                f"overscan of amplifier {amp.id} has light in {rows} rows: their level is that of "
                "the rows around"
            )


def compare_sky(frame: Frame, inputs: ReduceInputs) -> None:
    """Set aside amplifiers that do not see the sky of their neighbours, before it is modelled.

    Where there is no flat only gross differences count. Raises `QualityError` as `set_aside`.
    """
    camera, masters = inputs.camera, frame.calset
    dest = camera.sections("dest")
    exptime_s = inputs.facts.exptime_s
    readout2_e = masters.noise.readout_e(frame.readnoise_e, exptime_s) ** 2
    if masters.dark.size:
        readout2_e += np.maximum(framestats.medians(masters.dark, dest), 0) * exptime_s
    seen = ampsky.compare(
        frame.image,
        frame.unusable,
        dest,
        np.sqrt(readout2_e),
        framestats.medians(masters.response, dest),
        _UNFLATTENED if masters.flat_kind == "none" else None,
    )
    found = {}
    for k in np.flatnonzero(seen.apart | seen.noisy):
        if seen.apart[k]:
            side = "above" if seen.offset_e[k] > 0 else "below"
            found[int(k)] = (
                f"{abs(seen.offset_e[k]):.0f} e- {side} its neighbours, under a sky of "
                f"{seen.sky_e:.0f} e-"
            )
        else:
            found[int(k)] = (
                f"its noise is {seen.noise_e[k]:.1f} e-, of its light and read-out it would be "
                f"{seen.expected_e[k]:.1f} e-"
            )
    set_aside(frame, inputs, found)


def _varies(part: np.ndarray) -> bool:
    known = part[np.isfinite(part)] if part.dtype.kind == "f" else part
    return known.size > 0 and bool(known.min() != known.max())
