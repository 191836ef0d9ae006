"""The master illumination: what the flat tells wrongly of large scales, from stars."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from tesela.errors import QualityError
from tesela.pixels import illumination as fitting
from tesela.pixels.illumination import Model, Solution
from tesela.products.files import Card
from tesela.products.images import Master, Operation
from tesela.stages.masters import enough
from tesela.stages.masters.illumination_judge import ImageFit, Verdict, images, judge, unfit
from tesela.stages.masters.illumination_stars import Stars, gather
from tesela.stages.masters.inputs import ImageInputs, MasterOutputs
from tesela.stages.masters.pages import illumination as pages
from tesela.stages.masters.settings import IlluminationSettings

_ROUNDS = 4


def build_illumination(inputs: ImageInputs, settings: IlluminationSettings) -> MasterOutputs:
    """Choose stars, recognise them, fit, leave bad images out, judge, draw.

    No pixel is read: star lists alone. Memory: about 400 bytes an observation. Raises
    `QualityError` if too few images are usable or nothing holds the plane of the map.
    """
    stars = gather(inputs, settings)
    fitted = _fit(inputs, stars, settings)
    verdict = judge(
        fitted.stars.obs,
        fitted.solution,
        inputs.camera.shape,
        inputs.previous,
        inputs.reference,
        settings.gates,
    )
    n = len(inputs.images) - len(fitted.rejected)
    verdict.reasons += _disagreement(fitted.n_disagree, n, settings.gates.rejected_share)
    if fitted.undecided:
        verdict.reasons.append(
            f"after {_ROUNDS} rounds {', '.join(fitted.undecided)} still disagree with the map"
        )
    master = _master(n, fitted, settings, verdict)
    metrics = {"n_combined": n, **_metrics(fitted), **verdict.metrics}
    return MasterOutputs(
        master,
        passed=not verdict.reasons,
        reasons=verdict.reasons,
        warnings=[*enough.warnings(inputs, n), *verdict.warnings],
        rejected=fitted.rejected,
        metrics=metrics,
        operations=[
            Operation("stars", {"snr": settings.stars.min_snr, "flags": 0}),
            Operation(
                "illumination",
                {
                    "degree": settings.fit.degree,
                    "grid": settings.fit.grid,
                    "anchor": fitted.anchor,
                    "clip": f"Huber, then {Model.clip_sigma} sigma",
                },
            ),
        ],
        pages=pages.draw(
            pages.Subject(
                inputs.key,
                inputs.camera.shape,
                fitted.stars,
                fitted.solution,
                master,
                [image.facts.name for image in inputs.images],
                fitted.images,
                fitted.rejected,
                metrics,
                {"reference": inputs.reference, "previous": inputs.previous},
            )
        ),
    )


@dataclass(frozen=True)
class _Fitted:
    stars: Stars
    solution: Solution
    images: list[ImageFit]
    rejected: dict[str, str]
    n_disagree: int
    """Of those, images that had enough stars."""
    undecided: list[str]
    """Images that one more round would leave out; they are in the solution."""
    anchor: str


def _fit(inputs: ImageInputs, stars: Stars, settings: IlluminationSettings) -> _Fitted:
    """Fit, leave out images that disagree, and again, until none does."""
    names = [image.facts.name for image in inputs.images]
    least = settings.stars.min_stars
    rejected = {
        name: f"{n} isolated stars with S/N > {settings.stars.min_snr:g}, {least} needed"
        for name, n in zip(names, stars.n_of_image)
        if n < least
    }
    n_poor = len(rejected)
    told: list[ImageFit] = []
    model, anchor = _model(inputs, stars, settings)
    for n in range(_ROUNDS + 1):
        enough.require(inputs, "illumination", len(names) - len(rejected), rejected)
        kept = np.array([name not in rejected for name in names])
        obs = fitting.of_frames(stars.obs, kept)
        try:
            solution = fitting.solve(obs, inputs.camera.shape, model)
        except QualityError as error:
            raise QualityError(
                inputs.key, found=error.found, expected=error.expected, do=error.do
            ) from error
        found = images(obs, solution, inputs.camera.shape)
        # What was said of an image when it was left out stays.
        told = [new if kept[k] or not told else told[k] for k, new in enumerate(found)]
        new = {
            name: reason
            for name, reason in zip(names, unfit(found, settings.gates))
            if reason and name not in rejected
        }
        if not new or n == _ROUNDS:  # the last solution has none of those that were left out
            break
        rejected |= new
    kept_stars = Stars(obs, stars.ext_mag, stars.colour)
    return _Fitted(
        kept_stars, solution, told, rejected, len(rejected) - n_poor, sorted(new), anchor
    )


def _disagreement(n_out: int, n_kept: int, share: float) -> list[str]:
    """A map that its surface cannot follow makes images look bad that lie aside of the others."""
    if n_out <= share * (n_out + n_kept):
        return []
    return [
        f"{n_out} of {n_out + n_kept} images disagree with the map: clouds, or structure that the "
        "surface cannot follow"
    ]


def _model(inputs: ImageInputs, stars: Stars, settings: IlluminationSettings) -> tuple[Model, str]:
    """What is fitted, and in words what holds its plane."""
    fit = settings.fit
    has_ext = bool(np.isfinite(stars.ext_mag).any())
    held = ["reference catalogue"] * has_ext + ["photometric sequence"] * (fit.photometric_mag > 0)
    colour = inputs.band.colour_coefficient if inputs.band is not None and has_ext else None
    model = Model(
        degree=fit.degree,
        grid=fit.grid,
        gradient_mag=fit.gradient_mag,
        floor_mag=fit.floor_mag,
        ext_floor_mag=fit.reference_floor_mag,
        correlated_mag=fit.reference_shared_mag,
        photometric_mag=fit.photometric_mag or 1.0,
        colour=colour,  # type: ignore[arg-type]
        fit_plane=fit.plane,
    )
    return model, " and ".join(held) if fit.plane else "no plane"


def _master(n: int, fitted: _Fitted, settings: IlluminationSettings, verdict: Verdict) -> Master:
    found = fitted.solution
    cards: list[Card] = [
        ("MSTKIND", "ILLUMINATION", "kind of master"),
        ("NCOMBINE", n, "images combined"),
        ("ICSIGN", "instrumental - true", "I' = I 10^(+0.4 f)"),
        ("ICDEGREE", settings.fit.degree, "total degree of the Legendre products"),
        ("ICGRID", settings.fit.grid, "intervals of the spline of what they leave"),
        ("ICANCHOR", fitted.anchor, "what holds the plane"),
        ("ICSTARS", _n_stars(fitted), "stars"),
        ("ICOBS", int(np.count_nonzero(found.used)), "observations of them"),
        ("ICRMS", 1e3 * verdict.metrics["rms_residual_mag"], "[mmag] residuals, cells of 1/16"),
        ("ICSCAT", 1e3 * found.scatter_mag, "[mmag] of an observation"),
        ("ICERR", 1e3 * float(np.sqrt(np.mean(found.error**2))), "[mmag] error of the map"),
    ]
    if settings.fit.plane:
        cards += [
            ("ICPLX", 1e3 * float(found.plane[0]), "[mmag] plane across the CCD in x"),
            ("ICPLY", 1e3 * float(found.plane[1]), "[mmag] and in y"),
            ("ICPLXERR", 1e3 * float(found.plane_error[0]), "[mmag]"),
            ("ICPLYERR", 1e3 * float(found.plane_error[1]), "[mmag]"),
        ]
    return Master(
        "ILLUMINATION",
        np.empty((0, 0), np.float32),
        np.empty((0, 0), np.uint8),
        cards,
        {
            "map": found.map,
            "error": found.error,
            "coefficients": found.coefficients,
            "plane": found.plane,
            "plane_error": found.plane_error,
            # Of the images that were kept, in their order.
            "zeropoints": found.zeropoints[_kept(fitted)],
        },
    )


def _kept(fitted: _Fitted) -> np.ndarray:
    return np.bincount(fitted.stars.obs.frame, minlength=fitted.stars.obs.n_frames) > 0


def _n_stars(fitted: _Fitted) -> int:
    return int(np.unique(fitted.stars.obs.star[fitted.solution.used]).size)


def _metrics(fitted: _Fitted) -> dict[str, Any]:
    found = fitted.solution
    return {
        "n_stars": _n_stars(fitted),
        "n_observations": int(np.count_nonzero(found.used)),
        "share_clipped": float(1 - np.mean(found.used)),
        "scatter_mag": found.scatter_mag,
        "reference_scatter_mag": found.ext_scatter_mag,
        "peak_to_valley_mag": float(np.ptp(found.map)),
        "rms_map_mag": float(np.std(found.map)),
        "error_map_mag": float(np.sqrt(np.mean(found.error**2))),
        "plane_x_mag": float(found.plane[0]),
        "plane_y_mag": float(found.plane[1]),
        "plane_x_err_mag": float(found.plane_error[0]),
        "plane_y_err_mag": float(found.plane_error[1]),
        "colour_coefficient": found.colour,
        "colour_coefficient_err": found.colour_error,
        "error_scale": found.scale,
    }
