"""From TOML to frozen dataclasses, which refuse what they do not know."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import tomllib
import types
import typing
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

from tesela.errors import ConfigError

T = TypeVar("T")


def load_toml(path: Path) -> dict[str, Any]:
    """Read a TOML file; a syntax error names the file and the line."""
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ConfigError(str(path), found="no such file", do="check the path") from None
    except OSError as error:
        raise ConfigError(
            str(path), found=error.strerror or str(error), expected="a readable file"
        ) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(str(path), found=str(error), expected="valid TOML") from error


def build(cls: type[T], table: Mapping[str, Any], where: str) -> T:
    """Fill the frozen dataclass `cls` from `table`.

    Unknown keys, missing keys and values of another type raise `ConfigError` naming
    `where` (the file and table). Integers are taken where floats are asked for.
    """
    if not isinstance(table, Mapping):
        raise ConfigError(where, found=repr(table), expected="a table")
    hints = typing.get_type_hints(cls)
    fields = {f.name: f for f in dataclasses.fields(cls)}  # type: ignore[arg-type]
    unknown = sorted(set(table) - set(fields))
    if unknown:
        raise ConfigError(
            where, found=f"unknown setting {', '.join(unknown)}", expected=", ".join(fields)
        )
    values = {}
    for name, fld in fields.items():
        if name in table:
            values[name] = _convert(hints[name], table[name], f"{where}.{name}")
        elif fld.default is dataclasses.MISSING and fld.default_factory is dataclasses.MISSING:
            raise ConfigError(where, found=f"no {name}", expected=f"{name} = ...")
    return cls(**values)


def _convert(hint: Any, value: Any, where: str) -> Any:
    origin, args = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        return _convert_union(args, value, where)
    if origin is tuple:
        if not isinstance(value, (list, tuple)):
            raise ConfigError(where, found=repr(value), expected="a list")
        if args[-1] is Ellipsis:
            return tuple(_convert(args[0], v, f"{where}[{i}]") for i, v in enumerate(value))
        if len(args) != len(value):
            raise ConfigError(where, found=f"{len(value)} values", expected=f"{len(args)} values")
        return tuple(_convert(a, v, f"{where}[{i}]") for i, (a, v) in enumerate(zip(args, value)))
    if origin is dict:
        if not isinstance(value, Mapping):
            raise ConfigError(where, found=repr(value), expected="a table")
        return {k: _convert(args[1], v, f"{where}.{k}") for k, v in value.items()}
    if hint is Any:
        return value
    if dataclasses.is_dataclass(hint):
        return build(typing.cast(type, hint), value, where)
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if isinstance(value, hint) and not (hint is int and isinstance(value, bool)):
        return value
    raise ConfigError(where, found=repr(value), expected=f"a value of type {hint.__name__}")


def _convert_union(args: tuple[Any, ...], value: Any, where: str) -> Any:
    if value is None and type(None) in args:
        return None
    problems: list[str] = []
    for option in (a for a in args if a is not type(None)):
        try:
            return _convert(option, value, where)
        except ConfigError as error:
            problems.append(error.expected or str(error))
    raise ConfigError(where, found=repr(value), expected=" or ".join(problems))


def as_table(settings: Any) -> Any:
    """Settings as plain tables, lists and values, for provenance and for workers."""
    if dataclasses.is_dataclass(settings) and not isinstance(settings, type):
        return {f.name: as_table(getattr(settings, f.name)) for f in dataclasses.fields(settings)}
    if isinstance(settings, Mapping):
        return {str(k): as_table(v) for k, v in settings.items()}
    if isinstance(settings, (list, tuple)):
        return [as_table(v) for v in settings]
    return settings


def fingerprint(settings: Any) -> str:
    """Sixteen hexadecimal digits that change when, and only when, a setting changes."""
    canonical = json.dumps(as_table(settings), sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()[:16]
