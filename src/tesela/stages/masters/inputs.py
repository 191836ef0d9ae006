"""What the masters' builders take and give."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from tesela.cameras import Camera
from tesela.config import Reference
from tesela.products.frame import FrameFacts
from tesela.products.images import Master, Operation, Table
from tesela.products.monitor import AmpValue


class Rows(Protocol):
    """An image of which bands of rows are read when it is sliced: an open file, or an array."""

    @property
    def shape(self) -> tuple[int, ...]:
        """(ny, nx)."""

    def __getitem__(self, rows: slice, /) -> Any:
        """Rows as an array."""


@dataclass
class MasterInputs:
    """What every builder is given: chosen by others, opened, in memory as little as possible.

    `masters` are those that the frames need first, by kind; a kind that is not there is not
    applied. `previous` and `reference` are evidence: the certified predecessor, and the first
    certified master since the last intervention.
    """

    key: str
    camera: Camera
    masters: Mapping[str, Master] = field(default_factory=dict)
    previous: Master | None = None
    reference: Master | None = None
    wanted: int = 1
    minimum: int = 1


@dataclass
class RawInputs(MasterInputs):
    """Raw frames of one configuration."""

    facts: Sequence[FrameFacts] = ()
    headers: Sequence[dict[str, Any]] = ()
    pixels: Sequence[Rows] = ()
    """Of the raw frames: uint16, ADU, (ny_raw, nx_raw)."""


@dataclass
class Detrended:
    """An image of the profile `detrended`: electrons, flat-fielded, the sky still in it."""

    facts: FrameFacts
    image: Rows
    """(ny, nx) float32."""
    mask: Rows
    """(ny, nx) uint8, objects included."""
    cards: Mapping[str, Any]
    """Of its header: SKYLEVEL, SKYRMS, FWHM, EXPTIME ..."""
    sources: Table
    """Its star list, `stages.reduce.finish`; `i_ref` is the row of `refcat`, -1 for none."""


@dataclass
class ImageInputs(MasterInputs):
    """Detrended images of one filter and period, and the reference for their stars."""

    images: Sequence[Detrended] = ()
    refcat: Table | None = None
    band: Reference | None = None
    """How the band is found in the reference catalogue."""


@dataclass
class CombinedInputs(MasterInputs):
    """Masters that are combined into another: of a kind there may be several (one a filter)."""

    parts: Mapping[str, Sequence[Master]] = field(default_factory=dict)


@dataclass
class MasterOutputs:
    """The master, its gates and what was seen on the way."""

    master: Master
    passed: bool
    """Whether the gates let it be certified without a person."""
    reasons: list[str]
    """Why a gate did not pass."""
    warnings: list[str] = field(default_factory=list)
    rejected: dict[str, str] = field(default_factory=dict)
    """Frames left out, with the reason."""
    metrics: dict[str, Any] = field(default_factory=dict)
    operations: list[Operation] = field(default_factory=list)
    monitored: list[AmpValue] = field(default_factory=list)
    """What the monitors follow, amplifier by amplifier."""
    pages: dict[str, bytes] = field(default_factory=dict)
    """Files about it by name: plots (`ratio.png`), and the data beside them (`ratio.json`)."""
