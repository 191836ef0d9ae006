"""One raw frame from its plan: light, detector, header, truth."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from tesela.simulate import artefacts, detector, flats, header, structure, truth
from tesela.simulate.detector import Detector
from tesela.simulate.exposure import Exposure
from tesela.simulate.noise import poisson
from tesela.simulate.readout import read_out
from tesela.simulate.science import science
from tesela.simulate.settings import NightSettings
from tesela.simulate.streams import stream
from tesela.simulate.universe import Universe

CCD_CM_PER_PX = 1e-3
TEMPERATURE_C = -110.0


def make(
    exposure: Exposure, settings: NightSettings, universe: Universe, raw: Path, truths: Path
) -> Path:
    """Simulate one frame and write it into `raw` and, for science, its truth into `truths`."""
    unit = detector.build(settings)
    camera = unit.camera
    rng = stream(settings.seed, "frame", exposure.name)
    electrons, facts = _light(exposure, settings, universe, rng)
    cosmic_index, cosmic_e = _detector_charge(electrons, exposure, settings, unit, rng)
    full = artefacts.bleed(electrons, settings.full_well_e)
    pixels = read_out(electrons, unit, rng)
    mass = exposure.airmass(camera.longitude_deg)
    temperature = TEMPERATURE_C + settings.temperature_offset + rng.normal(0, 0.1)
    path = raw / f"{exposure.name}.fits"
    top = header.cards(exposure, unit, airmass=mass, ccd_temp_c=temperature)
    header.write(path, pixels, top)
    if facts:
        saturated = full.copy()
        for amp in camera.amplifiers:
            saturated[amp.dest.slices] |= pixels[amp.data.slices] >= min(amp.saturation_adu, 65535)
        facts |= {
            "cosmic_index": cosmic_index.astype(np.int32),
            "cosmic_e": cosmic_e,
            "saturated_index": np.flatnonzero(saturated).astype(np.int32),
            "bleed_index": np.flatnonzero(full).astype(np.int32),
        }
        truth.write_frame(truths / f"{exposure.name}.npz", truth.FrameTruth(**facts))
    return path


def _light(
    exposure: Exposure, settings: NightSettings, universe: Universe, rng: np.random.Generator
) -> tuple[np.ndarray, dict[str, Any]]:
    """Electrons freed by light; and, for frames of the sky, what is true of them."""
    if exposure.kind == "science":
        return science(exposure, settings, universe, rng)
    if exposure.kind == "flat":
        return flats.sky_flat(exposure, settings, rng), {}
    if exposure.kind == "dome":
        return flats.dome_flat(exposure, settings, rng), {}
    return np.zeros(detector.build(settings).camera.shape, np.float32), {}


def _detector_charge(
    electrons: np.ndarray,
    exposure: Exposure,
    settings: NightSettings,
    unit: Detector,
    rng: np.random.Generator,
) -> tuple[np.ndarray, np.ndarray]:
    """Add cosmic rays, dark current, hot pixels and columns (in place); returns the cosmic rays."""
    area = electrons.size * CCD_CM_PER_PX**2
    seconds = exposure.exptime_s + detector.HOT_READOUT_S
    count = int(rng.poisson(settings.cosmic_rays_per_cm2_s * area * seconds))
    shape = (electrons.shape[0], electrons.shape[1])
    index, charge = artefacts.cosmic_rays(rng, shape, count)
    electrons.ravel()[index] += charge
    if settings.dark_e_per_s:
        own = stream(settings.seed, "dark", exposure.name)
        electrons += poisson(structure.dark_current(settings) * np.float32(seconds), own)
    hot = rng.poisson(unit.hot_e_per_s * structure.warmth(settings) * seconds).astype(np.float32)
    np.add.at(electrons, (unit.hot_y, unit.hot_x), hot)
    for column in unit.bad_columns:
        if column.charge_e:
            extra = rng.poisson(column.charge_e, column.y1 - column.y0)
            electrons[column.y0 : column.y1, column.x] += extra.astype(np.float32)
    return index, charge
