"""What belongs to the detector and the optics, until electrons lie on a flat response."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from tesela.cameras import zerolevel
from tesela.errors import QualityError
from tesela.pixels import (
    background,
    badpixels,
    crosstalk,
    detrend,
    holes,
    overscan,
    saturation,
    variance,
)
from tesela.products.maskbit import MaskBit
from tesela.stages.reduce import amplifiers
from tesela.stages.reduce.frame import Frame, needed
from tesela.stages.reduce.settings import ReduceInputs

_MAX_SATURATED = 0.25


def remove_signature(inputs: ReduceInputs) -> Frame:
    """Raw ADU to electrons on a flat detector, with the codes for bad and saturated pixels.

    Level, bias, linearity, gain, dark, crosstalk, flat and illumination, in this order; saturation
    is judged on raw ADU, and the flat is rid of its own crosstalk. What there is no master of is
    left out and recorded so. Amplifiers that are broken are masked before crosstalk could carry
    them into others, or else as soon as their levels can be compared. Raises `QualityError` if the
    frame is saturated as a whole or most amplifiers are broken, `BadInput` if a master does not
    fit.
    """
    broken = amplifiers.faults(inputs)
    inputs, missing = without_holes(inputs)
    camera, masters = inputs.camera, inputs.calset
    data, dest = camera.sections("data"), camera.sections("dest")
    gain = camera.values("gain_e_per_adu")
    strip = overscan.measure(
        inputs.pixels, camera.sections("overscan"), data, parallel=camera.sections("parallel")
    )
    saturated = _saturated(inputs)
    image = detrend.apply(
        inputs.pixels,
        data,
        dest,
        strip.level,
        gain,
        masters.bias,
        # Ghosts are as strong as what was read out, so they go before the response does.
        detrend.NOTHING if masters.crosstalk.size else masters.response,
        dark=masters.dark,
        exptime_s=inputs.facts.exptime_s,
        linearity=masters.linearity,
        pivot_adu=masters.pivot_adu,
        threads=inputs.threads,
    )
    measured = strip.noise_adu * gain
    noise = np.where(measured > 0, measured, camera.values("readnoise_e"))
    frame = Frame(
        image,
        np.zeros(camera.shape, np.uint8),
        masters,
        noise.astype(np.float32),
        inputs.threads,
    )
    amplifiers.set_aside(frame, inputs, broken)
    amplifiers.warn_of_light(frame, inputs, strip)
    n_saturated = frame.set(MaskBit.SATURATED, saturated)
    _record_electrons(frame, inputs, n_saturated, np.median(strip.level, axis=1))
    _remove_crosstalk(frame, inputs, saturated)
    _record_response(frame)
    frame.set(MaskBit.BAD, masters.bad)
    if missing is not None:
        frame.set(MaskBit.BAD, missing)
    amplifiers.compare_sky(frame, inputs)
    n_bad = int(np.count_nonzero(frame.has(MaskBit.BAD)))
    frame.metrics.update(
        overscan_level_adu=float(np.median(strip.level)),
        readnoise_e=float(np.median(noise)),
        fraction_saturated=n_saturated / image.size,
        fraction_bad=n_bad / image.size,
    )
    return frame


def measure_noise(frame: Frame, inputs: ReduceInputs) -> None:
    """The variance of sky, dark current, read-out and masters, and its coarse map."""
    exptime_s = inputs.facts.exptime_s
    frame.variance = variance.without_sources(
        frame.sky,
        frame.calset.response,
        inputs.camera.sections("dest"),
        frame.calset.noise.readout_e(frame.readnoise_e, exptime_s),
        dark=frame.calset.dark,
        exptime_s=exptime_s,
        flat_noise=frame.calset.noise.flat,
        threads=frame.threads,
    )
    sky = needed(frame.sky, "sky model")
    coarse = background.measure(
        frame.variance, frame.unusable, mesh_px=sky.mesh_px, threads=frame.threads
    )
    frame.sky_mesh = np.stack([sky.mesh_level, coarse.mesh_level])


def fill_bad_pixels(frame: Frame) -> None:
    """Replace bad pixels by a guess from their neighbours; they keep their code."""
    bad = frame.has(MaskBit.BAD)
    for place in frame.dead:  # nothing is known of them: they are blanked later
        bad[place] = frame.calset.bad[place]
    badpixels.fill(frame.image, bad, out=frame.image)
    frame.did("bad pixels", pixels=int(np.count_nonzero(bad)), method="inverse distance, 5x5")


def blank_dead(frame: Frame) -> None:
    """Put nothing where an amplifier gave nothing; its pixels are marked bad."""
    for rows, columns in frame.dead:
        frame.image[rows, columns] = 0


def without_holes(inputs: ReduceInputs) -> tuple[ReduceInputs, NDArray[np.bool_] | None]:
    """The frame with numbers everywhere, and where it had none: (ny, nx), None if nowhere."""
    found = holes.find(inputs.pixels)
    if found is None:
        return inputs, None
    camera = inputs.camera
    data = camera.sections("data")
    filled = holes.fill(inputs.pixels, found, camera.read_sections())
    bad = holes.trimmed(found, data, camera.sections("dest"), camera.shape)
    return replace(inputs, pixels=filled), bad


def _saturated(inputs: ReduceInputs) -> NDArray[np.bool_]:
    camera = inputs.camera
    saturated = saturation.find(
        inputs.pixels,
        camera.sections("data"),
        camera.sections("dest"),
        camera.values("saturation_adu"),
        camera.shape,
    )
    if saturated.mean() > _MAX_SATURATED:
        raise QualityError(
            inputs.facts.name,
            found=f"{100 * saturated.mean():.0f} % of the pixels saturated",
            expected=f"less than {100 * _MAX_SATURATED:.0f} %",
            do="check the exposure time and the twilight",
        )
    return saturated


def _record_electrons(
    frame: Frame, inputs: ReduceInputs, n_saturated: int, level_adu: NDArray[np.float32]
) -> None:
    masters = frame.calset
    gain = [round(float(amp.gain_e_per_adu), 4) for amp in inputs.camera.amplifiers]
    frame.operations.append(zerolevel.operation(inputs.camera, level_adu))
    frame.did("bias", source="none" if "BIAS" in masters.lacking else "BIAS")
    if masters.linearity.size:
        degree = int(masters.linearity.shape[1])
        frame.did("linearity", source="LINEARITY", degree=degree, pivot_adu=masters.pivot_adu)
    else:
        frame.did("linearity", source="none")
    frame.did("gain", e_per_adu=gain)
    if masters.dark.size:
        frame.did("dark", source="DARK", exptime_s=inputs.facts.exptime_s)
    else:
        frame.did("dark", source="none")
    frame.did("saturation", pixels=n_saturated)


def _record_response(frame: Frame) -> None:
    masters = frame.calset
    frame.did(
        "flat",
        source=masters.flat_kind,
        normalised="median of the whole CCD",
        crosstalk_removed=bool(masters.crosstalk.size),
    )
    if masters.illumination.size:
        frame.did(
            "illumination",
            source="ILLUMINATION",
            map="instrumental - true, mag",
            applied="I 10^(+0.4 map)",
            peak_to_peak_mag=float(np.ptp(masters.illumination)),
        )
    else:
        frame.did("illumination", source="none")


def _remove_crosstalk(frame: Frame, inputs: ReduceInputs, saturated: NDArray[np.bool_]) -> None:
    """Subtract ghosts, then divide by the flat, which waited for that."""
    masters = frame.calset
    if not masters.crosstalk.size:
        frame.did("crosstalk", matrix=masters.crosstalk_source)
        return
    outputs = inputs.camera.amplifiers
    corrected, unsolved = crosstalk.correct(
        frame.image,
        inputs.camera.sections("dest"),
        masters.crosstalk,
        np.array([amp.flip_x for amp in outputs]),
        np.array([amp.flip_y for amp in outputs]),
        saturated=saturated,
        readnoise_e=frame.readnoise_e,
        threads=frame.threads,
    )
    frame.image = np.divide(corrected, masters.response, out=corrected)
    pixels = frame.set(MaskBit.INTERPOLATED, unsolved)
    frame.did("crosstalk", matrix=masters.crosstalk_source, unsolved=pixels)
