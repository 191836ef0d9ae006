"""Measurement of coadds in instrumental flux; completeness by injection."""

from tesela.stages.catalog.recipe import catalog
from tesela.stages.catalog.settings import CatalogInputs, CatalogOutputs, CatalogSettings

__all__ = ["CatalogInputs", "CatalogOutputs", "CatalogSettings", "catalog"]
