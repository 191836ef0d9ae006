"""Build calibration frames from raw ones, compare them with their predecessors, propose them."""

from tesela.stages.masters.about import About, about
from tesela.stages.masters.badpixel import build_badpixel
from tesela.stages.masters.bias import build_bias
from tesela.stages.masters.crosstalk import build_crosstalk
from tesela.stages.masters.dark import build_dark
from tesela.stages.masters.flat import build_flat
from tesela.stages.masters.illumination import build_illumination
from tesela.stages.masters.inputs import (
    CombinedInputs,
    Detrended,
    ImageInputs,
    MasterInputs,
    MasterOutputs,
    RawInputs,
)
from tesela.stages.masters.linearity import build_linearity
from tesela.stages.masters.pattern import build_fringe, build_pattern
from tesela.stages.masters.settings import MastersSettings

__all__ = [
    "About",
    "CombinedInputs",
    "Detrended",
    "ImageInputs",
    "MasterInputs",
    "MasterOutputs",
    "MastersSettings",
    "RawInputs",
    "about",
    "build_badpixel",
    "build_bias",
    "build_crosstalk",
    "build_dark",
    "build_flat",
    "build_fringe",
    "build_illumination",
    "build_linearity",
    "build_pattern",
]
