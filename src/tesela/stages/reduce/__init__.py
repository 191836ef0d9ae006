"""One raw frame and its masters -> image, mask, variance, WCS, PSF, star list, metrics."""

from tesela.bands.reference import check
from tesela.stages.reduce.calset import Calset, approximate, prepare
from tesela.stages.reduce.detrended import detrend
from tesela.stages.reduce.quick import look
from tesela.stages.reduce.quick_settings import QuickOutputs, QuickSettings
from tesela.stages.reduce.recipe import reduce
from tesela.stages.reduce.settings import ReduceInputs, ReduceOutputs, ReduceSettings

__all__ = [
    "Calset",
    "QuickOutputs",
    "QuickSettings",
    "ReduceInputs",
    "ReduceOutputs",
    "ReduceSettings",
    "approximate",
    "check",
    "detrend",
    "look",
    "prepare",
    "reduce",
]
