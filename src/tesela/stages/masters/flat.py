"""The master flat: the response of every pixel relative to the whole CCD."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tesela.errors import QualityError
from tesela.pixels import background, combine
from tesela.products.images import Master, Operation
from tesela.products.maskbit import MaskBit
from tesela.stages.masters import compare
from tesela.stages.masters.bias import _few, _listed
from tesela.stages.masters.calibrate import level_and_trim
from tesela.stages.masters.settings import MasterInputs, MasterOutputs, MastersSettings


def build_flat(inputs: MasterInputs, settings: MastersSettings) -> MasterOutputs:
    """Level, bias and gain; reject by level; scale by the mode; combine; normalise by ONE number.

    The normalisation is never per amplifier: the gains' errors belong to the flat. Memory: one
    float32 image a frame. Raises `QualityError` if too few frames are usable.
    """
    if inputs.bias is None:
        raise QualityError(inputs.key, found="no master bias", expected="one to subtract")
    bad = (inputs.bias.mask & MaskBit.BAD) > 0
    planes, modes, rejected = [], [], {}
    noise_e = []
    for facts, header, raw in zip(inputs.facts, inputs.headers, inputs.pixels):
        image, noise_adu = level_and_trim(
            raw, header, inputs.camera, facts.name, bias=inputs.bias.image, in_electrons=True
        )
        gain = float(
            np.median(inputs.camera.with_header(header, facts.name).values("gain_e_per_adu"))
        )
        level = combine.mode(image, mask=bad)
        reason = _unfit(level / gain, settings.flat_level_adu)
        if reason:
            rejected[facts.name] = reason
            continue
        planes.append(image)
        modes.append(level)
        noise_e.append(float(np.median(noise_adu)) * gain)
    if len(planes) < inputs.minimum:
        raise QualityError(
            inputs.key,
            found=f"{len(planes)} usable flats, rejected: {_listed(rejected)}",
            expected=f"at least {inputs.minimum}",
            do="take more, or lower calibration.minimum.FLAT in survey.toml",
        )
    scale = 1.0 / np.array(modes, dtype=np.float64)
    combined = combine.clipped_mean(
        planes,
        clip_sigma=settings.clip_sigma,
        scale=scale,
        noise=np.array(noise_e) * scale,
        gain=1.0,
        variance=scale,  # photon noise of a scaled flat: 1 / electrons
    )
    # The median of the good pixels: a zero point then refers to the typical pixel of the CCD.
    middle = np.float32(np.median(combined.image[~bad]))
    image = (combined.image / middle).astype(np.float32, copy=False)
    mask = _cold_and_hot(image, bad, settings)
    master = Master("FLAT", image, mask)
    noise = float(1 / np.sqrt(np.sum(modes)))
    agreement = compare.flats(master, inputs.previous, settings)
    master.cards = [
        ("MSTKIND", "FLAT", "kind of master"),
        ("NCOMBINE", len(planes), "frames combined"),
        ("FLATLEVL", float(np.mean(modes)), "[electron] mean level of the inputs"),
        ("MSTNOISE", noise, "noise of the master, photons alone"),
        ("NBAD", int(np.count_nonzero(mask)), "pixels marked bad"),
    ]
    return MasterOutputs(
        master,
        passed=not agreement.reasons,
        reasons=agreement.reasons,
        warnings=_few(len(planes), inputs.wanted),
        rejected=rejected,
        metrics={
            "n_combined": len(planes),
            "level_e": float(np.mean(modes)),
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


def _unfit(level_adu: float, limits: tuple[float, float]) -> str:
    low, high = limits
    if low <= level_adu <= high:
        return ""
    return f"level {level_adu:.0f} ADU outside {low:.0f} to {high:.0f}"


def _cold_and_hot(
    image: NDArray[np.float32], bad: NDArray[np.bool_], settings: MastersSettings
) -> NDArray[np.uint8]:
    smooth = background.measure(image, bad, mesh_px=settings.flat_neighbourhood_px).level()
    ratio = image / np.maximum(smooth, np.float32(0.01))
    unfit = (ratio < settings.flat_low) | (ratio > settings.flat_high) | (image < 0.05)
    return np.where(bad | unfit, MaskBit.BAD, 0).astype(np.uint8)
