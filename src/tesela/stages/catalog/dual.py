"""The dual catalogue of a tile: sources of one band measured in all bands, colours PSF-matched.

Detection and AUTO come from the detection band D. Colours follow Molino et al. (2014, MNRAS 441,
2891), in flux form: the flux of band i in a small ellipse R is compared with D's in the same
pixels, after whichever image is sharper was brought to the PSF of the other.
"""

from __future__ import annotations

from tesela.errors import ProductError
from tesela.products.catalogue import Catalogue
from tesela.products.columns import band_order
from tesela.stages.catalog import dual_band, dual_columns
from tesela.stages.catalog.detection import Field
from tesela.stages.catalog.dual_band import BandTable, Reference
from tesela.stages.catalog.dual_settings import DualInputs, DualOutputs, DualSettings
from tesela.stages.catalog.settings import CatalogInputs


def dual(inputs: DualInputs, settings: DualSettings) -> DualOutputs:
    """Detect in one band, measure in every band, and bring all onto one scale.

    Fluxes are instrumental (e-/s on each coadd's scale) and NaN where a band was not observed or is
    masked; negative fluxes stay. Magnitudes appear when zero points join.

    Raises
    ------
    ProductError
        If the bands are not in order, the detection band has no coadd, or a coadd lies on another
        grid or has no zero point.
    QualityError
        If a band has no room for the empty apertures that its noise is measured in.

    Notes
    -----
    Two coadds are open at a time, the detection band's and one more. Peak memory is about 110
    bytes a pixel of the tile.
    """
    _check(inputs)
    reference = Reference.of(_field(inputs, inputs.detection_band), settings)
    bands = {inputs.detection_band: dual_band.measure(reference, reference.field, settings)}
    for band in inputs.bands:
        if band in inputs.coadds and band not in bands:
            bands[band] = dual_band.measure(reference, _field(inputs, band), settings)
    catalogue = Catalogue(
        dual_columns.assemble(inputs, reference, bands),
        dual_columns.facts(inputs, reference, bands),
        kind="dual",
    )
    return DualOutputs(catalogue, dual_columns.metrics(bands, len(catalogue)), _warnings(bands))


def _field(inputs: DualInputs, band: str) -> Field:
    coadd = inputs.coadds[band]()
    if coadd.image.shape != inputs.wcs.shape:
        raise ProductError(
            f"coadd of tile {inputs.tile} in {band}",
            found=f"{coadd.image.shape} pixels",
            expected=f"the grid of the tile, {inputs.wcs.shape}",
            do="make the coadds of the tile anew on one grid",
        )
    zeropoint = inputs.zeropoint_mag[band]
    return Field.of(CatalogInputs(inputs.tile, band, coadd, inputs.wcs, zeropoint))


def _check(inputs: DualInputs) -> None:
    if tuple(inputs.bands) != band_order(inputs.bands):
        raise ProductError(
            f"bands of tile {inputs.tile}",
            found=", ".join(inputs.bands),
            expected=f"the order {', '.join(band_order(inputs.bands))}",
        )
    strange = sorted(set(inputs.coadds) - set(inputs.bands))
    if strange:
        raise ProductError(
            f"coadds of tile {inputs.tile}",
            found=f"bands {', '.join(strange)}",
            expected=f"bands of the survey: {', '.join(inputs.bands)}",
        )
    if inputs.detection_band not in inputs.coadds:
        raise ProductError(
            f"tile {inputs.tile}",
            found=f"no coadd in the detection band {inputs.detection_band}",
            expected=f"one; there are {', '.join(sorted(inputs.coadds)) or 'none'}",
            do="make that coadd first",
        )
    without = sorted(set(inputs.coadds) - set(inputs.zeropoint_mag))
    if without:
        raise ProductError(
            f"tile {inputs.tile}",
            found=f"no zero point for {', '.join(without)}",
            expected="one for every coadd",
        )


def _warnings(bands: dict[str, BandTable]) -> list[str]:
    return [
        f"{band}: the PSF kernel leaves {table.match_residual:.1%} of the light misplaced"
        for band, table in bands.items()
        if table.match_residual > dual_band.POOR_MATCH
    ]
