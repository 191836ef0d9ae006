"""Columns of the star lists of single frames, and the cards by which their FITS tables say so.

What a star list shares with the catalogue of one band is described there; here fluxes are those of
the frame, in electrons, and the apertures are one more: that of the zero point.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from tesela.products.columns import APERTURE_DIAMETERS_ARCSEC, SINGLE, Column
from tesela.products.files import Card

N_APERTURES = len(APERTURE_DIAMETERS_ARCSEC) + 1
"""Those of the catalogues, and that of the zero point."""

_X, _Y = ("stat.error;pos.cartesian.x", "stat.error;pos.cartesian.y")
_OWN = (
    Column(
        "err_a", "float32", "pix", "stat.error;pos.cartesian",
        "Error of the position along the major axis of its error ellipse",
    ),
    Column("err_b", "float32", "pix", "stat.error;pos.cartesian", "Likewise, along the minor axis"),
    Column("err_theta", "float32", "rad", "pos.posAng", "Of that axis, counter-clockwise from +x"),
    Column(
        "x_iso", "float64", "pix", "pos.cartesian.x;instr.det",
        "Isophotal x (barycentre), 0 at the first pixel's centre",
    ),
    Column(
        "y_iso", "float64", "pix", "pos.cartesian.y;instr.det",
        "Isophotal y (barycentre), 0 at the first pixel's centre",
    ),
    Column("x_iso_err", "float32", "pix", _X, "Error of x_iso from photon noise"),
    Column("y_iso_err", "float32", "pix", _Y, "Error of y_iso from photon noise"),
    Column(
        "flux_aper", "float32", "electron", "phot.flux",
        "Flux in circles of the diameters TSL APER1 ...; the last is that of the zero point",
        N_APERTURES,
    ),
    Column(
        "flux_aper_err", "float32", "electron", "stat.error;phot.flux", "Errors of flux_aper",
        N_APERTURES,
    ),
    Column("threshold", "float32", "electron", "phot.flux", "Level of the detection isophote"),
    Column(
        "i_ref", "int64", "", "meta.id.cross", "Row of the reference catalogue, from 0; -1: none"
    ),
)  # fmt: skip
_ALL = {
    **{
        name: replace(column, unit="electron" if column.unit == "electron/s" else column.unit)
        for name, column in SINGLE.items()
    },
    **{column.name: column for column in _OWN},
}


def _columns(*names: str, **changes: str) -> dict[str, Column]:
    return {name: replace(_ALL[name], dtype=changes.get(name, _ALL[name].dtype)) for name in names}


SOURCES = _columns(
    "x", "y", "x_err", "y_err", "err_a", "err_b", "err_theta",
    "x_iso", "y_iso", "x_iso_err", "y_iso_err", "ra", "dec",
    "flux_psf", "flux_psf_err", "chi2_psf", "flux_auto", "flux_auto_err", "kron_radius",
    "flux_petro", "flux_petro_err", "petro_radius", "flux_iso", "flux_iso_err", "isoarea",
    "flux_aper", "flux_aper_err", "flux_radius", "flux_radii", "fwhm",
    "a", "b", "theta", "ellipticity", "peak", "threshold", "flags", "i_ref",
)  # fmt: skip
"""Of a reduced image: its extension SOURCES."""

_FLOATS = ("flux_auto", "flux_auto_err", "flux_psf", "flux_psf_err", "fwhm", "ellipticity", "theta",
           "peak")  # fmt: skip
QUICKLOOK = _columns(
    "x", "y", "ra", "dec", "i_ref", *_FLOATS, "flags", **dict.fromkeys(_FLOATS, "float64")
)
"""Of a quick look: the brightest sources."""

STAR_LISTS: Mapping[str, Mapping[str, Column]] = {"sources": SOURCES, "quicklook": QUICKLOOK}


def cards(names: Sequence[str], apertures_arcsec: Sequence[float] = ()) -> list[Card]:
    """What the header of a SOURCES table with these columns has to say.

    `TUNITn`, `TUCDn` and `TCOMMn` of each column, where positions count from (readers of FITS
    expect 1) and the diameters of the apertures, if they are known.
    """
    return [
        ("TSL ORIGIN", 0, "x, y of the first pixel's centre"),
        *_aperture_cards(apertures_arcsec),
        *(
            card
            for n, name in enumerate(names, 1)
            if name in SOURCES
            for card in _column_cards(n, SOURCES[name])
        ),
    ]


def apertures_of(header: Mapping[str, object]) -> tuple[float, ...]:
    """The diameters (arcsec) that the header of a SOURCES table tells; of an older file, none."""
    found: list[float] = []
    while isinstance(value := header.get(f"TSL APER{len(found) + 1}"), (int, float)):
        found.append(float(value))
    return tuple(found)


def _aperture_cards(apertures_arcsec: Sequence[float]) -> Iterator[Card]:
    for n, diameter in enumerate(apertures_arcsec, 1):
        last = n == len(apertures_arcsec)
        says = "[arcsec] diameter of the zero point's, MAGZPAP" if last else "[arcsec] diameter"
        yield f"TSL APER{n}", float(diameter), says


def _column_cards(n: int, column: Column) -> Iterator[Card]:
    if column.unit:
        yield f"TUNIT{n}", column.unit, ""
    yield f"TUCD{n}", column.ucd, ""
    yield f"TCOMM{n}", column.description, ""
