"""The log for machines: a JSON object a line, a file a day, appended to and never rewritten."""

from __future__ import annotations

import datetime as dt
import json
import math
import os
import socket
from pathlib import Path
from typing import Any


class Journal:
    """Writes what happens on a site into its folder of logs.

    Each line has `at` (UTC), `what`, `host`, `pid` and the facts that were given. A log that cannot
    be written stops nothing.
    """

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder
        self._host, self._pid = socket.gethostname(), os.getpid()

    def write(self, what: str, **facts: Any) -> None:
        """Append one line."""
        if self._folder is None:
            return
        now = dt.datetime.now(tz=dt.UTC)
        at = now.isoformat(timespec="milliseconds")
        line = {"at": at, "what": what, "host": self._host, "pid": self._pid, **_plain(facts)}
        text = json.dumps(line, default=str, allow_nan=False) + "\n"
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            path = self._folder / f"tesela-{now:%Y-%m-%d}.jsonl"
            # One write of a whole line: lines of several processes never mix.
            handle = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
            try:
                os.write(handle, text.encode())
            finally:
                os.close(handle)
        except OSError:
            return


def _plain(facts: dict[str, Any]) -> dict[str, Any]:
    return {
        name: None if isinstance(value, float) and not math.isfinite(value) else value
        for name, value in facts.items()
    }
