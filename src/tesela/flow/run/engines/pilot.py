"""What a pilot worker does on a node of a cluster: the orders that it is given, one at a time."""

from __future__ import annotations

import threading

from tesela.flow.run.engines.engine import Run
from tesela.flow.run.engines.supervised import Supervised
from tesela.flow.run.steps import Order, Report

_worker: Supervised | None = None
_one_at_a_time = threading.Lock()


def perform(run: Run, order: Order) -> Report:
    """Do an order in a process below the pilot's, which stays warm between orders."""
    global _worker  # noqa: PLW0603 - one to a pilot, and the pilot is this process
    with _one_at_a_time:
        if _worker is None:
            _worker = Supervised()
        return _worker.perform(run, order)
