"""What needs calibrated fluxes: star or galaxy, photometric redshifts."""

from tesela.stages.valueadded.photoz_settings import PhotozSettings
from tesela.stages.valueadded.recipe import valueadded
from tesela.stages.valueadded.settings import (
    StarGalaxySettings,
    ValueaddedInputs,
    ValueaddedOutputs,
    ValueaddedSettings,
)

__all__ = [
    "PhotozSettings",
    "StarGalaxySettings",
    "ValueaddedInputs",
    "ValueaddedOutputs",
    "ValueaddedSettings",
    "valueadded",
]
