"""What is true of a simulated night, written beside it. Only the scorer opens these files."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, fields
from pathlib import Path

import numpy as np

from tesela.simulate.optics import Astrometry


@dataclass(frozen=True)
class FrameTruth:
    """Truth of one science frame: flat indices into the trimmed image, 0-based pixels.

    `zeropoint_mag` is for electrons per second in all the light of a star at response 1,
    `zeropoint15_mag` for the light within 15 arcsec; both include the transparency.
    """

    band: str
    tile: str
    shape: tuple[int, int]
    exptime_s: float
    mjd: float
    airmass: float
    transparency: float
    zeropoint_mag: float
    zeropoint15_mag: float
    sky_e: float
    sky_gradient: np.ndarray
    fringe: float
    fwhm_px: float
    fwhm_terms: np.ndarray
    ellipticity: np.ndarray
    beta: float
    aureole: float
    pointing_deg: np.ndarray
    matrix: np.ndarray
    cubic: float
    quadratic: np.ndarray
    id: np.ndarray
    """Objects whose centre is on the image."""
    x: np.ndarray
    y: np.ndarray
    flux_e: np.ndarray
    """Electrons expected at response 1, all light."""
    cosmic_index: np.ndarray
    cosmic_e: np.ndarray
    trail_index: np.ndarray
    trail: np.ndarray
    """(6,) x0, y0, x1, y1, sigma_px, peak_e; empty if there is none."""
    saturated_index: np.ndarray
    """Pixels whose raw value is at the 16-bit limit or whose well is full."""
    bleed_index: np.ndarray
    epoch: int = 0
    """Of the stray light."""
    stated_exptime_s: float = 0.0
    """What the header says; it differs from `exptime_s` in a frame that is spoiled."""
    clouds: np.ndarray = field(default_factory=lambda: np.zeros(0))
    """`clouds.Clouds` as (8,); `flux_e` is what is left of the stars' light."""
    bump: np.ndarray = field(default_factory=lambda: np.zeros(0))
    """`faults.Bump` as (5,); `x` and `y` are where the stars are on the image."""

    @property
    def astrometry(self) -> Astrometry:
        """The true mapping between sky and pixels."""
        ny, nx = self.shape
        return Astrometry(
            float(self.pointing_deg[0]), float(self.pointing_deg[1]), nx, ny,
            self.matrix, self.cubic, self.quadratic,
        )  # fmt: skip

    def mask(self, name: str) -> np.ndarray:
        """(ny, nx) bool mask of `cosmic`, `trail`, `saturated` or `bleed`; True is affected."""
        flat = np.zeros(self.shape[0] * self.shape[1], bool)
        flat[getattr(self, f"{name}_index")] = True
        return flat.reshape(self.shape)


def write_frame(path: Path, truth: FrameTruth) -> None:
    """Write as a compressed npz; the same content gives the same bytes."""
    columns = {f.name: np.asarray(getattr(truth, f.name)) for f in fields(truth)}
    np.savez_compressed(path, **columns)  # type: ignore[arg-type]


def read_frame(path: Path) -> FrameTruth:
    """The inverse of `write_frame`."""
    values = {}
    with np.load(path) as stored:
        for f in fields(FrameTruth):
            value = stored[f.name]
            values[f.name] = value.item() if value.ndim == 0 else value
    values["shape"] = tuple(int(n) for n in values["shape"])
    return FrameTruth(**values)


def write_json(path: Path, content: dict[str, object]) -> None:
    """Write readable JSON with sorted keys."""
    path.write_text(json.dumps(content, indent=1, sort_keys=True) + "\n", encoding="utf-8")
