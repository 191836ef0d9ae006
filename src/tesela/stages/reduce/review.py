"""Numbers by which an image is judged beside others of its kind, from this image alone.

They are raw: what is usual for a filter, an airmass or a moon is known to who compares them with
the nights before. Groups as in the plan of the review: seeing and shape of the PSF, sky, noise,
amplifiers, electronic patterns, ghosts.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tesela.pixels import ampsky, ampstats, powerpeaks, pyramid, skyshape
from tesela.pixels.psf_model import PsfModel
from tesela.products import maskbit
from tesela.stages.reduce.frame import Frame, needed
from tesela.stages.reduce.settings import ReduceInputs

_GRID = 4
_BIN_PX = 4


def measure(frame: Frame, psf: PsfModel, inputs: ReduceInputs) -> None:
    """Add the numbers to the metrics of the frame; what cannot be told is None."""
    hidden = frame.has(maskbit.UNUSABLE)
    hidden |= needed(frame.objects, "object mask")
    found = {
        **_of_psf(frame, psf, inputs.camera.pixel_scale_arcsec),
        **_of_sky(frame, hidden),
        **_of_amplifiers(frame, hidden, inputs),
        **_of_electronics(frame, hidden, inputs),
    }
    frame.metrics.update({name: _known(value) for name, value in found.items()})


def noise_over_expected(
    frame: Frame, hidden: NDArray[np.bool_], dest: NDArray[np.int64]
) -> float | None:
    """Noise of free pixels, from their neighbours, over that of light and read-out.

    What is smooth, as fringes that wait for their master, is no noise here. None where no
    amplifier has enough free pixels.
    """
    ratios = ampsky.noises(frame.image, hidden, dest) / np.sqrt(_typical_variance(frame, dest))
    known = ratios[np.isfinite(ratios)]
    return float(np.median(known)) if known.size else None


def _of_psf(frame: Frame, psf: PsfModel, scale: float) -> dict[str, Any]:
    """Seeing, ellipticity and their course over a grid of 4 x 4 places."""
    ny, nx = frame.image.shape
    place = (np.arange(_GRID) + 0.5) / _GRID
    y, x = (g.ravel() for g in np.meshgrid(place * (ny - 1), place * (nx - 1), indexing="ij"))
    fwhm, ellipticity, theta = psf.fwhm_px(x, y), psf.ellipticity(x, y), psf.theta(x, y)
    radius = np.hypot(x - nx / 2, y - ny / 2)
    inner, outer = radius < np.median(radius), radius > 0.9 * radius.max()
    spin = ellipticity * np.exp(2j * theta)
    return {
        "fwhm_rms_arcsec": float(np.std(fwhm)) * scale,
        "fwhm_corner_minus_centre_arcsec": float(fwhm[outer].mean() - fwhm[inner].mean()) * scale,
        "ellipticity_rms": float(np.std(ellipticity)),
        "eccentricity": math.sqrt(max(1 - (1 - float(np.median(ellipticity))) ** 2, 0.0)),
        "orientation_rad": 0.5 * float(np.angle(spin.mean())),
        "ellipticity_coherence": float(np.abs(spin.mean()) / max(ellipticity.mean(), 1e-9)),
    }


def _of_sky(frame: Frame, hidden: NDArray[np.bool_]) -> dict[str, Any]:
    """Tilt and curvature of the sky; what the model left at three scales, relative to it."""
    sky = needed(frame.sky, "sky model")
    shape = skyshape.of_mesh(sky.mesh_level)
    level = max(sky.median_level, 1.0)
    free = np.where(hidden, np.float32(np.nan), frame.image)
    binned, _ = pyramid.binned(free, frame.mask, _BIN_PX, frame.threads)
    left = skyshape.left(binned, ~np.isfinite(binned))
    return {
        "sky_tilt": shape.tilt,
        "sky_tilt_deg": shape.tilt_deg,
        "sky_quadrupole": shape.quadrupole,
        **{f"sky_residual_{scale}": value / level for scale, value in left.items()},
    }


def _of_amplifiers(frame: Frame, hidden: NDArray[np.bool_], inputs: ReduceInputs) -> dict[str, Any]:
    """Noise of each amplifier beside what its photons and read-out explain; steps between them."""
    dest = inputs.camera.sections("dest")
    stats = ampstats.measure(frame.image, hidden, dest)
    steps = ampstats.steps(frame.image, hidden, dest)
    known = steps[np.isfinite(steps)]
    return {
        "amp_noise_e": [_rounded(value) for value in stats.noise_e],
        "amp_readnoise_e": [_rounded(value) for value in frame.readnoise_e],
        "noise_over_expected": noise_over_expected(frame, hidden, dest),
        "amp_step_rms_e": float(np.sqrt(np.mean(known**2))) if known.size else None,
        "amp_step_max_e": float(np.abs(known).max()) if known.size else None,
    }


def _of_electronics(
    frame: Frame, hidden: NDArray[np.bool_], inputs: ReduceInputs
) -> dict[str, Any]:
    """Periodic signals of the read-out; ghosts of bright pixels in the other amplifiers."""
    dest, amplifiers = inputs.camera.sections("dest"), inputs.camera.amplifiers
    peaks = powerpeaks.along_rows(frame.image, hidden, dest)
    rows, columns = (_profile(frame.image, hidden, axis) for axis in (1, 0))
    ghost, error = ampstats.ghosts(
        frame.image,
        hidden,
        dest,
        [amp.flip_x for amp in amplifiers],
        [amp.flip_y for amp in amplifiers],
        noise_e=float(frame.metrics["sky_rms_e"]),
    )
    return {
        "pattern_power_peak": float(np.nanmax(peaks)) if np.isfinite(peaks).any() else None,
        "row_power_peak": powerpeaks.of_profile(rows),
        "column_power_peak": powerpeaks.of_profile(columns),
        "crosstalk_residual": ghost,
        "crosstalk_residual_err": error,
    }


def _typical_variance(frame: Frame, dest: NDArray[np.int64]) -> NDArray[np.float64]:
    variance = needed(frame.variance, "variance")
    free = ~needed(frame.objects, "object mask")
    found = []
    for x0, x1, y0, y1 in dest:
        part = (slice(y0, y1, ampstats.EVERY), slice(x0, x1, ampstats.EVERY))
        values = variance[part][free[part]]
        found.append(float(np.median(values)) if values.size else np.nan)
    return np.array(found)


def _profile(
    image: NDArray[np.float32], hidden: NDArray[np.bool_], axis: int
) -> NDArray[np.float64]:
    """Means of the free pixels along an axis, of every fourth pixel along it."""
    every = (slice(None), slice(None, None, 4)) if axis == 1 else (slice(None, None, 4),)
    part, lost = image[every], hidden[every]
    total = np.where(lost, 0, part).sum(axis=axis, dtype=np.float64)
    count = (~lost).sum(axis=axis)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)


def _rounded(value: float) -> float | None:
    return round(float(value), 4) if math.isfinite(value) else None


def _known(value: Any) -> Any:
    """None for what is not a number."""
    return None if isinstance(value, float) and not math.isfinite(value) else value
