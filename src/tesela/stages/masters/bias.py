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
    overscan_removed,
    per_amplifier,
    temperature,
)
from tesela.stages.masters.inputs import MasterOutputs, RawInputs
from tesela.stages.masters.settings import BiasSettings

Floats = NDArray[np.float64]

_FEWEST_TO_JUDGE = 3  # of two that differ nobody knows which is wrong
_LEVEL_SIGMA = 5.0


@dataclass(frozen=True)
class _Seen:
    """One bias by amplifier: mean level and noise of its image, ADU, and its profiles."""

    level: Floats
    noise: Floats
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
    nothing = combined.count == 0  # in no frame a number
    mask = np.where(hot | nothing, np.uint8(MaskBit.BAD), np.uint8(0))
    master = Master("BIAS", combined.image, mask)
    master_noise = noise_adu / float(np.sqrt(len(kept)))
    agreement = compare.biases(master, inputs.previous, master_noise, settings)
    n_bad = int(np.count_nonzero(mask))
    apart = _apart(kept, camera, settings)
    reasons = [
        *apart,
        *enough.gates(len(kept), rejected, settings.max_rejected),
        *enough.few_bad(n_bad, mask.size, settings.max_bad),
        *agreement.reasons,
    ]
    master.cards = [
        ("MSTKIND", "BIAS", "kind of master"),
        ("NCOMBINE", len(kept), "frames combined"),
        ("RDNOISE", noise_adu, "[adu] read noise of one frame"),
        ("MSTNOISE", master_noise, "[adu] noise of the master"),
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
            "readnoise_adu": noise_adu,
            "noise_adu": master_noise,
            "level_adu": float(np.median(framestats.sample(combined.image))),
            "n_bad": n_bad,
            "clipped": compare.clipped_fractions(kept, combined.clipped, mask.size),
            "amplifiers": _amplifiers(kept, combined.image, camera),
            **agreement.metrics,
        },
        operations=[
            overscan_removed(kept),
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
    profiles = framestats.profiles(image, dest, level, noise)
    # Medians of digitised pixels come in steps; the mean of what is near them does not.
    heights = [amp.dest.shape[0] for amp in plane.camera.amplifiers]
    about = [rows[:n].mean(dtype=np.float64) for rows, n in zip(profiles.rows, heights)]
    return _Seen(level + about, noise, profiles)


@dataclass(frozen=True)
class _Quantity:
    """What biases are compared in, ADU; (n_frames, n_amp) each."""

    name: str
    values: Floats
    away: Floats
    """From the median of all frames: the difference, or the relative one."""
    limit: Floats

    @classmethod
    def level(cls, name: str, values: Floats, limit: Floats | float) -> _Quantity:
        """Differences count."""
        away = values - np.median(values, axis=0)
        return cls(name, values, away, np.broadcast_to(limit, values.shape))

    @classmethod
    def noise(cls, name: str, values: Floats, limit: float) -> _Quantity:
        """Ratios count."""
        away = values / np.maximum(np.median(values, axis=0), 1e-3) - 1
        return cls(name, values, away, np.broadcast_to(limit, values.shape))


def _quantities(
    frames: list[Measured[_Seen]], camera: Camera, settings: BiasSettings
) -> tuple[list[_Quantity], list[_Quantity]]:
    """Levels and noises of the frames, of the image and of the overscan."""
    noise = np.array([frame.seen.noise for frame in frames])
    strip = np.array([frame.plane.readnoise_adu for frame in frames], np.float64)
    pixels = np.array([np.prod(amp.dest.shape) for amp in camera.amplifiers])
    beside = np.array([np.prod(a.overscan.shape) if a.overscan else 0 for a in camera.amplifiers])
    error = np.hypot(noise / np.sqrt(pixels), strip / np.sqrt(np.maximum(beside, 1)))
    # What no overscan takes out may drift as an overscan does.
    levelled = np.where(
        beside > 0,
        np.maximum(settings.levelled_tolerance_adu, _LEVEL_SIGMA * error),
        settings.level_tolerance_adu,
    )
    level = np.array([frame.seen.level for frame in frames])
    zero = np.array([frame.plane.zero_adu for frame in frames])
    return [
        _Quantity.level("level", level, levelled),
        _Quantity.level("overscan level", zero, settings.level_tolerance_adu),
    ], [
        _Quantity.noise("noise", noise, settings.noise_tolerance),
        _Quantity.noise("noise of the overscan", strip, settings.noise_tolerance),
    ]


def _unlike(
    frames: list[Measured[_Seen]], camera: Camera, settings: BiasSettings
) -> dict[str, str]:
    """Frames of which any amplifier deviates from its median over all; the worst one is named."""
    if len(frames) < _FEWEST_TO_JUDGE:
        return {}
    rejected: dict[str, str] = {}
    levels, noises = _quantities(frames, camera, settings)
    for each in levels:
        for frame, own, amp in _beyond(frames, np.abs(each.away) / each.limit):
            rejected.setdefault(
                frame.name,
                f"{each.name} {each.values[own, amp]:.1f} ADU in amplifier "
                f"{camera.amplifiers[amp].id}, {each.away[own, amp]:+.1f} from the median of all",
            )
    for each in noises:
        usual = np.median(each.values, axis=0)
        for frame, own, amp in _beyond(frames, np.abs(each.away) / each.limit):
            rejected.setdefault(
                frame.name,
                f"{each.name} {each.values[own, amp]:.2f} ADU in amplifier "
                f"{camera.amplifiers[amp].id}, {usual[amp]:.2f} is usual",
            )
    return _structured(frames, camera, settings.structure_adu) | rejected


def _apart(kept: list[Measured[_Seen]], camera: Camera, settings: BiasSettings) -> list[str]:
    """What the only two frames disagree in: neither is refused, and no certificate is given."""
    if len(kept) != 2:
        return []
    levels, noises = _quantities(kept, camera, settings)
    said = []
    for each in (*levels, *noises):
        apart = np.abs(each.away[1] - each.away[0]) / np.hypot(*each.limit)
        amp = int(np.argmax(apart))
        if not apart[amp] <= 1:
            one, other = each.values[:, amp]
            said.append(
                f"the only two frames disagree: {each.name} {one:.1f} and {other:.1f} ADU in "
                f"amplifier {camera.amplifiers[amp].id}, {abs(other - one):.1f} apart; take more"
            )
    return said


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
        for frame, own, amp in _beyond(frames, rms / limit):
            rejected.setdefault(
                frame.name,
                f"mean {name} of amplifier {camera.amplifiers[amp].id} differ by "
                f"{rms[own, amp]:.1f} ADU rms from the usual ones",
            )
    return rejected


def _beyond(
    frames: list[Measured[_Seen]], excess: Floats
) -> list[tuple[Measured[_Seen], int, int]]:
    """(frame, its number, its worst amplifier) of the frames with an amplifier beyond 1."""
    worst = np.argmax(excess, axis=1)
    return [
        (frame, i, int(worst[i])) for i, frame in enumerate(frames) if not excess[i, worst[i]] <= 1
    ]


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
