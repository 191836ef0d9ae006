"""Telling a person that one is needed: a command that is run, or a URL that is posted to."""

from __future__ import annotations

import json
import subprocess
import threading
import time
import urllib.request
from collections.abc import Callable
from typing import Any

from tesela.config import Alerts as Settings
from tesela.flow.run.journal import Journal

_PATIENCE_S = 30.0


class Alerts:
    """Sends alerts in the background; one that cannot be sent is written into the journal.

    Parameters
    ----------
    settings : Settings
        What is told of, and how.
    site : str
        Name of this installation, which every alert carries.
    """

    def __init__(
        self,
        settings: Settings,
        site: str,
        journal: Journal,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._settings, self._site, self._journal, self._clock = settings, site, journal, clock
        self._sent_at: dict[str, float] = {}
        self._held: dict[str, list[str]] = {}
        self._threads: list[threading.Thread] = []

    def tell(self, sort: str, text: str, **facts: Any) -> None:
        """Tell of something of a sort (`task dead`, `disk low` ...)."""
        self._journal.write("alert", sort=sort, text=text, **facts)
        if sort not in self._settings.on or not (self._settings.command or self._settings.url):
            return
        self._held.setdefault(sort, []).append(text)
        self.flush()

    def flush(self, *, at_once: bool = False) -> None:
        """Send what was held back long enough, or all of it."""
        now = self._clock()
        for sort, texts in list(self._held.items()):
            last = self._sent_at.get(sort)
            if not at_once and last is not None and now - last < self._settings.at_most_every_s:
                continue
            del self._held[sort]
            self._sent_at[sort] = now
            alert = {"site": self._site, "sort": sort, "n": len(texts), "texts": texts[:20]}
            thread = threading.Thread(target=self._send, args=(alert,), daemon=True)
            thread.start()
            self._threads = [t for t in self._threads if t.is_alive()] + [thread]

    def close(self) -> None:
        """Send what is left, and wait until it is sent."""
        self.flush(at_once=True)
        for thread in self._threads:
            thread.join(_PATIENCE_S)

    def _send(self, alert: dict[str, Any]) -> None:
        data = json.dumps(alert).encode()
        for send in (self._run, self._post):
            try:
                send(data)
            except (OSError, subprocess.SubprocessError, ValueError) as error:
                self._journal.write("alert not sent", sort=alert["sort"], error=str(error))

    def _run(self, data: bytes) -> None:
        if self._settings.command:
            done = subprocess.run(
                list(self._settings.command), input=data, capture_output=True,
                timeout=_PATIENCE_S, check=False,
            )  # fmt: skip
            if done.returncode:
                said = done.stderr.decode(errors="replace").strip()[-500:]
                raise subprocess.SubprocessError(f"exit status {done.returncode}: {said}")

    def _post(self, data: bytes) -> None:
        if self._settings.url:
            kind = {"Content-Type": "application/json"}
            request = urllib.request.Request(self._settings.url, data, kind)  # noqa: S310 - https?, checked with the settings
            with urllib.request.urlopen(request, timeout=_PATIENCE_S):  # noqa: S310
                pass
