"""How far each quantity may go before somebody is told: the defaults and what a survey says."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any, Final

from tesela import config
from tesela.errors import ConfigError
from tesela.products.monitor import QUANTITIES

QUIET, WARNING, ALARM = 0, 1, 2
"""Levels of a judgement."""


@dataclass(frozen=True)
class Band:
    """Limits of one quantity.

    A difference raises a level where it exceeds all three of that level's limits: in the unit of
    the quantity, relative to the level before, and in sigmas of what chance does.
    """

    warn_absolute: float = 0.0
    """A smaller difference is of no matter, in the unit of the quantity."""
    alarm_absolute: float = 0.0
    """The same, for an alarm."""
    warn_relative: float = 0.0
    """A smaller difference, relative to the level before, is of no matter."""
    alarm_relative: float = 0.0
    """The same, for an alarm."""
    warn_sigma: float = 4.5
    """With 150 values a night judged in five ways each, chance goes beyond 4.5 sigma once in
    months ..."""
    alarm_sigma: float = 5.0
    """... and beyond 5 sigma once in years."""
    nominal: float | None = None
    """What the value ought to be, however long it has been otherwise; `nan`: nothing."""
    lowest: float | None = None
    """A value below raises an alarm, whatever the past; `nan`: none does."""
    highest: float | None = None
    """A value above raises an alarm, whatever the past; `nan`: none does."""


BANDS: Final[dict[str, Band]] = {
    # A jump that overscan still removes tells of electronics; 20 ADU is 0.03 % of the range.
    "bias_level": Band(warn_absolute=8.0, alarm_absolute=20.0),
    "readnoise": Band(warn_relative=0.10, alarm_relative=0.25, lowest=0.0),
    # Below 1 %, so that a drift of 1 % is seen for sure with errors of 0.2 %.
    "gain": Band(warn_relative=0.004, alarm_relative=0.006, lowest=0.0),
    # Of interest where it reaches the read noise in a long exposure, not as a share of nothing.
    "dark": Band(warn_absolute=0.002, alarm_absolute=0.01, warn_relative=0.3, alarm_relative=1.0),
    # J-PLUS alerts on changes of 0.5 to 1 %; the reference is the first flat of the epoch.
    "flat_ratio": Band(warn_absolute=0.005, alarm_absolute=0.008, nominal=1.0),
    # What is no speck for the page of the flat is zero here.
    "flat_dust": Band(warn_absolute=0.002, alarm_absolute=0.002, highest=0.0),
    # 2e-5 is how well a coefficient is known; 1e-4 of a saturated star is a few electrons.
    "crosstalk": Band(warn_absolute=3e-5, alarm_absolute=1e-4),
    # Night-sky lines vary by themselves.
    "fringe": Band(warn_relative=0.3, alarm_relative=0.6),
    "temperature": Band(warn_absolute=1.0, alarm_absolute=3.0),
}
"""The defaults. A quantity that is not here, the level of flats for one, is followed but not
judged."""


@dataclass(frozen=True)
class MonitorSettings:
    """When the monitors raise something. A table of a quantity is merged with its defaults."""

    bands: dict[str, Band] = field(default_factory=dict)
    """Limits by the name of the quantity: what a table does not say is as by default."""
    min_history: int = 7
    """Nights before, with fewer of which nothing is compared with the past."""
    window: int = 60
    """Nights before, at most, that are compared with; at least `min_history`."""
    runs: tuple[int, ...] = (1, 2, 3)
    """The last so many nights together are compared with the median of those before: what one
    night's error hides, three nights show."""
    drift_run: int = 5
    """And the last so many with the oldest quarter of the nights, which shows a slow drift."""

    def band(self, metric: str) -> Band | None:
        """Return the limits of a quantity, None if it is not judged."""
        return self.bands.get(metric, BANDS.get(metric))


def settings_of(table: Mapping[str, Any]) -> MonitorSettings:
    """Build and check the settings of `[monitors]` of survey.toml.

    What `[monitors.bands.QUANTITY]` says is merged with the default band of the quantity; NaN takes
    back a nominal value or a limit that is there by default. Raises `ConfigError`.
    """
    where = "survey.toml.monitors"
    given = table.get("bands", {})
    if not isinstance(given, Mapping):
        raise ConfigError(f"{where}.bands", found=repr(given), expected="a table of tables")
    bands = {name: _band(name, one, f"{where}.bands.{name}") for name, one in given.items()}
    plain = {name: value for name, value in table.items() if name != "bands"}
    settings = replace(config.build(MonitorSettings, plain, where), bands=bands)
    _check(settings, where)
    return settings


def _band(name: str, table: Any, where: str) -> Band:
    if name not in QUANTITIES:
        raise ConfigError(where, found="an unknown quantity", expected=", ".join(QUANTITIES))
    usual = BANDS.get(name, Band())
    given = config.build(Band, table, where)  # what is not a table is refused
    band = replace(usual, **{key: getattr(given, key) for key in table})
    band = replace(
        band,
        nominal=_or_none(band.nominal),
        lowest=_or_none(band.lowest),
        highest=_or_none(band.highest),
    )
    for one in fields(Band):
        value = getattr(band, one.name)
        if one.name not in _OPTIONAL and not 0.0 <= value < math.inf:
            raise ConfigError(
                f"{where}.{one.name}", found=f"{value:g}", expected="zero or a positive number"
            )
    return band


_OPTIONAL = ("nominal", "lowest", "highest")


def _or_none(value: float | None) -> float | None:
    return None if value is None or math.isnan(value) else value


def _check(settings: MonitorSettings, where: str) -> None:
    for name in ("min_history", "drift_run"):
        if getattr(settings, name) < 1:
            found = str(getattr(settings, name))
            raise ConfigError(f"{where}.{name}", found=found, expected="at least 1")
    if settings.window < settings.min_history:
        raise ConfigError(
            f"{where}.window",
            found=str(settings.window),
            expected=f"at least min_history, which is {settings.min_history}",
        )
    if not settings.runs or min(settings.runs) < 1:
        raise ConfigError(
            f"{where}.runs",
            found=str(list(settings.runs)),
            expected="numbers of nights, each at least 1, such as [1, 2, 3]",
        )
