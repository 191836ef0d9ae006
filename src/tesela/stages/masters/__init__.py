"""Build calibration frames from raw ones, compare them with their predecessors, propose them."""

from tesela.stages.masters.bias import build_bias
from tesela.stages.masters.flat import build_flat
from tesela.stages.masters.inputs import (
    CombinedInputs,
    Detrended,
    ImageInputs,
    MasterInputs,
    MasterOutputs,
    RawInputs,
)
from tesela.stages.masters.settings import MastersSettings

__all__ = [
    "CombinedInputs",
    "Detrended",
    "ImageInputs",
    "MasterInputs",
    "MasterOutputs",
    "MastersSettings",
    "RawInputs",
    "build_bias",
    "build_flat",
]
