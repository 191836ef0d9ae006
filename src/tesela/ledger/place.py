"""Where the ledger of a site is."""

from __future__ import annotations

from pathlib import Path

from tesela.config import SiteSettings, load_site
from tesela.products import paths


def place_of(site: Path, settings: SiteSettings | None = None) -> Path | str:
    """Return the path of the SQLite file, or the URL of the PostgreSQL database, of a site.

    Parameters
    ----------
    site : Path
        Its folder.
    settings : SiteSettings, optional
        Those of its site.toml, which is read where they are not given.
    """
    known = load_site(paths.site_file(site)) if settings is None else settings
    return known.ledger.url or paths.ledger_file(site)
