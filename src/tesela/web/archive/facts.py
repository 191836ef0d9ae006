"""What a release says of itself in numbers, counted once while it is open."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
import pyarrow as pa

from tesela.sciencedb import arrow
from tesela.sciencedb.release import Release
from tesela.web.shared.sed import is_narrow


@dataclass(frozen=True)
class BandFacts:
    """Medians over the tiles of a band; NaN where nothing is known."""

    band: str
    pivot_nm: float
    fwhm_nm: float
    narrow: bool
    depth_psf_mag: float
    depth_3arcsec_mag: float
    fwhm_arcsec: float
    exposure_s: float
    zeropoint_err_mag: float
    tiles: int


@dataclass(frozen=True)
class Facts:
    """Counted over a release."""

    bands: tuple[BandFacts, ...]
    tiles: tuple[dict[str, Any], ...]
    """Rows of the table `tiles`."""
    sources: int
    """Sources, each counted once where tiles overlap."""
    first_mjd: float
    last_mjd: float

    def zeropoints(self, tile: str) -> dict[str, float]:
        """Zero points of a tile by band, AB magnitude of 1 electron/s."""
        return {
            row["band"]: float(row["zeropoint_mag"])
            for row in self.tiles
            if row["tile"] == tile and row["zeropoint_mag"] is not None
        }


_known: WeakKeyDictionary[Release, Facts] = WeakKeyDictionary()
_lock = threading.Lock()


def of(release: Release) -> Facts:
    """Facts of an open release."""
    with _lock:
        found = _known.get(release)
    if found is None:
        found = _count(release)
        with _lock:
            _known[release] = found
    return found


def _count(release: Release) -> Facts:
    rows = release.scan("tiles").table()
    values = {name: _numbers(rows, name) for name in (*_MEDIANS, "mjd_mean")}
    bands = np.array(rows.column("band").to_pylist(), dtype=object)
    found = []
    for band in release.model.bands:
        here = bands == band.name
        width = band.fwhm_nm if band.fwhm_nm is not None else np.nan
        medians = {name: _median(values[name][here]) for name in _MEDIANS}
        found.append(
            BandFacts(
                band=band.name,
                pivot_nm=band.pivot_nm if band.pivot_nm is not None else np.nan,
                fwhm_nm=width,
                narrow=is_narrow(band.name, width),
                tiles=int(here.sum()),
                **medians,
            )
        )
    mjd = values["mjd_mean"][np.isfinite(values["mjd_mean"])]
    ends = (float(mjd.min()), float(mjd.max())) if mjd.size else (np.nan, np.nan)
    return Facts(tuple(found), tuple(rows.to_pylist()), _sources(release), *ends)


def _sources(release: Release) -> int:
    """Number of primary sources; of all rows if the release knows no other."""
    known = {c.name for c in release.table("objects").columns}
    if "is_primary" not in known:
        return release.model.rows.get("objects", 0)
    batches = release.scan("objects", ["is_primary"])
    return sum(batch.column(0).true_count for batch in batches)


_MEDIANS = (
    "depth_psf_mag",
    "depth_3arcsec_mag",
    "fwhm_arcsec",
    "exposure_s",
    "zeropoint_err_mag",
)


def _numbers(rows: pa.Table, name: str) -> Any:
    return np.asarray(arrow.to_numpy(rows.column(name)), dtype=np.float64)


def _median(values: Any) -> float:
    finite = values[np.isfinite(values)]
    return float(np.median(finite)) if finite.size else float("nan")
