"""Presets of several nights, and nights with all that may go wrong.

`settings.demo` and `settings.tiny` are the nights on which the pipeline is shown and tested; these
here are harder: what the pipeline is not told of is switched on.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from tesela.simulate.settings import REAL_REFERENCE, NightSettings, demo

FRINGED = ("iSDSS", "J0861", "zSDSS")
"""Bands whose fringes matter."""
INTERVENTION_DAYS = 20
"""Days from the first night of a campaign to the first after the work on the baffles."""
REAL: dict[str, Any] = {
    "stray_light": 0.04,
    "stray_by_epoch": True,
    "fringe_factor": 3.0,
    "nonlinearity": 0.015,
    "dark_e_per_s": 0.0008,
    "cold_fraction": 5e-5,
    "cold_brightest": 0.95,
    "warm_fraction": 5e-5,
    "overscan_offset_adu": 0.2,
    "twilight_gradient": 0.01,
    "lamp_drift": 0.003,
    "shutter_offset_s": 0.004,
    "cloud_gradient_mag": 0.004,
    "cloud_patch_probability": 0.03,
    "refraction": True,
    "reference": REAL_REFERENCE,
}
"""What a camera, a sky and a catalogue do that the pipeline is not told."""

DEMONSTRATED = {
    name: REAL[name]
    for name in (
        "stray_light", "stray_by_epoch", "fringe_factor", "nonlinearity", "dark_e_per_s",
        "cold_fraction", "cloud_gradient_mag",
    )
}  # fmt: skip
"""Of these, what the masters correct and a quiet night has, far from any limit."""


def demonstration(**changes: Any) -> list[NightSettings]:
    """The nights of `tesela demo`, over two epochs.

    Night 1: biases, flats and a raster in r. Then the baffles are changed. Night 2: darks, a ramp,
    biases and flats in r. Night 3: biases, flats, two tiles in 12 bands, blank fields in z, and a
    raster in J0861, whose tiles hold too few stars for its illumination.
    """
    last = replace(
        demo(), epoch=1, fringe_bands=("zSDSS",), n_fringe_fields=15, raster_bands=("J0861",),
        n_raster=6, **DEMONSTRATED,
    )  # fmt: skip
    last = replace(last, **changes)
    r = replace(
        last, tiles=0, bands=("rSDSS",), fringe_bands=(), n_fringe_fields=0, raster_bands=(),
        n_raster=0,
    )  # fmt: skip
    return [
        replace(r, date=_later(last.date, -7), epoch=0, raster_bands=("rSDSS",), n_raster=9),
        replace(r, date=_later(last.date, -1), n_dark=3, dark_exptime_s=600.0, ramp_band="rSDSS"),
        last,
    ]


def calibration(
    camera: str = "mini80", seed: int = 20170703, date: str = "2017-07-03", **changes: Any
) -> list[NightSettings]:
    """A campaign for all kinds of masters, in r and z, over two epochs.

    Night 1: darks, dome flats, a ramp in r, biases, sky flats, the raster in r. Night 2: the same
    but darks and ramp, the raster and 15 blank fields in z. Then the baffles are changed; night 3
    is of epoch 1: biases, flats, the rasters again.
    """
    night = NightSettings(
        camera=camera, seed=seed, date=date, bands=("rSDSS", "zSDSS"), tiles=0, n_bias=10,
        n_flat=10, n_dome=5, stars_per_field=3000.0, galaxies_per_field=400.0,
        **REAL,
    )  # fmt: skip
    night = replace(night, **changes)
    r, z = ("rSDSS",), ("zSDSS",)
    return [
        replace(
            night, n_dark=10, dark_exptime_s=600.0, ramp_band="rSDSS", raster_bands=r, n_raster=15
        ),
        replace(
            night, date=_later(date, 1), bands=z, raster_bands=z, n_raster=9, fringe_bands=z,
            n_fringe_fields=15,
        ),
        replace(night, date=_later(date, INTERVENTION_DAYS), epoch=1, raster_bands=r, n_raster=15),
    ]  # fmt: skip


def month(
    camera: str = "mini80",
    seed: int = 20170703,
    date: str = "2017-07-03",
    *,
    band: str = "rSDSS",
    nights: int = 30,
    fault_from: int = 0,
    faults: Mapping[str, Any] | None = None,
    **changes: Any,
) -> list[NightSettings]:
    """Nights of biases and sky flats in one band, quiet but for faults from one night on.

    Parameters
    ----------
    camera, seed, date
        As in `NightSettings`; of the first night, which has a ramp.
    band : str
        Of the flats.
    nights : int
        Their number.
    fault_from : int
        Number of the first night with `faults`, counted from 1; 0: none has them.
    faults : mapping, optional
        Settings of a night, as ``{"gain_drift": (5, 1.01)}`` or
        ``{"dust": ((0.4, 0.6, 40.0, 0.02),)}``.
    **changes
        Settings of all nights.
    """
    quiet = NightSettings(
        camera=camera, seed=seed, date=date, bands=(band,), tiles=0, n_bias=5, n_flat=5,
        stars_per_field=60.0, galaxies_per_field=30.0, **REAL,
    )  # fmt: skip
    quiet = replace(quiet, **changes)
    made = [replace(quiet, date=_later(date, i)) for i in range(nights)]
    made[0] = replace(made[0], ramp_band=band)
    return [
        replace(night, **(faults or {})) if fault_from and i + 1 >= fault_from else night
        for i, night in enumerate(made)
    ]


def blind(
    camera: str = "mini80", seed: int = 20170703, date: str = "2017-07-03", **changes: Any
) -> list[NightSettings]:
    """A night of tiles in all bands with all that may go wrong, after one of calibration alone.

    One frame has a spoiled astrometry, another a wrong exposure time.
    """
    night = replace(
        demo(), camera=camera, seed=seed, date=_later(date, 1), n_bias=10, spoiled_wcs=1,
        spoiled_zeropoint=1, brighter_fatter=0.01, **REAL,
    )  # fmt: skip
    night = replace(night, **changes)
    bands = night.band_names
    fringed = tuple(band for band in FRINGED if band in bands)
    before = replace(
        night, date=date, tiles=0, spoiled_wcs=0, spoiled_zeropoint=0, injected_stars=0, n_flat=10,
        n_dark=10, ramp_band="rSDSS" if "rSDSS" in bands else bands[0], raster_bands=bands,
        n_raster=9, fringe_bands=fringed, n_fringe_fields=15 if fringed else 0,
    )  # fmt: skip
    return [before, night]


PRESETS = {"demo": demonstration, "calibration": calibration, "blind": blind}
"""By name, for the command line."""


def _later(date: str, days: int) -> str:
    return (dt.date.fromisoformat(date) + dt.timedelta(days=days)).isoformat()
