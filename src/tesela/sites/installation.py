"""One installation as far as transfer and audit know it: its folder, its site.toml, its ledger."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from tesela.config import Send, SiteSettings, load_site
from tesela.config.site import ARCHIVE
from tesela.errors import ConfigError
from tesela.ledger.engine import Ledger
from tesela.ledger.place import place_of
from tesela.products import paths


@dataclass(frozen=True)
class Installation:
    """A site. No survey and no camera are needed for what is done with it here."""

    folder: Path
    settings: SiteSettings
    ledger: Ledger | None
    """None at an archive, which has no administrative database."""

    @classmethod
    def open(cls, folder: Path) -> Installation:
        """Open the site in a folder.

        Raises `ConfigError` if it has neither survey.toml nor site.toml, `LedgerError` if its
        ledger cannot be opened.
        """
        folder = folder.resolve()
        file = paths.site_file(folder)
        if not file.is_file() and not paths.survey_file(folder).is_file():
            raise ConfigError(
                str(folder),
                found="neither survey.toml nor site.toml",
                expected="the folder of a site",
                do="make one with `tesela init SITE --survey FILE`; an archive needs a site.toml "
                "alone; or pass --site",
            )
        settings = load_site(file)
        ledger = None if settings.role == ARCHIVE else Ledger.open(place_of(folder, settings))
        return cls(folder, settings, ledger)

    @property
    def name(self) -> str:
        """As other sites call it."""
        return self.settings.name

    @property
    def inbox(self) -> Path:
        """Into which other sites send."""
        return self.folder / self.settings.inbox

    def its_ledger(self, why: str) -> Ledger:
        """Return the ledger; raises `ConfigError` at an archive, which has none."""
        if self.ledger is None:
            raise ConfigError(
                f"site {self.name}",
                found="an archive, which has no ledger",
                expected=f"a ledger, {why}",
                do="do it at the site whose products these are",
            )
        return self.ledger

    def way_to(self, site: str) -> Send | None:
        """The `[[send]]` of another site, if there is one."""
        return next((one for one in self.settings.send if one.to == site), None)
