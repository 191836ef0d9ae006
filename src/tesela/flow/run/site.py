"""A site: its folder, survey, cameras, sky grid and ledger, opened together."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from sqlalchemy.exc import DatabaseError

from tesela import config
from tesela.cameras.camera import Camera
from tesela.cameras.camera import load as load_camera
from tesela.errors import ConfigError, LedgerError
from tesela.flow.plan.check import check
from tesela.flow.plan.rules import Rules
from tesela.ledger import products, tiles
from tesela.ledger.engine import Ledger
from tesela.ledger.place import folder_of, place_of
from tesela.products import paths
from tesela.products.files import sync
from tesela.sky.tiles import TileGrid


@dataclass(frozen=True)
class Site:
    """One installation, opened."""

    folder: Path
    survey: config.Survey
    cameras: tuple[Camera, ...]
    grid: TileGrid
    ledger: Ledger
    rules: Rules
    settings: config.SiteSettings = field(default_factory=config.SiteSettings)
    """Of this installation."""


def init_site(folder: Path, survey_file: Path, site_file: Path | None = None) -> Site:
    """Make a new site from a survey.toml, and a site.toml if it has its own settings; everything is
    checked before anything is made.

    What an interrupted try left is finished.
    """
    from tesela.flow.run.bodies import registry  # the stages are heavy, and needed here alone

    survey = config.load_survey(survey_file)
    _, grid = _describe(survey, paths.cameras_folder(survey_file.parent))
    registry(survey)
    settings = config.SiteSettings() if site_file is None else _load_site(site_file)
    place = place_of(folder, settings)
    if paths.survey_file(folder).exists() or _is_used(place):
        raise ConfigError(
            str(folder),
            found="a site is already there",
            expected="a new folder",
            do="use it with --site, or choose another folder",
        )
    for part in ("raw", "products"):
        (folder / part).mkdir(parents=True, exist_ok=True)
    paths.work_folder(folder).mkdir(exist_ok=True)
    own = paths.cameras_folder(survey_file.parent)
    if own.is_dir() and own.resolve() != paths.cameras_folder(folder).resolve():
        shutil.copytree(own, paths.cameras_folder(folder), dirs_exist_ok=True)
    _make_ledger(place, grid)
    if site_file is not None:
        _copy_whole(site_file, paths.site_file(folder))
    # The survey.toml comes last and whole: a folder that has one is a finished site, and one that
    # has none is finished by the next try.
    _copy_whole(survey_file, paths.survey_file(folder))
    return open_site(folder)


def _load_site(file: Path) -> config.SiteSettings:
    if not file.is_file():
        raise ConfigError(str(file), found="no such file", do="check the path")
    return config.load_site(file)


def _copy_whole(source: Path, target: Path) -> None:
    unfinished = target.with_name(f".{target.name}.part")
    shutil.copyfile(source, unfinished)
    sync(unfinished)
    unfinished.replace(target)
    sync(target.parent)


def _make_ledger(place: Path | str, grid: TileGrid) -> None:
    """Make a ledger that knows its tiles; a file under a temporary name until it is complete."""
    if not isinstance(place, Path):
        # What an interrupted try left is empty but for its tables, see `_is_used`.
        made = Ledger.open(place) if Ledger.is_at(place) else Ledger.create(place)
        with made.write() as conn:
            tiles.register(conn, zip(grid.names, grid.ra_deg, grid.dec_deg), again=True)
        made.close()
        return
    path = place
    part = path.with_name(f".{path.name}.part")
    for left in part.parent.glob(f"{part.name}*"):
        left.unlink()
    made = Ledger.create(part)
    with made.write() as conn:
        tiles.register(conn, zip(grid.names, grid.ra_deg, grid.dec_deg))
    made.close()
    part.replace(path)


def _is_used(place: Path | str) -> bool:
    """Whether anything was ever done with a ledger; one without a product may be made again."""
    if not Ledger.is_at(place):
        return False
    try:
        ledger = Ledger.open(place)
        with ledger.read() as conn:
            found = products.is_any(conn)
        ledger.close()
    except (LedgerError, DatabaseError):
        return True  # not ours to judge, so not ours to replace
    return found


def open_site(folder: Path) -> Site:
    """Open a site made by `init_site`."""
    folder = folder_of(folder)
    survey = config.load_survey(paths.survey_file(folder))
    settings = config.load_site(paths.site_file(folder))
    its_cameras, grid = _describe(survey, paths.cameras_folder(folder))

    def tiles_touching(corners: Sequence[tuple[float, float]], margin_deg: float) -> list[str]:
        ra_deg, dec_deg = zip(*corners)
        return grid.tiles_touching(ra_deg, dec_deg, margin_deg)

    return Site(
        folder=folder,
        survey=survey,
        cameras=its_cameras,
        grid=grid,
        ledger=Ledger.open(place_of(folder, settings)),
        settings=settings,
        rules=Rules.of(survey, tiles_touching, its_cameras),
    )


def _describe(survey: config.Survey, own_cameras: Path) -> tuple[tuple[Camera, ...], TileGrid]:
    folder = own_cameras if own_cameras.is_dir() else None
    loaded = tuple(load_camera(name, folder) for name in survey.cameras)
    check(survey, loaded)
    return loaded, TileGrid.from_settings(survey.grid)
