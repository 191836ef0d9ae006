"""The sky: a provisional level and the objects first, later the model that is subtracted."""

from __future__ import annotations

import numpy as np

from tesela.pixels import background, detect, seeing
from tesela.stages.reduce.frame import Frame, needed
from tesela.stages.reduce.settings import SkySettings

CORE_SIGMA = 20.0
UNKNOWN_FWHM_PX = 2.0
SHARPEST_FWHM_PX = 1.4


def find_objects(frame: Frame, settings: SkySettings) -> None:
    """A provisional level, and what stands above it: left out wherever the sky is measured."""
    unusable, mesh_px = frame.unusable, settings.cell_px(frame.image.shape)
    provisional = background.measure(frame.image, unusable, mesh_px=mesh_px, threads=frame.threads)
    above, x, y = detect.rough(
        frame.image,
        provisional,
        unusable,
        threshold_sigma=settings.threshold_sigma,
        min_area_px=settings.min_area_px,
        threads=frame.threads,
    )
    frame.objects = detect.object_mask(above, grow_px=settings.object_grow_px)
    frame.provisional_sky_e = provisional.median_level
    fwhm_px = seeing.of_cores(
        frame.image, unusable, x, y, least=CORE_SIGMA * provisional.rms_at(x, y),
        level=provisional.level_at(x, y),
    )  # fmt: skip
    # To set limits with, which would harm stars if it were too high.
    frame.fwhm_px = UNKNOWN_FWHM_PX if fwhm_px is None else max(fwhm_px, SHARPEST_FWHM_PX)
    frame.did("provisional sky", mesh_px=mesh_px, objects=len(x))


def subtract(frame: Frame, settings: SkySettings) -> None:
    """Model the sky around the objects and subtract it; its mesh is kept, so nothing is lost."""
    hidden = frame.unusable
    hidden |= needed(frame.objects, "object mask")
    mesh_px = settings.cell_px(frame.image.shape)
    model = background.measure(frame.image, hidden, mesh_px=mesh_px, threads=frame.threads)
    background.subtract(frame.image, model, threads=frame.threads)
    frame.sky = model
    frame.did("sky", mesh_px=mesh_px, level_e=model.median_level)
    frame.metrics.update(
        sky_e=model.median_level,
        sky_rms_e=model.median_rms,
        sky_gradient=float(np.ptp(model.mesh_level) / max(model.median_level, 1.0)),
    )
