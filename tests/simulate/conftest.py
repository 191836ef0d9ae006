"""One tiny night shared by the tests: a tile, one band, a few objects."""

from dataclasses import dataclass
from pathlib import Path

import fitsio
import numpy as np
import pytest

from tesela.simulate import night, schedule, settings
from tesela.simulate.settings import NightSettings
from tesela.simulate.truth import FrameTruth, read_frame

from .images import electrons


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
        """Trimmed image of a frame, for tests."""
        return electrons(self.frames[kind][i], self.settings)


@pytest.fixture(scope="session")
def tiny_night(tmp_path_factory) -> TinyNight:
    wanted = settings.tiny(n_bias=2, n_flat=2, n_dither=2, trail_probability=1.0)
    folder = tmp_path_factory.mktemp("night")
    paths = night.make(folder, wanted)
    frames: dict[str, list[Path]] = {}
    for exposure, path in zip(schedule.plan(wanted), paths):
        frames.setdefault(exposure.kind, []).append(path)
    return TinyNight(folder, wanted, frames)
