"""The fringe master of T80Cam's full frames: seconds, memory, and what is left of the fringes.

    python benchmarks/fringe.py [N ...]

Frames of 9232 x 9216 pixels are made up row by row as they are read, so that neither disk nor
memory holds them: a sky of 500 to 3000 electrons with a gradient of a moon, fringes 30 to 100
pixels wide, 2 % of the sky times 0.7 to 1.3, photon noise, and 6000 masked objects with unmasked
wings. N is the number of frames (10, 20 and 40 unless told). The time to make them up is taken off.
"""

from __future__ import annotations

import resource
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
import pages
from numpy.typing import NDArray
from pages import Result

from tesela import cameras
from tesela.pixels import pattern
from tesela.products.frame import FrameFacts
from tesela.products.maskbit import MaskBit
from tesela.stages.masters import build_fringe
from tesela.stages.masters.inputs import Detrended, ImageInputs
from tesela.stages.masters.settings import PatternSettings

CAMERA = cameras.load("t80cam")
AMPLITUDE, N_OBJECTS, STAMP = 0.02, 6000, 64
Floats = NDArray[np.float32]
_NOISE = np.random.default_rng(0).standard_normal((1024, CAMERA.nx), np.float32)


def fringes(rows: slice) -> Floats:
    """Of amplitude 0.02, wider to the right: the cosine of a sum, from sines of its terms."""
    x, y = np.arange(CAMERA.nx), np.arange(CAMERA.ny)[rows]
    across = 2 * np.pi * (x / 40 - (1 / 40 - 1 / 120) * x**2 / (2 * CAMERA.nx))
    along = 2 * np.pi * y / 90 + 8 * np.sin(2 * np.pi * y / 3000)
    a, b = (t.astype(np.float32) for t in (across, along))
    product = np.cos(b)[:, None] * np.cos(a)[None, :] - np.sin(b)[:, None] * np.sin(a)[None, :]
    return np.float32(AMPLITUDE) * product


class Made:
    """A frame, or its mask, whose rows are computed when they are asked for."""

    shape = CAMERA.shape
    seconds = 0.0

    def __init__(self, seed: int, *, mask: bool) -> None:
        rng = np.random.default_rng(seed)
        self.is_mask = mask
        self.level = float(rng.uniform(500, 3000))
        self.amplitude = float(rng.uniform(0.7, 1.3))
        self.slope = rng.uniform(-0.05, 0.05, 2)
        self.shift = int(rng.integers(0, 1024))
        self.x = rng.integers(0, CAMERA.nx - STAMP, N_OBJECTS)
        self.y = rng.integers(0, CAMERA.ny - STAMP, N_OBJECTS)
        self.light = 10 ** rng.uniform(1, 4, N_OBJECTS)

    def __getitem__(self, rows: slice) -> NDArray[np.float32] | NDArray[np.uint8]:
        started = time.perf_counter()
        out = self._objects(rows) if self.is_mask else self._sky(rows)
        Made.seconds += time.perf_counter() - started
        return out

    def _sky(self, rows: slice) -> Floats:
        y = np.arange(CAMERA.ny)[rows]
        tilt = self.slope[0] * (y / CAMERA.ny - 0.5)[:, None]
        tilt = tilt + self.slope[1] * (np.arange(CAMERA.nx) / CAMERA.nx - 0.5)[None, :]
        image = (1 + tilt).astype(np.float32)
        image += np.float32(self.amplitude) * fringes(rows)
        image *= np.float32(self.level)
        image += np.float32(np.sqrt(self.level)) * _NOISE[(y * 7 + self.shift) % 1024]
        wing = np.exp(-np.hypot(*np.mgrid[-31.5:32, -31.5:32]) / 9).astype(np.float32)
        for k in np.flatnonzero((self.y < y[-1]) & (self.y + STAMP > y[0])):
            first, last = max(self.y[k], y[0]), min(self.y[k] + STAMP, y[-1] + 1)
            part = wing[first - self.y[k] : last - self.y[k]]
            image[first - y[0] : last - y[0], self.x[k] : self.x[k] + STAMP] += self.light[k] * part
        return image

    def _objects(self, rows: slice) -> NDArray[np.uint8]:
        """To where an object is as bright as the noise of a pixel."""
        y = np.arange(CAMERA.ny)[rows]
        out = np.zeros((len(y), CAMERA.nx), np.uint8)
        reach = 9 * np.log(np.maximum(self.light / np.sqrt(self.level), 1))
        half = np.clip(reach, 2, 31).astype(int)
        for k in np.flatnonzero((self.y < y[-1]) & (self.y + STAMP > y[0])):
            first = max(self.y[k] + 32 - half[k] - y[0], 0)
            last = max(self.y[k] + 32 + half[k] - y[0], 0)
            column = self.x[k] + 32
            out[first:last, column - half[k] : column + half[k]] = MaskBit.OBJECT
        return out


def frames(n: int) -> list[Detrended]:
    """`n` frames of n / 2 fields."""
    facts = FrameFacts(
        "", "", "", "", "JAST80", "t80cam", "01", "zSDSS", "-", "science", "", "-", 57937.9, 56.0,
        150.0, 20.0, 1.0, "", "test", "2017-07-03", CAMERA.nx, CAMERA.ny, None,
    )  # fmt: skip
    return [
        Detrended(
            replace(facts, name=f"z{k:02d}", dec_deg=20.0 + 1.5 * (k // 2)),
            Made(k, mask=False),
            Made(k, mask=True),
            {},
            {},
        )
        for k in range(n)
    ]


def results(numbers: Sequence[int]) -> Iterator[Result]:
    """Build with each number of frames, then use the last master."""
    build_fringe(_small(), PatternSettings())  # compiles
    for n in numbers:
        Made.seconds = 0.0
        started = time.perf_counter()
        made = build_fringe(
            ImageInputs("FRINGE.bench", CAMERA, images=frames(n)), PatternSettings()
        )
        seconds = time.perf_counter() - started - Made.seconds
        memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
        drawn = np.median([Made(k, mask=False).amplitude for k in range(n)])
        left = [
            np.std(made.master.image[y : y + 256] - drawn * fringes(slice(y, y + 256)))
            for y in range(0, CAMERA.ny, 256)
        ]
        rms = float(np.sqrt(np.mean(np.square(left))))
        wave = float(drawn) * float(np.std(fringes(slice(0, CAMERA.ny, 16))))
        yield Result(
            f"fringe master of {n} frames", f"{seconds:.0f} s", f"{memory:.1f} GiB at most"
        )
        yield Result(
            "left of the fringes, rms over their rms",
            f"{100 * rms / wave:.1f} %",
            f"{100 * rms:.3f} % of the sky",
        )
    yield _use(made.master.image, float(drawn))


def _use(master: Floats, median: float) -> Result:
    """Amplitude in one more frame."""
    frame, mask = Made(99, mask=False), Made(99, mask=True)
    image, usable = frame[0 : CAMERA.ny], mask[0 : CAMERA.ny] == 0
    started = time.perf_counter()
    found = pattern.amplitude(image, master, usable, sky_e=frame.level)
    pattern.subtract(image, master, found.value * frame.level)
    seconds = time.perf_counter() - started
    return Result(
        "amplitude and subtraction, one frame",
        f"{seconds:.1f} s",
        f"{found.value:.4f} ± {found.error:.4f}, drawn {frame.amplitude / median:.4f}",
    )


def _small() -> ImageInputs:
    """Four frames of one amplifier's columns are enough to compile everything."""
    few = frames(8)[::2]
    amp = replace(CAMERA.amplifiers[0], dest=replace(CAMERA.amplifiers[0].dest, x1=512, y1=512))
    camera = replace(CAMERA, nx=512, ny=512, amplifiers=(amp,))
    for image in few:
        image.image = image.image[0:512][:, :512]
        image.mask = image.mask[0:512][:, :512]
    return ImageInputs("FRINGE.small", camera, images=few)


if __name__ == "__main__":
    print(pages.table(results([int(n) for n in sys.argv[1:]] or [10, 20, 40])))
