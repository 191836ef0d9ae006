"""Where the ledger of a site is."""

from __future__ import annotations

from pathlib import Path

from tesela.config import SiteSettings, load_site
from tesela.config.site import ARCHIVE
from tesela.errors import ConfigError
from tesela.ledger.engine import Ledger
from tesela.products import paths


def folder_of(site: Path) -> Path:
    """Return the folder of a site as an absolute path. Raises `ConfigError` if it is none, or is an
    archive."""
    folder = site.resolve()
    if not paths.survey_file(folder).is_file():
        if load_site(paths.site_file(folder)).role == ARCHIVE:
            raise no_ledger(folder)
        raise ConfigError(
            str(folder),
            found="no survey.toml",
            expected="the folder of a site",
            do="make one with `tesela init SITE --survey FILE`, or pass --site",
        )
    return folder


def no_ledger(folder: Path) -> ConfigError:
    """Return what is said of an archive to who asks for its ledger."""
    return ConfigError(
        str(folder),
        found="an archive, which has no ledger",
        expected="a site that has one",
        do="here use `tesela audit`, `tesela transfer status` and `tesela serve archive`, and this "
        "verb at the core",
    )


def open_ledger(site: Path) -> Ledger:
    """Open the ledger of a site alone, whatever its survey's settings say."""
    return Ledger.open(place_of(folder_of(site)))


def place_of(site: Path, settings: SiteSettings | None = None) -> Path | str:
    """Return the path of the SQLite file, or the URL of the PostgreSQL database, of a site.

    Parameters
    ----------
    site : Path
        Its folder.
    settings : SiteSettings, optional
        Those of its site.toml, which is read where they are not given.

    Raises
    ------
    ConfigError
        If it is an archive.
    """
    known = load_site(paths.site_file(site)) if settings is None else settings
    if known.role == ARCHIVE and not paths.survey_file(site).is_file():
        raise no_ledger(site)
    return known.ledger.url or paths.ledger_file(site)
