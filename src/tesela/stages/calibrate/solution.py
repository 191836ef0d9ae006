"""The zero points of one band: of its frames, and of the coadd that was made of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from tesela.bands.colourterm import ZeroPoint, fit_zero_point
from tesela.config import Reference
from tesela.errors import QualityError
from tesela.stages.calibrate.settings import CalibrateSettings, FrameStars
from tesela.stages.calibrate.stars import Stars

REFERENCE, FRAMES = "reference", "frames"
Coefficient = float | str | None


@dataclass(frozen=True)
class Row:
    """A row of the photometric solution; fields are columns of `products.columns.ZEROPOINTS`."""

    band: str
    frame: str
    zeropoint_mag: float
    zeropoint_err_mag: float
    scatter_mag: float
    n_stars: int
    colour_coefficient: float
    colour_err: float
    colour_pivot: float
    origin: str


@dataclass(frozen=True)
class ColourTerm:
    """What is held where a colour term cannot be fitted: the mean of those that could."""

    coefficient: float
    error: float
    n: int
    """Frames that it is the mean of."""


def of_frames(
    band: str,
    frames: Mapping[str, FrameStars],
    stars: Mapping[str, Stars],
    wanted: Reference,
    settings: CalibrateSettings,
) -> tuple[list[Row], ColourTerm]:
    """Zero points of the frames, and the mean of the colour terms fitted to them.

    A frame with too few stars keeps the zero point of its reduction.
    """
    fitted = {
        name: found
        for name, mine in stars.items()
        if len(mine) >= settings.min_stars_colour or wanted.colour_coefficient != "fit"
        if (found := _fit(mine, wanted, wanted.colour_coefficient, settings)) is not None
    }
    mean = _mean(list(fitted.values()))
    rows = []
    for name, frame in frames.items():
        held: Coefficient = wanted.colour_coefficient
        found = fitted.get(name)
        if found is None and held == "fit":
            found = _fit(stars[name], wanted, mean.coefficient, settings)
        if found is None:
            rows.append(
                _kept(band, name, frame.zeropoint_mag, frame.zeropoint_err_mag, mean, wanted)
            )
        else:
            rows.append(_row(band, name, found, mean, wanted))
    return rows, mean


def of_tile(
    band: str,
    stars: Stars,
    inherited_mag: float,
    frames: Sequence[Row],
    mean: ColourTerm,
    wanted: Reference,
    settings: CalibrateSettings,
) -> Row:
    """Zero point of the coadd; with too few stars the one that it inherited from its frames."""
    coefficient: Coefficient = wanted.colour_coefficient
    if coefficient == "fit" and len(stars) < settings.min_stars_colour:
        coefficient = mean.coefficient
    found = _fit(stars, wanted, coefficient, settings)
    if found is None:
        errors = np.array([row.zeropoint_err_mag for row in frames])
        errors = errors[np.isfinite(errors) & (errors > 0)]
        error = float(np.sum(errors**-2.0) ** -0.5) if errors.size else np.nan
        return _kept(band, "", inherited_mag, error, mean, wanted)
    return _row(band, "", found, mean, wanted)


def _fit(
    stars: Stars, wanted: Reference, coefficient: float | str | None, settings: CalibrateSettings
) -> ZeroPoint | None:
    """None where too few stars are left, or agree."""
    if len(stars) < settings.min_stars:
        return None
    try:
        return fit_zero_point(
            stars.mag,
            stars.err,
            stars.ref_mag,
            stars.ref_err,
            stars.colour,
            colour_pivot=wanted.colour_pivot,
            colour_coefficient=coefficient,  # type: ignore[arg-type]
            floor=settings.floor_mag,
            min_stars=settings.min_stars,
        )
    except QualityError:
        return None


def _mean(fitted: Sequence[ZeroPoint]) -> ColourTerm:
    """Weighted mean of the colour terms that were fitted; nought where none was."""
    known = [f for f in fitted if f.colour_error > 0]
    if not known:
        return ColourTerm(0.0, 0.0, 0)
    weight = np.array([f.colour_error for f in known]) ** -2.0
    value = np.array([f.colour_coefficient for f in known])
    mean = float(np.average(value, weights=weight))
    return ColourTerm(mean, float(weight.sum() ** -0.5), len(known))


def _row(band: str, frame: str, found: ZeroPoint, mean: ColourTerm, wanted: Reference) -> Row:
    held = wanted.colour_coefficient == "fit" and found.colour_error == 0
    return Row(
        band,
        frame,
        found.zeropoint_mag,
        found.error_mag,
        found.scatter_mag,
        found.n,
        found.colour_coefficient,
        mean.error if held else found.colour_error,
        wanted.colour_pivot,
        REFERENCE,
    )


def _kept(
    band: str, frame: str, zeropoint_mag: float, error: float, mean: ColourTerm, wanted: Reference
) -> Row:
    given = wanted.colour_coefficient
    coefficient = given if isinstance(given, float) else mean.coefficient
    return Row(
        band, frame, zeropoint_mag, error, np.nan, 0, coefficient, mean.error,
        wanted.colour_pivot, FRAMES,
    )  # fmt: skip
