"""A star list explains itself to readers that know nothing of this package."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from astropy import units
from astropy.io import fits

from tesela.products.images import Psf, ReducedImage
from tesela.products.starlist import N_APERTURES, SOURCES

DIAMETERS = (0.8, 1.0, 1.2, 1.5, 2.0, 3.0, 4.0, 6.0, 5.0)


def image(apertures: tuple[float, ...] = DIAMETERS) -> ReducedImage:
    """Three stars with every column."""
    sources = {
        c.name: np.ones((3,) if c.length == 1 else (3, c.length), c.dtype) for c in SOURCES.values()
    }
    flat = np.ones((8, 9), np.float32)
    return ReducedImage(
        flat,
        np.zeros((8, 9), np.uint8),
        flat,
        np.ones((2, 1, 1), np.float32),
        Psf({"coefficients": np.arange(3.0)}, {"beta": 3.0}),
        sources,
        [("FRAME", "a", "")],
        apertures,
    )


def test_every_column_has_its_unit_and_description_in_the_file(tmp_path: Path) -> None:
    image().write(tmp_path / "a.fits")
    with fits.open(tmp_path / "a.fits") as hdus:
        hdus[-1].verify("exception")
        header, columns = hdus["SOURCES"].header, hdus["SOURCES"].columns
    assert columns.names == list(SOURCES)
    for n, (found, told) in enumerate(zip(columns, SOURCES.values()), 1):
        assert (found.unit or "") == told.unit
        assert header[f"TCOMM{n}"] == told.description
        assert header[f"TUCD{n}"] == told.ucd
        units.Unit(told.unit)  # raises if nobody knows it


def test_the_file_says_where_positions_count_from_and_how_wide_apertures_are(
    tmp_path: Path,
) -> None:
    image().write(tmp_path / "a.fits")
    header = fits.getheader(tmp_path / "a.fits", "SOURCES")
    assert header["TSL ORIGIN"] == 0
    told = tuple(header[f"TSL APER{n}"] for n in range(1, N_APERTURES + 1))
    assert told == DIAMETERS
    zero_point = [n for n in range(1, 10) if "MAGZPAP" in header.comments[f"TSL APER{n}"]]
    assert zero_point == [N_APERTURES]
    assert ReducedImage.read(tmp_path / "a.fits").apertures_arcsec == DIAMETERS


@pytest.mark.parametrize("apertures", [(), DIAMETERS[:3]])
def test_what_a_header_explains_is_no_data(tmp_path: Path, apertures: tuple[float, ...]) -> None:
    """Files from before the cards are the same data, and are read as they are."""
    one, two = image(), replace(image(), apertures_arcsec=apertures)
    assert one.data_hash() == two.data_hash()
    two.write(tmp_path / "b.fits")
    assert ReducedImage.read(tmp_path / "b.fits").apertures_arcsec == apertures
