"""The master bias: what is left of an unexposed frame once its overscan level is removed."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tesela.cameras import Camera
from tesela.pixels import combine
from tesela.products.images import Master, Operation
from tesela.products.maskbit import MaskBit
from tesela.stages.masters import compare, enough
from tesela.stages.masters.calibrate import level_and_trim
from tesela.stages.masters.inputs import MasterOutputs, RawInputs
from tesela.stages.masters.settings import BiasSettings


def build_bias(inputs: RawInputs, settings: BiasSettings) -> MasterOutputs:
    """Level, reject, combine, find hot pixels, compare.

    Memory: one float32 image a frame. Raises `QualityError` if too few frames are usable.
    """
    planes, noises = zip(
        *(
            level_and_trim(pixels, header, inputs.camera, facts.name, in_electrons=False)
            for facts, header, pixels in zip(inputs.facts, inputs.headers, inputs.pixels)
        )
    )
    names = [facts.name for facts in inputs.facts]
    rejected = _reject(names, planes, inputs.camera, settings.level_tolerance_adu)
    kept = [i for i, name in enumerate(names) if name not in rejected]
    enough.require(inputs, "bias", len(kept), rejected)
    noise_adu = float(np.median([noises[i] for i in kept]))
    combined = combine.clipped_mean(
        [planes[i] for i in kept],
        clip_sigma=settings.clip_sigma,
        noise=np.full(len(kept), noise_adu, np.float32),
    )
    master_noise = noise_adu / np.sqrt(len(kept))
    mask = _hot(combined.image, inputs.camera, settings.hot_sigma)
    master = Master("BIAS", combined.image, mask)
    agreement = compare.biases(master, inputs.previous, master_noise, settings)
    master.cards = [
        ("MSTKIND", "BIAS", "kind of master"),
        ("NCOMBINE", len(kept), "frames combined"),
        ("RDNOISE", noise_adu, "[adu] read noise of one frame"),
        ("MSTNOISE", master_noise, "[adu] noise of the master"),
        ("NHOT", int(np.count_nonzero(mask)), "pixels marked bad"),
    ]
    return MasterOutputs(
        master,
        passed=not agreement.reasons,
        reasons=agreement.reasons,
        warnings=enough.warnings(inputs, len(kept)),
        rejected=rejected,
        metrics={
            "n_combined": len(kept),
            "readnoise_adu": noise_adu,
            "noise_adu": master_noise,
            "level_adu": float(np.median(combined.image)),
            "n_bad": int(np.count_nonzero(mask)),
            **agreement.metrics,
        },
        operations=[
            Operation("overscan", {"method": "clipped mean of rows, smoothed"}),
            Operation("combine", {"method": "clipped mean", "sigma": settings.clip_sigma}),
            Operation("hot pixels", {"sigma": settings.hot_sigma}),
        ],
    )


def _reject(
    names: list[str],
    planes: tuple[NDArray[np.float32], ...],
    camera: Camera,
    tolerance_adu: float,
) -> dict[str, str]:
    """Frames of which any amplifier deviates from its median over all; the worst one is named."""
    levels = np.array(
        [
            [np.median(plane[amp.dest.slices][::4, ::4]) for amp in camera.amplifiers]
            for plane in planes
        ]
    )
    away = levels - np.median(levels, axis=0)
    rejected = {}
    for name, level, deviation in zip(names, levels, away):
        worst = int(np.argmax(np.abs(deviation)))
        if abs(deviation[worst]) > tolerance_adu:
            rejected[name] = (
                f"level {level[worst]:.1f} ADU in amplifier {camera.amplifiers[worst].id}, "
                f"{deviation[worst]:+.1f} from the median of all"
            )
    return rejected


def _hot(image: NDArray[np.float32], camera: Camera, sigma: float) -> NDArray[np.uint8]:
    mask = np.zeros(image.shape, np.uint8)
    for amp in camera.amplifiers:
        part = image[amp.dest.slices]
        middle = np.median(part)
        spread = 1.4826 * np.median(np.abs(part - middle))
        limit = sigma * max(float(spread), 0.1)
        mask[amp.dest.slices][np.abs(part - middle) > limit] = MaskBit.BAD
    return mask
