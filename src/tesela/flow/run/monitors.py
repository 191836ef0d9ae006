"""The monitors of a site: its series, what was raised, and plots of them."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tesela import config
from tesela.cameras import Camera
from tesela.flow.run.site import Site
from tesela.ledger import amp_quality
from tesela.products.files import make_folder
from tesela.quality.bands import MonitorSettings
from tesela.quality.pages import layout_of, monitor_page

_NIGHTS = 400


@dataclass
class Overview:
    """What is followed and what was raised, as plain tables."""

    series: list[dict[str, Any]]
    alerts: list[dict[str, Any]]
    folders: list[str] = field(default_factory=list)
    """Where plots were written."""


def overview(site: Site, since: str = "", metric: str = "") -> Overview:
    """Return the series with a value since a night, and the alerts, the latest first."""
    with site.ledger.read() as conn:
        followed = amp_quality.followed(conn, since)
        raised = amp_quality.alerts(conn, since)
    return Overview(
        [dataclasses.asdict(one) for one in followed if metric in ("", one.metric)],
        [dataclasses.asdict(row) for row in raised if metric in ("", row.metric)],
    )


def draw(
    site: Site, series: Sequence[dict[str, Any]], folder: Path, since: str = ""
) -> Iterator[Path]:
    """Write the pages of every detector, filter and source; yields their folders."""
    settings = config.build(MonitorSettings, site.survey.monitors, "monitors")
    groups = dict.fromkeys((one["detector"], one["filter"], one["source"]) for one in series)
    cameras = {camera.name: camera for camera in site.cameras}
    for detector, through, source in groups:
        with site.ledger.read() as conn:
            rows = amp_quality.series(conn, detector, filter=through, source=source, limit=_NIGHTS)
        by_metric: dict[str, list[amp_quality.AmpRow]] = {}
        for row in rows:
            by_metric.setdefault(row.metric, []).append(row)
        name = detector if through == "-" else detector.replace(".-.", f".{through}.")
        pages = monitor_page(
            by_metric,
            layout_of(_centres(cameras[detector.split(".")[1]])),
            settings=settings,
            title=f"{source} of {name}",
            first_night=since,
        )
        own = folder / f"{source}.{name}"
        make_folder(own)
        for file, content in pages.items():
            (own / file).write_bytes(content)
        yield own


def _centres(camera: Camera) -> dict[int, tuple[float, float]]:
    return {
        amp.id: ((amp.dest.x0 + amp.dest.x1) / 2, (amp.dest.y0 + amp.dest.y1) / 2)
        for amp in camera.amplifiers
    }
