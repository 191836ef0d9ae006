"""Current tables and coadds of a survey -> one frozen, validated, viewable release."""

from tesela.stages.release.freeze import missing_files
from tesela.stages.release.recipe import build
from tesela.stages.release.settings import ReleaseInputs, ReleaseSettings, TileInput

__all__ = ["ReleaseInputs", "ReleaseSettings", "TileInput", "build", "missing_files"]
