"""Master fringes and patterns: what the sky adds in the same places of every frame of a band."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tesela.cameras import Camera
from tesela.pixels import pattern_bins, pattern_solve
from tesela.pixels.pattern import regress
from tesela.products.images import Master, Operation
from tesela.products.maskbit import MaskBit
from tesela.products.monitor import AmpValue
from tesela.stages.masters import enough, pattern_frames
from tesela.stages.masters.inputs import ImageInputs, MasterOutputs
from tesela.stages.masters.pages import pattern as pages
from tesela.stages.masters.settings import PatternSettings

RANGE = (5.0, 95.0)
"""Percentiles of a pattern between which lies twice its amplitude: 0.99 of that of a wave."""


@dataclass
class _Gates:
    reasons: list[str] = field(default_factory=list)
    metrics: dict[str, Any] = field(default_factory=dict)


def build_fringe(inputs: ImageInputs, settings: PatternSettings) -> MasterOutputs:
    """Interference of the night sky's lines in the CCD, relative to the sky. See `_build`."""
    return _build("FRINGE", inputs, settings)


def build_pattern(inputs: ImageInputs, settings: PatternSettings) -> MasterOutputs:
    """Stray light that keeps its place, relative to the sky. See `_build`."""
    return _build("PATTERN", inputs, settings)


def _build(kind: str, inputs: ImageInputs, settings: PatternSettings) -> MasterOutputs:
    """Read in blocks, take the skies, solve for pattern and amplitudes, expand, judge, measure.

    Memory: a float32 value a block and frame twice (while a frame's amplitude is fitted: five),
    256 rows of blocks of all, and the master. Raises `QualityError` if too few frames or fields
    are usable.
    """
    skies = pattern_frames.read(inputs, settings)
    solved = _solve(kind, inputs, skies, settings)
    used, rejected = skies.planes, skies.rejected
    master = _master(kind, solved, inputs.camera, settings)
    amps = _amplifiers(solved, used, inputs.camera, settings)
    gates = _judge(kind, master, solved, inputs.previous, settings)
    metrics = {
        "n_combined": len(used),
        "n_fields": len({plane.field for plane in used}),
        "sky_e": float(np.median([plane.level for plane in used])),
        "amplitude": half_range(solved.image),
        "amplitude_scatter": float(np.std([plane.amplitude.value for plane in used])),
        "noise_rms": solved.noise_rms,
        **gates.metrics,
    }
    master.cards = [
        ("MSTKIND", kind, "kind of master"),
        ("NCOMBINE", len(used), "frames combined"),
        ("NFIELDS", metrics["n_fields"], "fields they are of"),
        ("SKYLEVEL", metrics["sky_e"], "[electron] median sky of the frames"),
        ("PATAMP", metrics["amplitude"], "half range (5 to 95 %) over the sky"),
        ("PATNOISE", solved.noise_rms, "noise over the sky"),
        ("PATSIG", metrics["significance"], "[sigma] one half of the fields in the other"),
        ("PATHOLES", metrics["holes"], "part of the CCD without data"),
    ]
    return MasterOutputs(
        master,
        passed=not gates.reasons,
        reasons=gates.reasons,
        warnings=enough.warnings(inputs, len(used)),
        rejected=rejected,
        metrics=metrics,
        operations=_operations("ILLUMINATION" in inputs.masters, settings),
        monitored=amps if kind == "FRINGE" else [],
        pages=pages.draw(
            pages.Drawing(kind, inputs.key, inputs.camera, settings.bin_px, solved, used, amps)
        ),
    )


def _solve(
    kind: str, inputs: ImageInputs, skies: pattern_frames.Skies, settings: PatternSettings
) -> pattern_solve.Solved:
    """Solve with frames of enough fields; `skies` is left with those that the pattern is made of.

    Frames that the solver leaves out may be all that a field had, or the others' majority over one
    field: so the fields are balanced and counted again, and where that takes frames away, the
    pattern is sought again.
    """
    while True:
        enough.require(inputs, kind.lower(), len(skies.planes), skies.rejected)
        pattern_frames.require_fields(inputs, skies, settings)
        solved = pattern_solve.solve(
            skies.planes,
            mesh=pattern_frames.mesh(skies.planes[0].image.shape, settings),
            cell=max(1, settings.cell_px // settings.bin_px),
            clip_sigma=settings.clip_sigma,
            iterations=settings.iterations,
            least_count=settings.min_values,
            amplitude_range=settings.amplitude,
        )
        skies.leave_out(solved.rejected)
        n_used = len(skies.planes)
        pattern_frames.balance(skies)
        if len(skies.planes) == n_used:
            enough.require(inputs, kind.lower(), n_used, skies.rejected)
            pattern_frames.require_fields(inputs, skies, settings)
            return solved


def half_range(values: NDArray[np.float32]) -> float:
    """Amplitude of a pattern: half of what lies between its 5th and 95th percentile."""
    known = values[np.isfinite(values)]
    if not known.size:
        return 0.0
    low, high = np.percentile(known, RANGE)
    return float(high - low) / 2


def _master(
    kind: str, solved: pattern_solve.Solved, camera: Camera, settings: PatternSettings
) -> Master:
    """At full size: 0 and HOLE where there are no data."""
    hole = np.isnan(solved.image)
    full = pattern_bins.expand(
        np.where(hole, np.float32(0), solved.image), camera.shape, settings.bin_px
    )
    rows = np.repeat(hole, settings.bin_px, axis=0)[: camera.ny]
    holes = np.repeat(rows, settings.bin_px, axis=1)[:, : camera.nx]
    full[holes] = 0
    return Master(kind, full, np.where(holes, MaskBit.HOLE, 0).astype(np.uint8))


def _amplifiers(
    solved: pattern_solve.Solved,
    used: list[pattern_solve.SkyPlane],
    camera: Camera,
    settings: PatternSettings,
) -> list[AmpValue]:
    """Half range of the pattern in each amplifier.

    The error is that of the mean over the frames of the ratio of the frame's amplitude in this
    amplifier to that in the whole CCD.
    """
    values = []
    b = settings.bin_px
    for amp in camera.amplifiers:
        d = amp.dest
        part = np.s_[d.y0 // b : -(-d.y1 // b), d.x0 // b : -(-d.x1 // b)]
        wave = solved.image[part]
        ratios = [
            regress(plane.image[part], wave, cell=max(1, settings.cell_px // b)).value
            / (plane.level * plane.scale)
            for plane in used
        ]
        amplitude = half_range(wave)
        error = amplitude * float(np.std(ratios, ddof=1)) / np.sqrt(len(ratios))
        values.append(AmpValue(amp.id, "fringe", amplitude, float(error), len(used)))
    return values


def _judge(
    kind: str,
    master: Master,
    solved: pattern_solve.Solved,
    previous: Master | None,
    settings: PatternSettings,
) -> _Gates:
    """Is there a pattern, is it that of before, is it whole?"""
    holes = float(np.mean(master.mask > 0))
    significance = solved.agreement.significance
    gates = _Gates(
        metrics={
            "significance": significance,
            "agreement": solved.agreement.value,
            "holes": holes,
            "compared": previous is not None,
        }
    )
    if not significance >= settings.significance:
        gates.reasons.append(
            f"one half of the fields shows the {kind.lower()} of the other by {significance:.1f} "
            f"sigma, {settings.significance:g} needed"
        )
    if not holes <= settings.max_holes:
        gates.reasons.append(
            f"{holes:.1%} of the CCD without data, at most {settings.max_holes:.1%} allowed"
        )
    if previous is not None:
        correlation, ratio = _against(solved.image, previous, settings)
        gates.metrics.update(correlation=correlation, ratio_previous=ratio)
        if not correlation >= settings.min_correlation:
            gates.reasons.append(
                f"correlation {correlation:.2f} with the previous master, "
                f"{settings.min_correlation:g} needed"
            )
    return gates


def _against(
    image: NDArray[np.float32], previous: Master, settings: PatternSettings
) -> tuple[float, float]:
    """Correlation with the predecessor, and how many times stronger the new one is."""
    old = pattern_bins.shrink(previous.image, previous.mask == 0, settings.bin_px)
    both = np.isfinite(old) & np.isfinite(image)
    new, before = image[both].astype(np.float64), old[both].astype(np.float64)
    new -= new.mean() if new.size else 0
    before -= before.mean() if before.size else 0
    product, own, other = float(new @ before), float(new @ new), float(before @ before)
    if not own * other > 0:
        return 0.0, 0.0
    return product / float(np.sqrt(own * other)), product / other


def _operations(illumination: bool, settings: PatternSettings) -> list[Operation]:
    steps = [Operation("illumination", {})] if illumination else []
    return [
        *steps,
        Operation("sky", {"mesh_px": settings.sky_mesh_px}),
        Operation("combine", {"method": "clipped mean", "sigma": settings.clip_sigma}),
        Operation("amplitudes", {"iterations": settings.iterations, "cell_px": settings.cell_px}),
        Operation("smooth", {"method": "wiener, halves of the fields", "bin_px": settings.bin_px}),
    ]
