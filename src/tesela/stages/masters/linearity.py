"""The linearity master: what a level has to be multiplied with, from an exposure ramp."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tesela.cameras import zerolevel
from tesela.errors import QualityError
from tesela.pixels import linearity, phototransfer, robust
from tesela.products.images import Master, Operation
from tesela.products.maskbit import MaskBit
from tesela.products.monitor import AmpValue
from tesela.stages.masters import calibrate, enough
from tesela.stages.masters.inputs import MasterOutputs, RawInputs
from tesela.stages.masters.pages import linearity as page
from tesela.stages.masters.settings import LinearitySettings

SATURATED_PART = 1e-4
ZERO_ERROR_ADU = 0.2
CLIP_SIGMA = 5.0
SLOPE_ADU = (2000.0, 58000.0)
SAME_EXPTIME = 0.01

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Ramp:
    """Levels of the frames that are left; (n_frames, n_amp) unless said otherwise."""

    names: list[str]
    exptime_s: Floats
    """(n_frames,)."""
    level: Floats
    """ADU above bias, NaN where saturated or too faint."""
    sigma: Floats
    """Relative error of the level."""
    zero: Floats
    """Level of bias and overscan, ADU."""
    overscan: Floats
    """That of the overscan alone."""
    index: list[int]
    """Places of the frames in the inputs."""


def build_linearity(inputs: RawInputs, settings: LinearitySettings) -> MasterOutputs:
    """Measure levels, reject what is no ramp, fit all amplifiers at once, compare, draw.

    Memory: one raw frame and some planes of its size in float32. Raises `QualityError` where there
    is no bias, too few frames, or no ramp.
    """
    if "BIAS" not in inputs.masters:
        raise QualityError(inputs.key, found="no master bias", expected="one to subtract")
    ramp, rejected = measure(inputs, settings)
    _require_ramp(inputs, ramp, rejected, settings)
    fit = linearity.fit(
        ramp.level,
        ramp.exptime_s,
        ramp.sigma,
        degree=settings.degree,
        pivot_adu=settings.pivot_adu,
        lamp_sigma=settings.lamp_sigma,
        clip_sigma=settings.clip_sigma,
        shutter_sigma_s=settings.shutter_sigma_s if settings.fit_shutter else 0.0,
    )
    for k in np.flatnonzero(fit.rejected):
        rejected[ramp.names[k]] = (
            f"light {100 * fit.lamp[k]:+.2f} % from that of its exposure time, scatter of the "
            f"others {100 * fit.lamp_sigma:.2f} %"
        )
    kept = int(np.count_nonzero(~fit.rejected))
    enough.require(inputs, "linearity", kept, rejected)
    transfer, curve = photon_transfer(inputs, ramp, fit, settings)
    master = _master(fit, curve, kept, settings)
    reasons, metrics = _judge(fit, ramp, inputs.previous, settings)
    camera = inputs.camera.with_header(inputs.headers[ramp.index[0]], ramp.names[0])
    reasons += enough.gates(kept, rejected, settings.max_rejected)
    drawing = page.Drawing(inputs.camera, ramp.exptime_s, ramp.level, fit, transfer, curve)
    return MasterOutputs(
        master,
        passed=not reasons,
        reasons=reasons,
        warnings=enough.warnings(inputs, kept),
        rejected=rejected,
        metrics={"n_combined": kept, **metrics, "gain_e_per_adu": curve.gain.tolist()},
        operations=[
            zerolevel.operation(camera, np.median(ramp.overscan, axis=0)),
            Operation("bias", {}),
            Operation("linearity", {"degree": settings.degree, "pivot_adu": settings.pivot_adu}),
        ],
        monitored=[
            AmpValue(amp.id, "gain", float(gain), float(error), kept)
            for amp, gain, error in zip(inputs.camera.amplifiers, curve.gain, curve.gain_error)
            if np.isfinite(gain)
        ],
        pages=page.draw(drawing, settings.pivot_adu),
    )


def measure(inputs: RawInputs, settings: LinearitySettings) -> tuple[Ramp, dict[str, str]]:
    """Level of each amplifier of each frame; those that cannot be used, with the reason."""
    rejected = calibrate.foreign(inputs, with_filter=True)
    rows = []
    low, high = settings.level_adu
    for k, facts in enumerate(inputs.facts):
        if facts.name in rejected:
            continue
        found = calibrate.read(inputs, k, calibrate.Corrections(), in_electrons=False)
        if isinstance(found, str):
            rejected[facts.name] = found
            continue
        level, sigma, zero = _levels(inputs, *found, settings)
        known = np.isfinite(level)
        middle = float(np.median(level[known])) if known.any() else np.inf
        if 2 * np.count_nonzero(known) < len(known) or middle > high:
            rejected[facts.name] = "saturated, or too near to it"
        elif middle < low:
            rejected[facts.name] = f"level {middle:.0f} ADU, at least {low:.0f} wanted"
        elif not facts.exptime_s > 0:
            rejected[facts.name] = f"exposure time {facts.exptime_s:g} s"
        else:
            of_frame = (level, sigma, zero, found[1].zero_adu)
            rows.append((facts.exptime_s, facts.mjd_start, facts.name, *of_frame, k))
    rows.sort(key=lambda row: row[:3])
    n_amp = len(inputs.camera.amplifiers)
    level, sigma, zero, overscan = (
        np.array([row[i] for row in rows], np.float64).reshape(-1, n_amp) for i in (3, 4, 5, 6)
    )
    times = np.array([row[0] for row in rows], np.float64)
    ramp = Ramp(
        [row[2] for row in rows], times, level, sigma, zero, overscan, [row[7] for row in rows]
    )
    return ramp, rejected


def photon_transfer(
    inputs: RawInputs, ramp: Ramp, fit: linearity.Fit, settings: LinearitySettings
) -> tuple[phototransfer.Pair, phototransfer.Curve]:
    """Variance against level from frames of equal exposure time, on the corrected scale."""
    sections = _central(inputs.camera.sections("data"), settings.part)
    pairs = []
    for k in _pairs(ramp.exptime_s, fit.rejected):
        i, j = ramp.index[k], ramp.index[k + 1]
        camera = inputs.camera.with_header(inputs.headers[i], ramp.names[k])
        noise = camera.values("readnoise_e") / camera.values("gain_e_per_adu")
        zero = ramp.zero[k : k + 2]
        pairs.append(
            phototransfer.pair(inputs.pixels[i], inputs.pixels[j], sections, noise, zero_adu=zero)
        )
    n_amp = len(inputs.camera.amplifiers)
    level, variance, error = (
        np.array([getattr(pair, name) for pair in pairs], np.float64).reshape(-1, n_amp)
        for name in ("level", "variance", "error")
    )
    # A response that bends stretches the noise by its local slope, d(true) / dx.
    step = 1 + np.zeros_like(level)
    for n in range(settings.degree):
        step += fit.coefficients[:, n] * (n + 2) * (level / settings.pivot_adu) ** (n + 1)
    corrected = phototransfer.Pair(
        level * linearity.factor(level, fit.coefficients[None], settings.pivot_adu),
        variance * step**2,
        error * step**2,
    )
    return corrected, phototransfer.curve(corrected.level, corrected.variance, corrected.error)


def _levels(
    inputs: RawInputs,
    raw: calibrate.RawPixels,
    frame: calibrate.Levelled,
    settings: LinearitySettings,
) -> tuple[Floats, Floats, Floats]:
    """Clipped mean over the middle of each amplifier, its relative error, and the zero level."""
    camera, data = frame.camera, frame.camera.sections("data")
    bias, dark = inputs.masters["BIAS"], inputs.masters.get("DARK")
    level, sigma, zero = (np.full(len(data), np.nan) for _ in range(3))
    for n, (amp, box) in enumerate(zip(camera.amplifiers, _central(data, settings.part))):
        dx, dy = amp.dest.x0 - amp.data.x0, amp.dest.y0 - amp.data.y0
        at = (slice(box[2] + dy, box[3] + dy), slice(box[0] + dx, box[1] + dx))
        part = raw[box[2] : box[3], box[0] : box[1]]
        rows = frame.strip.level[n, box[2] - amp.data.y0 : box[3] - amp.data.y0]
        offset = bias.image[at] + rows[:, None]
        if dark is not None and dark.image.size:
            seconds = np.float32(frame.exptime_s / amp.gain_e_per_adu)
            offset = offset + dark.image[at] * seconds
        zero[n] = float(np.mean(offset))
        if np.mean(part >= calibrate.top(raw, amp.saturation_adu)) > SATURATED_PART:
            continue
        values = (part - offset)[(bias.mask[at] & MaskBit.BAD) == 0]
        if not values.size:
            continue
        level[n], count = robust.clipped_mean(values, clip_sigma=CLIP_SIGMA, least_sigma=1.0)
        photons = max(level[n], 1.0) * amp.gain_e_per_adu
        sigma[n] = np.hypot(1 / np.sqrt(photons * count), ZERO_ERROR_ADU / max(level[n], 1.0))
    return level, sigma, zero


def _central(sections: NDArray[np.int64], part: float) -> NDArray[np.int64]:
    out = sections.copy()
    for low, high in ((0, 1), (2, 3)):
        middle = 0.5 * (sections[:, low] + sections[:, high])
        half = 0.5 * part * (sections[:, high] - sections[:, low])
        out[:, low], out[:, high] = np.ceil(middle - half), np.floor(middle + half)
    return out


def _pairs(exptime_s: Floats, rejected: NDArray[np.bool_]) -> list[int]:
    """Places of the first of two neighbours of one exposure time, no frame in two pairs."""
    found, k = [], 0
    while k + 1 < len(exptime_s):
        same = abs(exptime_s[k + 1] - exptime_s[k]) <= SAME_EXPTIME * exptime_s[k]
        if same and not rejected[k : k + 2].any():
            found.append(k)
            k += 1
        k += 1
    return found


def _require_ramp(
    inputs: RawInputs, ramp: Ramp, rejected: dict[str, str], settings: LinearitySettings
) -> None:
    enough.require(inputs, "linearity", len(ramp.names), rejected)
    times = ramp.exptime_s
    steps = 1 + np.count_nonzero(np.diff(times) > SAME_EXPTIME * times[:-1]) if times.size else 0
    middle = np.nanmedian(ramp.level, axis=1) if times.size else np.ones(1)
    span = float(middle.max() / middle.min())
    if steps >= settings.min_levels and span >= settings.min_range:
        return
    said = ", ".join(f"{name} ({why})" for name, why in rejected.items()) or "none"
    raise QualityError(
        inputs.key,
        found=f"no exposure ramp: {steps} exposure times, levels within a factor {span:.1f}; "
        f"rejected: {said}",
        expected=f"{settings.min_levels} exposure times, levels over a factor "
        f"{settings.min_range:g}",
        do="take two dome flats at each of ten exposure times up to near saturation",
    )


def _master(
    fit: linearity.Fit, curve: phototransfer.Curve, n: int, settings: LinearitySettings
) -> Master:
    """Coefficients, and by how much the variance falls short, of which flats want to know."""
    empty_image, empty_mask = np.empty((0, 0), np.float32), np.empty((0, 0), np.uint8)
    return Master(
        "LINEARITY",
        empty_image,
        empty_mask,
        cards=[
            ("MSTKIND", "LINEARITY", "kind of master"),
            ("NCOMBINE", n, "frames of the ramp"),
            ("PIVOT", settings.pivot_adu, "[adu] level at which coefficients are fractions"),
            ("LAMPSIG", fit.lamp_sigma, "scatter of the lamp from frame to frame"),
            ("SHUTTER", fit.shutter_s, "[s] to be added to the exposure times"),
        ],
        arrays={
            "coefficients": fit.coefficients,
            "error": fit.error,
            "pivot_adu": np.array([settings.pivot_adu]),
            **_shortfall(curve),
        },
    )


def _shortfall(curve: phototransfer.Curve) -> dict[str, Floats]:
    """1/ADU on the corrected scale, and its error; nothing if no amplifier tells it."""
    if not np.isfinite(curve.shortfall).any():
        return {}
    return {"shortfall": curve.shortfall, "shortfall_error": curve.shortfall_error}


def _judge(
    fit: linearity.Fit, ramp: Ramp, previous: Master | None, settings: LinearitySettings
) -> tuple[list[str], dict[str, Any]]:
    """The gates, and the numbers they stand on."""
    top = float(np.nanmax(ramp.level))
    x = np.linspace(0.02 * top, top, 40)[:, None]
    u = (x / settings.pivot_adu)[..., None] ** np.arange(1, settings.degree + 1)
    correction = linearity.factor(x, fit.coefficients[None], settings.pivot_adu)
    error = float(np.sqrt(np.einsum("xak,akl,xal->xa", *(u, fit.covariance, u))).max())
    # The lamp's flicker goes back in: it may hide a slope that all amplifiers share.
    left = np.where(fit.used, fit.residual + fit.lamp[:, None], np.nan)
    after = linearity.slope_mmag(ramp.level, left, *SLOPE_ADU)
    gain = linearity.factor(ramp.level, fit.coefficients[None], settings.pivot_adu)
    before = linearity.slope_mmag(ramp.level, left - np.log(gain), *SLOPE_ADU)
    largest = float(np.abs(correction - 1).max())
    metrics = {
        "largest_correction": largest,
        "error": error,
        "slope_before_mmag": float(np.nanmax(np.abs(before))) if np.isfinite(before).any() else 0.0,
        "slope_after_mmag": float(np.nanmax(np.abs(after))) if np.isfinite(after).any() else 0.0,
        "lamp_sigma": fit.lamp_sigma,
        "shutter_s": fit.shutter_s,
        "shutter_error_s": fit.shutter_error_s,
        "level_max_adu": top,
        "compared": previous is not None,
    }
    limits = [
        ("error of the correction", error, settings.max_error),
        ("largest correction", largest, settings.max_correction),
    ]
    if previous is not None:
        old = linearity.factor(
            x, previous.arrays["coefficients"][None], float(previous.arrays["pivot_adu"][0])
        )
        metrics["change"] = change = float(np.abs(correction - old).max())
        limits.append(("change against the previous master", change, settings.change))
    reasons = [
        f"{name} {100 * value:.2f} %, {100 * limit:.2f} % allowed"
        for name, value, limit in limits
        if not value <= limit
    ]
    if not np.isfinite(after).any():
        reasons.append("no amplifier has levels enough to tell the slope of the residuals")
    if not metrics["slope_after_mmag"] <= settings.max_residual_mmag:
        reasons.append(
            f"slope of the residuals {metrics['slope_after_mmag']:.2f} mmag a magnitude, "
            f"{settings.max_residual_mmag:g} allowed"
        )
    return reasons, metrics
