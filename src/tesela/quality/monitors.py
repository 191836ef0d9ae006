"""Judge what is followed of a detector against the nights before.

Tonight's value, and the mean of the last few nights, are compared with the median of the nights
before; the mean of a few more with the oldest quarter of them; and tonight's with the nominal value
where there is one. A difference raises something only where it both matters (floors) and is no
chance (sigmas).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from tesela.products.monitor import QUANTITIES, WHOLE_CCD, AmpValue
from tesela.quality.bands import ALARM, WARNING, Band, MonitorSettings
from tesela.quality.limits import Array, Difference, Noise, difference, from_nominal, limit, noise
from tesela.quality.series import Point, tabulate

_EACH_BEYOND = 0.5
"""Each night of a run must be off by this share of the limit: one wild night makes no run."""
_OLDEST_OF = 4
"""The oldest quarter of the nights, at least `min_history`, is what drifts are measured from."""


@dataclass(frozen=True)
class Judgement:
    """What is thought of one value."""

    level: int
    """QUIET, WARNING or ALARM."""
    reason: str
    """'' if quiet."""
    centre: float = math.nan
    """Median of the nights before, the nominal value if they are few; NaN without either."""
    low: float = math.nan
    high: float = math.nan
    """A single night's value within is quiet."""


@dataclass(frozen=True)
class Night:
    """What is thought of one quantity in one night. Arrays are (amps,)."""

    level: NDArray[np.int64]
    reasons: tuple[str, ...]
    centre: Array
    warn: Array
    """A single night's value further than this from the centre is a warning ..."""
    alarm: Array
    """... or an alarm."""

    def judgement(self, amp: int) -> Judgement:
        """Of the amplifier in that column."""
        centre, warn = float(self.centre[amp]), float(self.warn[amp])
        return Judgement(
            int(self.level[amp]), self.reasons[amp], centre, centre - warn, centre + warn
        )


def judge_night(
    values: Array,
    errors: Array,
    past: Array,
    past_errors: Array,
    *,
    metric: str,
    settings: MonitorSettings,
) -> Night:
    """Judge one quantity of all amplifiers in one night.

    Parameters
    ----------
    values, errors : (amps,) float64
        Tonight's. A value that is NaN could not be measured and is a warning; an error that is
        NaN is taken to be as on other nights.
    past, past_errors : (nights, amps) float64
        Nights before, the oldest first, of the same configuration and since the last
        intervention that changed the quantity.
    metric : str
        A name in `QUANTITIES`.
    settings : MonitorSettings

    Returns
    -------
    Night
    """
    band = settings.band(metric)
    n_amps = len(values)
    if band is None:
        nowhere = np.full(n_amps, np.nan)
        return Night(np.zeros(n_amps, np.int64), ("",) * n_amps, nowhere, nowhere, nowhere)
    past, past_errors = past[-settings.window :], past_errors[-settings.window :]
    compared = _comparisons(
        np.vstack([past, values]), np.vstack([past_errors, errors]), band, settings
    )
    level = np.zeros(n_amps, np.int64)
    excess = np.zeros(n_amps)
    reasons = [""] * n_amps
    for comparison in compared:
        for raised in (WARNING, ALARM):
            allowed = _allowed(comparison.found, band, raised)
            over = _exceeds(comparison.found, allowed)
            for amp in np.flatnonzero(over):
                by = abs(comparison.found.value[amp]) / allowed[amp]
                if (raised, by) > (level[amp], excess[amp]):
                    level[amp], excess[amp] = raised, by
                    reasons[amp] = _say(metric, comparison, float(allowed[amp]), int(amp), band)
    _judge_alone(values, band, metric, level, reasons)
    first = compared[0].found
    return Night(
        level,
        tuple(reasons),
        first.level,
        _allowed(first, band, WARNING),
        _allowed(first, band, ALARM),
    )


def judge(
    value: AmpValue, past: Sequence[float], past_errors: Sequence[float], settings: MonitorSettings
) -> Judgement:
    """Judge one value against the nights before, the oldest first; see `judge_night`."""
    night = judge_night(
        np.array([value.value]),
        np.array([value.error]),
        np.asarray(past, np.float64).reshape(-1, 1),
        np.asarray(past_errors, np.float64).reshape(-1, 1),
        metric=value.metric,
        settings=settings,
    )
    found = night.judgement(0)
    return replace(found, reason=_of_amp(value.amp, found.reason))


def judge_all(
    values: Sequence[AmpValue], history: Iterable[Point], settings: MonitorSettings
) -> list[tuple[AmpValue, int, str]]:
    """Judge all that a product says of a night.

    Parameters
    ----------
    values : sequence of AmpValue
    history : iterable of Point
        Nights before of the same detector, filter and source.
    settings : MonitorSettings

    Returns
    -------
    list of (AmpValue, int, str)
        The values as they came, each with its level and the reason.
    """
    past: dict[str, list[Point]] = {}
    for point in history:
        past.setdefault(point.metric, []).append(point)
    found: dict[tuple[str, int], tuple[int, str]] = {}
    for metric in {value.metric for value in values}:
        tonight = {value.amp: value for value in values if value.metric == metric}
        table = tabulate(past.get(metric, ()), tonight)
        columns = [table.amps.index(amp) for amp in tonight]
        night = judge_night(
            np.array([value.value for value in tonight.values()], np.float64),
            np.array([value.error for value in tonight.values()], np.float64),
            table.values[:, columns],
            table.errors[:, columns],
            metric=metric,
            settings=settings,
        )
        for i, amp in enumerate(tonight):
            found[metric, amp] = int(night.level[i]), _of_amp(amp, night.reasons[i])
    return [(value, *found[value.metric, value.amp]) for value in values]


@dataclass(frozen=True)
class _Comparison:
    """A difference, the nights it is the mean of, and what it is a difference from."""

    found: Difference
    nights: int
    what: str


def _comparisons(
    values: Array, errors: Array, band: Band, settings: MonitorSettings
) -> list[_Comparison]:
    """All that is looked at in a night; the first is what a single night is compared with.

    The nominal value needs no past: as long as the scatter from night to night is known from a few
    nights only, it does not widen that limit, which is the floor and the stated error alone.
    """
    scatter = noise(values[:-1], errors[:-1])
    found = [
        _against_median(values, errors, run, scatter, settings.min_history)
        for run in settings.runs
        if len(values) > run
    ]
    run, fewest = settings.drift_run, settings.min_history
    oldest = max((len(values) - run) // _OLDEST_OF, fewest)
    if len(values) - run >= 2 * oldest:
        old = difference(values[-run:], errors[-run:], values[:oldest], scatter, fewest)
        found.append(_Comparison(old, run, "the oldest"))
    if band.nominal is not None:
        measured = np.isfinite(values[:-1]).sum(axis=0)
        known = replace(scatter, extra=np.where(measured < fewest, 0.0, scatter.extra))
        nominal = from_nominal(values[-1:], errors[-1:], band.nominal, known)
        # What ought to be is the centre as long as there is no past.
        place = 0 if not found or np.all(np.isnan(found[0].found.level)) else len(found)
        found.insert(place, _Comparison(nominal, 1, "nominal"))
    return found or [_against_median(values, errors, 1, scatter, settings.min_history)]


def _against_median(
    values: Array, errors: Array, run: int, scatter: Noise, fewest: int
) -> _Comparison:
    found = difference(values[-run:], errors[-run:], values[:-run], scatter, fewest)
    return _Comparison(found, run, "the median of")


def _allowed(found: Difference, band: Band, raised: int) -> Array:
    """(amps,) limits of a difference; NaN where there is no level."""
    alarm = raised == ALARM
    absolute = band.alarm_absolute if alarm else band.warn_absolute
    relative = band.alarm_relative if alarm else band.warn_relative
    chance = limit(band.alarm_sigma if alarm else band.warn_sigma, found)
    floor = np.maximum(absolute, relative * np.abs(found.level))
    return np.asarray(np.maximum(floor, chance))


def _exceeds(found: Difference, allowed: Array) -> NDArray[np.bool_]:
    # Comparisons with NaN are false: without a value or a level nothing is raised.
    beyond = np.abs(found.value) > allowed
    return np.asarray(beyond & (found.least > _EACH_BEYOND * allowed))


def _judge_alone(
    values: Array, band: Band, metric: str, level: NDArray[np.int64], reasons: list[str]
) -> None:
    """Raise, in place, what needs no past."""
    unit = QUANTITIES[metric].unit
    for amp, value in enumerate(values):
        if not math.isfinite(value):
            level[amp], reasons[amp] = WARNING, f"{metric} could not be measured"
        elif band.lowest is not None and value < band.lowest:
            level[amp] = ALARM
            reasons[amp] = f"{metric} {_with(value, unit)} is below {_with(band.lowest, unit)}"
        elif band.highest is not None and value > band.highest:
            level[amp] = ALARM
            reasons[amp] = f"{metric} {_with(value, unit)} is above {_with(band.highest, unit)}"


def _say(metric: str, comparison: _Comparison, allowed: float, amp: int, band: Band) -> str:
    """Name the difference, its limit and what it is from, in a phrase."""
    found = comparison.found
    value, level = float(found.value[amp]), float(found.level[amp])
    if band.warn_relative > 0.0 and level != 0.0:
        size = f"{100 * value / abs(level):+.2f} % (limit {100 * allowed / abs(level):.2f} %)"
    else:
        size = f"{value:+.3g} (limit {_with(allowed, QUANTITIES[metric].unit)})"
    whose = "" if comparison.nights == 1 else f"mean of {comparison.nights} nights "
    of = f"{comparison.what} {int(found.nights[amp])} nights"
    if comparison.what == "nominal":
        of = f"the nominal {level:g}"
    return f"{metric}: {whose}{size} from {of}"


def _of_amp(amp: int, reason: str) -> str:
    return f"amplifier {amp}: {reason}" if reason and amp != WHOLE_CCD else reason


def _with(value: float, unit: str) -> str:
    return f"{value:.3g} {unit}".strip()
