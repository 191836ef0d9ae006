"""The true objects of a simulated night, as the scorer needs them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray

from tesela.errors import ProductError
from tesela.sky import epoch

Floats = NDArray[np.float64]

TRUTH_YEAR = 2016.0
COLOUR_BANDS = ("gSDSS", "iSDSS")
_MJD_2000 = 51544.5
_WHOLE = 0.99


@dataclass(frozen=True)
class Objects:
    """Columns of all true objects, (n,) each.

    `mag` and `published` hold total magnitudes by band: in the telescope's true curves and in the
    survey's published ones.
    """

    id: NDArray[np.int64]
    ra_deg: Floats
    dec_deg: Floats
    pmra_masyr: Floats
    pmdec_masyr: Floats
    is_point: NDArray[np.bool_]
    is_galaxy: NDArray[np.bool_]
    is_variable: NDArray[np.bool_]
    one_component: NDArray[np.bool_]
    """Not a disc with a bulge of another colour."""
    redshift: Floats
    size_arcsec: Floats
    """Half-light radius of the larger component, 0 for point sources."""
    mag: dict[str, Floats]
    published: dict[str, Floats]

    @property
    def colour(self) -> Floats:
        """(n,) published g - i, the colour of the survey's colour terms."""
        blue, red = COLOUR_BANDS
        return self.published[blue] - self.published[red]

    def at(self, mjd: float) -> tuple[Floats, Floats]:
        """Positions at a date, ICRS degrees."""
        year = 2000.0 + (mjd - _MJD_2000) / 365.25
        return epoch.propagate(
            self.ra_deg, self.dec_deg, self.pmra_masyr, self.pmdec_masyr, TRUTH_YEAR, year
        )


def read(path: Path) -> Objects:
    """Read `objects.parquet` of a simulated night."""
    if not path.is_file():
        raise ProductError(
            str(path),
            found="no such file",
            expected="the truth of a simulated night",
            do="give the folder `truth` that `tesela simulate` wrote",
        )
    table = pq.read_table(path)
    column = {name: table.column(name).to_numpy() for name in table.column_names}

    def bands(prefix: str) -> dict[str, Floats]:
        start = f"{prefix}_"
        return {
            name.removeprefix(start): column[name].astype(np.float64)
            for name in table.column_names
            if name.startswith(start) and "_" not in name.removeprefix(start)
        }

    published = bands("mag_published")
    return Objects(
        id=column["id"],
        ra_deg=column["ra"],
        dec_deg=column["dec"],
        pmra_masyr=column["pmra"],
        pmdec_masyr=column["pmdec"],
        is_point=column["kind"] != "galaxy",
        is_galaxy=column["kind"] == "galaxy",
        is_variable=column["amplitude_mag"] > 0,
        one_component=_one_component(bands("bulge_fraction")),
        redshift=column["redshift"].astype(np.float64),
        size_arcsec=np.maximum(column["disc_radius_arcsec"], column["bulge_radius_arcsec"]),
        mag={name: mag for name, mag in bands("mag").items() if name in published},
        published=published,
    )


def _one_component(bulge: dict[str, Floats]) -> NDArray[np.bool_]:
    """Whether all light of an object, in every band, is of its bulge or all of its disc."""
    shares = np.stack(list(bulge.values()))
    return (shares.min(axis=0) > _WHOLE) | (shares.max(axis=0) < 1 - _WHOLE)
