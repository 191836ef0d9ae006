"""What an image must be like to be used: what fails is kept, with the reason, and left out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np

from tesela.errors import QualityError
from tesela.stages.reduce.frame import Frame, needed
from tesela.stages.reduce.measure import Sources
from tesela.stages.reduce.settings import GateSettings

_BRIGHT_SNR = 30.0
_ENOUGH = 20
_SATURATED = 4
_HARDLY_ANY = 5


@dataclass(frozen=True)
class Drawn:
    """How bright sources are drawn out, as a whole."""

    ellipticity: float
    coherence: float
    """1 where all point the same way."""
    theta_deg: float
    n: int


def refuse_trailed(frame: Frame, sources: Sources, settings: GateSettings) -> None:
    """Raise `QualityError` where no star is round enough for a PSF: the telescope moved."""
    found = drawn_out(sources)
    frame.metrics["sources_coherence"] = found.coherence
    if found.n < _ENOUGH or found.coherence < settings.trailed_coherence:
        return
    if found.ellipticity > settings.trailed_ellipticity:
        raise QualityError(
            "stars",
            found=f"{found.n} bright sources drawn out to 1 - b/a = {found.ellipticity:.2f}, all "
            f"along {found.theta_deg:.0f} degrees: trailed",
            expected=f"less than {settings.trailed_ellipticity:g}",
            do="check tracking and guiding of that exposure",
        )


def drawn_out(sources: Sources) -> Drawn:
    """Ellipticity and common direction of the bright, unsaturated sources."""
    table = sources.table
    bright = (table["snr"] > _BRIGHT_SNR) & ((table["flags"] & _SATURATED) == 0) & (table["a"] > 0)
    flat = 1 - table["b"][bright] / table["a"][bright]
    if not flat.size:
        return Drawn(0.0, 0.0, 0.0, 0)
    spin = np.mean(flat * np.exp(2j * table["theta"][bright])) / max(float(flat.mean()), 1e-9)
    return Drawn(
        float(np.median(flat)),
        float(np.abs(spin)),
        float(np.degrees(np.angle(spin)) / 2),
        flat.size,
    )


@contextmanager
def explained(frame: Frame, settings: GateSettings) -> Iterator[None]:
    """Where what is done inside finds too few stars, say what may be behind that.

    Raises the `QualityError` that came, with the cause that the sky tells of.
    """
    try:
        yield
    except QualityError as error:
        causes = _of_sky(frame, settings)
        if not causes and frame.metrics.get("n_sources", _HARDLY_ANY) < _HARDLY_ANY:
            causes = ["hardly a star shows: clouds, or the shutter did not open"]
        if not causes:
            raise
        raise QualityError(
            error.what,
            found="; ".join([error.found, *causes]),
            expected=error.expected,
            do=error.do,
        ) from error


def judge(frame: Frame, settings: GateSettings) -> list[str]:
    """Why an image that was calibrated is not to be used; empty if it is."""
    metrics, reasons = frame.metrics, _of_sky(frame, settings)
    if metrics["fraction_bad"] > settings.max_bad_fraction:
        reasons.append(f"{100 * metrics['fraction_bad']:.0f} % of the pixels are bad")
    ratio = metrics.get("noise_over_expected")
    if ratio is not None and not settings.min_noise_ratio <= ratio <= settings.max_noise_ratio:
        reasons.append(
            f"the noise is {ratio:.2f} of what light and read-out explain, allowed are "
            f"{settings.min_noise_ratio:g} to {settings.max_noise_ratio:g}: the counts are not of "
            "this camera"
        )
    if metrics["ellipticity"] > settings.max_ellipticity:
        reasons.append(
            f"stars are elongated: 1 - b/a = {metrics['ellipticity']:.2f}, at most "
            f"{settings.max_ellipticity:g}"
        )
    share = metrics.get("transparency")
    if share is not None and share < settings.min_transparency:
        reasons.append(f"clouds let {100 * share:.0f} % of the light through")
    return [*reasons, *_of_zero_point(metrics, settings)]


def _of_sky(frame: Frame, settings: GateSettings) -> list[str]:
    mesh = needed(frame.sky, "sky model").mesh_level
    dim = float(np.mean(mesh < 0.5 * np.median(mesh))) if np.median(mesh) > 0 else 0.0
    frame.metrics["sky_dim_fraction"] = dim
    if dim <= settings.max_dim_fraction:
        return []
    return [
        f"{100 * dim:.0f} % of the frame has less than half of the sky: dome or shutter in the way"
    ]


def _of_zero_point(metrics: Mapping[str, Any], settings: GateSettings) -> list[str]:
    """A zero point is a mean that always comes out; whether its stars agree is another question.

    Each is judged beyond what the errors of few or faint stars do.
    """
    reasons = []
    scatter, tilt = metrics.get("zeropoint_scatter_mag"), metrics.get("zeropoint_tilt_mag")
    slope, error = metrics.get("colour_coefficient"), metrics.get("colour_coefficient_err")
    if scatter is None:
        return []
    noise = metrics["zeropoint_expected_scatter_mag"]
    if np.sqrt(max(scatter**2 - noise**2, 0)) > settings.max_zeropoint_scatter_mag:
        reasons.append(
            f"the stars of the zero point scatter by {scatter:.2f} mag, their errors by "
            f"{noise:.2f}: catalogue, filter or clouds"
        )
    # Of n stars all over the field: the error of a plane from edge to edge.
    of_tilt = 2 * scatter * np.sqrt(3 / max(metrics["n_zeropoint"], 1))
    if tilt is not None and tilt - 3 * of_tilt > settings.max_zeropoint_tilt_mag:
        reasons.append(
            f"the zero point changes by {tilt:.2f} mag over the field, at most "
            f"{settings.max_zeropoint_tilt_mag:g}: clouds, vignetting or flat"
        )
    # Where the survey states the colour term it has no error.
    if slope and error and abs(slope) - 2 * error > settings.max_colour_coefficient:
        reasons.append(
            f"the zero point has a colour term of {slope:+.2f}, at most "
            f"{settings.max_colour_coefficient:g}: another filter than the header says, or another "
            "band of the catalogue"
        )
    return reasons
