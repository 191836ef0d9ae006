"""Settings of a step that are others for a camera, a project or an observation type.

`[[overrides]]` of survey.toml are laid over `[steps.NAME]`, the more general first: what names
more of camera, project and observation type wins, and of two that name as many the later one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tesela import config
from tesela.config import Override, Survey
from tesela.errors import ConfigError
from tesela.ledger.keys import Scope

NAMES = ("camera", "project", "obstype")
"""What an override may name, in the order of a scope."""
_OBSTYPES = ("bias", "dark", "flat", "science")
_MAY_NAME: Mapping[str, tuple[str, ...]] = {
    "reduce": NAMES,
    "master": ("camera", "obstype"),
    "quicklook": NAMES,
}
"""Steps whose products are of one camera, and what else each is of one. A master is made of frames
of all projects, and a tile of frames of all cameras."""


@dataclass(frozen=True)
class Layer:
    """One override, checked: where it holds, and the settings that it replaces."""

    scope: Scope
    settings: Mapping[str, Any]
    """As plain values, of the type that the step has them."""

    def holds_in(self, scope: Scope) -> bool:
        """Whether all that it names is so."""
        return all(own in ("", other) for own, other in zip(self.scope, scope))


def layers(survey: Survey, step: str, cls: type, table: Mapping[str, Any]) -> tuple[Layer, ...]:
    """The overrides of a step in the order in which they are laid over its own `table`.

    Raises `ConfigError`, naming the place, for an override of something unknown, of a setting
    that the step does not have, or of a value that it does not take.
    """
    found = []
    for i, override in enumerate(survey.overrides):
        if override.step == step:
            where = f"survey.toml.overrides[{i}]"
            _check(survey, override, where)
            layer = Layer(_scope(override), override.settings)
            whole = config.as_table(config.build(cls, laid(table, [layer]), f"{where}.settings"))
            found.append(Layer(layer.scope, _part(whole, override.settings)))
    found.sort(key=lambda layer: sum(map(bool, layer.scope)))  # stable: the later stays later
    for layer in found:
        above = [other for other in found if other.holds_in(layer.scope)]
        config.build(cls, laid(table, above), f"survey.toml.overrides of {step}")
    return tuple(found)


def check_steps(survey: Survey) -> None:
    """Refuse overrides of steps that have none."""
    for i, override in enumerate(survey.overrides):
        if override.step not in _MAY_NAME:
            raise ConfigError(
                f"survey.toml.overrides[{i}].step",
                found=repr(override.step),
                expected=" or ".join(_MAY_NAME),
                do="the products of other steps are made from frames of all cameras and projects: "
                "set it in [steps]",
            )


def laid(table: Mapping[str, Any], over: Sequence[Layer]) -> dict[str, Any]:
    """A table with layers over it; tables within it are merged, other values replaced."""
    merged = dict(table)
    for layer in over:
        merged = _merged(merged, layer.settings)
    return merged


def _merged(table: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    both = dict(table)
    for name, value in over.items():
        below = both.get(name)
        is_table = isinstance(below, Mapping) and isinstance(value, Mapping)
        both[name] = _merged(below, value) if is_table else value  # type: ignore[arg-type]
    return both


def _part(whole: Mapping[str, Any], named: Mapping[str, Any]) -> dict[str, Any]:
    """What `named` sets, with the values that `whole` has: 5 is 5.0 where a number is meant."""
    return {
        name: _part(whole[name], value)
        if isinstance(value, Mapping) and isinstance(whole[name], Mapping)
        else whole[name]
        for name, value in named.items()
    }


def _scope(override: Override) -> Scope:
    return Scope.of(override.camera, override.project, override.obstype, any_word="")


def _check(survey: Survey, override: Override, where: str) -> None:
    named = [name for name in NAMES if getattr(override, name)]
    if not named:
        raise ConfigError(
            where,
            found="settings for all frames",
            expected=f"a {', '.join(_MAY_NAME[override.step])}",
            do=f"set them in [steps.{override.step}]",
        )
    for name in named:
        if name not in _MAY_NAME[override.step]:
            raise ConfigError(
                f"{where}.{name}",
                found=repr(getattr(override, name)),
                expected=f"none for the step {override.step}",
                do="a master is made of frames of all projects",
            )
    for name, known in (("camera", survey.cameras), ("obstype", _OBSTYPES)):
        value = getattr(override, name)
        if value and value not in known:
            raise ConfigError(
                f"{where}.{name}", found=repr(value), expected=f"one of {', '.join(known)}"
            )
    if not override.settings:
        raise ConfigError(
            f"{where}.settings", found="none", expected=f"settings of [steps.{override.step}]"
        )
