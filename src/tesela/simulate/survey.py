"""The survey.toml of a simulated survey: its bands, its sky grid, its reference catalogue."""

from __future__ import annotations

import math

from tesela import cameras
from tesela.simulate.settings import NightSettings, tile_centres

REFCAT = "simulated"
_MARGIN = 1.04
"""A tile is this much larger than the CCD, so that dithered and rotated frames fit."""

_HEAD = """\
# A simulated survey. Its sky is denser than nature, its errors are of the size of real ones.
name = "simulated"
cameras = ["{camera}"]
refcat = "{refcat}"

[grid]
scheme = "list"
pixel_scale_arcsec = {scale}
size_px = [{ny}, {nx}]

[grid.centres]
{centres}

[calibration]
minimum = {{ BIAS = {n_bias}, FLAT = {n_flat} }}
wanted = {{ BIAS = 10, FLAT = 5 }}

[steps.reduce.sky]
mesh_px = {mesh}
"""

_BAND = """
[filters.{band}.reference]
mag = "mag_{band}"
err = "mag_err_{band}"
colour = ["mag_gSDSS", "mag_iSDSS"]
colour_pivot = 0.8
colour_coefficient = "fit"
mag_limits = [12.0, 18.5]
"""


def survey_toml(settings: NightSettings) -> str:
    """Text of a survey.toml that takes the simulated night from end to end."""
    camera = cameras.load(settings.camera)
    centres = "\n".join(
        f'"{name}" = [{ra:.8f}, {dec:.8f}]' for name, ra, dec in tile_centres(settings)
    )
    head = _HEAD.format(
        camera=camera.name,
        refcat=REFCAT,
        scale=camera.pixel_scale_arcsec,
        ny=math.ceil(camera.ny * _MARGIN),
        nx=math.ceil(camera.nx * _MARGIN),
        centres=centres,
        n_bias=min(3, settings.n_bias),
        n_flat=min(3, settings.n_flat),
        mesh=max(64, round(camera.nx / 6)),
    )
    return head + "".join(_BAND.format(band=band) for band in settings.band_names)
