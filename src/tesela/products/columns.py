"""The one table of catalogue columns: name, type, unit, UCD and description.

Names are a promise to those who query: they are not changed, only added to. UCDs are of the
UCD1+ vocabulary (IVOA). `N` in `shape` stands for the length of the aperture list.
"""

from __future__ import annotations

from dataclasses import dataclass

APERTURE_DIAMETERS_ARCSEC = (0.8, 1.0, 1.2, 1.5, 2.0, 3.0, 4.0, 6.0)
"""Diameters of the circular apertures, the same everywhere."""


@dataclass(frozen=True)
class Column:
    """A column of a catalogue."""

    name: str
    dtype: str
    unit: str
    ucd: str
    description: str
    length: int = 1
    """More than 1 for a vector in each row."""


_N = len(APERTURE_DIAMETERS_ARCSEC)
_FLUX = "electron/s"

_ALL = (
    Column("number", "int32", "", "meta.id;meta.main", "Running number in its tile and band"),
    Column("ra", "float64", "deg", "pos.eq.ra;meta.main", "Right ascension (ICRS), windowed"),
    Column("dec", "float64", "deg", "pos.eq.dec;meta.main", "Declination (ICRS), windowed"),
    Column("x", "float64", "pix", "pos.cartesian.x;instr.det", "Windowed x, 0 at a pixel's centre"),
    Column("y", "float64", "pix", "pos.cartesian.y;instr.det", "Windowed y, 0 at a pixel's centre"),
    Column("x_err", "float32", "pix", "stat.error;pos.cartesian.x", "Error of x from photon noise"),
    Column("y_err", "float32", "pix", "stat.error;pos.cartesian.y", "Error of y from photon noise"),
    Column("flux_auto", "float32", _FLUX, "phot.flux", "Flux in the Kron ellipse (not total)"),
    Column("flux_auto_err", "float32", _FLUX, "stat.error;phot.flux", "Error of flux_auto"),
    Column("flux_psf", "float32", _FLUX, "phot.flux;stat.fit", "Flux of the fitted PSF model"),
    Column("flux_psf_err", "float32", _FLUX, "stat.error;phot.flux", "Error of flux_psf"),
    Column("chi2_psf", "float32", "", "stat.fit.chi2", "Reduced chi squared of the PSF fit"),
    Column(
        "flux_aper",
        "float32",
        _FLUX,
        "phot.flux",
        "Flux in circles of 0.8, 1.0, 1.2, 1.5, 2.0, 3.0, 4.0, 6.0 arcsec diameter",
        _N,
    ),
    Column("flux_aper_err", "float32", _FLUX, "stat.error;phot.flux", "Errors of flux_aper", _N),
    Column("flux_iso", "float32", _FLUX, "phot.flux", "Flux above the detection isophote"),
    Column("peak", "float32", _FLUX, "phot.flux;stat.max", "Brightest pixel above the background"),
    Column(
        "kron_radius",
        "float32",
        "",
        "phys.angSize",
        "Kron radius in units of a and b; AUTO reaches 2.5 of it, at least 3.5 a",
    ),
    Column("a", "float32", "pix", "phys.angSize.smajAxis", "Second moment along the major axis"),
    Column("b", "float32", "pix", "phys.angSize.sminAxis", "Second moment along the minor axis"),
    Column("theta", "float32", "rad", "pos.posAng", "Orientation, counter-clockwise from +x"),
    Column("ellipticity", "float32", "", "src.ellipticity", "1 - b/a"),
    Column("flux_radius", "float32", "pix", "phys.angSize", "Radius with half of flux_auto"),
    Column("fwhm", "float32", "pix", "phys.angSize", "Full width at half maximum"),
    Column("isoarea", "int32", "pix2", "phys.angArea", "Pixels above the detection isophote"),
    Column(
        "flags",
        "int16",
        "",
        "meta.code.qual",
        "1 neighbour or bad pixels, 2 blended, 4 saturated, 8 truncated, 16 aperture incomplete",
    ),
    Column("mask_flags", "int16", "", "meta.code.qual", "Mask codes inside the source, ORed"),
    Column("norm_weight", "float32", "", "stat.weight", "Weight over the median of the tile"),
    Column("n_exposures", "int16", "", "meta.number;obs", "Frames that saw the source's centre"),
    Column("background", "float32", _FLUX, "instr.skyLevel", "Background at the source, removed"),
)

COLUMNS: dict[str, Column] = {column.name: column for column in _ALL}
