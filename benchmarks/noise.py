"""Is the variance of a reduced image the variance of its pixels?

    python benchmarks/noise.py

Even light on the simulated detector: raw biases and flats go through the builders of masters,
frames of 10, 100 and 1000 electrons of sky through the reduction as far as the variance plane. Each
amplifier is judged, without bad pixels; the noise of the masters is part of what is measured.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pages
from numpy.typing import NDArray
from pages import Result

from tesela.config import Reference
from tesela.products.frame import FrameFacts
from tesela.products.images import Master
from tesela.simulate import detector as simulated
from tesela.simulate import header
from tesela.simulate.exposure import Exposure
from tesela.simulate.noise import poisson
from tesela.simulate.readout import read_out
from tesela.simulate.settings import NightSettings
from tesela.stages import masters, reduce
from tesela.stages.reduce import detector, sky
from tesela.stages.reduce.calset import prepare
from tesela.stages.reduce.frame import Frame, needed
from tesela.stages.reduce.masternoise import MasterNoise
from tesela.stages.reduce.settings import SkySettings

Floats = NDArray[np.float64]

BAND, FLAT_E, FLATS, FRAMES = "rSDSS", 25000.0, 5, 4
READNOISE_E, BIASES, SKY_E = (3.43, 10.0), (4, 16, 30), (10.0, 100.0, 1000.0)
MESH_PX = 512
_CUT_SIGMA = 6.0
_BEGIN = dt.datetime(2017, 7, 3, 20, tzinfo=dt.UTC)


class Detector:
    """The simulated one with a read noise of our choice."""

    def __init__(self, readnoise_e: float, seed: int = 1) -> None:
        self.settings = NightSettings(seed=seed, bands=(BAND,))
        unit = simulated.build(self.settings)
        self.unit = replace(unit, readnoise_e=np.full_like(unit.readnoise_e, readnoise_e))
        self.rng = np.random.default_rng(seed)
        exposure = Exposure("frame", "science", BAND, _BEGIN, 0.0, "", 0.0, 0.0)
        cards = header.cards(exposure, self.unit, airmass=1.0, ccd_temp_c=-110.0)
        self.header = {key: cards[key] for key in cards}
        self.camera = unit.camera.with_header(self.header, "noise")

    def raw(self, light_e: float) -> NDArray[np.uint16]:
        """A raw frame of even light."""
        response = simulated.response(self.settings, BAND)
        return read_out(poisson(np.float32(light_e) * response, self.rng), self.unit, self.rng)

    def facts(self, name: str, kind: str) -> FrameFacts:
        """What ingest would say of it."""
        ny, nx = self.camera.raw_ny, self.camera.raw_nx
        flat_kind = "sky" if kind == "flat" else ""
        return FrameFacts(
            name, "", "", "", "none", self.camera.name, "01", BAND, "-", kind, flat_kind, "-",
            57937.9, 0.0, None, None, None, "", "", "2017-07-03", nx, ny, None,
        )  # fmt: skip

    def master(self, kind: str, light_e: float, n: int, **needed: Master) -> Master:
        """A bias or a flat of n frames."""
        names = [f"{kind}{i}" for i in range(n)]
        given = masters.RawInputs(
            f"{kind.upper()}.noise", self.camera, masters=needed,
            facts=[self.facts(name, kind) for name in names], headers=[self.header] * n,
            pixels=[self.raw(light_e) for _ in names],
        )  # fmt: skip
        settings = masters.MastersSettings()
        if kind == "bias":
            return masters.build_bias(given, settings.bias).master
        return masters.build_flat(given, settings.flat).master

    def frame(self, sky_e: float, used: dict[str, Master]) -> Frame:
        """A frame of the sky and its variance."""
        given = reduce.ReduceInputs(
            self.facts("frame", "science"), {}, self.raw(sky_e), self.camera,
            prepare(used, self.camera, "frame"), {}, Reference(mag="mag", err="err"),
        )  # fmt: skip
        frame, settings = detector.remove_signature(given), SkySettings(mesh_px=MESH_PX)
        sky.find_objects(frame, settings)
        sky.subtract(frame, settings)
        detector.measure_noise(frame, given)
        return frame


def ratios(unit: Detector, frames: list[Frame]) -> Floats:
    """Stated over measured variance of each amplifier, frames together."""
    found = []
    for amp in unit.camera.amplifiers:
        squares = stated = 0.0
        for frame in frames:
            part = amp.dest.slices
            plane, noise = frame.image[part], needed(frame.variance, "variance")[part]
            good = (frame.mask[part] == 0) & (np.abs(plane) < _CUT_SIGMA * np.sqrt(noise))
            squares += plane[good].var(dtype=np.float64)
            stated += noise[good].mean(dtype=np.float64)
        found.append(stated / squares)
    return np.array(found)


def results() -> Iterator[Result]:
    """Every read noise, number of biases and sky."""
    for readnoise_e in READNOISE_E:
        unit = Detector(readnoise_e)
        plain = unit.master("bias", 0.0, max(BIASES))
        flat = unit.master("flat", FLAT_E, FLATS, BIAS=plain)
        for n in BIASES:
            used = {"BIAS": unit.master("bias", 0.0, n), "FLAT": flat}
            for sky_e in SKY_E:
                frames = [unit.frame(sky_e, used) for _ in range(FRAMES)]
                found = ratios(unit, frames)
                worst = found[np.argmax(np.abs(found - 1))]
                yield Result(
                    f"read noise {readnoise_e:g} e-, {n} biases, sky {sky_e:g} e-",
                    f"{found.mean():.3f}",
                    f"worst amplifier {worst:.3f}; without the masters' noise "
                    f"{_without(unit, frames):.3f}",
                )


def _without(unit: Detector, frames: list[Frame]) -> float:
    """The same ratio where masters are taken for exact."""
    for frame in frames:
        frame.calset = replace(frame.calset, noise=MasterNoise())
        given = reduce.ReduceInputs(
            unit.facts("frame", "science"), {}, np.zeros((1, 1), np.float32), unit.camera,
            frame.calset, {}, Reference(mag="mag", err="err"),
        )  # fmt: skip
        detector.measure_noise(frame, given)
    return float(ratios(unit, frames).mean())


if __name__ == "__main__":
    print(pages.table(results()))
