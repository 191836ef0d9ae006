"""The sky: provisional level and objects first, then the model that is subtracted."""

from __future__ import annotations

import numpy as np

from tesela.pixels import background, detect
from tesela.stages.reduce.frame import Frame
from tesela.stages.reduce.settings import SkySettings


def subtract(frame: Frame, settings: SkySettings) -> None:
    """Model the sky around the objects and subtract it; the mesh is kept, so nothing is lost."""
    unusable = frame.unusable
    provisional = background.measure(frame.image, unusable, mesh_px=settings.mesh_px)
    level, rms = provisional.level(), provisional.rms()
    objects, segmentation = detect.extract(
        frame.image - level,
        rms**2,
        unusable,
        threshold_sigma=settings.threshold_sigma,
        min_area_px=settings.min_area_px,
    )
    frame.objects = detect.object_mask(segmentation, grow_px=settings.object_grow_px)
    frame.did("provisional sky", mesh_px=settings.mesh_px, objects=len(objects["x"]))
    model = background.measure(frame.image, unusable | frame.objects, mesh_px=settings.mesh_px)
    frame.sky = model.level()
    variance = background.measure(frame.sky_variance(), unusable, mesh_px=settings.mesh_px)
    frame.sky_mesh = np.stack([model.mesh_level, variance.mesh_level])
    frame.image = frame.image - frame.sky
    frame.fwhm_px = _rough_fwhm(objects)
    frame.did("sky", mesh_px=settings.mesh_px, level_e=float(np.median(frame.sky)))
    frame.metrics.update(
        sky_e=float(np.median(frame.sky)),
        sky_rms_e=float(np.median(model.rms())),
        sky_gradient=float(np.ptp(model.mesh_level) / max(float(np.median(frame.sky)), 1.0)),
    )


def _rough_fwhm(objects: dict[str, np.ndarray]) -> float:
    """FWHM of the sharp, clean objects by their second moments: enough to set limits with."""
    clean = (objects["flags"] == 0) & (objects["npix"] > 8)
    if np.count_nonzero(clean) < 5:
        return 3.0
    moment = np.sqrt((objects["a"][clean] ** 2 + objects["b"][clean] ** 2) / 2)
    fwhm = 2.3548 * np.percentile(moment, 25)
    return float(np.clip(fwhm, 1.4, 12.0))
