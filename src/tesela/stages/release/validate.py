"""May a release be published? Everything is judged from its files alone."""

from __future__ import annotations

from pathlib import Path

from tesela.errors import TeselaError
from tesela.sciencedb.model import ReleaseModel
from tesela.stages.release import check_files, check_sky, check_tables
from tesela.stages.release.checks import Check, Validation, guarded
from tesela.stages.release.settings import Progress, silent

_READABLE = "readable files"


def validate(folder: Path, progress: Progress | None = None) -> Validation:
    """Check a release.

    Parameters
    ----------
    folder : Path
        Of the release; nothing in it is changed.
    progress : callable, optional
        Told what is done, how many are done, and of how many.

    Returns
    -------
    Validation
        A failed check for whatever is wrong, damaged files included: nothing is raised.
    """
    tell = progress or silent
    try:
        release = ReleaseModel.read(folder)
    except TeselaError as error:
        return Validation((Check("release.json", False, str(error), "a release of ours"),))
    checks = [Check("release.json", True, f"{release.name}: {release.title}", "a release of ours")]
    checks += guarded(
        "code versions", "a list of versions", lambda: check_files.code_versions(release)
    )
    checks += guarded("files", _READABLE, lambda: check_files.whole(folder, release, tell))
    checks += guarded(
        "rows and columns", _READABLE, lambda: check_files.rows_and_columns(folder, release)
    )
    checks += guarded("images", _READABLE, lambda: check_files.images(folder, release))
    checks += guarded("objects", _READABLE, lambda: _objects(folder, release, tell))
    checks += guarded("detections", _READABLE, lambda: _detections(folder, release, tell))
    checks += guarded("tiles, filters", _READABLE, lambda: check_tables.plain(folder, release))
    checks += guarded("image survey (HiPS)", _READABLE, lambda: check_files.image_survey(folder))
    return Validation(tuple(checks))


def _objects(folder: Path, release: ReleaseModel, progress: Progress) -> list[Check]:
    checks, sources = check_tables.rows(folder, release, release.table("objects"), progress)
    checks += check_sky.tiles(folder, release, sources)
    checks += check_sky.primaries(release, sources)
    checks += check_sky.covered(folder, sources)
    return checks + check_sky.sane(folder, release)


def _detections(folder: Path, release: ReleaseModel, progress: Progress) -> list[Check]:
    return check_tables.rows(folder, release, release.table("detections"), progress)[0]
