"""The profile `detrended`: images from which illumination, fringes and patterns are measured."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from tesela.products.maskbit import MaskBit
from tesela.products.masterkind import DETRENDED, KINDS
from tesela.stages.reduce import astrometry, contaminants, detector, measure, patterns, sky
from tesela.stages.reduce.finish import assemble
from tesela.stages.reduce.frame import Frame, needed
from tesela.stages.reduce.settings import ReduceInputs, ReduceOutputs, ReduceSettings


def detrend(inputs: ReduceInputs, settings: ReduceSettings) -> ReduceOutputs:
    """Raw frame and masters to an image through its flat, the sky left in, with its star list.

    Illumination, fringe and pattern are left out even where they are given. There is no zero point:
    frames under clouds are judged by those who use them. Raises `QualityError`, with the reason, if
    there are too few stars for a PSF or a WCS.
    """
    left_out = {kind.name for kind in KINDS.values() if DETRENDED not in kind.profiles}
    masters = {kind: master for kind, master in inputs.masters.items() if kind not in left_out}
    inputs = replace(inputs, masters=masters)
    frame = detector.remove_signature(inputs)
    sky.find_objects(frame, settings.sky)
    patterns.remove(frame, inputs)
    detector.fill_bad_pixels(frame)
    sky.subtract(frame, settings.sky)
    contaminants.mask_cosmics(frame, settings.cosmics)
    # Fringes are still there: noise alone would take their crests for sources.
    scatter = needed(frame.sky_model, "sky model").rms()
    variance = np.maximum(frame.sky_variance(), scatter**2)
    sources = measure.detect_sources(frame, settings, inputs.camera, variance)
    _widen_objects(frame)
    psf = measure.model_psf(frame, sources, settings.psf, inputs)
    measure.fit_psf_fluxes(frame, sources, psf)
    wcs = astrometry.solve_frame(frame, sources, inputs, settings.astrometry)
    return assemble(frame, sources, psf, wcs, inputs, settings, with_sky=True)


def _widen_objects(frame: Frame) -> None:
    """The OBJECT code covers all that the sky has to be measured around, not sources alone."""
    frame.set(MaskBit.OBJECT, needed(frame.objects, "object mask"))
