"""A new, empty ledger."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from postgres import is_wanted, new_database
from tesela.ledger.engine import Ledger


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    made = Ledger.open(new_database()) if is_wanted() else Ledger.create(tmp_path / "ledger.sqlite")
    yield made
    made.close()
