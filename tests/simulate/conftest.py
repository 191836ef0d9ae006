"""One tiny night shared by the tests: a tile, one band, a few objects."""

from dataclasses import dataclass
from pathlib import Path

import fitsio
import numpy as np
import pytest

from tesela.simulate import detector, night, schedule, settings
from tesela.simulate.settings import NightSettings
from tesela.simulate.truth import FrameTruth, read_frame


@dataclass(frozen=True)
class TinyNight:
    folder: Path
    settings: NightSettings
    frames: dict[str, list[Path]]

    def raw(self, kind: str, i: int = 0) -> np.ndarray:
        return fitsio.read(str(self.frames[kind][i])).astype(np.float64)

    def truth(self, i: int = 0) -> FrameTruth:
        return read_frame(self.folder / "truth" / f"{self.frames['science'][i].stem}.npz")

    def electrons(self, kind: str, i: int = 0) -> np.ndarray:
        """Trimmed image by the true gains and the overscan of each row, for tests."""
        unit = detector.build(self.settings)
        raw = self.raw(kind, i)
        image = np.zeros(unit.camera.shape)
        for k, amp in enumerate(unit.camera.amplifiers):
            strip = raw[amp.overscan.slices]
            strip = strip[:, :-3] if amp.flip_x else strip[:, 3:]
            # The level is smooth along the rows: average the read noise of the strip away.
            rows = np.pad(strip.mean(axis=1), 20, mode="edge")
            level = np.convolve(rows, np.ones(41) / 41, mode="valid")
            image[amp.dest.slices] = (raw[amp.data.slices] - level[:, None]) * unit.gain[k]
        return image


@pytest.fixture(scope="session")
def tiny_night(tmp_path_factory) -> TinyNight:
    wanted = settings.tiny(n_bias=2, n_flat=2, n_dither=2, trail_probability=1.0)
    folder = tmp_path_factory.mktemp("night")
    paths = night.make(folder, wanted)
    frames: dict[str, list[Path]] = {}
    for exposure, path in zip(schedule.plan(wanted), paths):
        frames.setdefault(exposure.kind, []).append(path)
    return TinyNight(folder, wanted, frames)
