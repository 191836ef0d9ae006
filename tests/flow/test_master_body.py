"""What the worker writes of a master."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from tesela.flow.run import master_bodies
from tesela.flow.run.steps import Order
from tesela.products.images import Master, Operation, card_dict
from tesela.stages.masters.inputs import MasterOutputs


def test_its_header_tells_what_was_done_with_which_numbers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    master = Master("BIAS", np.ones((4, 5), np.float32), np.zeros((4, 5), np.uint8))
    done = [Operation("overscan", {"method": "none"}), Operation("combine", {"sigma": 4.5})]
    made = MasterOutputs(master, passed=True, reasons=[], operations=done)
    bare = master.data_hash()
    monkeypatch.setitem(master_bodies.BUILDERS, "BIAS", (lambda *_: made, "bias"))
    monkeypatch.setitem(master_bodies._OPEN, master_bodies.RAW, lambda *_: None)
    about = SimpleNamespace(pages={}, metrics={}, warnings=[], monitored=[])
    monkeypatch.setattr(master_bodies.stage, "about", lambda *_: about)
    key = "BIAS.JAST80.t80cam.01.fast.2017-07-03"
    order = Order(1, 1, "master", "master", key, 1, (), {"stage": {}}, "", str(tmp_path))
    outcome = master_bodies.run_master(order)
    cards = card_dict(Master.read(Path(outcome.files[0][0])).cards)
    assert cards["TSL OP1 NAME"] == "overscan"
    assert cards["TSL OP1 METHOD"] == "none"
    assert cards["TSL OP2 SIGMA"] == 4.5
    assert outcome.data_hash == bare
