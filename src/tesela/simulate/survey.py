"""The survey.toml of a simulated survey: its bands, its sky grid, its reference catalogue."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import replace

from tesela import cameras
from tesela.simulate.settings import BANDS, NightSettings, bands_of, campaign_of, tile_centres

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
wanted = {{ BIAS = 10, FLAT = 5{crosstalk} }}
{masters}
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


def survey_toml(settings: NightSettings | Sequence[NightSettings]) -> str:
    """Text of a survey.toml that takes the simulated nights from end to end."""
    nights = campaign_of(settings)
    first = max(nights, key=lambda night: night.tiles)
    camera = cameras.load(first.camera)
    # A grid has a tile, also where there are no frames of it.
    tiles = tile_centres(replace(first, tiles=max(1, first.tiles)))
    head = _HEAD.format(
        camera=camera.name,
        refcat=REFCAT,
        scale=camera.pixel_scale_arcsec,
        ny=math.ceil(camera.ny * _MARGIN),
        nx=math.ceil(camera.nx * _MARGIN),
        centres="\n".join(f'"{name}" = [{ra:.8f}, {dec:.8f}]' for name, ra, dec in tiles),
        n_bias=_fewest([night.n_bias for night in nights]),
        n_flat=_fewest([night.n_flat for night in nights]),
        crosstalk=", CROSSTALK = 60" if len(nights) > 1 else "",
        masters=_masters(nights),
        mesh=max(64, round(camera.nx / 6)),
    )
    return head + "".join(_BAND.format(band=band) for band in bands_of(nights))


def _fewest(numbers: list[int]) -> int:
    """Frames that a master needs at the least: what each night that has any can give."""
    return min([3, *(n for n in numbers if n)])


def _masters(nights: Sequence[NightSettings]) -> str:
    """What the survey says of changes of the baffles and of masters made from science frames."""
    lines = []
    changed = [b.date for a, b in itertools.pairwise(nights) if a.epoch != b.epoch]
    if changed:
        each = ", ".join(f'{{ at = "{date}", what = "baffle" }}' for date in changed)
        lines.append(f"interventions = [{each}]")
    rastered = {band for night in nights if night.n_raster for band in night.raster_bands}
    # Where the camera's light depends on the epoch, tiles too need its correction: stars on them
    # are many, and the reference catalogue holds the plane.
    lit = [night for night in nights if night.stray_by_epoch and night.tiles]
    tiled = {band for night in lit for band in night.band_names}
    if rastered | tiled:
        lines += ["", "[calibration.illumination]", _list("bands", rastered | tiled)]
        objects = ['"RASTER"'] * bool(rastered) + ['"SIM-*"'] * bool(tiled)
        lines.append(f"objects = [{', '.join(objects)}]")
    fringed = {band for night in nights if night.n_fringe_fields for band in night.fringe_bands}
    if fringed := {band for band in fringed if BANDS[band].fringe}:
        lines += ["", "[calibration.fringe]", _list("bands", fringed), 'objects = ["BLANK-*"]']
    return "".join(f"{line}\n" for line in lines)


def _list(name: str, bands: set[str]) -> str:
    ordered = ", ".join(f'"{band}"' for band in BANDS if band in bands)
    return f"{name} = [{ordered}]"
