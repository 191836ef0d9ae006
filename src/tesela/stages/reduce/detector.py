"""What belongs to the detector and the optics, until electrons lie on a flat response."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tesela.errors import QualityError
from tesela.pixels import badpixels, crosstalk, detrend, overscan, saturation
from tesela.products.maskbit import MaskBit
from tesela.stages.reduce import calset
from tesela.stages.reduce.calset import Calset
from tesela.stages.reduce.frame import Frame
from tesela.stages.reduce.settings import ReduceInputs

_MAX_SATURATED = 0.25
_LEAST_RESPONSE = 0.01


def remove_signature(inputs: ReduceInputs) -> Frame:
    """Raw ADU to electrons on a flat detector, with the codes for bad and saturated pixels.

    Level, bias, linearity, gain, dark, crosstalk, flat and illumination, in this order; saturation
    is judged on raw ADU, and the flat is rid of its own crosstalk. What there is no master of is
    left out and recorded so. Raises `QualityError` if the frame is saturated as a whole, `BadInput`
    if a master does not fit.
    """
    camera, masters = inputs.camera, calset.of_frame(inputs)
    data, dest = camera.sections("data"), camera.sections("dest")
    gain = camera.values("gain_e_per_adu")
    strip = overscan.measure(inputs.pixels, camera.sections("overscan"), data)
    saturated = _saturated(inputs)
    flat = masters.effective_flat()
    image = detrend.apply(
        inputs.pixels,
        data,
        dest,
        strip.level,
        gain,
        masters.bias,
        # Ghosts are as strong as what was read out, so they go before the response does.
        detrend.NOTHING if masters.crosstalk.size else flat,
        dark=masters.dark,
        exptime_s=inputs.facts.exptime_s,
        linearity=masters.linearity,
        pivot_adu=masters.pivot_adu,
    )
    measured = strip.noise_adu * gain
    noise = np.where(np.isfinite(measured), measured, camera.values("readnoise_e"))
    frame = Frame(
        image,
        np.zeros(camera.shape, np.uint8),
        np.where(masters.bad, np.float32(1), flat),
        _dark_noise(inputs, masters, flat, noise),
    )
    n_saturated = frame.set(MaskBit.SATURATED, saturated)
    _record_electrons(frame, inputs, masters, n_saturated)
    _remove_crosstalk(frame, inputs, masters, noise.astype(np.float32))
    _record_response(frame, masters)
    frame.set(MaskBit.BAD, masters.bad)
    frame.metrics.update(
        overscan_level_adu=float(np.median(strip.level)),
        readnoise_e=float(np.median(noise)),
        fraction_saturated=float(saturated.mean()),
        fraction_bad=float(masters.bad.mean()),
    )
    return frame


def fill_bad_pixels(frame: Frame) -> None:
    """Replace bad pixels by a guess from their neighbours; they keep their code."""
    bad = (frame.mask & MaskBit.BAD) > 0
    frame.image = badpixels.fill(frame.image, bad)
    frame.did("bad pixels", pixels=int(np.count_nonzero(bad)), method="inverse distance, 5x5")


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


def _dark_noise(
    inputs: ReduceInputs,
    masters: Calset,
    flat: NDArray[np.float32],
    readnoise_e: NDArray[np.float64],
) -> NDArray[np.float32]:
    """Noise of a pixel without light, of read-out and dark current, divided by its response."""
    noise = np.empty(inputs.camera.shape, np.float32)
    for amp, readout_e in zip(inputs.camera.amplifiers, readnoise_e):
        part = noise[amp.dest.slices]
        part[...] = readout_e
        if masters.dark.size:
            dark_e = masters.dark[amp.dest.slices] * np.float32(inputs.facts.exptime_s)
            np.sqrt(part**2 + np.maximum(np.nan_to_num(dark_e), 0), out=part)
        part /= np.maximum(flat[amp.dest.slices], np.float32(_LEAST_RESPONSE))
    return noise


def _record_electrons(
    frame: Frame, inputs: ReduceInputs, masters: Calset, n_saturated: int
) -> None:
    gain = [round(float(amp.gain_e_per_adu), 4) for amp in inputs.camera.amplifiers]
    frame.did("overscan", method="clipped mean of rows, smoothed")
    frame.did("bias")
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


def _record_response(frame: Frame, masters: Calset) -> None:
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


def _remove_crosstalk(
    frame: Frame, inputs: ReduceInputs, masters: Calset, readnoise_e: NDArray[np.float32]
) -> None:
    """Subtract ghosts, then divide by the flat, which waited for that."""
    if not masters.crosstalk.size:
        frame.did("crosstalk", matrix=masters.crosstalk_source)
        return
    amplifiers = inputs.camera.amplifiers
    corrected, unsolved = crosstalk.correct(
        frame.image,
        inputs.camera.sections("dest"),
        masters.crosstalk,
        np.array([amp.flip_x for amp in amplifiers]),
        np.array([amp.flip_y for amp in amplifiers]),
        saturated=(frame.mask & MaskBit.SATURATED) > 0,
        readnoise_e=readnoise_e,
    )
    frame.image = (corrected / frame.flat).astype(np.float32, copy=False)
    pixels = frame.set(MaskBit.INTERPOLATED, unsolved)
    frame.did("crosstalk", matrix=masters.crosstalk_source, unsolved=pixels)
