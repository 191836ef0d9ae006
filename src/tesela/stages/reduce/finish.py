"""The reduced image as a product: its cards and the columns of its star list."""

from __future__ import annotations

import numpy as np

from tesela.pixels import pyramid, thumbnail
from tesela.pixels.psf_model import PsfModel
from tesela.products import paths
from tesela.products.files import Card
from tesela.products.images import Psf, ReducedImage, Table, operation_cards
from tesela.products.maskbit import UNUSABLE
from tesela.products.starlist import SOURCES
from tesela.sky.wcs import Wcs
from tesela.stages.reduce import measure
from tesela.stages.reduce.frame import Frame, needed
from tesela.stages.reduce.measure import Sources
from tesela.stages.reduce.settings import ReduceInputs, ReduceOutputs, ReduceSettings

_COLUMNS = {
    "x_win": "x", "y_win": "y", "x_err": "x_err", "y_err": "y_err",
    "err_a_win": "err_a", "err_b_win": "err_b", "err_theta_win": "err_theta",
    "x": "x_iso", "y": "y_iso", "x_iso_err": "x_iso_err", "y_iso_err": "y_iso_err",
    "ra": "ra", "dec": "dec",
    "flux_psf": "flux_psf", "flux_psf_err": "flux_psf_err", "chi2_psf": "chi2_psf",
    "flux_auto": "flux_auto", "flux_auto_err": "flux_auto_err", "kron_radius": "kron_radius",
    "flux_petro": "flux_petro", "flux_petro_err": "flux_petro_err", "petro_radius": "petro_radius",
    "flux_iso": "flux_iso", "flux_iso_err": "flux_iso_err", "isoarea": "isoarea",
    "flux_aper": "flux_aper", "flux_aper_err": "flux_aper_err",
    "flux_radius": "flux_radius", "flux_radii": "flux_radii", "fwhm_px": "fwhm",
    "a": "a", "b": "b", "theta": "theta", "ellipticity": "ellipticity",
    "peak": "peak", "threshold": "threshold", "flags": "flags", "i_ref": "i_ref",
}  # fmt: skip


def assemble(
    frame: Frame,
    sources: Sources,
    psf: PsfModel,
    wcs: Wcs,
    inputs: ReduceInputs,
    settings: ReduceSettings,
    *,
    with_sky: bool = False,
) -> ReduceOutputs:
    """Gather image, mask, variance, sky, PSF, sources and cards.

    With `with_sky`, the model of the sky is stored as ever but left in the image.
    """
    sky_mesh = needed(frame.sky_mesh, "sky model")
    arrays, numbers = psf.to_arrays()
    image = ReducedImage(
        image=frame.image + needed(frame.sky, "sky model").level() if with_sky else frame.image,
        mask=frame.mask,
        variance=needed(frame.variance, "variance"),
        sky_mesh=sky_mesh,
        psf=Psf(arrays, numbers),
        sources=star_list(sources),
        cards=[
            *_facts_cards(inputs),
            *((key, value, "") for key, value in wcs.to_cards().items()),
            *(_scale_cards(frame) if "zeropoint_mag" in frame.metrics else ()),
            ("SKYSUB", not with_sky, "whether the sky is subtracted from IMAGE"),
            *_metric_cards(frame, settings),
            *_refraction_cards(frame),
            *operation_cards(frame.operations),
        ],
        apertures_arcsec=measure.aperture_diameters_arcsec(settings.photometry),
    )
    footprint = tuple((float(ra), float(dec)) for ra, dec in zip(*wcs.footprint()))
    # What is inside a source is no defect: coloured, it would hide the sources themselves.
    defects = image.mask & np.uint8(UNUSABLE)
    picture = thumbnail.render(frame.image, defects, max_px=paths.PICTURE_PX)
    preview = pyramid.levels(frame.image, frame.mask, threads=frame.threads)
    return ReduceOutputs(image, frame.metrics, footprint, picture, preview, frame.warnings)


def star_list(sources: Sources) -> Table:
    """The columns that are kept, in the types they are kept in."""
    return {
        name: sources.table[source].astype(SOURCES[name].dtype, copy=False)
        for source, name in _COLUMNS.items()
    }


def _facts_cards(inputs: ReduceInputs) -> list[Card]:
    facts = inputs.facts
    return [
        ("FRAME", facts.name, "name of the raw frame"),
        ("OBJECT", facts.object, ""),
        ("TELESCOP", facts.telescope, ""),
        ("CAMERA", facts.camera, ""),
        ("CCD", facts.ccd, ""),
        ("FILTER", facts.band, "band"),
        ("FILTSER", facts.filter_serial, "serial of the physical filter"),
        ("EXPTIME", facts.exptime_s, "[s]"),
        ("MJD-OBS", facts.mjd_start, "[d] start, UTC"),
        ("MJD-MID", facts.mjd_mid, "[d] middle, UTC"),
        ("AIRMASS", facts.airmass, ""),
        ("PROJECT", facts.project, ""),
    ]


def _scale_cards(frame: Frame) -> list[Card]:
    m = frame.metrics
    return [
        ("MAGZP", m["zeropoint_mag"], "[mag] for 1 electron/s, PSF flux"),
        ("MAGZPERR", m["zeropoint_err_mag"], "[mag] of its stars, not of the reference"),
        ("MAGZPN", m["n_zeropoint"], "stars of the zero point"),
        ("COLCOEF", m["colour_coefficient"], "reference = natural + COLCOEF (colour - COLPIVOT)"),
        ("COLPIVOT", m["colour_pivot"], "[mag] colour at which MAGZP holds"),
        ("MAGZPAP", m["zeropoint_aperture_mag"], "[mag] for 1 electron/s, aperture"),
        ("APRADIUS", m["zeropoint_aperture_px"], "[pixel] radius of that aperture"),
    ]


def _metric_cards(frame: Frame, settings: ReduceSettings) -> list[Card]:
    m = frame.metrics
    return [
        ("FWHM", m["fwhm_arcsec"], "[arcsec] median over the field"),
        ("ELLIPTIC", m["ellipticity"], "1 - b/a of the PSF"),
        ("SKYLEVEL", m["sky_e"], "[electron] median of the sky model"),
        ("SKYRMS", m["sky_rms_e"], "[electron]"),
        ("SKYMESH", needed(frame.sky, "sky model").mesh_px, "[pixel] pitch of the mesh in SKY"),
        ("RDNOISE", m["readnoise_e"], "[electron]"),
        ("ASTRRMS1", m["astrometry_rms_ra_arcsec"], "[arcsec] along RA"),
        ("ASTRRMS2", m["astrometry_rms_dec_arcsec"], "[arcsec] along Dec"),
        ("ASTRNUM", m["n_astrometry"], "stars of the astrometric solution"),
    ]


def _refraction_cards(frame: Frame) -> list[Card]:
    m = frame.metrics
    if "dcr_mas_per_mag" not in m:
        return []
    return [
        ("DCRCOEF", m["dcr_mas_per_mag"], "[mas/mag] towards the zenith, of redder stars"),
        ("DCRERR", m["dcr_err_mas_per_mag"], "[mas/mag]"),
        ("DCRPIVOT", m["dcr_pivot_mag"], "[mag] colour at which the WCS holds"),
        ("DCRANGLE", m["parallactic_angle_deg"], "[deg] of the zenith, north through east"),
    ]
