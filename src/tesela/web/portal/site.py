"""The site that the portal shows, opened for reading."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from tesela import config
from tesela.cameras.camera import Camera
from tesela.cameras.camera import load as load_camera
from tesela.flow.plan.check import check
from tesela.flow.plan.rules import Rules
from tesela.ledger.engine import Ledger
from tesela.ledger.keys import clean
from tesela.ledger.place import folder_of, place_of
from tesela.products import paths
from tesela.quality.bands import settings_of
from tesela.sky.tiles import TileGrid


@dataclass(frozen=True)
class OpenSite:
    """A site's folder, survey, rules of planning and ledger."""

    folder: Path
    survey: config.Survey
    rules: Rules
    ledger: Ledger
    cameras: Mapping[str, Camera] = field(default_factory=dict)
    """By name as keys have it."""

    @property
    def bands(self) -> tuple[str, ...]:
        """Bands in the order of the survey."""
        return tuple(self.survey.filters)

    def file(self, path: str) -> Path:
        """A product's file; the ledger tells its path, relative to the site or whole."""
        return self.folder / path


def open_site(folder: Path) -> OpenSite:
    """Open a site so that nothing in its ledger can be changed.

    Raises `ConfigError` or `LedgerError` if there is none, or one of another version.
    """
    folder = folder_of(folder)
    survey = config.load_survey(paths.survey_file(folder))
    own = paths.cameras_folder(folder)
    cameras = [load_camera(name, own if own.is_dir() else None) for name in survey.cameras]
    check(survey, cameras)
    settings_of(survey.monitors)
    grid = TileGrid.from_settings(survey.grid)

    def tiles_touching(corners: Sequence[tuple[float, float]], margin_deg: float) -> list[str]:
        ra_deg, dec_deg = zip(*corners)
        return grid.tiles_touching(ra_deg, dec_deg, margin_deg)

    return OpenSite(
        folder=folder,
        survey=survey,
        rules=Rules.of(survey, tiles_touching, cameras),
        ledger=_read_only(Ledger.open(place_of(folder))),
        cameras={clean(camera.name): camera for camera in cameras},
    )


def _read_only(ledger: Ledger) -> Ledger:
    """Have every connection refuse to write: a defect in a page can then change nothing."""

    forbid = (
        "SET default_transaction_read_only = on" if ledger.is_shared else "PRAGMA query_only = ON"
    )

    @sa.event.listens_for(ledger.engine, "connect")
    def _refuse_writing(connection: Any, _record: Any) -> None:
        cursor = connection.cursor()
        cursor.execute(forbid)
        cursor.close()
        connection.commit()

    ledger.engine.dispose()  # connections made before know nothing of it
    return ledger
