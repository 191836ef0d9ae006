"""The first steps that every raw frame shares before it is combined.

A frame is measured once, whole; then it is a `Levelled`, whose rows come out of the open file
corrected when they are sliced. So any number of frames is combined in the memory of a few.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import Any, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from tesela.cameras import Camera, zerolevel
from tesela.errors import BadInput
from tesela.pixels import combine, detrend, holes, overscan
from tesela.pixels.detrend import NOTHING
from tesela.products.frame import FrameFacts
from tesela.products.images import Master, Operation
from tesela.products.monitor import WHOLE_CCD, AmpValue
from tesela.stages.masters.inputs import RawInputs, Rows

T = TypeVar("T")
RawPixels = NDArray[np.uint16] | NDArray[np.float32]


@dataclass(frozen=True)
class Corrections:
    """What is applied to raw frames: the masters there are, or nothing in their place."""

    bias: NDArray[np.float32] = field(default_factory=lambda: NOTHING)
    dark: NDArray[np.float32] = field(default_factory=lambda: NOTHING)
    linearity: NDArray[np.float32] = field(default_factory=lambda: NOTHING)
    pivot_adu: float = 1.0

    @classmethod
    def of(cls, masters: Mapping[str, Master]) -> Corrections:
        """From the masters at hand: BIAS, DARK and LINEARITY."""
        found = cls()
        if "BIAS" in masters:
            found = replace(found, bias=masters["BIAS"].image)
        if "DARK" in masters:
            found = replace(found, dark=masters["DARK"].image)
        if "LINEARITY" in masters:
            arrays = masters["LINEARITY"].arrays
            found = replace(
                found,
                linearity=np.asarray(arrays["coefficients"], np.float32),
                pivot_adu=float(arrays["pivot_adu"][0]),
            )
        return found

    def names(self) -> list[str]:
        """What is there, in the order in which it is applied."""
        planes = {"bias": self.bias, "linearity": self.linearity, "dark": self.dark}
        return [name for name, plane in planes.items() if plane.size]


@dataclass(frozen=True)
class Levelled:
    """A raw frame whose slices come out levelled, trimmed and corrected: a plane to combine."""

    name: str
    raw: Rows
    camera: Camera
    """With what the frame's own cards say."""
    strip: overscan.Overscan
    corrections: Corrections
    exptime_s: float
    in_electrons: bool
    """Or in ADU."""

    @property
    def shape(self) -> tuple[int, int]:
        """(ny, nx) of the trimmed image."""
        return self.camera.shape

    def __getitem__(self, rows: slice) -> NDArray[np.float32]:
        """Rows [y0, y1) of the trimmed image, float32."""
        y0, y1, _ = rows.indices(self.camera.ny)
        gain = self.camera.values("gain_e_per_adu")
        return detrend.rows(
            self.raw,
            y0,
            y1,
            self.camera.sections("data"),
            self.camera.sections("dest"),
            self.strip.level,
            gain if self.in_electrons else np.ones_like(gain),
            self.corrections.bias,
            dark=self.corrections.dark,
            exptime_s=self.exptime_s,
            linearity=self.corrections.linearity,
            pivot_adu=self.corrections.pivot_adu,
        )

    @property
    def readnoise_adu(self) -> NDArray[np.float32]:
        """(n_amp,): of the overscan, or the camera's own where there is none."""
        nominal = self.camera.values("readnoise_e") / self.camera.values("gain_e_per_adu")
        noise = self.strip.noise_adu
        return np.where(np.isfinite(noise), noise, nominal).astype(np.float32)

    @property
    def readnoise_e(self) -> NDArray[np.float32]:
        """(n_amp,), electrons."""
        return self.readnoise_adu * self.camera.values("gain_e_per_adu")

    @property
    def zero_adu(self) -> NDArray[np.float64]:
        """(n_amp,): median level of the overscan."""
        return np.median(self.strip.level, axis=1).astype(np.float64)


@dataclass
class Measured(Generic[T]):
    """A frame with what the builder has seen of it."""

    plane: Levelled
    facts: FrameFacts
    header: Mapping[str, Any]
    saturated: float
    """Fraction of its pixels at or above saturation."""
    seen: T

    @property
    def name(self) -> str:
        """Of the frame."""
        return self.facts.name


def measure(
    inputs: RawInputs,
    look: Callable[[NDArray[np.float32], Levelled], T],
    *,
    in_electrons: bool,
    with_filter: bool = False,
) -> tuple[list[Measured[T]], dict[str, str]]:
    """Read every frame once and let the builder look at its levelled image.

    Frames of another configuration than most are left out, and such as cannot be read. Returns
    the others and the reasons of those. `with_filter`: the filter, the very piece of glass, is part
    of the configuration. Memory: a raw frame and a float32 image for each thread. Raises `BadInput`
    if a master does not fit the frames.
    """
    rejected = foreign(inputs, with_filter=with_filter)
    corrections = Corrections.of(inputs.masters)

    def one(i: int) -> Measured[T] | str:
        return _measured(inputs, i, corrections, look, in_electrons=in_electrons)

    wanted = [i for i, facts in enumerate(inputs.facts) if facts.name not in rejected]
    found = []
    with ThreadPoolExecutor(combine.n_threads()) as pool:
        for i, result in zip(wanted, pool.map(one, wanted)):
            if isinstance(result, str):
                rejected[inputs.facts[i].name] = result
            else:
                found.append(result)
    return found, rejected


def read(
    inputs: RawInputs, i: int, corrections: Corrections, *, in_electrons: bool
) -> tuple[RawPixels, Levelled] | str:
    """One frame whole, and its overscan measured; or why it cannot be read.

    A damaged file is one frame less, never the end of a master. The plane that is returned holds
    the raw frame in memory, with numbers in the holes of a frame of floats; planes that read the
    file leave them NaN, and they are not combined.
    """
    facts, rows = inputs.facts[i], inputs.pixels[i]
    try:
        camera = inputs.camera.with_header(inputs.headers[i], facts.name)
        raw = rows[0 : rows.shape[0]]
        if (missing := holes.find(raw)) is not None:
            raw = holes.fill(raw, missing, camera.read_sections())
        strip = overscan.measure(
            raw,
            camera.sections("overscan"),
            camera.sections("data"),
            parallel=camera.sections("parallel"),
        )
    except BadInput as error:
        return error.found or str(error)
    return raw, Levelled(facts.name, raw, camera, strip, corrections, facts.exptime_s, in_electrons)


def _measured(
    inputs: RawInputs,
    i: int,
    corrections: Corrections,
    look: Callable[[NDArray[np.float32], Levelled], T],
    *,
    in_electrons: bool,
) -> Measured[T] | str:
    found = read(inputs, i, corrections, in_electrons=in_electrons)
    if isinstance(found, str):
        return found
    raw, plane = found
    seen = look(plane[0 : plane.camera.ny], plane)  # a master that does not fit ends it here
    saturated = _saturated(raw, plane.camera)
    return Measured(
        replace(plane, raw=inputs.pixels[i]), inputs.facts[i], inputs.headers[i], saturated, seen
    )


def _saturated(raw: RawPixels, camera: Camera) -> float:
    n = sum(
        int(np.count_nonzero(raw[amp.data.slices] >= top(raw, amp.saturation_adu)))
        for amp in camera.amplifiers
    )
    return n / (camera.nx * camera.ny)


def top(raw: NDArray[Any], saturation_adu: float) -> float:
    """The level from which pixels are saturated: that of 16 bits where they have no more."""
    return saturation_adu if raw.dtype.kind == "f" else min(saturation_adu, 65535.0)


def foreign(inputs: RawInputs, *, with_filter: bool) -> dict[str, str]:
    """Frames of another configuration than most, with the reason.

    `with_filter`: two filters of one band are two configurations. Where no configuration has
    more frames than any other, nobody knows which is meant: all go.
    """
    described = [
        _configuration(facts, rows, with_filter) for facts, rows in zip(inputs.facts, inputs.pixels)
    ]
    if not described:
        return {}
    (first, n), *others = Counter(tuple(one.items()) for one in described).most_common()
    usual = dict(first)
    size = f"{inputs.camera.raw_nx} x {inputs.camera.raw_ny} pixels"
    if others and others[0][1] == n:
        other = dict(others[0][0])
        both = ", ".join(f"{k} {usual[k]} and {other[k]}" for k in usual if usual[k] != other[k])
        return {facts.name: f"frames of {both} in equal number" for facts in inputs.facts}
    rejected = {}
    for facts, one in zip(inputs.facts, described):
        if one != usual:
            rejected[facts.name] = ", ".join(
                f"{k} {one[k]} where most have {usual[k]}" for k in one if one[k] != usual[k]
            )
        elif one["size"] != size:
            rejected[facts.name] = f"{one['size']} where the camera has {size}"
    return rejected


def _configuration(facts: FrameFacts, rows: Rows, with_filter: bool) -> dict[str, str]:
    found = {
        "read-out mode": facts.readout_mode,
        "camera": facts.camera,
        "CCD": facts.ccd,
        "size": f"{rows.shape[1]} x {rows.shape[0]} pixels",
    }
    if with_filter:
        found["filter"] = facts.band
        found["filter serial"] = facts.filter_serial
    return found


def overscan_removed(frames: list[Measured[Any]]) -> Operation:
    """What was done with the overscan of these frames."""
    levels = np.median([frame.plane.zero_adu for frame in frames], axis=0)
    return zerolevel.operation(frames[0].plane.camera, levels)


def temperature(frames: list[Measured[Any]], camera: Camera) -> list[AmpValue]:
    """The temperature of the CCD in these frames, if their headers tell it."""
    told = []
    for frame in frames:
        for card in camera.header.temperature:
            value = frame.header.get(card)
            if isinstance(value, (int, float)) and not isinstance(value, bool):
                told.append(float(value))
                break
    if not told:
        return []
    return [AmpValue(WHOLE_CCD, "temperature", float(np.mean(told)), scatter_of(told), len(told))]


def scatter_of(values: list[float]) -> float:
    """Standard deviation, 0 of less than two."""
    return float(np.std(values, ddof=1)) if len(values) > 1 else 0.0


def per_amplifier(metric: str, values: NDArray[np.float64], camera: Camera) -> list[AmpValue]:
    """One quantity of (n_frames, n_amp): the mean of the frames and its error."""
    n = len(values)
    error = (
        np.std(values, axis=0, ddof=1) / np.sqrt(n) if n > 1 else np.full(len(values[0]), np.nan)
    )
    return [
        AmpValue(amp.id, metric, float(value), float(own), n)
        for amp, value, own in zip(camera.amplifiers, np.mean(values, axis=0), error)
    ]
