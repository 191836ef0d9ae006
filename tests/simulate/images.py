"""What tests do with the pixels of a frame, without any code of the stages."""

from __future__ import annotations

from pathlib import Path

import fitsio
import numpy as np

from tesela.simulate import detector
from tesela.simulate.settings import NightSettings


def electrons(path: Path, settings: NightSettings) -> np.ndarray:
    """Trimmed image by the true gains and the overscan of each row."""
    unit = detector.build(settings)
    raw = fitsio.read(str(path)).astype(np.float64)
    image = np.zeros(unit.camera.shape)
    for k, amp in enumerate(unit.camera.amplifiers):
        strip = raw[amp.overscan.slices]
        strip = strip[:, :-3] if amp.flip_x else strip[:, 3:]
        # The level is smooth along the rows: average the read noise of the strip away.
        rows = np.pad(strip.mean(axis=1), 20, mode="edge")
        level = np.convolve(rows, np.ones(41) / 41, mode="valid")
        image[amp.dest.slices] = (raw[amp.data.slices] - level[:, None]) * unit.gain[k]
    return image


def aperture(image: np.ndarray, x: float, y: float, radius: float) -> float:
    """Sum in a circle, each pixel split 5 x 5, and the local sky around it taken off."""
    half = int(radius) + 12
    x0, y0 = round(x) - half, round(y) - half
    box = image[y0 : y0 + 2 * half + 1, x0 : x0 + 2 * half + 1]
    fine = np.repeat(np.repeat(box, 5, axis=0), 5, axis=1) / 25
    ys, xs = np.mgrid[: fine.shape[0], : fine.shape[1]]
    r = np.hypot((xs - 2) / 5 + x0 - x, (ys - 2) / 5 + y0 - y)
    ring = np.median(box[np.hypot(*(np.mgrid[: box.shape[0], : box.shape[1]] - half)) > radius + 5])
    return float(fine[r < radius].sum() - ring * (r < radius).sum() / 25)
