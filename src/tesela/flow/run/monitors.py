"""The monitors of a site: its series, what was raised, and plots of them."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tesela.cameras import Camera
from tesela.flow.run.site import Site
from tesela.ledger import amp_quality
from tesela.ledger.keys import NO_FILTER, clean
from tesela.products.files import make_folder
from tesela.products.frame import night_of
from tesela.quality.bands import settings_of
from tesela.quality.pages import layout_of, monitor_page

LATEST_NIGHTS = 30
"""Nights with values that are shown where none is named."""
_NIGHTS = 400


@dataclass
class Overview:
    """What is followed and what was raised, as plain tables."""

    since: str
    """The first night that is shown; '' if there is no value at all."""
    series: list[dict[str, Any]]
    alerts: list[dict[str, Any]]
    folders: list[str] = field(default_factory=list)
    """Where plots were written."""
    notes: list[str] = field(default_factory=list)
    """What could not be drawn, and why."""


@dataclass(frozen=True)
class Drawable:
    """One folder of plots: of a detector, a filter and a source."""

    detector: str
    filter: str
    source: str
    camera: Camera

    @property
    def name(self) -> str:
        """The detector, with its filter if there is one."""
        if self.filter == NO_FILTER:
            return self.detector
        return self.detector.replace(f".{NO_FILTER}.", f".{self.filter}.")


def overview(site: Site, since: str = "", metric: str = "") -> Overview:
    """Return the series with a value since a night, and the alerts, the latest first.

    '' as the night asks for the latest `LATEST_NIGHTS` with values.
    """
    with site.ledger.read() as conn:
        if not since:
            latest = amp_quality.nights(conn, limit=LATEST_NIGHTS)
            since = latest[-1].night if latest else ""
        followed = amp_quality.followed(conn, since)
        raised = amp_quality.alerts(conn, since)
    return Overview(
        since,
        [dataclasses.asdict(one) for one in followed if metric in ("", one.metric)],
        [dataclasses.asdict(row) for row in raised if metric in ("", row.metric)],
    )


def drawable(site: Site, series: Sequence[dict[str, Any]]) -> tuple[list[Drawable], list[str]]:
    """Return what can be drawn of these series, and why the rest cannot."""
    cameras = {clean(camera.name): camera for camera in site.cameras}
    found, notes = [], []
    for detector, through, source in dict.fromkeys(
        (one["detector"], one["filter"], one["source"]) for one in series
    ):
        camera = cameras.get(detector.split(".")[1])
        if camera is not None:
            found.append(Drawable(detector, through, source, camera))
            continue
        note = f"no plots of {detector}: its camera is not in survey.toml any more"
        if note not in notes:
            notes.append(note)
    return found, notes


def draw(site: Site, pages: Sequence[Drawable], folder: Path, since: str = "") -> Iterator[Path]:
    """Write the pages of every detector, filter and source; yields their folders."""
    settings = settings_of(site.survey.monitors)
    for one in pages:
        with site.ledger.read() as conn:
            rows = amp_quality.series(
                conn, one.detector, filter=one.filter, source=one.source, limit=_NIGHTS
            )
        by_metric: dict[str, list[amp_quality.AmpRow]] = {}
        for row in rows:
            by_metric.setdefault(row.metric, []).append(row)
        files = monitor_page(
            by_metric,
            layout_of(_centres(one.camera)),
            settings=settings,
            title=f"{one.source} of {one.name}",
            first_night=since,
            epochs=_epochs(site, one),
        )
        own = folder / f"{one.source}.{one.name}"
        make_folder(own)
        for file, content in files.items():
            (own / file).write_bytes(content)
        yield own


def _epochs(site: Site, one: Drawable) -> list[str]:
    """First nights after the interventions on what the values were measured on."""
    camera = clean(one.camera.name)
    return [
        night_of(noon, one.camera.longitude_deg)
        for noon, _ in site.rules.calendar.interventions(one.source, camera)
    ]


def _centres(camera: Camera) -> dict[int, tuple[float, float]]:
    return {
        amp.id: ((amp.dest.x0 + amp.dest.x1) / 2, (amp.dest.y0 + amp.dest.y1) / 2)
        for amp in camera.amplifiers
    }
