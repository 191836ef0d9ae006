"""The profile `quicklook`: what an observer has to know of a frame before the next one ends.

It leaves out what takes long and is not needed: trails, crosstalk, patterns, PSF fluxes of faint
sources, and planes of all pixels on disk. Cosmic rays are masked, though that is a third of the
time. In a field of many stars they change the seeing by 0.1 mas, but where fewer than 150 stars are
bright they outnumber them, are as alike, and were taken for the PSF: 0.85 arcsec instead of 1.28.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from tesela.errors import QualityError
from tesela.pixels import pyramid, rawpicture, thumbnail
from tesela.products import paths
from tesela.products.maskbit import UNUSABLE
from tesela.stages.reduce import (
    amplifiers,
    astrometry,
    contaminants,
    detector,
    exposed,
    gates,
    measure,
    photometry,
    quick_judge,
    review,
    sky,
)
from tesela.stages.reduce.frame import Frame, needed
from tesela.stages.reduce.measure import Sources
from tesela.stages.reduce.quick_settings import QuickOutputs, QuickSettings
from tesela.stages.reduce.settings import ReduceInputs, ReduceSettings

_PREVIEW_PX = 1280
_COLUMNS = {
    "x_win": "x", "y_win": "y", "ra": "ra", "dec": "dec", "i_ref": "i_ref",
    "flux_auto": "flux_auto", "flux_auto_err": "flux_auto_err",
    "flux_psf": "flux_psf", "flux_psf_err": "flux_psf_err",
    "fwhm_px": "fwhm", "ellipticity": "ellipticity", "theta": "theta", "peak": "peak",
    "flags": "flags",
}  # fmt: skip
_ROUND_STARS = 1 | 4 | 8 | 16
_MIN_SNR = 40.0


def look(
    inputs: ReduceInputs,
    settings: ReduceSettings,
    quick: QuickSettings,
    usual_zeropoint_mag: float | None = None,
) -> QuickOutputs:
    """Look at a raw frame of any type, and say whether it is what an observer wants.

    Of a science frame sky, seeing, ellipticity, position and zero point are measured; of others
    level, noise and saturation alone. `usual_zeropoint_mag` is that of a clear night in this
    filter, from which the transparency is told. Nothing raises `QualityError`: how far one came,
    and why not farther, is in what is returned.
    """
    seen = exposed.measure(detector.without_holes(inputs)[0])
    found = QuickOutputs(seen.metrics(), [], [], [], {}, {}, _raw_picture(inputs))
    science = inputs.facts.obstype == "science"
    if not science:
        wrong = amplifiers.faults(inputs)
        told = {k: fault for k, fault in wrong.items() if k + 1 not in seen.dead}
        found.warnings += amplifiers.sentences(inputs, told)
    if science and seen.fraction_saturated <= quick.max_saturated:
        _look_at_sky(found, inputs, _settings(settings, quick), quick)
    quick_judge.judge(found, seen, inputs.facts.obstype, quick, usual_zeropoint_mag)
    return found


def _look_at_sky(
    found: QuickOutputs, inputs: ReduceInputs, settings: ReduceSettings, quick: QuickSettings
) -> None:
    """The reduction's own steps, as far as they go; what was measured before one fails is kept."""
    frame: Frame | None = None
    sources: Sources | None = None
    try:
        frame = detector.remove_signature(inputs)
        sky.find_objects(frame, settings.sky)
        detector.fill_bad_pixels(frame)
        sky.subtract(frame, settings.sky)
        detector.blank_dead(frame)
        detector.measure_noise(frame, inputs)
        contaminants.mask_cosmics(frame, settings.cosmics)
        sources = _detect(frame, settings, inputs, quick)
        _measure_noise(frame, inputs)
        with gates.explained(frame, settings.gates):
            gates.refuse_trailed(frame, sources, settings.gates)
            psf = measure.model_psf(frame, sources, settings.psf, inputs)
            sources = _brightest(sources, quick.max_stars)
            measure.fit_psf_fluxes(frame, sources, psf)
            if astrometry.is_covered(inputs, settings.astrometry):
                wcs = astrometry.solve_frame(frame, sources, inputs, settings.astrometry)
                found.wcs = wcs.to_cards()
                photometry.calibrate(frame, sources, inputs, settings.photometry)
            else:
                frame.warnings.append(
                    "no position and no zero point: no reference stars in this field"
                )
    except QualityError as error:
        found.rejections.append(str(error))
    found.stars = {} if sources is None else _star_list(_brightest(sources, quick.max_stars))
    if frame is not None:
        _take_over(found, frame, settings)


def _take_over(found: QuickOutputs, frame: Frame, settings: ReduceSettings) -> None:
    """What there is of the frame; the gates of the reduction are those of the quick look, where
    they have what they need. Clouds have a limit of their own."""
    if frame.sky is not None and "ellipticity" in frame.metrics:
        said = "; ".join(found.rejections)
        judged = gates.judge(frame, replace(settings.gates, min_transparency=0.0))
        found.rejections += [reason for reason in judged if reason not in said]
    found.metrics.update(frame.metrics)
    found.warnings += frame.warnings
    found.operations += [operation.name for operation in frame.operations]
    defects = frame.mask & np.uint8(UNUSABLE)
    found.picture = thumbnail.render(frame.image, defects, max_px=paths.PICTURE_PX)
    found.preview = pyramid.levels(
        frame.image, frame.mask, largest_px=_PREVIEW_PX, threads=frame.threads
    )


def _settings(settings: ReduceSettings, quick: QuickSettings) -> ReduceSettings:
    return replace(settings, sky=replace(settings.sky, threshold_sigma=quick.threshold_sigma))


def _detect(
    frame: Frame, settings: ReduceSettings, inputs: ReduceInputs, quick: QuickSettings
) -> Sources:
    """The sources, and their median shape: all there is to tell of trailed stars, of which there
    is no PSF."""
    sources = measure.detect_sources(frame, settings, inputs.camera)
    table = _brightest(sources, quick.max_stars).table
    sound = (table["flags"] & _ROUND_STARS) == 0
    sound &= table["snr"] > _MIN_SNR
    if np.count_nonzero(sound) >= 5:
        fwhm_px = float(np.median(table["fwhm_px"][sound]))
        frame.metrics.update(
            fwhm_px=fwhm_px,
            fwhm_arcsec=fwhm_px * inputs.camera.pixel_scale_arcsec,
            ellipticity=float(np.median(table["ellipticity"][sound])),
        )
    return sources


def _measure_noise(frame: Frame, inputs: ReduceInputs) -> None:
    hidden = frame.unusable
    hidden |= needed(frame.objects, "object mask")
    dest = inputs.camera.sections("dest")
    frame.metrics["noise_over_expected"] = review.noise_over_expected(frame, hidden, dest)


def _brightest(sources: Sources, n: int) -> Sources:
    order = np.argsort(-sources.table["flux_auto"], kind="stable")[:n]
    return Sources({k: v[order] for k, v in sources.table.items()}, sources.diameters_px)


def _star_list(sources: Sources) -> dict[str, np.ndarray]:
    return {name: sources.table[key] for key, name in _COLUMNS.items() if key in sources.table}


def _raw_picture(inputs: ReduceInputs) -> np.ndarray:
    camera = inputs.camera
    return rawpicture.render(
        inputs.pixels,
        camera.sections("data"),
        camera.sections("dest"),
        camera.sections("overscan"),
        camera.shape,
        parallel=camera.sections("parallel"),
        max_px=paths.PICTURE_PX,
        of_sky=inputs.facts.obstype == "science",
    )
