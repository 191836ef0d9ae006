"""The reduction of one frame, in the order in which it has to be done."""

from __future__ import annotations

from tesela.stages.reduce import (
    astrometry,
    contaminants,
    detector,
    gates,
    measure,
    patterns,
    photometry,
    review,
    sky,
)
from tesela.stages.reduce.finish import assemble
from tesela.stages.reduce.settings import ReduceInputs, ReduceOutputs, ReduceSettings


def reduce(inputs: ReduceInputs, settings: ReduceSettings) -> ReduceOutputs:
    """Raw frame and masters to a calibrated image with mask, variance, PSF, WCS and zero point.

    Raises `QualityError`, with the reason, if the frame cannot be calibrated.
    """
    frame = detector.remove_signature(inputs)
    sky.find_objects(frame, settings.sky)
    patterns.remove(frame)
    detector.fill_bad_pixels(frame)
    sky.subtract(frame, settings.sky)
    detector.blank_dead(frame)
    detector.measure_noise(frame, inputs)
    contaminants.mask_cosmics(frame, settings.cosmics)
    contaminants.mask_trails(frame, settings.trails)
    sources = measure.detect_sources(frame, settings, inputs.camera)
    with gates.explained(frame, settings.gates):
        gates.refuse_trailed(frame, sources, settings.gates)
        psf = measure.model_psf(frame, sources, settings.psf, inputs)
        measure.fit_psf_fluxes(frame, sources, psf)
        wcs = astrometry.solve_frame(frame, sources, inputs, settings.astrometry)
        photometry.calibrate(frame, sources, inputs, settings.photometry)
    review.measure(frame, psf, inputs)
    made = assemble(frame, sources, psf, wcs, inputs, settings)
    made.rejections = gates.judge(frame, settings.gates)
    return made
