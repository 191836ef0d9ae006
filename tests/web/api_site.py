"""A site of two projects whose raw frames are fetched by programs."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from flow import toys
from tesela.ledger import accounts, frames
from tesela.ledger.engine import Ledger
from tesela.products import paths
from tesela.products.frame import FrameFacts
from tesela.web.portal import PortalSettings, create_app

from . import browser
from .portal_site import SURVEY

NIGHT = "2017-07-03"
OURS, THEIRS = "survey", "open time"
CONTENT = bytes(range(256)) * 1200
"""Of every frame, with its name behind it: larger than one piece of what is sent."""


@dataclass
class ApiSite:
    """A site, and a token of each sort."""

    folder: Path
    ledger: Ledger
    tokens: dict[str, str] = field(default_factory=dict)

    def as_(self, account: str) -> dict[str, str]:
        """Headers of an account."""
        return {"Authorization": f"Bearer {self.tokens[account]}"}

    def path(self, name: str) -> Path:
        """Where a frame's file is."""
        return self.folder / paths.raw(NIGHT, f"{name}.fits")

    def add(self, facts: FrameFacts, content: bytes = CONTENT) -> bytes:
        """Take a frame in; returns what is in its file."""
        content += facts.name.encode()
        known = FrameFacts.from_dict(
            {**facts.as_dict(), "sha256": hashlib.sha256(content).hexdigest()}
        )
        file = self.folder / facts.path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)
        tiles = toys.tiles_touching(facts.footprint, 0.0) if facts.footprint else ()
        with self.ledger.write() as conn:
            frames.add(conn, known, tiles, size=len(content))
        return content


def make(folder: Path) -> ApiSite:
    """Frames ours1 to ours3 and a bias of one project, theirs1 of another; accounts ana (of the
    first), ben (of the second), eva (of none) and op (an operator), each with a token."""
    ledger = toys.new_site(folder)
    (folder / "survey.toml").write_text(SURVEY)
    site = ApiSite(folder, ledger)
    for name, ra, project in (
        ("ours1", 10.2, OURS),
        ("ours2", 10.3, OURS),
        ("ours3", 20.2, OURS),
        ("theirs1", 10.2, THEIRS),
    ):
        corners = [(ra + 0.06 * x, 0.06 * y) for x, y in ((-1, -1), (1, -1), (1, 1), (-1, 1))]
        footprint = tuple(corners)
        site.add(toys.facts(name, "science", ra=ra, project=project, footprint=footprint))
    site.add(toys.facts("bias1", "bias", project=OURS))
    with ledger.write() as conn:
        for name, role, projects in (
            ("ana", "member", [OURS]), ("ben", "member", [THEIRS]), ("eva", "member", []),
            ("op", "operator", []),
        ):  # fmt: skip
            accounts.add(conn, name, role=role, projects=projects, who="test")
            site.tokens[name] = accounts.new_token(conn, name, who="test")
    return site


@contextmanager
def asking(site: ApiSite, settings: PortalSettings | None = None) -> Iterator[httpx.Client]:
    """Serve the site and ask it."""
    app = create_app(site.folder, settings)
    with browser.serving(app) as url, httpx.Client(base_url=url, trust_env=False) as client:
        yield client
