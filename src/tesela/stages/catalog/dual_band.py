"""One band measured on the sources of the detection band."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from tesela.pixels import detect, forced, psf, touching
from tesela.products.columns import MASKED, MEASURED, NOT_DETECTED, NOT_OBSERVED
from tesela.stages.catalog import dual_colour, errors
from tesela.stages.catalog.detection import (
    Field,
    Sources,
    codes_inside,
    detect_and_measure,
    grown,
)
from tesela.stages.catalog.dual_settings import DualSettings

POOR_MATCH = 0.1
"""Sum of |residual| of a PSF kernel from which a band gets a warning."""

_PSF_ROUNDS = 1  # at fixed places one more round changes no flux by 0.05 of its error
_FROM_DETECTION = detect.FLAG_BLENDED | detect.FLAG_TRUNCATED
Floats = NDArray[np.float64]


@dataclass
class Reference:
    """The detection band: its sources and all that other bands are compared with."""

    field: Field
    sources: Sources
    around: NDArray[np.int32]
    """Labels grown by two pixels, (ny, nx)."""
    auto_reach: Floats
    restricted_reach: Floats
    """Isophotal radii that AUTO and R reach, (n,)."""
    flux_auto: Floats
    stamps: NDArray[np.float32]
    """The PSF at some places of the tile, (m, n, n)."""

    @classmethod
    def of(cls, field: Field, settings: DualSettings) -> Reference:
        """Detect, and set the apertures."""
        sources = detect_and_measure(field, settings.detection)
        table = sources.table
        ny, nx = field.image.shape
        fwhm_px = float(field.model.fwhm_px(nx / 2, ny / 2))
        restricted = forced.kron_reach(
            table["kron_radius"],
            factor=settings.restricted_factor,
            minimum=settings.restricted_minimum,
        )
        auto = forced.kron_reach(table["kron_radius"])
        least = settings.restricted_fwhm * fwhm_px / np.maximum(table["b"], 0.05 * table["a"])
        return cls(
            field,
            sources,
            grown(sources.segmentation),
            auto,
            np.minimum(np.maximum(restricted, least), auto),
            table["flux_auto"],
            dual_colour.stamps(field),
        )


@dataclass
class BandTable:
    """Columns (n,) of one band by their names, and numbers of the band."""

    columns: dict[str, NDArray[Any]]
    depth: dict[str, float]
    fwhm_px: float
    match_residual: float
    """Of the PSF kernel; 0 for the detection band."""
    scale_err: Floats | None = None
    """Relative error of the common scale; the detection band's table has it."""


def measure(reference: Reference, field: Field, settings: DualSettings) -> BandTable:
    """AUTO, circles, PSF and PSF-corrected flux of all sources, with flags and status."""
    sources = _apertures(reference, field)
    noise = errors.empirical(field, sources, settings.detection)
    sky = errors.apply(field, sources, noise)
    colour = dual_colour.measure(reference, field, sources, noise, sky, settings)
    columns = _columns(reference, field, sources, colour, settings)
    ny, nx = field.image.shape
    return BandTable(
        columns,
        errors.depths(field, sources, noise),
        float(field.model.fwhm_px(nx / 2, ny / 2)),
        colour.match_residual,
        colour.scale_err,
    )


def _apertures(reference: Reference, field: Field) -> Sources:
    """Sums and PSF fluxes where the detection band says, with errors from the variance plane."""
    geometry = reference.sources.table
    segmentation = reference.sources.segmentation
    table: dict[str, NDArray[Any]] = {
        name: geometry[name]
        for name in ("x", "y", "a", "b", "theta", "x_win", "y_win", "kron_radius")
    }
    table.update(
        forced.apertures(
            field.image,
            field.variance,
            ~field.covered,
            segmentation,
            geometry,
            reach=reference.auto_reach,
            diameters_px=list(reference.sources.diameters_px),
        )
    )
    fitted = psf.photometry(
        field.image,
        field.variance,
        ~field.covered | field.saturated,
        field.model,
        table["x_win"],
        table["y_win"],
        iterations=_PSF_ROUNDS,
        recenter=False,
    )
    table.update(flux_psf=fitted["flux"], flux_psf_err=fitted["err"])
    return Sources(table, segmentation, reference.sources.diameters_px)


def _columns(
    reference: Reference,
    field: Field,
    sources: Sources,
    colour: dual_colour.Colour,
    settings: DualSettings,
) -> dict[str, NDArray[Any]]:
    """Fluxes that are NaN where there are none, flags, status, weight and exposures."""
    table = sources.table
    status = _status(field, table, colour, settings)
    lacking = (status == NOT_OBSERVED) | (status == MASKED)
    fluxes = {
        "auto": table["flux_auto"],
        "psf": table["flux_psf"],
        "psfcor": colour.flux,
        "aper": table["flux_aper"],
    }
    found = {
        "auto": table["flux_auto_err"],
        "psf": table["flux_psf_err"],
        "psfcor": colour.flux_err,
        "aper": table["flux_aper_err"],
    }
    columns: dict[str, NDArray[Any]] = {}
    for kind, flux in fluxes.items():
        absent = lacking if flux.ndim == 1 else lacking[:, None]
        columns[f"flux_{kind}"] = np.where(absent, np.nan, flux)
        columns[f"flux_{kind}_err"] = np.where(absent, np.nan, found[kind])
    ix, iy = errors.pixel_of(field, table["x_win"], table["y_win"])
    columns.update(
        status=status,
        flags=_flags(reference, field, table),
        mask_flags=codes_inside(
            field.inputs.coadd.mask, sources.segmentation, reference.around, len(sources)
        ),
        norm_weight=field.weight[iy, ix] / np.median(field.weight[field.covered]),
        n_exposures=field.inputs.coadd.count[iy, ix],
    )
    return columns


def _flags(reference: Reference, field: Field, table: dict[str, NDArray[Any]]) -> NDArray[np.int16]:
    """Blended and truncated are the detection's; bad, saturated and incomplete the band's."""
    flags = reference.sources.table["flags"] & _FROM_DETECTION | table["flags"]
    touched = touching.count(reference.sources.segmentation, field.saturated, len(table["x"]))
    flags = np.where(touched > 0, flags | detect.FLAG_SATURATED, flags).astype(np.int16)
    ny, nx = field.image.shape
    core_px = 0.5 * float(field.model.fwhm_px(nx / 2, ny / 2))
    return detect.flag_holes(flags, ~field.covered, table["x_win"], table["y_win"], core_px)


def _status(
    field: Field,
    table: dict[str, NDArray[Any]],
    colour: dual_colour.Colour,
    settings: DualSettings,
) -> NDArray[np.int8]:
    """One code a source.

    Not observed is a centre outside the band's coverage; masked are a hole in it, an ellipse of
    which too much is lost, and a flux that could not be taken.
    """
    ix, iy = errors.pixel_of(field, table["x_win"], table["y_win"])
    status = np.full(len(ix), MEASURED, np.int8)
    with np.errstate(invalid="ignore"):
        weak = colour.flux <= settings.detection_snr * colour.flux_err
    status[weak] = NOT_DETECTED
    unknown = ~(np.isfinite(colour.flux) & np.isfinite(colour.flux_err))
    status[unknown | (colour.lost > settings.max_lost) | ~field.covered[iy, ix]] = MASKED
    status[_outside(field)[iy, ix]] = NOT_OBSERVED
    return status


def _outside(field: Field) -> NDArray[np.bool_]:
    """Pixels outside the coverage of a coadd, (ny, nx) bool.

    They lie in a region without weight that reaches the edge of the tile and is wider than the box
    in which `errors.SkyAt` looks for a weight. All other pixels without weight are holes: the
    large core of a star too, and the trail by which it bleeds into the edge.
    """
    empty = ndimage.maximum_filter(field.weight, size=errors.AROUND_PX) <= 0
    if not empty.any():
        return empty
    labels, n = ndimage.label(empty)
    at_edge = np.zeros(n + 1, bool)
    for line in (labels[0], labels[-1], labels[:, 0], labels[:, -1]):
        at_edge[line] = True
    at_edge[0] = False
    outside: NDArray[np.bool_] = at_edge[labels]
    return outside
