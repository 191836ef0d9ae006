"""What passes between the controller and its workers.

Everything here is plain and picklable; a worker needs nothing of the ledger.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tesela import config
from tesela.errors import ConfigError
from tesela.flow.run.overrides import Layer, laid
from tesela.ledger.keys import Scope
from tesela.products.monitor import AmpValue
from tesela.quality.bands import MonitorSettings


class WorkerDied(Exception):
    """What ran a step is gone, and nobody knows what became of it: a batch job that was killed, a
    node that was switched off. The controller alone sees it, and tries the task again."""


@dataclass(frozen=True)
class InputRef:
    """One chosen input: an exact version, or a calset with its members."""

    kind: str
    key: str
    version: int
    path: str
    """Absolute; empty for a calset."""
    role: str
    """input or evidence."""
    facts: Mapping[str, Any] = field(default_factory=dict)
    """Of a raw frame: `FrameFacts` as a table; of a master: kind, night, fallback_days."""
    members: tuple[InputRef, ...] = ()
    """Masters of a calset."""
    remake: Any = None
    """How it is made again (`remake.Remake`) if its file was dropped; None if it is there."""


@dataclass(frozen=True)
class Order:
    """One attempt at one task, as a worker gets it."""

    task_id: int
    attempt: int
    step: str
    kind: str
    key: str
    version: int
    """The version that is committed if all goes well."""
    inputs: tuple[InputRef, ...]
    settings: Mapping[str, Any]
    site: str
    out_dir: str
    """Temporary folder of this attempt alone; outputs are written here."""
    code_version: str = ""
    settings_hash: str = ""
    scope: str = ""
    """Camera, project and observation type, where the settings may depend on them."""
    cores: int = 1
    """Threads that the step may use; its result does not depend on them."""
    memory_mb: float = 0.0
    """What the step is expected to need, doubled after each death for memory."""
    limit_mb: float = 0.0
    """With more it is ended; 0 sets no limit."""
    timeout_s: float = 0.0
    """After so long it is ended; 0 sets no limit."""

    def of_kind(self, kind: str, role: str = "input") -> list[InputRef]:
        """Return the inputs of a kind, in the order of their keys."""
        return [ref for ref in self.inputs if ref.kind == kind and ref.role == role]

    def out(self, name: str) -> Path:
        """Return the path of a temporary output."""
        return Path(self.out_dir) / name


@dataclass(frozen=True)
class Outcome:
    """What a step made."""

    files: tuple[tuple[str, str], ...]
    """(temporary path, final path relative to the site); the first is the product's main file."""
    data_hash: str
    """Of pixels and columns alone: the same inputs give the same."""
    metrics: Mapping[str, Any] = field(default_factory=dict)
    rejections: tuple[str, ...] = ()
    """Gates that were not passed: the product is kept, but not used."""
    warnings: tuple[str, ...] = ()
    operations: tuple[str, ...] = ()
    footprint: tuple[tuple[float, float], ...] | None = None
    """Corners (ra, dec) of a solved image."""
    monitored: tuple[AmpValue, ...] = ()
    """What the monitors follow, amplifier by amplifier."""


@dataclass(frozen=True)
class StepSpec:
    """A step as the controller knows it. `run` must be importable by workers."""

    name: str
    kind: str
    run: Callable[[Order], Outcome]
    code_version: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    settings_hash: str = ""
    cores: int = 1
    memory_mb: float = 500.0
    seconds_per_mpix: float = 1.0
    overrides: tuple[Layer, ...] = ()
    """Laid over the table `stage` of the settings, in this order, where they hold."""

    def settings_in(self, scope: Scope | None) -> tuple[dict[str, Any], str]:
        """The settings of a scope and their fingerprint; of None those without any override."""
        over = [layer for layer in self.overrides if scope and layer.holds_in(scope)]
        if not over:
            return dict(self.settings), self.settings_hash
        settings = {**self.settings, "stage": laid(self.settings["stage"], over)}
        return settings, config.fingerprint(settings)

    def settings_hash_in(self, scope: Scope) -> str:
        """The fingerprint of the settings of a scope."""
        return self.settings_in(scope)[1]


class Registry:
    """The steps by name, one a kind of product; and how the monitors judge what they say."""

    def __init__(self, specs: Iterable[StepSpec], monitors: MonitorSettings | None = None) -> None:
        self.specs = {spec.name: spec for spec in specs}
        self.monitors = monitors or MonitorSettings()

    def __getitem__(self, name: str) -> StepSpec:
        try:
            return self.specs[name]
        except KeyError:
            raise ConfigError(
                f"step {name}", found="no such step", expected=", ".join(self.specs)
            ) from None


@dataclass(frozen=True)
class WrittenFile:
    """A temporary file, flushed to the disk, and the name it is to have."""

    temporary: str
    final: str
    sha256: str
    size: int


@dataclass(frozen=True)
class Report:
    """What a worker sends back: an outcome, or a fault of a class."""

    outcome: Outcome | None
    files: tuple[WrittenFile, ...] = ()
    fault_class: str = ""
    """infrastructure, memory, quality, fault, or impossible: what no engine of this site can do."""
    message: str = ""
    log: str = ""
    seconds: float = 0.0
    peak_memory_mb: float = 0.0
    host: str = ""
    """Where it ran."""
    environment: Mapping[str, str] = field(default_factory=dict)
    """Versions of what computed there."""
    is_last_word: bool = False
    """The process that it tells of is gone."""
