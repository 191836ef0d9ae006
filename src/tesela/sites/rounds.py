"""Sending again and again: a site that does not answer is tried later, and later still."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from tesela.errors import LedgerLost, TransferError
from tesela.ledger import events
from tesela.sites.installation import Installation
from tesela.sites.send import Say, Sender, Sent

FAILED, GOES_ON = "transfer failed", "transfer goes on"
"""Events about the way to a site."""
_LONGEST_DELAY_S: Final = 300.0
_TICK_S: Final = 0.2


@dataclass(frozen=True)
class Round:
    """One round with one site."""

    to: str
    sent: Sent | None
    """None if it failed."""
    error: str = ""
    is_news: bool = True
    """Whether anybody need be told: a failure is said once, until it ends."""


@dataclass
class _Trouble:
    tries: int = 0
    not_before: float = 0.0
    is_settled: bool = False
    """Whether a trouble of an earlier process, if there was one, is known to be over."""


def rounds(
    here: Installation,
    senders: Sequence[Sender],
    every_s: float,
    *,
    say: Say = lambda _: None,
    stopped: Callable[[], bool] = lambda: False,
) -> Iterator[Round]:
    """Send what is due to each site, every few seconds, until `stopped`.

    Whatever fails is tried again with growing delays, and is an event of the ledger when it begins
    and when it ends.
    """
    troubles = {sender.send.to: _Trouble() for sender in senders}
    while not stopped():
        begun = time.monotonic()
        for sender in senders:
            trouble = troubles[sender.send.to]
            if time.monotonic() >= trouble.not_before:
                yield _round(here, sender, trouble, every_s, say)
        while time.monotonic() - begun < every_s and not stopped():
            time.sleep(min(_TICK_S, every_s))


def _round(
    here: Installation, sender: Sender, trouble: _Trouble, every_s: float, say: Say
) -> Round:
    to = sender.send.to
    try:
        sent = sender.once(say)
    except (TransferError, LedgerLost, OSError) as error:  # also our own disk, if it is full
        trouble.tries += 1
        delay_s = min(max(every_s, 1.0) * 2 ** (trouble.tries - 1), _LONGEST_DELAY_S)
        trouble.not_before = time.monotonic() + delay_s
        is_news = trouble.tries == 1
        if is_news:
            note(here, FAILED, to, str(error))
        return Round(to, None, str(error), is_news)
    if trouble.tries or not trouble.is_settled:
        goes_on(here, to, f"after {trouble.tries} tries")
        trouble.tries, trouble.is_settled = 0, True
    return Round(to, sent, is_news=sent.is_anything)


def goes_on(here: Installation, to: str, detail: str) -> None:
    """Record that the way to a site is open, if the last that was noted is that it is not."""
    with here.its_ledger("to note it in").read() as conn:
        last = events.last_of(conn, (FAILED, GOES_ON), to)
    if last is not None and last["what"] == FAILED:
        note(here, GOES_ON, to, detail)


def note(here: Installation, what: str, to: str, detail: str) -> None:
    """Record that the way to a site is closed, or open again, unless the ledger is away."""
    try:
        with here.its_ledger("to note it in").write() as conn:
            events.record(conn, what, key=to, detail=detail)
    except LedgerLost:
        return
