"""What the controller expects of an engine."""

from __future__ import annotations

import concurrent.futures as cf
from collections.abc import Callable
from typing import Protocol

from tesela.flow.run.steps import Order, Outcome, Report

Run = Callable[[Order], Outcome]


class Engine(Protocol):
    """Where tasks run."""

    slots: int
    """Tasks that may run at a time."""

    def submit(self, run: Run, order: Order) -> cf.Future[Report]:
        """Hand an order to a worker.

        The future raises `WorkerDied` if nobody knows what became of it, and has a report
        otherwise, also of a step that crashed its process.
        """

    def stop(self) -> None:
        """End all workers."""
