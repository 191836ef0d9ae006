"""Every file that should be at a site: by its ledger, or at an archive by what it took in."""

from __future__ import annotations

import random
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from tesela.errors import ProductError
from tesela.ledger import replicas
from tesela.ledger.engine import Ledger
from tesela.ledger.products import File
from tesela.sites import journal, releases
from tesela.sites.installation import Installation
from tesela.sites.manifest import RAW, RELEASE

T = TypeVar("T")
_CHUNK = 500
_WINDOW = 2000
"""Ids of products in memory at a time."""


@dataclass(frozen=True)
class Expected:
    """A version of a product and its files, the main one first."""

    kind: str
    key: str
    version: int
    files: tuple[File, ...]
    """Path, sha256 ('' where none was noted), bytes (0 where they were not counted)."""
    product_id: int | None = None
    """None at an archive."""
    is_dropped: bool = False
    """Its files were removed on purpose."""


@dataclass(frozen=True)
class Choice:
    """Of what is asked."""

    kinds: tuple[str, ...] = ()
    """All if empty."""
    since_mjd: float = 0.0
    """Made, or taken in, since."""
    sample: int = 0
    """So many products, drawn at random; 0: all."""

    @property
    def is_all(self) -> bool:
        """Whether nothing is left out."""
        return not (self.kinds or self.since_mjd or self.sample)


def expected(here: Installation, choice: Choice, after: int = 0) -> Iterator[Expected]:
    """Yield what should be there, in windows: the memory does not grow with the site."""
    if here.ledger is not None:
        for row in _rows(here.ledger, choice, after):
            if row["path"] or row["files_json"] != "[]":
                yield _of_row(row)
    if here.ledger is None or not choice.sample:
        known = () if here.ledger is None else (RAW,)  # of frames the ledger knows more
        yield from _kept(here.folder, choice, known)


def files_of(site: Path, one: Expected) -> Iterator[File]:
    """Yield every file of a product; of a release also those that only it lists itself."""
    if one.kind != RELEASE or one.product_id is None:
        yield from one.files
        return
    try:
        yield from releases.files_of(site, one.files[0])
    except ProductError:
        return  # the list itself is a file, and is told of


def count(here: Installation, choice: Choice) -> int | None:
    """How many products there will be, for a progress bar; None where that is not known."""
    if choice.sample or here.ledger is None or choice.since_mjd:
        return choice.sample or None
    with here.ledger.read() as conn:
        return replicas.count(conn, choice.kinds)


def _rows(ledger: Ledger, choice: Choice, after: int) -> Iterator[Mapping[str, Any]]:
    if choice.sample:
        ids = _sampled(ledger, choice)
        for begin in range(0, len(ids), _CHUNK):
            with ledger.read() as conn:
                rows = replicas.of_ids(conn, ids[begin : begin + _CHUNK])
            yield from rows
        return
    yield from _pages(ledger, choice, after)


def _pages(ledger: Ledger, choice: Choice, after: int) -> Iterator[Mapping[str, Any]]:
    for window in _windows(ledger, after):
        with ledger.read() as conn:  # a transaction each: checksums take long
            rows = replicas.every(conn, window, kinds=choice.kinds, since_mjd=choice.since_mjd)
        yield from rows


def _windows(ledger: Ledger, after: int) -> Iterator[tuple[int, int]]:
    """Windows of ids up to the last, also of what is made meanwhile."""
    while True:
        with ledger.read() as conn:
            last = replicas.last_id(conn)
        if last <= after:
            return
        for low in range(after, last, _WINDOW):
            yield low, min(low + _WINDOW, last)
        after = last


def _sampled(ledger: Ledger, choice: Choice) -> list[int]:
    """Ids of products that have files here, drawn evenly."""

    def ids() -> Iterator[int]:
        for window in _windows(ledger, 0):
            with ledger.read() as conn:
                yield from replicas.ids_with_files(
                    conn, window, kinds=choice.kinds, since_mjd=choice.since_mjd
                )

    return sorted(_drawn(ids(), choice.sample))


def _drawn(items: Iterable[T], n: int) -> list[T]:
    """So many of any number of items, each with the same chance, and no more in memory."""
    drawn: list[T] = []
    rng = random.Random()  # noqa: S311 - no secret
    for seen, item in enumerate(items):
        if seen < n:
            drawn.append(item)
        elif (place := rng.randrange(seen + 1)) < n:
            drawn[place] = item
    return drawn


def _of_row(row: Mapping[str, Any]) -> Expected:
    return Expected(
        row["kind"], row["key"], row["version"], tuple(replicas.files_of(row)), row["id"],
        row["dropped_mjd"] is not None,
    )  # fmt: skip


def _kept(site: Path, choice: Choice, known: Collection[str]) -> Iterator[Expected]:
    """What was taken in from other sites; each file by itself."""
    found = (
        Expected(
            one.file.kind, one.file.key, one.file.version, ((one.kept, one.sha256, one.file.size),)
        )
        for one in journal.kept_files(site, choice.since_mjd)
        if one.file.kind not in known and (not choice.kinds or one.file.kind in choice.kinds)
    )
    yield from _drawn(found, choice.sample) if choice.sample else found
