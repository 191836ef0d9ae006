"""What the worker writes of a quick look."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pyarrow.parquet as pq
import pytest

from tesela.flow.run import quick_body
from tesela.flow.run.steps import InputRef, Order
from tesela.products.starlist import QUICKLOOK
from tesela.stages.reduce import QuickOutputs

from . import toys


def test_the_star_list_describes_its_columns(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    facts = toys.facts("a", "science")
    stars = {name: np.ones(3, column.dtype) for name, column in QUICKLOOK.items()}
    seen = QuickOutputs({}, [], [], [], stars, {}, np.zeros((4, 4, 3), np.uint8))
    monkeypatch.setattr(quick_body, "_inputs", lambda *_: SimpleNamespace(facts=facts))
    monkeypatch.setattr(quick_body.reduce_stage, "look", lambda *_: seen)
    raw = InputRef("raw", "a", 1, "", "input", facts.as_dict())
    settings = {"reduce": {}, "stage": {}}
    made = quick_body.run_quicklook(
        Order(1, 1, "quicklook", "quicklook", "a", 1, (raw,), settings, "", str(tmp_path))
    )
    schema = pq.read_schema(made.files[0][0])
    for name, column in QUICKLOOK.items():
        told = {k.decode(): v.decode() for k, v in schema.field(name).metadata.items()}
        expected = {"unit": column.unit, "ucd": column.ucd, "description": column.description}
        assert expected.items() <= told.items()
