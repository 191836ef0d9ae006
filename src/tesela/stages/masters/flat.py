"""The master flat: the response of every pixel relative to the whole CCD."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from tesela.errors import QualityError
from tesela.pixels import background, combine
from tesela.products.images import Master, Operation
from tesela.products.maskbit import MaskBit
from tesela.stages.masters import compare, enough
from tesela.stages.masters.calibrate import level_and_trim
from tesela.stages.masters.inputs import MasterOutputs, RawInputs
from tesela.stages.masters.settings import FlatSettings


@dataclass
class _Usable:
    """Frames that passed, with the mode and the read noise of each, in electrons."""

    planes: list[NDArray[np.float32]] = field(default_factory=list)
    modes: list[float] = field(default_factory=list)
    noises: list[float] = field(default_factory=list)
    rejected: dict[str, str] = field(default_factory=dict)


def build_flat(inputs: RawInputs, settings: FlatSettings) -> MasterOutputs:
    """Level, bias and gain; reject by level; scale by the mode; combine; normalise by ONE number.

    The normalisation is never per amplifier: the gains' errors belong to the flat. Memory: one
    float32 image a frame. Raises `QualityError` if too few frames are usable.
    """
    if "BIAS" not in inputs.masters:
        raise QualityError(inputs.key, found="no master bias", expected="one to subtract")
    bias = inputs.masters["BIAS"]
    bad = (bias.mask & MaskBit.BAD) > 0
    usable = _select(inputs, bias.image, bad, settings)
    n = len(usable.planes)
    enough.require(inputs, "flat", n, usable.rejected)
    image = _response(usable, bad, settings)
    mask = _cold_and_hot(image, bad, settings)
    master = Master("FLAT", image, mask)
    level = float(np.mean(usable.modes))
    noise = float(1 / np.sqrt(np.sum(usable.modes)))
    agreement = compare.flats(master, inputs.previous, settings)
    master.cards = [
        ("MSTKIND", "FLAT", "kind of master"),
        ("NCOMBINE", n, "frames combined"),
        ("FLATLEVL", level, "[electron] mean level of the inputs"),
        ("MSTNOISE", noise, "noise of the master, photons alone"),
        ("NBAD", int(np.count_nonzero(mask)), "pixels marked bad"),
    ]
    return MasterOutputs(
        master,
        passed=not agreement.reasons,
        reasons=agreement.reasons,
        warnings=enough.warnings(inputs, n),
        rejected=usable.rejected,
        metrics={
            "n_combined": n,
            "level_e": level,
            "noise": noise,
            "n_bad": int(np.count_nonzero(mask)),
            **agreement.metrics,
        },
        operations=[
            Operation("overscan", {"method": "clipped mean of rows, smoothed"}),
            Operation("bias", {}),
            Operation("gain", {}),
            Operation("combine", {"method": "clipped mean", "sigma": settings.clip_sigma}),
            Operation("normalise", {"by": "median of the whole CCD"}),
        ],
    )


def _select(
    inputs: RawInputs,
    bias: NDArray[np.float32],
    bad: NDArray[np.bool_],
    settings: FlatSettings,
) -> _Usable:
    """Level every frame, subtract the bias and leave out those too dark or too bright."""
    found = _Usable()
    for facts, header, raw in zip(inputs.facts, inputs.headers, inputs.pixels):
        image, noise_adu = level_and_trim(
            raw, header, inputs.camera, facts.name, bias=bias, in_electrons=True
        )
        gain = float(
            np.median(inputs.camera.with_header(header, facts.name).values("gain_e_per_adu"))
        )
        mode = combine.mode(image, mask=bad)
        reason = _unfit(mode / gain, settings.level_adu)
        if reason:
            found.rejected[facts.name] = reason
            continue
        found.planes.append(image)
        found.modes.append(mode)
        found.noises.append(float(np.median(noise_adu)) * gain)
    return found


def _response(
    usable: _Usable, bad: NDArray[np.bool_], settings: FlatSettings
) -> NDArray[np.float32]:
    """Combine the frames, each scaled by its mode, and normalise by the median good pixel.

    A zero point then refers to the typical pixel of the CCD.
    """
    scale = 1.0 / np.array(usable.modes, dtype=np.float64)
    combined = combine.clipped_mean(
        usable.planes,
        clip_sigma=settings.clip_sigma,
        scale=scale,
        noise=np.array(usable.noises) * scale,
        gain=1.0,
        variance=scale,  # photon noise of a scaled flat: 1 / electrons
    )
    middle = np.float32(np.median(combined.image[~bad]))
    return (combined.image / middle).astype(np.float32, copy=False)


def _unfit(level_adu: float, limits: tuple[float, float]) -> str:
    low, high = limits
    if low <= level_adu <= high:
        return ""
    return f"level {level_adu:.0f} ADU outside {low:.0f} to {high:.0f}"


def _cold_and_hot(
    image: NDArray[np.float32], bad: NDArray[np.bool_], settings: FlatSettings
) -> NDArray[np.uint8]:
    smooth = background.measure(image, bad, mesh_px=settings.neighbourhood_px).level()
    ratio = image / np.maximum(smooth, np.float32(0.01))
    unfit = (ratio < settings.low) | (ratio > settings.high) | (image < 0.05)
    return np.where(bad | unfit, MaskBit.BAD, 0).astype(np.uint8)
