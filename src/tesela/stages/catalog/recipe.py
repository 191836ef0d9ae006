"""The single catalogue of a coadd: detection and measurement in its own band."""

from __future__ import annotations

from tesela.products.catalogue import Catalogue
from tesela.stages.catalog import columns, completeness, detection, errors
from tesela.stages.catalog.settings import CatalogInputs, CatalogOutputs, CatalogSettings


def catalog(inputs: CatalogInputs, settings: CatalogSettings) -> CatalogOutputs:
    """Detect, measure AUTO, PSF, apertures and shapes; errors from empty apertures; completeness.

    Fluxes are instrumental (e-/s on the coadd's scale); magnitudes and zero points join later.
    """
    field = detection.Field.of(inputs)
    sources = detection.detect_and_measure(field, settings)
    noise = errors.empirical(field, sources, settings)
    errors.apply(field, sources, noise)
    depth = errors.depths(field, sources, noise)
    found = completeness.by_injection(field, sources, depth, settings)
    catalogue = Catalogue(columns.assemble(field, sources), columns.facts(field, depth, found))
    metrics = {
        "n_sources": len(catalogue),
        **depth,
        **{f"completeness_{k}": v for k, v in found.items() if isinstance(v, (int, float))},
        "noise_sigma1": noise.sigma1,
        "noise_a": noise.a,
        "noise_b": noise.b,
    }
    return CatalogOutputs(catalogue, metrics)
