"""The master dark: charge that pixels collect without light, electrons a second."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tesela.cameras import Camera
from tesela.errors import QualityError
from tesela.pixels import combine, defects, framestats, robust
from tesela.products.images import Master, Operation
from tesela.products.maskbit import MaskBit
from tesela.stages.masters import compare, enough
from tesela.stages.masters.calibrate import (
    Corrections,
    Levelled,
    Measured,
    measure,
    overscan_removed,
    per_amplifier,
    temperature,
)
from tesela.stages.masters.inputs import MasterOutputs, RawInputs
from tesela.stages.masters.settings import DarkSettings

_FEWEST_TO_JUDGE = 3
_MAX_SATURATED = 0.01
_LEVEL_SIGMA = 5.0


@dataclass(frozen=True)
class _Seen:
    """One dark: median of each amplifier, electrons a second."""

    level: NDArray[np.float64]


def build_dark(inputs: RawInputs, settings: DarkSettings) -> MasterOutputs:
    """Level and bias; divide by the exposure time; reject, combine, find hot pixels.

    The linearity is applied where its master is among the inputs, and only there.
    Frames of any exposure time are combined, weighted by what their read noise leaves of them.
    Memory as for the bias, with the bias. Raises `QualityError` if too few frames are usable or
    there is no bias.
    """
    if "BIAS" not in inputs.masters:
        raise QualityError(inputs.key, found="no master bias", expected="one to subtract")
    camera = inputs.camera
    frames, rejected = measure(inputs, _look, in_electrons=True)
    rejected |= _unfit(frames, camera, settings)
    kept = [frame for frame in frames if frame.name not in rejected]
    enough.require(inputs, "dark", len(kept), rejected)
    exptime = np.array([frame.facts.exptime_s for frame in kept])
    noise = np.array([np.median(frame.plane.readnoise_e) for frame in kept]) / exptime
    combined = _combined(kept, exptime, noise, settings)
    dest = camera.sections("dest")
    hot, scatter = defects.outliers(
        combined.image,
        dest,
        sigma=settings.hot_sigma,
        least=settings.hot_e_per_s,
        mesh_px=settings.neighbourhood_px,
        both=False,
    )
    nothing = combined.count == 0  # in no frame a number
    mask = np.where(hot | nothing, np.uint8(MaskBit.BAD), np.uint8(0))
    master = Master("DARK", combined.image, mask)
    master_noise = float(1 / np.sqrt(np.sum(noise**-2)))
    level = framestats.medians(combined.image, dest)
    agreement = compare.darks(master, inputs.previous, camera, settings)
    n_bad = int(np.count_nonzero(mask))
    apart = _apart(kept, camera, settings)
    reasons = [
        *apart,
        *enough.gates(len(kept), rejected, settings.max_rejected),
        *enough.few_bad(n_bad, mask.size, settings.max_bad),
        *agreement.reasons,
    ]
    master.cards = [
        ("MSTKIND", "DARK", "kind of master"),
        ("NCOMBINE", len(kept), "frames combined"),
        ("EXPTOTAL", float(exptime.sum()), "[s] exposure of all frames"),
        ("MSTNOISE", master_noise, "[electron/s] noise of the master"),
        ("NHOT", n_bad, "pixels marked bad"),
    ]
    return MasterOutputs(
        master,
        passed=not reasons,
        reasons=reasons,
        warnings=[*enough.warnings(inputs, len(kept)), *apart],
        rejected=rejected,
        metrics={
            "n_combined": len(kept),
            "exptime_s": float(exptime.sum()),
            "level_e_per_s": float(np.median(level)),
            "noise_e_per_s": master_noise,
            "n_bad": n_bad,
            "clipped": compare.clipped_fractions(kept, combined.clipped, mask.size),
            "amplifiers": _amplifiers(camera, level, scatter),
            **agreement.metrics,
        },
        operations=_operations(kept, inputs, settings),
        monitored=[
            *per_amplifier("dark", np.array([f.seen.level for f in kept]), camera),
            *temperature(kept, camera),
        ],
    )


def _combined(
    kept: Sequence[Measured[_Seen]],
    exptime: NDArray[np.float64],
    noise: NDArray[np.float64],
    settings: DarkSettings,
) -> combine.Combined:
    """The rate of every pixel: each frame over its exposure time, weighted by its noise."""
    return combine.clipped_mean(
        [frame.plane for frame in kept],
        clip_sigma=settings.clip_sigma,
        scale=1 / exptime,
        noise=noise,
        gain=1.0,
        variance=noise**2,
        with_sigma=False,
    )


def _amplifiers(
    camera: Camera, level: NDArray[np.float64], scatter: NDArray[np.float64]
) -> list[dict[str, float]]:
    """What is told of each amplifier, electrons a second."""
    return [
        {
            "amp": amp.id,
            "dark_e_per_s": round(float(level[k]), 6),
            "scatter_e_per_s": round(float(scatter[k]), 6),
        }
        for k, amp in enumerate(camera.amplifiers)
    ]


def _operations(
    kept: list[Measured[_Seen]], inputs: RawInputs, settings: DarkSettings
) -> list[Operation]:
    """What was done to the frames, in order."""
    return [
        overscan_removed(kept),
        *(Operation(name) for name in Corrections.of(inputs.masters).names()),
        Operation("gain"),
        Operation("exposure time"),
        Operation("combine", {"method": "clipped mean", "sigma": settings.clip_sigma}),
        Operation("hot pixels", {"sigma": settings.hot_sigma}),
    ]


def _look(image: NDArray[np.float32], plane: Levelled) -> _Seen:
    level = framestats.medians(image, plane.camera.sections("dest"))
    return _Seen(level / plane.exptime_s if plane.exptime_s > 0 else np.zeros_like(level))


def _unfit(frames: list[Measured[_Seen]], camera: Camera, settings: DarkSettings) -> dict[str, str]:
    """Frames without exposure, saturated, or with light in an amplifier.

    Those of the first two kinds have no part in what is usual.
    """
    rejected = {}
    for frame in frames:
        if not frame.facts.exptime_s > 0:
            rejected[frame.name] = f"exposure of {frame.facts.exptime_s:g} s"
        elif not frame.saturated <= _MAX_SATURATED:
            rejected[frame.name] = f"{100 * frame.saturated:.1f} % of the pixels saturated"
    exposed = [frame for frame in frames if frame.name not in rejected]
    if len(exposed) < _FEWEST_TO_JUDGE:
        return rejected
    away = np.array([frame.seen.level for frame in exposed])
    away = away - np.median(away, axis=0)
    for frame, own, limit in zip(exposed, away, _limits(exposed, camera, settings)):
        beyond = np.abs(own) / limit
        worst = int(np.argmax(beyond))
        if not beyond[worst] <= 1:
            rejected[frame.name] = (
                f"{frame.seen.level[worst]:.3f} electrons a second in amplifier "
                f"{camera.amplifiers[worst].id}, {own[worst]:+.3f} from the median of all"
            )
    return rejected


def _limits(
    frames: list[Measured[_Seen]], camera: Camera, settings: DarkSettings
) -> NDArray[np.float64]:
    """(n_frames, n_amp): how far a dark may be from the others, electrons a second.

    The level of a frame is known to some part of an electron whatever its exposure.
    """
    pixels = np.array([np.prod(amp.dest.shape) for amp in camera.amplifiers])
    read = np.array([frame.plane.readnoise_e for frame in frames], np.float64)
    error = np.hypot(robust.MEDIAN_ERROR * read / np.sqrt(pixels), settings.level_e)
    exptime = np.array([frame.facts.exptime_s for frame in frames])
    return np.maximum(settings.level_e_per_s, _LEVEL_SIGMA * error / exptime[:, None])


def _apart(kept: list[Measured[_Seen]], camera: Camera, settings: DarkSettings) -> list[str]:
    """How the only two darks disagree: neither is refused, and no certificate is given."""
    if len(kept) != 2:
        return []
    one, other = (frame.seen.level for frame in kept)
    beyond = np.abs(other - one) / _limits(kept, camera, settings).max(axis=0)
    worst = int(np.argmax(beyond))
    if beyond[worst] <= 1:
        return []
    return [
        f"the only two frames disagree: {one[worst]:.3f} and {other[worst]:.3f} electrons a second "
        f"in amplifier {camera.amplifiers[worst].id}; take more"
    ]
