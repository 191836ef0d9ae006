"""The survey's photometric solution: zero points of a tile's coadds and of their frames."""

from tesela.stages.calibrate.recipe import calibrate
from tesela.stages.calibrate.settings import (
    CalibrateInputs,
    CalibrateOutputs,
    CalibrateSettings,
    FrameStars,
)

__all__ = ["CalibrateInputs", "CalibrateOutputs", "CalibrateSettings", "FrameStars", "calibrate"]
