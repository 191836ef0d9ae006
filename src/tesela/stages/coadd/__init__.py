"""Reduced images of a tile and band -> scaled, warped, rejected and stacked."""

from tesela.stages.coadd.recipe import coadd
from tesela.stages.coadd.settings import CoaddInput, CoaddInputs, CoaddOutputs, CoaddSettings

__all__ = ["CoaddInput", "CoaddInputs", "CoaddOutputs", "CoaddSettings", "coadd"]
