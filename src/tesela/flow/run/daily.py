"""The controller of a site, with all that its settings say: engine, limits, alerts, arrivals."""

from __future__ import annotations

from pathlib import Path

from tesela.errors import ConfigError
from tesela.flow.plan.rules import STEPS
from tesela.flow.run.alerts import Alerts
from tesela.flow.run.bodies import steps_of
from tesela.flow.run.controller import Chore, Controller, Manner
from tesela.flow.run.counting import Counting
from tesela.flow.run.engines import engine_for
from tesela.flow.run.intake import Watch
from tesela.flow.run.journal import Journal
from tesela.flow.run.settingswatch import SettingsWatch
from tesela.flow.run.site import Site
from tesela.products import paths


def controller_of(
    site: Site, *, engine: str = "", workers: int = 0, continuous: bool = False
) -> Controller:
    """Make the controller of a site.

    Parameters
    ----------
    engine : str
        `local` or the name of a cluster; empty takes the one of site.toml.
    workers : int
        Local processes, or most batch jobs at a time; 0 takes what is set.
    continuous : bool
        Go on when nothing is due, and take in what comes into the folders of `arrivals`.
    """
    settings = site.settings
    _check_limits(site)
    journal = Journal(paths.log_folder(site.folder))
    alerts = Alerts(settings.alerts, settings.name, journal)
    name = engine or settings.engine
    if name == "local":
        workers = workers or site.survey.flow.workers
    files = (paths.survey_file(site.folder), paths.site_file(site.folder))
    chores: list[Chore] = [
        Counting(site.ledger).look,
        SettingsWatch(files, site.ledger, journal).look,
    ]
    if continuous:
        chores += [Watch(site, Path(folder), journal).look for folder in settings.arrivals]
    return Controller(
        site.folder,
        site.ledger,
        site.rules,
        steps_of(site),
        engine_for(settings, name, workers, paths.engine_folder(site.folder)),
        Manner(continuous, settings.limits, settings.keep_free_gb),
        (journal, alerts),
        tuple(chores),
    )


def _check_limits(site: Site) -> None:
    """A misspelt step would have no limit at all."""
    for name in site.settings.limits:
        if name not in STEPS.values():
            raise ConfigError(
                f"{paths.site_file(site.folder).name}.limits.{name}",
                found="no such step",
                expected=f"one of {', '.join(STEPS.values())}",
            )
