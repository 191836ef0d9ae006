"""What a product's own header says of its making, against the ledger, field by field."""

from __future__ import annotations

from pathlib import Path

import pytest

from tesela.flow.plan.downstream import PLANNED

from .ledgers import assert_headers_say_what_the_ledger_knows

pytestmark = pytest.mark.night


@pytest.mark.parametrize("kind", [kind for kind in PLANNED if kind != "detrended"])
def test_headers_say_what_the_ledger_knows(done: Path, kind: str) -> None:
    """This night has no detrended images: their header is written by what writes reduced ones."""
    assert assert_headers_say_what_the_ledger_knows(done, kind) > 0
