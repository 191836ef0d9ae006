"""What belongs to the detector: zero level, bias, gain, saturation, crosstalk, flat, bad pixels."""

from __future__ import annotations

import numpy as np

from tesela.errors import QualityError
from tesela.pixels import badpixels, crosstalk, detrend, overscan, saturation
from tesela.products.maskbit import MaskBit
from tesela.stages.reduce.frame import Frame
from tesela.stages.reduce.settings import ReduceInputs

_NOTHING = np.empty((0, 0), np.float32)
_MAX_SATURATED = 0.25


def remove_signature(inputs: ReduceInputs) -> Frame:
    """Raw ADU to electrons on a flat detector, with the codes for bad and saturated pixels.

    Saturation is judged on raw ADU; the gain comes before the flat. Raises `QualityError` if the
    frame is saturated as a whole.
    """
    camera = inputs.camera
    data, dest = camera.sections("data"), camera.sections("dest")
    gain = camera.values("gain_e_per_adu")
    strip = overscan.measure(inputs.pixels, camera.sections("overscan"), data)
    saturated = saturation.find(
        inputs.pixels, data, dest, camera.values("saturation_adu"), camera.shape
    )
    if saturated.mean() > _MAX_SATURATED:
        raise QualityError(
            inputs.facts.name,
            found=f"{100 * saturated.mean():.0f} % of the pixels saturated",
            expected=f"less than {100 * _MAX_SATURATED:.0f} %",
            do="check the exposure time and the twilight",
        )
    image = detrend.apply(
        inputs.pixels,
        data,
        dest,
        strip.level,
        gain,
        inputs.bias.image,
        _NOTHING if camera.crosstalk else inputs.flat.image,
    )
    measured = strip.noise_adu * gain
    noise = np.where(np.isfinite(measured), measured, camera.values("readnoise_e"))
    frame = Frame(
        image,
        np.zeros(camera.shape, np.uint8),
        inputs.flat.image,
        np.empty(camera.shape, np.float32),
    )
    for amp, readnoise_e in zip(camera.amplifiers, noise):
        frame.readnoise_e[amp.dest.slices] = readnoise_e / np.maximum(
            inputs.flat.image[amp.dest.slices], 0.01
        )
    bad = ((inputs.bias.mask | inputs.flat.mask) & MaskBit.BAD) > 0
    frame.flat = np.where(bad, np.float32(1), inputs.flat.image)
    n_bad = frame.set(MaskBit.BAD, bad)
    n_saturated = frame.set(MaskBit.SATURATED, saturated)
    frame.did("overscan", method="clipped mean of rows, smoothed")
    frame.did("bias")
    frame.did("gain", e_per_adu=[round(float(g), 4) for g in gain])
    frame.did("saturation", pixels=n_saturated)
    _remove_crosstalk(frame, inputs, noise.astype(np.float32))
    frame.did("flat", normalised="median of the whole CCD")
    frame.image = badpixels.fill(frame.image, bad)
    frame.did("bad pixels", pixels=n_bad, method="inverse distance, 5x5")
    frame.metrics.update(
        overscan_level_adu=float(np.median(strip.level)),
        readnoise_e=float(np.median(noise)),
        fraction_saturated=float(saturated.mean()),
        fraction_bad=float(bad.mean()),
    )
    return frame


def _remove_crosstalk(frame: Frame, inputs: ReduceInputs, readnoise_e: np.ndarray) -> None:
    camera = inputs.camera
    if not camera.crosstalk:
        frame.did("crosstalk", matrix="none known")
        return
    corrected, unsolved = crosstalk.correct(
        frame.image,
        camera.sections("dest"),
        np.array(camera.crosstalk, np.float32),
        np.array([amp.flip_x for amp in camera.amplifiers]),
        np.array([amp.flip_y for amp in camera.amplifiers]),
        saturated=(frame.mask & MaskBit.SATURATED) > 0,
        readnoise_e=readnoise_e,
    )
    frame.image = (corrected / frame.flat).astype(np.float32, copy=False)
    pixels = frame.set(MaskBit.INTERPOLATED, unsolved)
    frame.did("crosstalk", matrix="of the camera", unsolved=pixels)
