"""The coadd of one tile in one band."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tesela.errors import QualityError
from tesela.pixels import apertures, background, detect, psf, stack
from tesela.pixels.psf_model import PsfModel
from tesela.products.files import Card
from tesela.products.images import Coadd, Operation, Psf, Table, operation_cards
from tesela.products.maskbit import MaskBit
from tesela.stages.coadd import positions, scales
from tesela.stages.coadd.ratios import psf_ratios
from tesela.stages.coadd.settings import CoaddInput, CoaddInputs, CoaddOutputs, CoaddSettings
from tesela.stages.coadd.warp import Warped, warp

_LEAST_SKY = 0.02


def coadd(inputs: CoaddInputs, settings: CoaddSettings) -> CoaddOutputs:
    """Scale by common stars, warp, reject, stack, measure the PSF.

    Memory: image, weight and mask of the tile for every input. Raises `QualityError` if no input
    has a pixel in the tile or the PSF cannot be measured.
    """
    named = sorted(inputs.frames, key=lambda frame: frame.name)
    frames, misplaced = positions.consistent(named, settings, inputs.wcs.pixel_scale_arcsec)
    zeros, residuals, warnings = scales.zero_points(frames, settings)
    warnings = [*misplaced, *warnings]
    magzp = float(np.median(zeros))
    warped = [
        warp(
            frame,
            10 ** (-0.4 * (zero - magzp)) / frame.exptime_s,
            inputs.wcs,
            settings.grid_step_px,
        )
        for frame, zero in zip(frames, zeros)
    ]
    stacked = reject_and_stack(warped, psf_ratios(frames, inputs.wcs), settings)
    if not stacked.weight.any():
        raise QualityError(
            f"{inputs.tile} {inputs.band}", found="no pixel with data", expected="some overlap"
        )
    image, sky = _level(stacked.image, stacked.weight, settings)
    mask = _mask(warped, stacked.weight)
    variance, model, n_objects = _variance_and_psf(
        image, stacked.weight, mask, warped, inputs, settings
    )
    arrays, numbers = model.to_arrays()
    metrics = _metrics(inputs, frames, magzp, residuals, stacked, model)
    metrics.update(background=sky, n_objects=n_objects)
    cards = [*_cards(inputs, frames, zeros, metrics), *operation_cards(_operations(settings))]
    product = Coadd(
        image, stacked.weight, variance, mask, stacked.count, Psf(arrays, numbers), cards
    )
    return CoaddOutputs(product, metrics, warnings)


def reject_and_stack(
    warped: Sequence[Warped], ratios: NDArray[np.float32], settings: CoaddSettings
) -> stack.Stack:
    """The clipped mean of Gruen et al. 2014, whose A is what the PSFs allow inside sources.

    A first stack with A = `flux_fraction` shows where sources are: cosmic rays are gone from it,
    cores of stars are dented but there. The second one rejects inside them only what no seeing
    could do, and everywhere else as before.
    """
    images, weights = [w.image for w in warped], [w.weight for w in warped]
    sigma, fraction = settings.clip_sigma, settings.flux_fraction
    first = stack.combine(images, weights, clip_sigma=sigma, flux_fraction=fraction)
    if len(warped) == 1 or not first.weight.any():
        return first
    covered = first.weight > 0
    noise = np.where(covered, 1 / np.where(covered, first.weight, 1), 1).astype(np.float32)
    _, segmentation = detect.extract(
        first.image, noise, ~covered, threshold_sigma=settings.detect_sigma
    )
    source = detect.object_mask(segmentation, grow_px=settings.protect_px)
    allowed = [np.where(source, ratio, np.float32(0)).astype(np.float32) for ratio in ratios]
    return stack.combine(
        images, weights, clip_sigma=sigma, flux_fraction=fraction, psf_ratio=allowed
    )


def _level(
    image: NDArray[np.float32], weight: NDArray[np.float32], settings: CoaddSettings
) -> tuple[NDArray[np.float32], float]:
    """Remove what the frames' sky models left, on a mesh that no galaxy fills."""
    noise = np.where(weight > 0, 1 / np.where(weight > 0, weight, 1), 1).astype(np.float32)
    _, segmentation = detect.extract(image, noise, weight == 0, threshold_sigma=1.5)
    objects = detect.object_mask(segmentation, grow_px=6)
    sky = background.measure(
        image,
        objects | (weight == 0),
        mesh_px=settings.background_mesh_px,
        min_good_fraction=_LEAST_SKY,  # a tile at the survey's edge is mostly without data
    )
    level = sky.level()
    return np.where(weight > 0, image - level, 0).astype(np.float32), float(np.median(level))


def _mask(warped: Sequence[Warped], weight: NDArray[np.float32]) -> NDArray[np.uint8]:
    mask = np.zeros(weight.shape, np.uint8)
    for w in warped:
        mask |= w.mask & np.uint8(MaskBit.SATURATED)
    mask[weight == 0] |= np.uint8(MaskBit.BAD)
    return mask


def _variance_and_psf(
    image: NDArray[np.float32],
    weight: NDArray[np.float32],
    mask: NDArray[np.uint8],
    warped: Sequence[Warped],
    inputs: CoaddInputs,
    settings: CoaddSettings,
) -> tuple[NDArray[np.float32], PsfModel, int]:
    """Variance with the photons of detected sources, and the PSF from clean stars."""
    covered = weight > 0
    sky_variance = np.where(covered, 1 / np.where(covered, weight, 1), 0).astype(np.float32)
    saturated = (mask & MaskBit.SATURATED) > 0
    objects, segmentation = detect.extract(
        image,
        np.where(covered, sky_variance, 1).astype(np.float32),
        ~covered,
        threshold_sigma=settings.detect_sigma,
        saturated=saturated,
    )
    source = detect.object_mask(segmentation, grow_px=4)
    photons = np.where(source, np.maximum(image, 0), 0) * variance_per_flux(warped, weight)
    variance = (sky_variance + photons).astype(np.float32)
    table: Table = {
        **objects,
        **apertures.measure(image, variance, ~covered, segmentation, objects, diameters_px=[6.0]),
    }
    stars = psf.select_stars(table, max_stars=settings.psf_max_stars)
    model = psf.fit(
        image,
        np.where(covered, variance, 1).astype(np.float32),
        ~covered | saturated,
        table["x_win"][stars],
        table["y_win"][stars],
        fwhm_guess_px=float(np.median(table["fwhm_px"][stars])),
        degree=settings.psf_degree,
        norm_radius_px=settings.norm_radius_arcsec / inputs.wcs.pixel_scale_arcsec,
    )
    return variance, model, len(table["x"])


def variance_per_flux(warped: Sequence[Warped], weight: NDArray[np.float32]) -> NDArray[np.float32]:
    """Variance that one unit of a source's flux brings: sum w^2 s / (sum w)^2.

    In input i a flux f is f/s electrons, hence has the variance s f in the coadd's units.
    """
    top = np.zeros(weight.shape, np.float32)
    total = np.zeros(weight.shape, np.float32)
    for w in warped:
        top += w.weight**2 * np.float32(w.scale)
        total += w.weight
    return np.where(total > 0, top / np.where(total > 0, total, 1) ** 2, 0).astype(np.float32)


def _metrics(
    inputs: CoaddInputs,
    frames: Sequence[CoaddInput],
    magzp: float,
    residuals: NDArray[np.float64],
    stacked: stack.Stack,
    model: PsfModel,
) -> dict[str, Any]:
    ny, nx = inputs.wcs.shape
    fwhm_px = float(model.fwhm_px(nx / 2, ny / 2))
    covered = stacked.weight > 0
    return {
        "n_frames": len(frames),
        "zeropoint_mag": magzp,
        "colour_coefficient": _mean(frames, [frame.colour_coefficient for frame in frames]),
        "scale_residual_mag": float(np.sqrt(np.mean(residuals**2))) if residuals.size else None,
        "fwhm_arcsec": fwhm_px * inputs.wcs.pixel_scale_arcsec,
        "ellipticity": float(model.ellipticity(nx / 2, ny / 2)),
        "psf_beta": float(model.beta),
        "n_psf_stars": int(model.n_stars),
        "coverage": float(covered.mean()),
        "median_weight": float(np.median(stacked.weight[covered])),
        "fraction_rejected": float(stacked.rejected.sum() / max(int(stacked.count.sum()), 1)),
        "mjd_mean": _mean(frames, [frame.mjd_mid for frame in frames]),
        "exptime_s": float(np.sum([frame.exptime_s for frame in frames])),
    }


def _mean(frames: Sequence[CoaddInput], values: Sequence[float]) -> float:
    """Mean over the frames, weighted by exposure time."""
    return float(np.average(values, weights=[frame.exptime_s for frame in frames]))


def _cards(
    inputs: CoaddInputs,
    frames: Sequence[CoaddInput],
    zeros: NDArray[np.float64],
    metrics: dict[str, Any],
) -> list[Card]:
    return [
        ("TILE", inputs.tile, "tile of the survey's sky grid"),
        ("FILTER", inputs.band, "band"),
        *((key, value, "") for key, value in inputs.wcs.to_cards().items()),
        ("MAGZP", metrics["zeropoint_mag"], "[mag] for 1 electron/s"),
        ("COLCOEF", metrics["colour_coefficient"], "mean of the frames' colour terms"),
        ("COLPIVOT", frames[0].colour_pivot, "[mag] colour at which MAGZP holds"),
        ("EXPTIME", 1.0, "[s] pixels are per second"),
        ("TEXPSUM", metrics["exptime_s"], "[s] sum over the frames"),
        ("NCOMBINE", len(frames), "frames combined"),
        ("MJD-MEAN", metrics["mjd_mean"], "[d] mean of the exposures"),
        ("FWHM", metrics["fwhm_arcsec"], "[arcsec]"),
        ("ELLIPTIC", metrics["ellipticity"], "1 - b/a of the PSF"),
        *((f"TSL IN{n} NAME", f.name, "") for n, f in enumerate(frames, 1)),
        *((f"TSL IN{n} ZP", float(z), "[mag]") for n, z in enumerate(zeros, 1)),
    ]


def _operations(settings: CoaddSettings) -> list[Operation]:
    return [
        Operation("scale", {"by": "common stars"}),
        Operation("resample", {"kernel": "Lanczos-3"}),
        Operation(
            "combine",
            {"method": "clipped mean", "sigma": settings.clip_sigma, "a": settings.flux_fraction},
        ),
        Operation("background", {"mesh_px": settings.background_mesh_px}),
    ]
