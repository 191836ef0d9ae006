"""What the administrator of a public archive decides."""

from __future__ import annotations

from dataclasses import dataclass, field

from tesela.vo.settings import VoSettings


@dataclass(frozen=True)
class ArchiveSettings:
    """Settings of the pages; those of the services are in `vo`."""

    title: str = "Tesela Archive"
    """Stands in the head of every page."""
    base_url: str = ""
    """Address under which the world sees the archive, such as `https://archive.example`; empty
    takes it from the request."""
    hosts: tuple[str, ...] = ()
    """Further host names that the server answers to, beside the loopback and that of base_url."""
    contact: str = ""
    """Who to ask, shown at the foot of pages."""
    page_rows: int = 50
    """Rows of a page of results."""
    search_rows: int = 50_000
    """Rows that a search on the page looks at, the nearest first; the services have limits of
    their own."""
    max_searches: int = 16
    """Searches and views of the sky that are answered at the same instant; more wait."""
    search_wait_s: float = 5.0
    """How long they wait before they are refused with 503."""
    max_downloads: int = 8
    """Files of results under way at once; more are refused with 503."""
    vo: VoSettings = field(default_factory=VoSettings)
