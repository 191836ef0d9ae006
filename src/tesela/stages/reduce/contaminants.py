"""Light that is not of the sky: cosmic rays, satellites and aircraft."""

from __future__ import annotations

import numpy as np

from tesela.pixels import cosmics, trails
from tesela.products.maskbit import MaskBit
from tesela.stages.reduce.frame import Frame, needed
from tesela.stages.reduce.settings import CosmicSettings, TrailSettings


def mask_cosmics(frame: Frame, settings: CosmicSettings) -> None:
    """Flag cosmic rays; detected objects are not left out, for they are hit too."""
    if not settings.enabled:
        frame.did("cosmic rays", enabled=False)
        return
    hits = cosmics.find(
        frame.image,
        frame.metrics["readnoise_e"],
        frame.unusable,
        sky=needed(frame.sky, "sky model"),
        sigclip=settings.sigclip,
        sigfrac=settings.sigfrac,
        objlim=settings.objlim,
        fwhm_px=frame.fwhm_px,
        threads=frame.threads,
    )
    pixels = frame.set(MaskBit.COSMIC_RAY, hits)
    frame.did("cosmic rays", sigclip=settings.sigclip, objlim=settings.objlim, pixels=pixels)
    frame.metrics["fraction_cosmics"] = pixels / hits.size


def mask_trails(frame: Frame, settings: TrailSettings) -> None:
    """Flag trails found by summing along all lines of the frame."""
    if not settings.enabled:
        frame.did("trails", enabled=False)
        return
    # In place and back: another plane would be the most that the reduction ever needs.
    variance = needed(frame.variance, "variance")
    noise = np.sqrt(variance, out=variance)
    objects = needed(frame.objects, "object mask")
    found = trails.find(
        frame.image,
        frame.unusable,
        noise,
        objects=objects,
        threshold=settings.threshold,
        threads=frame.threads,
    )
    np.square(noise, out=variance)
    painted = trails.paint(found, frame.image.shape, settings.grow_px)
    pixels = frame.set(MaskBit.TRAIL, painted)
    frame.did("trails", threshold=settings.threshold, found=len(found), pixels=pixels)
    frame.metrics.update(n_trails=len(found), trail_score=found.strongest)
