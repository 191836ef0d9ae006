"""Settings of masters that cannot be meant are refused, by the name that they have in a survey."""

from __future__ import annotations

from dataclasses import fields, is_dataclass
from typing import Any

import pytest

from tesela import config
from tesela.errors import ConfigError
from tesela.stages.masters import setting_limits
from tesela.stages.masters.settings import MastersSettings


def build(table: dict[str, Any]) -> MastersSettings:
    return config.build(MastersSettings, table, "steps.master")


@pytest.mark.parametrize(
    "table",
    [
        {},
        {"flat": {"level_adu": [0, 60000], "max_bad": 0.0, "max_rejected": 1.0}},
        {"crosstalk": {"guard_px": 0}, "illumination": {"fit": {"grid": 0}}},
        {"stability": {"warn": 0.009}},
    ],
)
def test_what_can_be_meant_is_taken(table: dict[str, Any]) -> None:
    build(table)


@pytest.mark.parametrize(
    ("table", "words"),
    [
        ({"flat": {"level_adu": [50000, 5000]}}, "flat.level_adu: 50000, 5000;.*the lower first"),
        ({"linearity": {"level_adu": [500, 500]}}, "linearity.level_adu: 500, 500"),
        ({"fringe": {"sky_e": [-1, 20000]}}, "fringe.sky_e: -1, 20000"),
        ({"bias": {"clip_sigma": 0}}, "bias.clip_sigma: 0; expected a positive number"),
        ({"pattern": {"clip_sigma": -3}}, "pattern.clip_sigma: -3"),
        ({"dark": {"neighbourhood_px": 0}}, "dark.neighbourhood_px: 0"),
        ({"bias": {"max_bad": 1.5}}, "bias.max_bad: 1.5; expected a part, from 0 to 1"),
        (
            {"illumination": {"gates": {"empty_share": -0.1}}},
            "illumination.gates.empty_share: -0.1",
        ),
        ({"bias": {"noise_tolerance": -1.0}}, "bias.noise_tolerance: -1; expected zero or a posit"),
        ({"flat": {"change": float("nan")}}, "flat.change: nan"),
        ({"flat": {"low": 1.2}}, "flat.low: 1.2, and high = 1.08; expected low at most high"),
        ({"stability": {"alarm": 0.001}}, "stability.warn: 0.005, and alarm = 0.001"),
    ],
)
def test_what_cannot_be_meant_is_refused(table: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError, match=rf"steps\.master\.{words}"):
        build(table)


def test_every_limit_is_of_a_setting_that_there_is() -> None:
    def names(settings: Any) -> set[str]:
        values = {field.name: getattr(settings, field.name) for field in fields(settings)}
        return set(values).union(*(names(v) for v in values.values() if is_dataclass(v)))

    limited = {name for pair in setting_limits.ORDERED for name in pair}
    limited |= setting_limits.POSITIVE | setting_limits.SHARES
    assert limited <= names(MastersSettings())
