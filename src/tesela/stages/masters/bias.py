"""The master bias: what is left of an unexposed frame once its overscan level is removed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tesela.cameras import Camera
from tesela.pixels import combine, defects, framestats
from tesela.products.images import Master, Operation
from tesela.products.maskbit import MaskBit
from tesela.stages.masters import compare, enough
from tesela.stages.masters.calibrate import (
    Levelled,
    Measured,
    measure,
    per_amplifier,
    temperature,
)
from tesela.stages.masters.inputs import MasterOutputs, RawInputs
from tesela.stages.masters.settings import BiasSettings

_FEWEST_TO_JUDGE = 3  # of two that differ nobody knows which is wrong


@dataclass(frozen=True)
class _Seen:
    """One bias by amplifier: median level and noise of its image, ADU, and its profiles."""

    level: NDArray[np.float64]
    noise: NDArray[np.float64]
    profiles: framestats.Profiles


def build_bias(inputs: RawInputs, settings: BiasSettings) -> MasterOutputs:
    """Level, reject, combine, find hot pixels, compare.

    Every file is read twice, whole to measure it and by bands to combine. Memory: 128 rows of every
    frame, two raw frames and images, and the master (2 GiB for 40 of 9.2k x 9.2k). Raises
    `QualityError` if too few frames are usable.
    """
    camera = inputs.camera
    frames, rejected = measure(inputs, _look, in_electrons=False)
    rejected |= _unlike(frames, camera, settings)
    kept = [frame for frame in frames if frame.name not in rejected]
    enough.require(inputs, "bias", len(kept), rejected)
    noise_adu = float(np.median([frame.plane.readnoise_adu for frame in kept]))
    combined = combine.clipped_mean(
        [frame.plane for frame in kept],
        clip_sigma=settings.clip_sigma,
        noise=np.full(len(kept), noise_adu, np.float32),
        with_sigma=False,
    )
    hot, _ = defects.outliers(
        combined.image,
        camera.sections("dest"),
        sigma=settings.hot_sigma,
        least=settings.hot_sigma * 0.1,
        mesh_px=settings.neighbourhood_px,
    )
    mask = np.where(hot, np.uint8(MaskBit.BAD), np.uint8(0))
    master = Master("BIAS", combined.image, mask)
    master_noise = noise_adu / float(np.sqrt(len(kept)))
    agreement = compare.biases(master, inputs.previous, master_noise, settings)
    n_bad = int(np.count_nonzero(mask))
    master.cards = [
        ("MSTKIND", "BIAS", "kind of master"),
        ("NCOMBINE", len(kept), "frames combined"),
        ("RDNOISE", noise_adu, "[adu] read noise of one frame"),
        ("MSTNOISE", master_noise, "[adu] noise of the master"),
        ("NHOT", n_bad, "pixels marked bad"),
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
            "level_adu": float(np.median(framestats.sample(combined.image))),
            "n_bad": n_bad,
            "clipped": compare.clipped_fractions(kept, combined.clipped, mask.size),
            "amplifiers": _amplifiers(kept, combined.image, camera),
            **agreement.metrics,
        },
        operations=[
            Operation("overscan", {"method": "clipped mean of rows, smoothed"}),
            Operation("combine", {"method": "clipped mean", "sigma": settings.clip_sigma}),
            Operation("hot pixels", {"sigma": settings.hot_sigma}),
        ],
        monitored=[
            *per_amplifier("bias_level", np.array([f.plane.zero_adu for f in kept]), camera),
            *per_amplifier("readnoise", np.array([f.plane.readnoise_e for f in kept]), camera),
            *temperature(kept, camera),
        ],
    )


def _look(image: NDArray[np.float32], plane: Levelled) -> _Seen:
    dest = plane.camera.sections("dest")
    level, noise = framestats.medians(image, dest), framestats.noises(image, dest)
    return _Seen(level, noise, framestats.profiles(image, dest, level, noise))


def _unlike(
    frames: list[Measured[_Seen]], camera: Camera, settings: BiasSettings
) -> dict[str, str]:
    """Frames of which any amplifier deviates from its median over all; the worst one is named."""
    if not frames:
        return {}
    level = np.array([frame.seen.level for frame in frames])
    zero = np.array([frame.plane.zero_adu for frame in frames])
    rejected: dict[str, str] = {}
    for name, values in (("level", level), ("overscan level", zero)):
        away = values - np.median(values, axis=0)
        for frame, own, amp in _beyond(frames, np.abs(away) > settings.level_tolerance_adu, away):
            rejected.setdefault(
                frame.name,
                f"{name} {values[own, amp]:.1f} ADU in amplifier {camera.amplifiers[amp].id}, "
                f"{away[own, amp]:+.1f} from the median of all",
            )
    if len(frames) < _FEWEST_TO_JUDGE:
        return rejected
    for name, values in (
        ("noise", np.array([frame.seen.noise for frame in frames])),
        ("noise of the overscan", np.array([frame.plane.readnoise_adu for frame in frames])),
    ):
        usual = np.median(values, axis=0)
        away = values / np.maximum(usual, 1e-3) - 1
        for frame, own, amp in _beyond(frames, np.abs(away) > settings.noise_tolerance, away):
            rejected.setdefault(
                frame.name,
                f"{name} {values[own, amp]:.2f} ADU in amplifier {camera.amplifiers[amp].id}, "
                f"{usual[amp]:.2f} is usual",
            )
    return _structured(frames, camera, settings.structure_adu) | rejected


def _structured(
    frames: list[Measured[_Seen]], camera: Camera, tolerance_adu: float
) -> dict[str, str]:
    """Frames whose mean rows or columns are not the usual ones, beyond what noise explains."""
    rejected: dict[str, str] = {}
    noise = np.median([frame.seen.noise for frame in frames], axis=0)
    for name in ("rows", "columns"):
        profiles = np.array([getattr(frame.seen.profiles, name) for frame in frames])
        pixels = profiles.shape[2]
        across = np.array([np.prod(amp.dest.shape) / pixels for amp in camera.amplifiers])
        away = profiles - np.median(profiles, axis=0)
        away -= np.median(away, axis=2, keepdims=True)
        rms = np.sqrt(np.mean(away.astype(np.float64) ** 2, axis=2))
        limit = np.hypot(tolerance_adu, 3 * noise / np.sqrt(across))
        for frame, own, amp in _beyond(frames, rms > limit, rms):
            rejected.setdefault(
                frame.name,
                f"mean {name} of amplifier {camera.amplifiers[amp].id} differ by "
                f"{rms[own, amp]:.1f} ADU rms from the usual ones",
            )
    return rejected


def _beyond(
    frames: list[Measured[_Seen]], is_beyond: NDArray[np.bool_], away: NDArray[Any]
) -> list[tuple[Measured[_Seen], int, int]]:
    """(frame, its number, its worst amplifier) of the frames with an amplifier beyond a limit."""
    worst = np.argmax(np.abs(away), axis=1)
    return [(frame, i, int(worst[i])) for i, frame in enumerate(frames) if is_beyond[i, worst[i]]]


def _amplifiers(
    kept: list[Measured[_Seen]], image: NDArray[np.float32], camera: Camera
) -> list[dict[str, Any]]:
    """Facts for the page: levels and noises of the frames, structure of the master."""
    dest = camera.sections("dest")
    level, noise = framestats.medians(image, dest), framestats.noises(image, dest)
    rows, columns = framestats.profiles(image, dest, level, noise).rms()
    zero = np.mean([frame.plane.zero_adu for frame in kept], axis=0)
    readnoise = np.mean([frame.plane.readnoise_e for frame in kept], axis=0)
    return [
        {
            "amp": amp.id,
            "overscan_level_adu": round(float(zero[k]), 3),
            "level_adu": round(float(level[k]), 3),
            "readnoise_e": round(float(readnoise[k]), 3),
            "noise_adu": round(float(noise[k]), 3),
            "structure_rows_adu": round(float(rows[k]), 3),
            "structure_columns_adu": round(float(columns[k]), 3),
        }
        for k, amp in enumerate(camera.amplifiers)
    ]
