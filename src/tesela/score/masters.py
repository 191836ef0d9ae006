"""Masters against the detector, the stray light and the fringes that were simulated.

Amplifiers' gains are those that the headers told, as in the masters: a flat holds their errors, and
what each amplifier hears of the others. Every statistic leaves out the pixels that the master
itself calls bad. Nothing that a master claims of itself is a measure of it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from tesela.products.images import Master, card_dict
from tesela.score.rows import Row
from tesela.score.statistics import rms, robust_width
from tesela.simulate import detector, flats, night, readout, schedule, structure
from tesela.simulate.detector import LINEAR_ADU, Detector
from tesela.simulate.settings import NightSettings

BLOCK_PX = 64
BIAS_FRAMES = 30
"""Biases of a master that is judged."""
BIAS_E, FLAT_NOISE, SCALE_MMAG = 0.1, 1.1, 3.0
CROSSTALK, SLOPE_MMAG, FOUND, FALSE = 2e-5, 2.0, 0.99, 1e-4
FLAT_ADU = (5000.0, 50000.0)
"""Levels of flats of which there is something to be had."""
HOT_SIGMA, HOT_EXPTIME_S = 5.0, 60.0
"""A hot pixel is bad that stands out by so much of the read noise after so many seconds ..."""
COLD_RESPONSE = 0.9
"""... and a cold one that has less response; weaker ones may be marked or not."""
LEVELS_ADU = np.geomspace(2000.0, 58000.0, 40)

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Judged:
    """A master and the simulated night whose truth it is compared with."""

    kind: str
    band: str
    night: str
    master: Master
    settings: NightSettings

    @property
    def unit(self) -> Detector:
        """The true detector of that night."""
        return detector.build(self.settings)

    @property
    def good(self) -> NDArray[np.bool_]:
        """(ny, nx) bool: pixels that the master does not call bad."""
        return self.master.mask == 0


def evaluate(masters: Mapping[str, Path], truth_dir: Path) -> list[Row]:
    """Score masters by key, `KIND.telescope.camera.ccd.band_serial.mode.night`.

    Give only those that are used. Of each kind and band the masters of all nights are judged and
    the worst is the row; memory: a master and a few planes of the size of the CCD.
    """
    nights = night.read_settings(truth_dir)
    by_key = dict(sorted(masters.items()))
    opened = (_judged(k, p, nights) for k, p in by_key.items() if k.startswith("FLAT."))
    by_night = {(one.band, one.night): one for one in opened if one is not None}
    rows: dict[tuple[str, str], list[Row]] = {}
    for key, path in by_key.items():
        one = _judged(key, path, nights)
        if one is None or one.kind not in _SCORES:
            continue
        of_kind = _SCORES[one.kind]
        found = _illumination(one, by_night.values()) if of_kind is None else of_kind(one)
        for row in found:
            rows.setdefault((row.metric, row.band), []).append(row)
    return [_worst(found) for found in rows.values()]


def band_of(key: str) -> str:
    """The band in a master's key, '' where no filter matters."""
    return key.split(".")[4].partition("_")[0].strip("-")


def _judged(key: str, path: Path, nights: Sequence[NightSettings]) -> Judged | None:
    """Open a master with the first night of its period; None where no such night was simulated."""
    kind, _, camera, _, _, _, first = key.split(".")
    since = [n for n in nights if n.date.replace("-", "") >= first and n.camera == camera]
    if not since:
        return None
    return Judged(kind, band_of(key), first, Master.read(path), since[0])


def _worst(rows: list[Row]) -> Row:
    """The row furthest from its target; of those that only inform the largest.

    Nothing is worse than what could not be measured.
    """
    if unknown := [row for row in rows if math.isnan(row.value)]:
        return unknown[0]
    if rows[0].comparison == ">=":
        return min(rows, key=lambda row: row.value)
    return max(rows, key=lambda row: abs(row.value))


# ---------------------------------------------------------------- bias


def _bias(one: Judged) -> Iterable[Row]:
    """Structure in electrons: profiles of rows and columns within amplifiers, and blocks."""
    true = structure.bias_image(one.settings)
    profiles: dict[str, list[NDArray[np.float64]]] = {"rows": [], "columns": [], "blocks": []}
    for k, amp in enumerate(one.unit.camera.amplifiers):
        where = amp.dest.slices
        error = (one.master.image[where] - true[where]) * np.float32(one.unit.gain[k])
        error = np.where(one.good[where], error, np.nan).astype(np.float64)
        profiles["rows"].append(_means(error, 1))
        profiles["columns"].append(_means(error, 0))
        profiles["blocks"].append(block_means(error).ravel())
    frames = int(card_dict(one.master.cards).get("NCOMBINE", 0))
    target = BIAS_E if frames >= BIAS_FRAMES else None
    for name, parts in profiles.items():
        values = np.concatenate(parts)
        values = values[np.isfinite(values)]
        yield _row(f"bias, {name}", "", rms(values), values.size, "e-", target, f"{frames} frames")


def _means(values: NDArray[np.float64], axis: int) -> NDArray[np.float64]:
    """Means along an axis, NaN where fewer than half of the pixels are good."""
    enough = np.isfinite(values).mean(axis=axis) > 0.5
    total = np.nansum(values, axis=axis) / np.maximum(np.isfinite(values).sum(axis=axis), 1)
    return np.where(enough, total, np.nan)


def block_means(values: NDArray[np.float64], side: int = BLOCK_PX) -> NDArray[np.float64]:
    """(my, mx) means of whole blocks, NaN left out; NaN where fewer than half are finite."""
    my, mx = values.shape[0] // side, values.shape[1] // side
    cut = values[: my * side, : mx * side].reshape(my, side, mx, side)
    count = np.isfinite(cut).sum(axis=(1, 3))
    total = np.nansum(cut, axis=(1, 3)) / np.maximum(count, 1)
    return np.where(count > side * side / 2, total, np.nan)


# ---------------------------------------------------------------- flats


def _true_response(one: Judged) -> Floats:
    """What a perfect flat without stray light is, in the electrons of the headers.

    The response, and the light of the other amplifiers that is read out with a pixel's own.
    """
    light = _light(one)
    true = readout.with_crosstalk(light, one.unit)
    true *= detector.response(one.settings, one.band) / light
    for k, amp in enumerate(one.unit.camera.amplifiers):
        true[amp.dest.slices] *= np.float32(one.unit.header_gain[k] / one.unit.gain[k])
    return true


def _light(one: Judged) -> Floats:
    """What a pixel gets of the sky, stray light included, in what a typical one gets."""
    light = detector.stray_light(one.settings, one.band) * detector.pixel_area(one.settings)
    light *= detector.response(one.settings, one.band)
    return light


def _photons(one: Judged) -> tuple[float, int]:
    """Electrons that the flats of the band and night gave a typical pixel; their number."""
    unit = one.unit
    lowest, highest = (adu * float(np.mean(unit.gain)) for adu in FLAT_ADU)
    taken = [
        flats.level_e(exposure, one.settings)
        for exposure in schedule.plan(one.settings)
        if exposure.kind == "flat" and exposure.band == one.band
    ]
    levels = [level for level in taken if lowest <= level <= highest]
    return float(np.sum(levels)), len(levels)


def _flat(one: Judged) -> Iterable[Row]:
    """Small scales: scatter about the truth, in the photon noise of the night's flats.

    Each pixel's error is in units of its own noise; a master of fewer frames than there were, or
    of badly weighted ones, is noisier than that.
    """
    ratio = one.master.image / _true_response(one)
    ratio[~one.good] = np.nan
    smooth = _smooth(ratio)
    away = (ratio / smooth - 1) * np.sqrt(_light(one))
    scatter = robust_width(away[one.good].astype(np.float64))
    electrons, n = _photons(one)
    said = float(card_dict(one.master.cards).get("MSTNOISE", math.nan))
    yield _row(
        "flat, noise over that of its photons", one.band,
        scatter * math.sqrt(electrons) if n else math.nan, int(one.good.sum()), "", FLAT_NOISE,
        f"of {n} flats as simulated; {said * math.sqrt(electrons):.3f} by the master's own card",
    )  # fmt: skip


def _smooth(ratio: Floats) -> Floats:
    """Large scales, the flat's own fringes among them: means of blocks of 8 px, interpolated."""
    blocks = block_means(ratio.astype(np.float64), 8)
    blocks = np.where(np.isfinite(blocks), blocks, np.nanmedian(blocks))
    zoom = [n / m for n, m in zip(ratio.shape, blocks.shape)]
    return ndimage.zoom(blocks, zoom, order=1, grid_mode=True, mode="nearest").astype(np.float32)


# ---------------------------------------------------------------- illumination


def _map(one: Judged) -> Floats:
    """The correction in every pixel, by interpolation of its nodes."""
    nodes = one.master.arrays["map"].astype(np.float32)
    ny, nx = one.unit.camera.shape
    y = np.linspace(0, nodes.shape[0] - 1, ny)
    x = np.linspace(0, nodes.shape[1] - 1, nx)
    grid = np.meshgrid(y, x, indexing="ij")
    return ndimage.map_coordinates(nodes, grid, order=3, mode="nearest", output=np.float32)


def _illumination(one: Judged, by_night: Iterable[Judged]) -> Iterable[Row]:
    """The map against what the flats of its epoch tell wrongly, in blocks; and their plane.

    What is wrong with a flat is the stray light in it and, beyond what the camera does, the
    twilight's own gradient: the map corrects both, so both are in the truth.
    """
    found = _map(one)
    for flat in by_night:
        if flat.band != one.band or flat.settings.epoch != one.settings.epoch:
            continue
        ratio = flat.master.image / _true_response(flat)
        ratio[~flat.good] = np.nan
        true = 2500 * np.log10(block_means(ratio.astype(np.float64)))
        true -= np.nanmean(true)
        error = 1000 * block_means(found.astype(np.float64)) - true
        error -= np.nanmean(error)
        known = np.isfinite(error)
        note = f"of {np.ptp(true[known]):.0f} mmag peak to peak"
        yield _row(
            "illumination", one.band, rms(error[known]), int(known.sum()), "mmag", SCALE_MMAG, note
        )
        slopes, errors = _plane(np.nan_to_num(true)), _plane(np.nan_to_num(error))
        yield _row(
            "plane of the illumination, edge to edge", one.band, math.hypot(*errors), 2, "mmag",
            note=f"of {math.hypot(*slopes):.0f} mmag",
        )  # fmt: skip
    true_stray = 1000 * detector.illumination_mag(one.settings, one.band)
    stray = 1000 * found - true_stray
    yield _row(
        "illumination minus the stray light", one.band, rms((stray - stray.mean()).ravel()),
        stray.size, "mmag", note="twilight's gradients in the flats included",
    )  # fmt: skip


def _plane(values: NDArray[np.float64]) -> tuple[float, float]:
    """Slopes along x and y, times the size of the CCD."""
    y = np.linspace(-0.5, 0.5, values.shape[0])[:, None]
    x = np.linspace(-0.5, 0.5, values.shape[1])[None, :]
    return float((values * x).mean() / (x * x).mean()), float((values * y).mean() / (y * y).mean())


# ---------------------------------------------------------------- amplifiers


def _crosstalk(one: Judged) -> Iterable[Row]:
    error = one.master.arrays["matrix"] - one.unit.crosstalk
    largest = f"largest {1e5 * np.abs(error).max():.1f}"
    others = ~np.eye(len(error), dtype=bool)
    yield _row(
        "crosstalk coefficients, 1e-5", "", 1e5 * rms(error[others].astype(np.float64)),
        int(others.sum()), "1e-5", 1e5 * CROSSTALK, largest,
    )  # fmt: skip


def _linearity(one: Judged) -> Iterable[Row]:
    """Slope of what is left of the response, magnitudes a magnitude; the worst amplifier."""
    coefficients = one.master.arrays["coefficients"]
    pivot = float(one.master.arrays["pivot_adu"].ravel()[0])
    slopes, before = [], []
    for k, (a, b) in enumerate(one.unit.nonlinearity):
        u = LEVELS_ADU / LINEAR_ADU
        recorded = LEVELS_ADU * (1 - a * u - b * u * u)
        powers = [(recorded / pivot) ** (i + 1) for i in range(coefficients.shape[1])]
        corrected = recorded * (1 + coefficients[k] @ np.array(powers))
        magnitude = -2.5 * np.log10(LEVELS_ADU)
        before.append(np.polyfit(magnitude, -2500 * np.log10(recorded / LEVELS_ADU), 1)[0])
        slopes.append(np.polyfit(magnitude, -2500 * np.log10(corrected / LEVELS_ADU), 1)[0])
    yield _row(
        "linearity, worst slope", "", float(np.abs(slopes).max()), len(slopes), "mmag/mag",
        SLOPE_MMAG, f"before: {np.abs(before).max():.1f}",
    )  # fmt: skip


def _badpixel(one: Judged) -> Iterable[Row]:
    """Found are those that are bad beyond doubt; invented those where there is no defect at all."""
    unit, found = one.unit, one.master.mask > 0
    rate = np.zeros(found.shape)
    np.add.at(rate, (unit.hot_y, unit.hot_x), unit.hot_e_per_s * structure.warmth(one.settings))
    cold = np.ones(found.shape)
    cold[unit.cold_y, unit.cold_x] = unit.cold_response
    columns = np.zeros(found.shape, bool)
    for column in unit.bad_columns:
        columns[column.y0 : column.y1, column.x] = True
    limit = HOT_SIGMA * unit.readnoise_e / HOT_EXPTIME_S
    hot = np.zeros(found.shape, bool)
    for k, amp in enumerate(unit.camera.amplifiers):
        hot[amp.dest.slices] = rate[amp.dest.slices] > limit[k]
    poor = cold <= COLD_RESPONSE
    bad = hot | poor | columns
    yield Row(
        "bad pixels found", "", float(found[bad].mean()), float("nan"), int(bad.sum()), "", FOUND,
        ">=",
        f"hot {_share(found[hot]):.3f} (over {HOT_SIGMA:g} sigma of the read noise in "
        f"{HOT_EXPTIME_S:g} s, {np.median(limit):.2f} e-/s), "
        f"cold {_share(found[poor]):.3f} (response up to {COLD_RESPONSE:g})",
    )  # fmt: skip
    invented = found & ~(bad | (rate > 0) | (cold < 1))
    yield _row("bad pixels invented", "", float(invented.mean()), found.size, "", FALSE)


def _share(values: NDArray[np.bool_]) -> float:
    return float(values.mean()) if values.size else float("nan")


def _row(
    metric: str, band: str, value: float, n: int, unit: str,
    target: float | None = None, note: str = "",
) -> Row:  # fmt: skip
    comparison = "" if target is None else "<="
    return Row(metric, band, value, float("nan"), n, unit, target, comparison, note)


_SCORES: dict[str, Callable[[Judged], Iterable[Row]] | None] = {
    "BIAS": _bias,
    "FLAT": _flat,
    "ILLUMINATION": None,  # judged beside the flats that it corrects
    "CROSSTALK": _crosstalk,
    "LINEARITY": _linearity,
    "BADPIXEL": _badpixel,
}
