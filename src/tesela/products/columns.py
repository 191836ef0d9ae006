"""The one table of catalogue columns: name, type, unit, UCD and description.

Names are a promise to those who query: they are not changed, only added to. UCDs are of the
UCD1+ vocabulary (IVOA).

There are tables of two sorts. *Instrumental* ones are products of the pipeline: `single`, `dual`,
`zeropoints`, `valueadded`. *Published* ones are what a survey's users query, made from those when
they are loaded: `objects`, `detections`, `tiles`, `filters`. A column of length `PER_BAND` holds
one value a band in each row, in the order of `band_order`. What was not measured is NULL, told
apart by the column `status`; there are no numbers that stand for absence.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from tesela.bands import filters
from tesela.products.flags import MEANING

APERTURE_DIAMETERS_ARCSEC = (0.8, 1.0, 1.2, 1.5, 2.0, 3.0, 4.0, 6.0)
"""Diameters of the circular apertures, the same everywhere."""

APERTURES = tuple(f"{diameter:.1f}".replace(".", "_") for diameter in APERTURE_DIAMETERS_ARCSEC)
"""Diameters as they stand in names of columns: 0_8 ... 6_0."""

PER_BAND = -1
"""Length of a column that has one value a band."""

QUANTILES = 32
"""Values that describe a distribution of redshift: quantiles (k + 1/2) / 32, k = 0 ... 31."""

MEASURED, NOT_DETECTED, NOT_OBSERVED, MASKED = 0, 1, 2, 3
"""Codes of the column `status`."""


@dataclass(frozen=True)
class Column:
    """A column of a catalogue."""

    name: str
    dtype: str
    """numpy's name, or `str`."""
    unit: str
    ucd: str
    description: str
    length: int = 1
    """More than 1 for a vector in each row, `PER_BAND` for one value a band."""
    family: str = "core"
    """Columns of a family are stored and served together."""
    required: bool = False
    """Never NULL and never NaN."""


def band_order(bands: Iterable[str]) -> tuple[str, ...]:
    """Bands in the order of all arrays over bands.

    Bands whose curves we know come first, by wavelength; others follow by name.
    """
    known = filters.names()
    given = set(bands)
    return (*(b for b in known if b in given), *sorted(given - set(known)))


_N = len(APERTURE_DIAMETERS_ARCSEC)
_INST, _JY = "electron/s", "uJy"
_STATUS = (
    "0 measured, 1 not detected (below the S/N of the settings), 2 not observed (outside the "
    "coverage of the band), 3 masked (in a hole of it, or no flux could be taken)"
)
_ZERO = "; 0 in a band without an image: look at status"


def _required(*columns: Column) -> tuple[Column, ...]:
    return tuple(replace(column, required=True) for column in columns)


def _by_name(*columns: Column) -> dict[str, Column]:
    return {column.name: column for column in columns}


_PLACE = (
    Column("number", "int32", "", "meta.id;meta.main", "Running number in its tile and band"),
    Column("ra", "float64", "deg", "pos.eq.ra;meta.main", "Right ascension (ICRS), windowed"),
    Column("dec", "float64", "deg", "pos.eq.dec;meta.main", "Declination (ICRS), windowed"),
    Column(
        "x", "float64", "pix", "pos.cartesian.x;instr.det",
        "Windowed x, 0 at the first pixel's centre",
    ),
    Column(
        "y", "float64", "pix", "pos.cartesian.y;instr.det",
        "Windowed y, 0 at the first pixel's centre",
    ),
    Column("x_err", "float32", "pix", "stat.error;pos.cartesian.x", "Error of x from photon noise"),
    Column("y_err", "float32", "pix", "stat.error;pos.cartesian.y", "Error of y from photon noise"),
)  # fmt: skip
_SHAPE = (
    Column("a", "float32", "pix", "phys.angSize.smajAxis", "Second moment along the major axis"),
    Column("b", "float32", "pix", "phys.angSize.sminAxis", "Second moment along the minor axis"),
    Column("theta", "float32", "rad", "pos.posAng", "Orientation, counter-clockwise from +x"),
    Column("ellipticity", "float32", "", "src.ellipticity", "1 - b/a"),
    Column("flux_radius", "float32", "pix", "phys.angSize", "Radius with half of flux_auto"),
    Column("fwhm", "float32", "pix", "phys.angSize", "Full width at half maximum"),
    Column(
        "isoarea",
        "int32",
        "pix2",
        "phys.angArea",
        "Pixels above the detection isophote, before and after filtering",
    ),
)
_KRON = Column(
    "kron_radius",
    "float32",
    "",
    "phys.angSize",
    "Kron radius in units of a and b; AUTO reaches 2.5 of it, at least 3.5 a",
)
_FLAGS = Column(
    "flags",
    "int16",
    "",
    "meta.code.qual",
    ", ".join(f"{int(flag)} {text}" for flag, text in MEANING.items()),
)
_MASK_FLAGS = Column(
    "mask_flags", "int16", "", "meta.code.qual", "Mask codes inside the source, ORed"
)
_WEIGHT = Column("norm_weight", "float32", "", "stat.weight", "Weight over the median of the tile")
_EXPOSURES = Column(
    "n_exposures", "int16", "", "meta.number;obs", "Frames that saw the source's centre"
)

SINGLE = _by_name(
    *_PLACE,
    Column("flux_auto", "float32", _INST, "phot.flux", "Flux in the Kron ellipse (not total)"),
    Column("flux_auto_err", "float32", _INST, "stat.error;phot.flux", "Error of flux_auto"),
    Column("flux_psf", "float32", _INST, "phot.flux;stat.fit", "Flux of the fitted PSF model"),
    Column("flux_psf_err", "float32", _INST, "stat.error;phot.flux", "Error of flux_psf"),
    Column("chi2_psf", "float32", "", "stat.fit.chi2", "Reduced chi squared of the PSF fit"),
    Column(
        "flux_aper",
        "float32",
        _INST,
        "phot.flux",
        "Flux in circles of 0.8, 1.0, 1.2, 1.5, 2.0, 3.0, 4.0, 6.0 arcsec diameter",
        _N,
    ),
    Column("flux_aper_err", "float32", _INST, "stat.error;phot.flux", "Errors of flux_aper", _N),
    Column("flux_iso", "float32", _INST, "phot.flux", "Flux above the detection isophote"),
    Column("flux_iso_err", "float32", _INST, "stat.error;phot.flux", "Error of flux_iso"),
    Column("flux_petro", "float32", _INST, "phot.flux", "Flux in the Petrosian ellipse"),
    Column("flux_petro_err", "float32", _INST, "stat.error;phot.flux", "Error of flux_petro"),
    Column(
        "petro_radius",
        "float32",
        "",
        "phys.angSize",
        "Petrosian radius in units of a and b; PETRO reaches 2 of it, at least 3.5 a; NaN where "
        "the profile is too flat",
    ),
    Column("peak", "float32", _INST, "phot.flux;stat.max", "Brightest pixel above the background"),
    _KRON,
    *_SHAPE,
    Column(
        "flux_radii",
        "float32",
        "pix",
        "phys.angSize",
        "Radii with 0.2, 0.5 and 0.8 of flux_auto",
        3,
    ),
    _FLAGS,
    _MASK_FLAGS,
    _WEIGHT,
    _EXPOSURES,
    Column("background", "float32", _INST, "instr.skyLevel", "Background at the source, removed"),
)
"""Detection and measurement in one band: a file a tile and band."""


def _band_flux(name: str, description: str, family: str) -> tuple[Column, Column]:
    """An instrumental flux and its error, one value a band."""
    return (
        Column(name, "float32", _INST, "phot.flux", description, PER_BAND, family),
        Column(
            f"{name}_err", "float32", _INST, "stat.error;phot.flux", f"Error of {name}",
            PER_BAND, family,
        ),
    )  # fmt: skip


_AUTO_TEXT = "in the Kron ellipse of the detection band (not total)"
_PSFCOR_TEXT = "with colours corrected for the PSF, on the scale of AUTO in the detection band"
_PSF_TEXT = "of the PSF model at the position of the detection band"


def _aper_text(aperture: str) -> str:
    return f"in a circle of {aperture.replace('_', '.')} arcsec diameter"


_FLUX_KINDS = (
    ("auto", _AUTO_TEXT, "core"),
    ("psfcor", _PSFCOR_TEXT, "core"),
    ("psf", _PSF_TEXT, "psf"),
    *((f"aper_{name}", _aper_text(name), "aper") for name in APERTURES),
)

_STATUS_COLUMN = Column("status", "int8", "", "meta.code.status", _STATUS, PER_BAND, required=True)


def _banded(column: Column, family: str) -> Column:
    return replace(column, length=PER_BAND, family=family)


def _zero(column: Column) -> Column:
    return replace(column, description=column.description + _ZERO)


_QUALITY = (
    _banded(_zero(_FLAGS), "core"),
    _banded(_zero(_MASK_FLAGS), "core"),
    _banded(_WEIGHT, "quality"),
    _banded(_zero(_EXPOSURES), "quality"),
    Column(
        "single_detect", "int32", "", "meta.id.cross",
        "Number of the nearest source within 1 arcsec in the band's single catalogue, 0 if none "
        "or no image",
        PER_BAND, "quality",
    ),
)  # fmt: skip

_SCALE_ERR = Column(
    "psfcor_scale_err", "float32", "", "stat.error",
    "Relative error of the scale that all psfcor fluxes of a source share; add it for totals",
)  # fmt: skip
_POSITION_ANGLE = Column(
    "position_angle", "float32", "deg", "pos.posAng", "Of the major axis, from north to east, 0-180"
)

DUAL = _by_name(
    *_PLACE,
    _KRON,
    *_SHAPE,
    _POSITION_ANGLE,
    _SCALE_ERR,
    _STATUS_COLUMN,
    *(
        column
        for kind, text, family in _FLUX_KINDS
        for column in _band_flux(f"flux_{kind}", f"Flux {text}", family)
    ),
    *_QUALITY,
)
"""Sources of the detection band measured in every band: a file a tile."""

ZEROPOINTS = _by_name(
    Column("tile", "str", "", "meta.id", "Tile"),
    Column("band", "str", "", "instr.bandpass", "Band"),
    Column("frame", "str", "", "meta.id", "Frame; empty for the row of the tile's coadd"),
    Column(
        "zeropoint_mag", "float64", "mag", "phot.mag;arith.zp",
        "AB magnitude of 1 electron/s within 15 arcsec at the pivot of the colour term",
    ),
    Column("zeropoint_err_mag", "float32", "mag", "stat.error;phot.mag;arith.zp", "Its error"),
    Column("scatter_mag", "float32", "mag", "stat.stdev;phot.mag", "Robust rms of the stars used"),
    Column("n_stars", "int32", "", "meta.number", "Stars used"),
    Column("colour_coefficient", "float32", "", "phot.color", "Change of the zero point per mag"),
    Column("colour_err", "float32", "", "stat.error", "Its error"),
    Column("colour_pivot", "float32", "mag", "phot.color", "Colour at which the zero point holds"),
    Column(
        "origin", "str", "", "meta.code",
        "`reference`: fitted to the reference catalogue; `frames`: too few stars, the scale that "
        "the coadd inherited from its frames",
    ),
)  # fmt: skip
"""The photometric solution: a file a tile."""

_PHOTOZ = (
    Column(
        "photoz", "float32", "", "src.redshift.phot",
        "Redshift: median of the distribution; NULL with too few bands, and unless the detection "
        "band measured the source (status 0)",
    ),
    Column("photoz_err", "float32", "", "stat.error;src.redshift.phot", "Half of its 68 % range"),
    Column("photoz_mode", "float32", "", "src.redshift.phot;stat.value", "Most probable redshift"),
    Column("photoz_low", "float32", "", "src.redshift.phot;stat.percentile", "16th percentile"),
    Column("photoz_high", "float32", "", "src.redshift.phot;stat.percentile", "84th percentile"),
    Column("odds", "float32", "", "stat.probability", "Probability near the mode (see settings)"),
    Column("photoz_chi2", "float32", "", "stat.fit.chi2", "Chi squared of the best template"),
    Column("photoz_template", "int16", "", "meta.code",
           "Number of the best template, 0 without a redshift"),
    Column("photoz_bands", "int16", "", "meta.number", "Bands with a usable flux"),
    Column(
        "photoz_quantiles", "float32", "", "src.redshift.phot;stat.percentile",
        "Quantiles (k + 1/2) / 32, k = 0 ... 31, of the distribution of redshift",
        QUANTILES, "photoz",
    ),
)  # fmt: skip
_STAR = (
    Column("prob_star", "float32", "", "src.class.starGalaxy", "Probability to be point-like"),
    Column("concentration", "float32", "mag", "phot.mag", "mag_aper_1_5 - mag_aper_3_0 in the "
           "detection band minus that of a star"),
)  # fmt: skip

VALUEADDED = _by_name(_PLACE[0], *_PHOTOZ, *_STAR)
"""What needs calibrated fluxes: a file a tile, rows as in the dual catalogue."""


_POSITIVE = "NULL where the flux is not positive"
_MEASURED = "NULL unless status is 0, and where the flux is not positive"


def _calibrated(kind: str, text: str, family: str, null: str = _MEASURED) -> tuple[Column, ...]:
    """Flux and magnitude with their errors, one value a band."""
    rows = (
        (f"mag_{kind}", "mag", "phot.mag", f"AB magnitude {text}; {null}", family),
        (f"mag_{kind}_err", "mag", "stat.error;phot.mag", f"Error of mag_{kind}", family),
        (f"flux_{kind}", _JY, "phot.flux.density", f"Flux density {text}", f"{family}_flux"),
        (f"flux_{kind}_err", _JY, "stat.error;phot.flux.density", f"Error of flux_{kind}",
         f"{family}_flux"),
    )  # fmt: skip
    return tuple(
        Column(name, "float32", unit, ucd, description, PER_BAND, group)
        for name, unit, ucd, description, group in rows
    )


_HEALPIX = Column(
    "_healpix_29", "int64", "", "pos.healpix", "HEALPix cell of order 29, nested, ICRS"
)
_IN_ARCSEC = ("a", "b", "flux_radius", "fwhm")


def _published_shape() -> tuple[Column, ...]:
    shape = (
        replace(c, unit="arcsec" if c.name in _IN_ARCSEC else c.unit, family="shape")
        for c in (_KRON, *_SHAPE, _POSITION_ANGLE)
        if c.name != "theta"
    )
    return tuple(shape)


OBJECTS = _by_name(
    *_required(
        Column("source_id", "int64", "", "meta.id;meta.main", "Unique number of the source"),
        replace(_HEALPIX),
        Column("tile", "str", "", "meta.id.parent", "Tile"),
        replace(_PLACE[0], ucd="meta.id", description="Number in its tile"),
        *_PLACE[1:3],
        Column(
            "is_primary", "bool", "", "meta.code",
            "Of the sources that overlapping tiles see twice, the one to use",
        ),
    ),
    _STATUS_COLUMN,
    *(c for kind, text, family in _FLUX_KINDS for c in _calibrated(kind, text, family)),
    _SCALE_ERR,
    *_QUALITY,
    *_STAR,
    *_PHOTOZ,
    *_published_shape(),
    *(replace(c, family="shape") for c in _PLACE[3:]),
)  # fmt: skip
"""Published: sources of the detection band in all bands."""


def _single_calibrated(kind: str, text: str, length: int = 1) -> tuple[Column, ...]:
    columns = _calibrated(kind, text, "core", _POSITIVE)
    return tuple(replace(c, length=length, family="core") for c in columns)


DETECTIONS = _by_name(
    *_required(
        Column("detection_id", "int64", "", "meta.id;meta.main", "Unique number of the detection"),
        _HEALPIX,
        Column("tile", "str", "", "meta.id.parent", "Tile"),
        Column("band", "str", "", "instr.bandpass", "Band"),
        replace(_PLACE[0], ucd="meta.id"),
        *_PLACE[1:3],
    ),
    *_single_calibrated("auto", "in the Kron ellipse of its own band (not total)"),
    *_single_calibrated("psf", "of the fitted PSF model"),
    *_single_calibrated(
        "aper", "in circles of 0.8, 1.0, 1.2, 1.5, 2.0, 3.0, 4.0, 6.0 arcsec diameter", _N
    ),
    SINGLE["chi2_psf"],
    *(replace(c, family="core") for c in _published_shape() if c.name != "position_angle"),
    _FLAGS,
    _MASK_FLAGS,
    _WEIGHT,
    _EXPOSURES,
)
"""Published: sources found in each band by itself."""

TILES = _by_name(
    *_required(
        Column("tile", "str", "", "meta.id", "Tile"),
        Column("band", "str", "", "instr.bandpass", "Band"),
        Column("ra", "float64", "deg", "pos.eq.ra", "Centre of the tile, right ascension (ICRS)"),
        Column("dec", "float64", "deg", "pos.eq.dec", "Centre of the tile, declination (ICRS)"),
    ),
    *(
        ZEROPOINTS[name]
        for name in (
            "zeropoint_mag", "zeropoint_err_mag", "scatter_mag", "n_stars",
            "colour_coefficient", "colour_pivot", "origin",
        )
    ),
    Column(
        "image_zeropoint_mag", "float64", "mag", "phot.mag;arith.zp",
        "Zero point that the image's header carries (MAGZP): that of its frames; fluxes of the "
        "tables are by zeropoint_mag",
    ),
    Column("depth_psf_mag", "float32", "mag", "phot.mag;stat.max", "5 sigma limit, point source"),
    Column("depth_3arcsec_mag", "float32", "mag", "phot.mag;stat.max", "5 sigma limit in 3 arcsec"),
    Column("m50_mag", "float32", "mag", "phot.mag", "Half of the stars are found here"),
    Column("fwhm_arcsec", "float32", "arcsec", "instr.obsty.seeing", "FWHM of the PSF"),
    Column("ellipticity", "float32", "", "src.ellipticity", "1 - b/a of the PSF"),
    Column("n_frames", "int32", "", "meta.number;obs.exposure", "Frames combined"),
    Column("exposure_s", "float32", "s", "time.duration;obs.exposure", "Sum of exposure times"),
    Column("mjd_mean", "float64", "d", "time.epoch", "Mean of the exposures, MJD (UTC)"),
    Column("n_sources", "int32", "", "meta.number", "Sources in the single catalogue"),
)  # fmt: skip
"""Published: what is known of each tile and band."""

FILTERS = _by_name(
    *_required(
        Column("band", "str", "", "instr.bandpass;meta.main", "Band"),
        Column("position", "int16", "", "meta.number", "Place in arrays over bands, from 1"),
    ),
    Column("pivot_wavelength", "float64", "nm", "em.wl.effective", "Pivot wavelength"),
    Column("fwhm_wavelength", "float64", "nm", "instr.bandwidth", "Width at half maximum"),
)
"""Published: the bands."""

TABLES: Mapping[str, Mapping[str, Column]] = {
    "single": SINGLE,
    "dual": DUAL,
    "zeropoints": ZEROPOINTS,
    "valueadded": VALUEADDED,
    "objects": OBJECTS,
    "detections": DETECTIONS,
    "tiles": TILES,
    "filters": FILTERS,
}
