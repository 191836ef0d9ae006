"""The spectral energy distribution of a source in all bands, drawn as SVG."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from markupsafe import escape

from tesela.products.calibrated import AB_ZERO_UJY_MAG
from tesela.web.shared import show, svg
from tesela.web.shared.svg import Frame, Plot

_NARROW_NM: Final = 30.0
_BY_WAVELENGTH: Final = re.compile(r"J\d{4}")
LIMIT_SIGMA: Final = 3.0

Unit = Literal["mag", "flux"]

_FRAME: Final = Frame(720, 420, left=64, right=16, top=48, bottom=46)
_LABEL_ROWS: Final = 3
_SPAN_PX: Final = 40.0
"""Room that a band's name needs."""


@dataclass(frozen=True)
class SedPoint:
    """A band of a source.

    `flux_ujy` and `flux_err_ujy` are NaN if there is no measurement; `detected` is false where
    the flux is not significant: as a magnitude only a limit is shown then. `state` says in words
    why a value is missing.
    """

    band: str
    pivot_nm: float
    fwhm_nm: float
    flux_ujy: float
    flux_err_ujy: float
    detected: bool
    state: str = ""

    @property
    def narrow(self) -> bool:
        """True for narrow bands."""
        return is_narrow(self.band, self.fwhm_nm)

    @property
    def limit_ujy(self) -> float:
        """Flux that a source must not exceed: 3 sigma above zero or above what was seen."""
        if not math.isfinite(self.flux_err_ujy) or not self.flux_err_ujy > 0:
            return math.nan
        seen = max(self.flux_ujy, 0.0) if math.isfinite(self.flux_ujy) else 0.0
        return seen + LIMIT_SIGMA * self.flux_err_ujy

    def value(self, unit: Unit) -> float:
        """Flux in microjansky, detected or not, or AB magnitude, NaN if not detected."""
        if unit == "flux":
            return self.flux_ujy
        return ab_mag(self.flux_ujy) if self.detected else math.nan

    def error(self, unit: Unit) -> float:
        """Error of `value`."""
        if unit == "flux":
            return self.flux_err_ujy
        if not self.detected or not math.isfinite(self.flux_err_ujy):
            return math.nan
        return 2.5 / math.log(10) * self.flux_err_ujy / self.flux_ujy

    def limit(self, unit: Unit) -> float:
        """3 sigma limit as a magnitude; NaN if the band is detected or was not observed.

        A flux needs none: its value and error say more.
        """
        return math.nan if self.detected or unit == "flux" else ab_mag(self.limit_ujy)


def is_narrow(band: str, fwhm_nm: float) -> bool:
    """True for bands drawn as circles; broad ones are squares.

    J-PLUS and J-PAS name their narrow bands by the wavelength (J0660); of others the width decides.
    """
    return bool(_BY_WAVELENGTH.fullmatch(band)) or fwhm_nm < _NARROW_NM


def ab_mag(flux_ujy: float) -> float:
    """AB magnitude of a flux density in microjansky; NaN if it is not positive."""
    return AB_ZERO_UJY_MAG - 2.5 * math.log10(flux_ujy) if flux_ujy > 0 else math.nan


def limits(series: Sequence[Sequence[SedPoint]], unit: Unit) -> tuple[float, float]:
    """Faintest and brightest value of several series, with room: one axis for all of them."""
    values = []
    for point in (p for points in series for p in points):
        value, error, limit = point.value(unit), point.error(unit), point.limit(unit)
        if not math.isfinite(error):
            error = 0.0
        elif unit == "mag":
            error = min(error, 1.0)  # a bar as long as the picture would hide everything else
        values += [v for v in (value - error, value + error, limit) if math.isfinite(v)]
    if unit == "flux":
        values.append(0.0)
    if not values:
        return (22.0, 16.0) if unit == "mag" else (0.0, 1.0)
    low, high = min(values), max(values)
    room = max(0.09 * (high - low), 0.15 if unit == "mag" else 0.05 * high, 1e-6)
    return (high + room, low - room) if unit == "mag" else (low - room / 2, high + room)


def draw(
    points: Sequence[SedPoint],
    *,
    unit: Unit,
    ident: str,
    title: str,
    axis: tuple[float, float] | None = None,
) -> Plot:
    """Draw magnitudes or fluxes against wavelength.

    Horizontal bars are the widths of the filters, vertical ones the errors. Where the source is
    not detected a flux is drawn hollow, and a magnitude is a limit of 3 sigma, an arrow. Bands
    without curve (NaN wavelength) are left out of the picture, not of the table.
    """
    drawn = [p for p in points if math.isfinite(p.pivot_nm)]
    low, high = axis or limits([points], unit)
    edges = [p.pivot_nm + side * p.fwhm_nm / 2 for p in drawn for side in (-1, 1)]
    x_low, x_high = (min(edges) - 18, max(edges) + 18) if edges else (300.0, 1000.0)
    x = svg.scale(x_low, x_high, _FRAME.x0, _FRAME.x1)
    y = svg.scale(low, high, _FRAME.y0, _FRAME.y1)
    name = "AB magnitude" if unit == "mag" else "flux density / µJy"
    parts = svg.y_axis(_FRAME, svg.ticks(min(low, high), max(low, high)), y, name)
    parts += svg.x_axis(_FRAME, svg.ticks(x_low, x_high, 7), x, "wavelength / nm")
    labels = _label_rows([x(p.pivot_nm) for p in drawn])
    for point, row in zip(drawn, labels):
        parts += _band(point, unit, x, y, row)
    seen = sum(p.detected for p in points)
    described = f"Detected in {seen} of {len(points)} bands; the table holds the numbers."
    return Plot(
        svg.picture(_FRAME, ident, title, described, parts),
        title,
        ("Band", "Wavelength / nm", *_COLUMNS[unit], "State"),
        tuple(_row(p, unit) for p in points),
    )  # fmt: skip


_COLUMNS: Final = {
    "mag": ("AB magnitude", "Error", "3 \N{GREEK SMALL LETTER SIGMA} limit"),
    "flux": ("Flux / µJy", "Error"),
}


def _band(
    point: SedPoint, unit: Unit, x: Callable[[float], float],
    y: Callable[[float], float], row: int,
) -> list[str]:  # fmt: skip
    middle, half = x(point.pivot_nm), point.fwhm_nm / 2
    kind = "" if point.detected else " hollow"
    parts = [f'<g class="f f-{escape(point.band)}{kind}">']
    parts.append(svg.text("label", middle, 12 + 13 * row, point.band))
    value, error, limit = point.value(unit), point.error(unit), point.limit(unit)
    if math.isfinite(value):
        at = y(value)
        parts.append(svg.line("bar", x(point.pivot_nm - half), at, x(point.pivot_nm + half), at))
        if math.isfinite(error):
            ends = [min(max(y(value + s * error), _FRAME.y1), _FRAME.y0) for s in (-1, 1)]
            parts.append(svg.line("error", middle, ends[0], middle, ends[1]))
        mark = svg.disc(middle, at, 5.5) if point.narrow else svg.square(middle, at, 5)
        parts.append(mark)
    elif math.isfinite(limit):
        parts.append(svg.arrow_down(middle, y(limit)))
    parts.append("</g>")
    return parts


def _label_rows(xs: Sequence[float]) -> list[int]:
    """A row of text for each name, so that neighbours do not overlap if there is room."""
    rows: list[int] = []
    last = [-math.inf] * _LABEL_ROWS
    for x in xs:
        free = [row for row in range(_LABEL_ROWS) if x - last[row] >= _SPAN_PX]
        row = free[0] if free else last.index(min(last))
        rows.append(row)
        last[row] = x
    return rows


def _row(point: SedPoint, unit: Unit) -> tuple[str, ...]:
    values = [point.value(unit), point.error(unit)]
    if unit == "mag":
        values.append(point.limit(unit))
    return (
        point.band,
        show.number(point.pivot_nm, 1),
        *(show.number(value, 3) for value in values),
        point.state,
    )
