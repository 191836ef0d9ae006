"""Verbs that go on until they are told to end."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterator
from typing import Any


@contextlib.contextmanager
def ends_quietly() -> Iterator[threading.Event]:
    """Ctrl-C and a polite kill are how this ends, and no error.

    The event is set as well: an exception that comes while the interpreter tidies up is lost.
    """
    stopped = threading.Event()

    def stop(*_: Any) -> None:
        stopped.set()
        raise KeyboardInterrupt

    before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        with contextlib.suppress(KeyboardInterrupt):
            yield stopped
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
