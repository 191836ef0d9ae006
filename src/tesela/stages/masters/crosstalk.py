"""The crosstalk master: the matrix of ghosts, from the bright stars of science frames."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tesela.cameras import Camera, zerolevel
from tesela.errors import QualityError
from tesela.pixels import crosstalk_matrix, saturation
from tesela.pixels.crosstalk_matrix import Equations, Solution
from tesela.products.images import Master, Operation
from tesela.products.maskbit import MaskBit
from tesela.products.monitor import AmpValue
from tesela.stages.masters import calibrate, enough
from tesela.stages.masters.inputs import MasterOutputs, RawInputs
from tesela.stages.masters.pages import crosstalk as page
from tesela.stages.masters.settings import CrosstalkSettings

MOST_SATURATED = 0.2
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Frame:
    """What one frame says, alone."""

    name: str
    equations: Equations
    own: Solution
    camera: Camera
    """With what the frame's own cards say."""
    zero_adu: NDArray[np.float64]
    """(n_amp,): level of the overscan."""


def build_crosstalk(inputs: RawInputs, settings: CrosstalkSettings) -> MasterOutputs:
    """Level, bias and gain; collect every frame's equations; leave out who disagrees; solve; judge.

    Each frame is read once. Memory: a raw frame and five planes of its size in float32. Raises
    `QualityError` if there is no bias or too few frames are usable, `BadInput` if the amplifiers
    are not of one size.
    """
    if "BIAS" not in inputs.masters:
        raise QualityError(inputs.key, found="no master bias", expected="one to subtract")
    frames, rejected = measure(inputs, settings)
    kept, disagree = agreeing(frames, settings.frame_chi2)
    rejected |= disagree
    enough.require(inputs, "crosstalk", len(kept), rejected)
    if not kept:
        raise QualityError(inputs.key, found="no usable frame", expected="frames with bright stars")
    solution = crosstalk_matrix.solve(
        [frame.equations for frame in kept], with_cores=settings.use_saturated
    )
    reasons, metrics = _judge(solution, inputs.previous, settings)
    camera = inputs.camera
    empty_image, empty_mask = np.empty((0, 0), np.float32), np.empty((0, 0), np.uint8)
    master = Master(
        "CROSSTALK",
        empty_image,
        empty_mask,
        cards=[
            ("MSTKIND", "CROSSTALK", "kind of master"),
            ("NCOMBINE", len(kept), "frames combined"),
            ("XTMAX", metrics["largest"], "largest coefficient"),
            ("XTERR", metrics["error"], "typical error of a coefficient"),
        ],
        arrays={"matrix": solution.matrix, "error": _finite(solution.error)},
    )
    return MasterOutputs(
        master,
        passed=not reasons,
        reasons=reasons,
        warnings=enough.warnings(inputs, len(kept)),
        rejected=rejected,
        metrics={
            "n_combined": len(kept),
            "n_cores": sum(len(frame.equations.cores.aggressor) for frame in kept),
            **metrics,
        },
        operations=[
            zerolevel.operation(
                kept[0].camera, np.median([frame.zero_adu for frame in kept], axis=0)
            ),
            *(Operation(name, {}) for name in calibrate.Corrections.of(inputs.masters).names()),
            Operation("gain", {}),
            Operation("crosstalk", {"source_e": settings.source_e, "sigma": settings.clip_sigma}),
        ],
        monitored=_monitored(camera, solution, len(kept)),
        pages=page.draw(camera, solution, inputs.previous, [f.own for f in kept]),
    )


def measure(inputs: RawInputs, settings: CrosstalkSettings) -> tuple[list[Frame], dict[str, str]]:
    """The equations of every frame that can be used; those that cannot, with the reason."""
    bad = (inputs.masters["BIAS"].mask & MaskBit.BAD) > 0
    corrections = calibrate.Corrections.of(inputs.masters)
    expected = _expected(inputs)
    rejected = calibrate.foreign(inputs, with_filter=False)
    frames: list[Frame] = []
    # One after the other: the planes of one large frame fill gigabytes.
    for k in sorted(range(len(inputs.facts)), key=lambda k: inputs.facts[k].name):
        facts = inputs.facts[k]
        if facts.name in rejected:
            continue
        found = calibrate.read(inputs, k, corrections, in_electrons=True)
        if isinstance(found, str):
            rejected[facts.name] = found
            continue
        raw, plane = found
        camera = plane.camera
        top = _saturated(raw, camera)
        if top.mean() > MOST_SATURATED:
            rejected[facts.name] = f"{100 * top.mean():.0f} % of the pixels saturated"
            continue
        equations = crosstalk_matrix.measure(
            plane[0 : camera.ny],
            camera.sections("dest"),
            [amp.flip_x for amp in camera.amplifiers],
            [amp.flip_y for amp in camera.amplifiers],
            saturated=top,
            bad=bad,
            source_e=settings.source_e,
            mesh_px=settings.mesh_px,
            clip_sigma=settings.clip_sigma,
            object_sigma=settings.object_sigma,
            guard_px=settings.guard_px,
            expected=expected,
        )
        if not equations.count.any():
            rejected[facts.name] = f"no pixel above {settings.source_e:.0f} electrons"
            continue
        own = crosstalk_matrix.solve([equations], with_cores=False)
        frames.append(Frame(facts.name, equations, own, camera, plane.zero_adu))
    return frames, rejected


def agreeing(frames: list[Frame], most_chi2: float) -> tuple[list[Frame], dict[str, str]]:
    """Frames whose coefficients agree with the median of all; the others, with the reason.

    Chi squared is the median over the coefficients, in units of that of a normal distribution, so
    that a single wild one does not condemn a frame. Two frames have no median to side with.
    """
    if len(frames) < 3:
        return frames, {}
    matrices = np.array([frame.own.matrix for frame in frames])
    errors = np.array([frame.own.error for frame in frames])
    off = ~np.eye(matrices.shape[1], dtype=bool)
    known = np.isfinite(errors) & off
    centre = np.zeros(off.shape)
    for place in zip(*np.nonzero(off)):
        seen = known[(slice(None), *place)]
        if seen.any():
            centre[place] = np.median(matrices[(slice(None), *place)][seen])
    rejected = {}
    for frame, own, error, seen in zip(frames, matrices, errors, known):
        if not seen.any():
            continue
        chi2 = float(np.median(((own - centre)[seen] / error[seen]) ** 2) / 0.455)
        allowed = most_chi2 * (1 + 5 / np.sqrt(np.count_nonzero(seen)))  # the few scatter more
        if chi2 > allowed:
            rejected[frame.name] = (
                f"its coefficients differ from the median of all: chi squared {chi2:.1f} each, "
                f"{allowed:.1f} allowed"
            )
    return [frame for frame in frames if frame.name not in rejected], rejected


def _expected(inputs: RawInputs) -> Floats | None:
    """A matrix to tell ghosts from sources: the predecessor's, else the camera's own."""
    if inputs.previous is not None:
        return np.asarray(inputs.previous.arrays["matrix"], np.float64)
    if inputs.camera.crosstalk:
        return np.array(inputs.camera.crosstalk, np.float64)
    return None


def _saturated(raw: calibrate.RawPixels, camera: Camera) -> NDArray[np.bool_]:
    return saturation.find(
        raw,
        camera.sections("data"),
        camera.sections("dest"),
        camera.values("saturation_adu"),
        camera.shape,
        grow=0,
    )


def _finite(error: Floats) -> Floats:
    """FITS readers are spared infinities: what nothing constrains has an error of one."""
    return np.where(np.isfinite(error), error, 1.0)


def _monitored(camera: Camera, solution: Solution, n: int) -> list[AmpValue]:
    values = []
    for victim, amp in enumerate(camera.amplifiers):
        worst = int(np.argmax(np.abs(solution.matrix[victim])))
        error = float(solution.error[victim, worst])
        if np.isfinite(error) and worst != victim:
            values.append(
                AmpValue(amp.id, "crosstalk", float(solution.matrix[victim, worst]), error, n)
            )
    return values


def _judge(
    solution: Solution, previous: Master | None, settings: CrosstalkSettings
) -> tuple[list[str], dict[str, Any]]:
    """The gates, and the numbers they stand on."""
    off = ~np.eye(len(solution.matrix), dtype=bool)
    known = off & np.isfinite(solution.error)
    error = float(np.median(np.where(known, solution.error, 1.0)[off]))
    largest = float(np.abs(solution.matrix).max())
    significant = np.abs(solution.matrix[known]) > 3 * solution.error[known]
    metrics: dict[str, Any] = {
        "error": error,
        "largest": largest,
        "n_significant": int(np.count_nonzero(significant)),
        "n_unknown": int(np.count_nonzero(off & ~known)),
        "compared": previous is not None,
    }
    reasons = []
    if not error <= settings.max_error:
        reasons.append(
            f"typical error of a coefficient {error:.1e}, {settings.max_error:.1e} allowed"
        )
    if not largest <= settings.largest:
        reasons.append(f"a coefficient of {largest:.1e}, {settings.largest:.1e} allowed")
    if metrics["n_unknown"]:
        reasons.append(f"{metrics['n_unknown']} coefficients that no source tells")
    if previous is not None:
        old_error = previous.arrays.get("error", np.zeros_like(solution.matrix))
        change = np.abs(solution.matrix - previous.arrays["matrix"])
        allowed = np.maximum(
            settings.change, settings.compare_sigma * np.hypot(_finite(solution.error), old_error)
        )
        metrics["largest_change"] = float(change[off].max())
        if np.any((change > allowed)[off]):
            victim, aggressor = np.unravel_index(np.argmax(change - allowed), change.shape)
            reasons.append(
                f"{np.count_nonzero((change > allowed)[off])} coefficients changed, most that of "
                f"amplifier {aggressor + 1} in {victim + 1}: by {change[victim, aggressor]:.1e}, "
                f"{allowed[victim, aggressor]:.1e} allowed"
            )
    return reasons, metrics
