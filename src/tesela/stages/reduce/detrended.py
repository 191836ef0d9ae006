"""The profile `detrended`: images from which illumination, fringes and patterns are measured."""

from __future__ import annotations

import numpy as np

from tesela.products.maskbit import MaskBit
from tesela.stages.reduce import (
    astrometry,
    contaminants,
    detector,
    gates,
    measure,
    patterns,
    review,
    sky,
)
from tesela.stages.reduce.finish import assemble
from tesela.stages.reduce.frame import Frame, needed
from tesela.stages.reduce.settings import ReduceInputs, ReduceOutputs, ReduceSettings


def detrend(inputs: ReduceInputs, settings: ReduceSettings) -> ReduceOutputs:
    """Raw frame and masters to an image through its flat, the sky left in, with its star list.

    Illumination, fringe and pattern are no part of its calset. There is no zero point:
    frames under clouds are judged by those who use them. Raises `QualityError`, with the reason, if
    there are too few stars for a PSF or a WCS.
    """
    frame = detector.remove_signature(inputs)
    sky.find_objects(frame, settings.sky)
    patterns.remove(frame)
    detector.fill_bad_pixels(frame)
    sky.subtract(frame, settings.sky)
    detector.blank_dead(frame)
    detector.measure_noise(frame, inputs)
    contaminants.mask_cosmics(frame, settings.cosmics)
    # Fringes are still there: noise alone would take their crests for sources.
    scatter = needed(frame.sky, "sky model").rms()
    scatter *= scatter
    np.maximum(needed(frame.variance, "variance"), scatter, out=scatter)
    sources = measure.detect_sources(frame, settings, inputs.camera, scatter)
    _widen_objects(frame)
    with gates.explained(frame, settings.gates):
        gates.refuse_trailed(frame, sources, settings.gates)
        psf = measure.model_psf(frame, sources, settings.psf, inputs)
        measure.fit_psf_fluxes(frame, sources, psf)
        wcs = astrometry.solve_frame(frame, sources, inputs, settings.astrometry)
    review.measure(frame, psf, inputs)
    made = assemble(frame, sources, psf, wcs, inputs, settings, with_sky=True)
    made.rejections = gates.judge(frame, settings.gates)
    return made


def _widen_objects(frame: Frame) -> None:
    """The OBJECT code covers all that the sky has to be measured around, not sources alone."""
    frame.set(MaskBit.OBJECT, needed(frame.objects, "object mask"))
