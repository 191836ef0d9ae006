"""One raw frame and its masters -> image, mask, variance, WCS, PSF, star list, metrics."""

from tesela.bands.reference import check
from tesela.stages.reduce.calset import Calset, prepare
from tesela.stages.reduce.detrended import detrend
from tesela.stages.reduce.recipe import reduce
from tesela.stages.reduce.settings import ReduceInputs, ReduceOutputs, ReduceSettings

__all__ = [
    "Calset",
    "ReduceInputs",
    "ReduceOutputs",
    "ReduceSettings",
    "check",
    "detrend",
    "prepare",
    "reduce",
]
