"""Counts of everything, kept in the ledger: nobody counts millions of rows to look at a page.

A controller refreshes them on a timer (`refresh`), what shows them reads them (`read`), and says
how old they are. Counting takes some eight seconds of one core at eight million frames, a tenth of
a second at a hundred thousand; `is_due` lets it take a thirtieth of the time. A small ledger is
counted whenever somebody looks, so that nothing there looks old.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass

from sqlalchemy.engine import Connection

from tesela.ledger import exposures
from tesela.ledger.causes import alike
from tesela.ledger.clock import SECONDS_A_DAY, now_mjd
from tesela.ledger.engine import Ledger
from tesela.ledger.parts import followed_by_index
from tesela.ledger.queries import tallies as queries

SMALL = 20_000
"""With fewer products counting is cheap."""
NIGHTS = 5
"""The latest ones that are counted each for itself."""
GROUPS = 100
"""Of reasons, warnings and the like: the most frequent."""

_LEAST_S, _SHARE = 60.0, 30.0
_TEXTS, _ENDED = 1000, 200_000


@dataclass(frozen=True)
class Count:
    """One number: of what, of which kind, in which state; `example` is one of those counted."""

    what: str
    kind: str
    state: str
    n: int
    example: str = ""


@dataclass(frozen=True)
class Tally:
    """All numbers, and when they were counted (MJD)."""

    counts: tuple[Count, ...]
    at_mjd: float

    def of(self, what: str) -> list[Count]:
        """The numbers of one sort."""
        return [count for count in self.counts if count.what == what]

    @property
    def age_s(self) -> float:
        """Seconds since they were counted."""
        return max((now_mjd() - self.at_mjd) * SECONDS_A_DAY, 0.0)


def is_small(conn: Connection) -> bool:
    """Whether a ledger is counted whenever somebody looks."""
    return int(conn.scalar(queries.LAST_PRODUCT) or 0) < SMALL


def current(conn: Connection) -> Tally:
    """Return the numbers as they are known: counted now where that is cheap, or where nobody ever
    did it."""
    kept = None if is_small(conn) else read(conn)
    return count(conn) if kept is None else kept


def read(conn: Connection) -> Tally | None:
    """Return the numbers that were kept, or None where there are none."""
    rows = conn.execute(queries.EVERY).all()
    if not rows:
        return None
    counts = tuple(Count(row.what, row.kind, row.state, row.n, row.example) for row in rows)
    return Tally(counts, rows[0].at_mjd)


def refresh(ledger: Ledger) -> float:
    """Count everything and keep the numbers; returns the seconds that it took.

    Counting only reads; the numbers are written in a transaction of some milliseconds.
    """
    began = time.monotonic()
    with ledger.read() as conn:
        new = count(conn)
    seconds = time.monotonic() - began
    cost = Count("refresh", "", "", round(1000.0 * seconds))
    with ledger.write() as conn:
        same = {"at_mjd": new.at_mjd}
        conn.execute(queries.PUT, [{**asdict(one), **same} for one in (*new.counts, cost)])
        conn.execute(queries.FORGET, same)
    return seconds


def is_due(conn: Connection) -> bool:
    """Whether it is time to count again: after a minute, or thirty times what it took."""
    kept = read(conn)
    if kept is None:
        return True
    took_s = sum(one.n for one in kept.of("refresh")) / 1000.0
    return kept.age_s > max(_LEAST_S, _SHARE * took_s)


def count(conn: Connection) -> Tally:
    """Count everything now.

    The sorts of numbers, with kind and state: `product` (kind), `task` (step, state), `made by`
    (kind; scope, code and settings as JSON), `stale` and `warned` (kind, text), `waiting` and
    `waiting served` (kind, reason), `flagged` (kind, reason), `ended` (state and step, reason),
    `refused`; of the latest nights `frames` and `exposures` (night, type), `reduced` (night),
    `incomplete` (night; CCDs that are missing, as JSON) and `quick look` (night; passed or
    rejected).
    """
    at = now_mjd()
    with followed_by_index(conn):
        counts = [*_of_nights(conn), *_waiting(conn)]
    return Tally((*_products(conn), *_work(conn), *counts), at)


def _products(conn: Connection) -> Iterator[Count]:
    by_kind: dict[str, int] = {}
    left_out: dict[tuple[str, ...], int] = {}
    for query in (queries.WAITING_MADE_BY, queries.STALE_MADE_BY):
        for row in conn.execute(query):
            alike = (row.kind, row.scope, row.code_version, row.settings_hash)
            left_out[alike] = left_out.get(alike, 0) + row.n
    for row in conn.execute(queries.MADE_BY):
        by_kind[row.kind] = by_kind.get(row.kind, 0) + row.n
        alike = (row.kind, row.scope, row.code_version, row.settings_hash)
        n = row.n - left_out.get(alike, 0)
        if n > 0:
            yield Count("made by", row.kind, json.dumps(alike[1:]), n, row.example)
    yield from (Count("product", kind, "", n) for kind, n in by_kind.items())
    for row in conn.execute(queries.STALE, {"limit": GROUPS}):
        yield Count("stale", row.kind, row.why, row.n, row.example)
    yield from _warned(conn)


def _warned(conn: Connection) -> Iterator[Count]:
    """By the single text: a product may have several."""
    groups: dict[tuple[str, str], tuple[int, str]] = {}
    for row in conn.execute(queries.WARNED, {"limit": _TEXTS}):
        for text in json.loads(row.warnings_json):
            n, example = groups.get((row.kind, text), (0, row.example))
            groups[row.kind, text] = n + row.n, min(example, row.example)
    largest = sorted(groups.items(), key=lambda item: -item[1][0])[:GROUPS]
    for (kind, text), (n, example) in largest:
        yield Count("warned", kind, text, n, example)


def _work(conn: Connection) -> Iterator[Count]:
    for row in conn.execute(queries.TASKS):
        yield Count("task", row.step, row.state, row.n)
    for row in conn.execute(queries.FLAGGED, {"limit": GROUPS}):
        yield Count("flagged", row.kind, row.reason, row.n, row.example)
    ended = conn.execute(queries.ENDED_BADLY, {"limit": _ENDED}).mappings()
    for group in alike((dict(row) for row in ended), "state", "step")[:GROUPS]:
        kind = f"{group['state']} {group['step']}"
        yield Count("ended", kind, group["reason"], group["n"], group["example"])
    yield Count("refused", "", "", int(conn.scalar(queries.REFUSED) or 0))


def _waiting(conn: Connection) -> Iterator[Count]:
    for row in conn.execute(queries.WAITING, {"limit": GROUPS}):
        yield Count("waiting", row.kind, row.reason, row.n, row.example)
        yield Count("waiting served", row.kind, row.reason, row.served)


def _of_nights(conn: Connection) -> Iterator[Count]:
    nights = [row.night for row in conn.execute(queries.LATEST_NIGHTS, {"limit": NIGHTS})]
    for night in nights:
        reduced = 0
        for row in conn.execute(queries.NIGHT, {"night": night}):
            yield Count("frames", night, row.obstype, row.n)
            yield Count("exposures", night, row.obstype, row.exposures)
            reduced += row.reduced
        yield Count("reduced", night, "", reduced)
        for row in conn.execute(queries.QUICK_LOOKS, {"night": night}):
            yield Count("quick look", night, "passed" if row.passed else "rejected", row.n)
        for group in exposures.incomplete(conn, night):
            missing = json.dumps(group["missing"])
            yield Count("incomplete", night, missing, group["n"], group["exposure"])
