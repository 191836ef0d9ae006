"""Current tables and coadds of a survey -> one frozen, validated, viewable release."""

from tesela.stages.release.checks import Check, Validation
from tesela.stages.release.freeze import changed_files, missing_files
from tesela.stages.release.recipe import build
from tesela.stages.release.settings import ReleaseInputs, ReleaseSettings, TileInput
from tesela.stages.release.validate import validate

__all__ = [
    "Check",
    "ReleaseInputs",
    "ReleaseSettings",
    "TileInput",
    "Validation",
    "build",
    "changed_files",
    "missing_files",
    "validate",
]
