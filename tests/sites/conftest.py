"""Three sites, and the ways between them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tesela.config import Send
from tesela.sites.installation import Installation

from . import three


@dataclass
class Three:
    """An observatory that sends to a core, which sends to an archive."""

    obs: Installation
    core: Installation
    archive: Installation


@pytest.fixture
def sites(tmp_path: Path) -> Iterator[Three]:
    where = {name: str(tmp_path / name / "inbox") for name in ("core", "archive")}
    made = Three(
        three.make(tmp_path / "obs", "obs", "observatory", [Send("core", where["core"])]),
        three.make(
            tmp_path / "core", "core", "core",
            [Send("archive", where["archive"], kinds=("raw", "coadd", "release"))],
        ),
        three.make(tmp_path / "archive", "archive", "archive"),
    )  # fmt: skip
    yield made
    for site in (made.obs, made.core):
        three.ledger_of(site).close()
