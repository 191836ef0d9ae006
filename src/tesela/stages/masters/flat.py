"""The master flat: the response of every pixel relative to the whole CCD."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tesela.errors import QualityError
from tesela.pixels import combine, defects, framestats, phototransfer
from tesela.products.images import Master, Operation
from tesela.products.maskbit import MaskBit
from tesela.products.monitor import AmpValue
from tesela.stages.masters import compare, enough
from tesela.stages.masters.calibrate import (
    Corrections,
    Measured,
    measure,
    overscan_removed,
    per_amplifier,
    temperature,
)
from tesela.stages.masters.flat_checks import FlatSeen, apart, look, unfit
from tesela.stages.masters.inputs import MasterOutputs, RawInputs
from tesela.stages.masters.settings import FlatSettings


def build_flat(inputs: RawInputs, settings: FlatSettings) -> MasterOutputs:
    """Correct, reject what is no flat, scale by the mode, combine, normalise by ONE number.

    Flats of the sky and of the dome alike; the key tells which. The normalisation is never per
    amplifier: the gains' errors belong to the flat. Every file is read twice, whole to measure it
    and by bands to combine. Memory: 128 rows of every frame, two raw frames and images, the masters
    applied and the result (2.5 GiB for 40 of 9.2k x 9.2k). Raises `QualityError` if there is no
    bias or too few frames are usable.
    """
    if "BIAS" not in inputs.masters:
        raise QualityError(inputs.key, found="no master bias", expected="one to subtract")
    kind, camera = inputs.key.split(".", 1)[0], inputs.camera
    bad = _known_bad(inputs)
    frames, rejected = measure(
        inputs, lambda image, plane: look(image, plane, bad), in_electrons=True, with_filter=True
    )
    rejected |= unfit(frames, settings)
    kept = [frame for frame in frames if frame.name not in rejected]
    enough.require(inputs, kind, len(kept), rejected)
    image, clipped = _response(kept, bad, settings)
    mask = _unlike_surroundings(image, bad, inputs, settings)
    master = Master(kind, image, mask)
    modes = np.array([frame.seen.mode for frame in kept])
    noise = float(1 / np.sqrt(np.sum(modes)))
    agreement = compare.flats(master, inputs.previous, camera, settings)
    n_bad = int(np.count_nonzero(mask))
    disagreement = apart(kept, settings)
    reasons = [
        *disagreement,
        *enough.gates(len(kept), rejected, settings.max_rejected),
        *enough.few_bad(n_bad, mask.size, settings.max_bad),
        *agreement.reasons,
    ]
    master.cards = [
        ("MSTKIND", kind, "kind of master"),
        ("FILTER", kept[0].facts.band, "band of the inputs"),
        ("NCOMBINE", len(kept), "frames combined"),
        ("FLATLEVL", float(np.mean(modes)), "[electron] mean level of the inputs"),
        ("MSTNOISE", noise, "noise of the master, photons alone"),
        ("NBAD", n_bad, "pixels marked bad"),
    ]
    levels = np.array([frame.seen.levels for frame in kept])
    return MasterOutputs(
        master,
        passed=not reasons,
        reasons=reasons,
        warnings=[*enough.warnings(inputs, len(kept)), *disagreement],
        rejected=rejected,
        metrics={
            "n_combined": len(kept),
            "level_e": float(np.mean(modes)),
            "noise": noise,
            "n_bad": n_bad,
            "clipped": compare.clipped_fractions(kept, clipped, mask.size),
            "sources": {frame.name: frame.seen.n_sources for frame in kept},
            "amplifiers": _amplifiers(kept, image, inputs),
            **agreement.metrics,
        },
        operations=[
            overscan_removed(kept),
            *(Operation(name) for name in Corrections.of(inputs.masters).names()),
            Operation("gain", {}),
            Operation("combine", {"method": "clipped mean", "sigma": settings.clip_sigma}),
            Operation("normalise", {"by": "median of the whole CCD"}),
        ],
        monitored=[
            *per_amplifier("flat_level", levels, camera),
            *_gains(kept, inputs.masters.get("LINEARITY")),
            *temperature(kept, camera),
        ],
    )


def _gains(kept: list[Measured[FlatSeen]], linearity: Master | None) -> list[AmpValue]:
    """Gain of each amplifier, e-/ADU, from the noise of successive flats (photon transfer).

    Of zero level, where the ramp of the linearity told by how much the variance falls short;
    without, of the level of these flats.
    """
    camera = kept[0].plane.camera
    stated = camera.values("gain_e_per_adu")
    shortfall, shortfall_error = _shortfall(linearity, len(stated))
    relative, error = phototransfer.gains(
        [frame.plane for frame in kept],
        [frame.seen.mode for frame in kept],
        camera.sections("dest"),
        np.median([frame.plane.readnoise_e for frame in kept], axis=0),
        shortfall=shortfall / stated,
        shortfall_error=shortfall_error / stated,
    )
    return [
        AmpValue(amp.id, "gain", float(ratio * gain), float(sigma * gain), len(kept))
        for amp, gain, ratio, sigma in zip(camera.amplifiers, stated, relative, error)
        if np.isfinite(ratio)
    ]


def _shortfall(
    linearity: Master | None, n_amp: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """1/ADU and its error, (n_amp,) each; 0 where no master or no amplifier tells."""
    arrays = {} if linearity is None else linearity.arrays
    if "shortfall" not in arrays:
        return np.zeros(n_amp), np.zeros(n_amp)
    values, errors = (np.asarray(arrays[k]) for k in ("shortfall", "shortfall_error"))
    known = np.isfinite(values) & np.isfinite(errors)
    return np.where(known, values, 0.0), np.where(known, errors, 0.0)


def _known_bad(inputs: RawInputs) -> NDArray[np.bool_]:
    """Pixels that take no part in levels: bad in the bias and, if there are any, other masters."""
    bad = np.zeros(inputs.camera.shape, bool)
    for kind in ("BIAS", "DARK", "BADPIXEL"):
        if kind in inputs.masters and inputs.masters[kind].mask.size:
            bad |= (inputs.masters[kind].mask & MaskBit.BAD) > 0
    return bad


def _response(
    kept: list[Measured[FlatSeen]], bad: NDArray[np.bool_], settings: FlatSettings
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Combine the frames, each scaled by its mode, and normalise by the median good pixel.

    A zero point then refers to the typical pixel of the CCD.
    """
    scale = 1.0 / np.array([frame.seen.mode for frame in kept])
    readnoise = np.array([float(np.median(frame.plane.readnoise_e)) for frame in kept])
    combined = combine.clipped_mean(
        [frame.plane for frame in kept],
        clip_sigma=settings.clip_sigma,
        scale=scale,
        noise=readnoise * scale,
        gain=1.0,
        variance=scale,  # photon noise of a scaled flat: 1 / electrons
        with_sigma=False,
    )
    good = framestats.sample(combined.image)[~framestats.sample(bad)]
    image = np.multiply(combined.image, np.float32(1 / np.median(good)), out=combined.image)
    return image, combined.clipped


def _unlike_surroundings(
    image: NDArray[np.float32],
    bad: NDArray[np.bool_],
    inputs: RawInputs,
    settings: FlatSettings,
) -> NDArray[np.uint8]:
    """Cold and hot pixels and dead columns. Dust and vignetting are wider and stay."""
    pixels, columns = defects.unlike_neighbours(
        image,
        inputs.camera.sections("dest"),
        bad,
        limits=(settings.low, settings.high),
        column=settings.column,
        mesh_px=settings.neighbourhood_px,
    )
    return np.where(pixels | columns, np.uint8(MaskBit.BAD), np.uint8(0))


def _amplifiers(
    kept: list[Measured[FlatSeen]], image: NDArray[np.float32], inputs: RawInputs
) -> list[dict[str, float]]:
    """Facts for the page: levels of the frames and response of each amplifier."""
    response = framestats.medians(image, inputs.camera.sections("dest"))
    levels = np.array([frame.seen.levels for frame in kept])
    return [
        {
            "amp": amp.id,
            "level_e": round(float(levels[:, k].mean()), 1),
            "lowest_e": round(float(levels[:, k].min()), 1),
            "highest_e": round(float(levels[:, k].max()), 1),
            "response": round(float(response[k]), 5),
        }
        for k, amp in enumerate(inputs.camera.amplifiers)
    ]
