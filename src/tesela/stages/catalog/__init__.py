"""Measurement of coadds in instrumental flux, in one band and in all; completeness by injection."""

from tesela.stages.catalog.dual import dual
from tesela.stages.catalog.dual_settings import DualInputs, DualOutputs, DualSettings
from tesela.stages.catalog.recipe import catalog
from tesela.stages.catalog.settings import CatalogInputs, CatalogOutputs, CatalogSettings

__all__ = [
    "CatalogInputs",
    "CatalogOutputs",
    "CatalogSettings",
    "DualInputs",
    "DualOutputs",
    "DualSettings",
    "catalog",
    "dual",
]
