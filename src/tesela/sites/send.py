"""Sending: what another site has no verified copy of goes there, and its receipts come back."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from tesela.config import Send
from tesela.errors import BadInput, ProductError, SiteAway, TransferError
from tesela.ledger import events, replicas, shipments
from tesela.ledger.clock import SECONDS_A_DAY, now_mjd
from tesela.products import paths
from tesela.products.files import make_folder
from tesela.products.lock import only_one
from tesela.sites import manifest, receipt, rsync, settle
from tesela.sites.installation import Installation
from tesela.sites.outbox import Note, Outbox, State
from tesela.sites.packing import Packed, pack
from tesela.sites.receipt import Receipt

Say = Callable[[str], None]

PATIENCE_S: Final = (1.0, 4.0, 16.0)
"""Between tries of one call, for a site that does not answer."""
_SLACK: Final = 2000
"""So many ids are looked at again: transactions side by side do not commit in the order of ids."""
_MOST_UNDER_WAY: Final = 50
_HEAR_AGAIN_S: Final = 60.0
_PUSH_AGAIN_S: Final = 900.0
"""A shipment without a receipt after this long is sent again: only what is not there goes."""


@dataclass
class Sent:
    """What one round did."""

    to: str
    shipments: int = 0
    files: int = 0
    bytes: int = 0
    verified: int = 0
    """Products that it verified, by its receipts."""
    elsewhere: int = 0
    """Copies at other sites, that sent their receipts by this one."""
    under_way: int = 0
    """Shipments without a receipt yet."""
    problems: list[str] = field(default_factory=list)

    @property
    def is_anything(self) -> bool:
        """Whether there is something to tell."""
        return bool(self.shipments or self.verified or self.elsewhere or self.problems)


class Sender:
    """Sends to one site; of all processes one at a time."""

    def __init__(self, here: Installation, send: Send) -> None:
        self.here, self.send = here, send
        self.ledger = here.its_ledger("which knows what there is to send")
        self.outbox = Outbox(paths.outbox(here.folder, send.to), here.name, send.to)
        self._heard = 0.0

    @contextlib.contextmanager
    def at_work(self) -> Iterator[Sender]:
        """Hold the way to the site. Raises `Busy` if another process has it."""
        make_folder(paths.transfer_folder(self.here.folder))
        lock = paths.send_lock(self.here.folder, self.send.to)
        with only_one(lock, "one process that sends to a site"):
            self.outbox.prepare()
            yield self

    def due(self) -> Iterator[Packed | str]:
        """What is to go: products, and a sentence for each that cannot. Nothing is changed."""
        state = self.outbox.state(self.send.kinds) if self.outbox.folder.is_dir() else State()
        known = {product for note in self._notes() for product in note.products}
        with self.ledger.read() as conn:
            for row in self._unsent(conn, state, known):
                try:
                    yield pack(self.here.folder, row)
                except ProductError as error:
                    yield f"{row['kind']} {row['key']}: {error}"

    def once(self, say: Say = lambda _: None, *, patience_s: Sequence[float] = ()) -> Sent:
        """Send all that is due, and take in the receipts that are there.

        Raises `SiteAway` if the site does not answer, also after waiting `patience_s`; what was
        sent stays sent.
        """
        sent = Sent(self.send.to)
        state = self.outbox.state(self.send.kinds)
        notes = self.outbox.notes()
        if notes or time.monotonic() - self._heard > _HEAR_AGAIN_S or not self._heard:
            self._patiently(self._hear, patience_s, sent, state)
        for note in self.outbox.notes():
            if self._is_to_be_pushed(note):
                self._patiently(self._push, patience_s, sent, state, note, say)
        while len(self.outbox.notes()) < _MOST_UNDER_WAY:
            made = self._pack(sent, state)
            if made is None:
                break
            self._patiently(self._push, patience_s, sent, state, made, say)
            self._patiently(self._hear, patience_s, sent, state)
        sent.under_way = len(self.outbox.notes())
        if sent.under_way >= _MOST_UNDER_WAY:
            sent.problems.append(
                f"{sent.under_way} shipments to {self.send.to} wait for receipts, nothing more is "
                "sent: is `tesela transfer receive` running there?"
            )
        return sent

    def ask(self, before_mjd: float, limit: int) -> int:
        """Ask the site to hash again copies that it verified last before an instant; how many.

        The question is sent with the next round, and answered by a receipt.
        """
        with self.ledger.read() as conn:
            rows = replicas.old(conn, self.send.to, self.send.kinds, before_mjd, limit)
        known = {product for note in self.outbox.notes() for product in note.products}
        packed = []
        for row in rows:
            if row["id"] not in known:
                with contextlib.suppress(ProductError):
                    packed.append(pack(self.here.folder, row))
        if packed:
            self._enter(self.outbox.add(packed, manifest.VERIFY))
        return len(packed)

    def _notes(self) -> list[Note]:
        return self.outbox.notes() if self.outbox.folder.is_dir() else []

    def _patiently(self, do: Callable[..., None], patience_s: Sequence[float], *what: Any) -> None:
        for delay_s in (*patience_s, None):
            try:
                do(*what)
                return
            except SiteAway:
                if delay_s is None:
                    raise
                time.sleep(delay_s)

    def _is_to_be_pushed(self, note: Note) -> bool:
        return (now_mjd() - note.pushed_mjd) * SECONDS_A_DAY > _PUSH_AGAIN_S

    def _unsent(self, conn: Any, state: State, known: set[int]) -> Iterator[dict[str, Any]]:
        """Rows of what is to go: what failed and is due again, then what is new."""
        again = [product for product in state.due() if product not in known]
        yield from replicas.sendable(conn, again)
        skip = known | set(state.again)
        for row in replicas.unsent(conn, self.send.to, self.send.kinds, state.after):
            if row["id"] not in skip:
                yield row

    def _pack(self, sent: Sent, state: State) -> Note | None:
        """Make the next shipment, of whole products; None if there is nothing to send."""
        known = {product for note in self.outbox.notes() for product in note.products}
        chosen: list[Packed] = []
        n_files, is_all = 0, True
        with self.ledger.read() as conn:
            last = replicas.last_id(conn)
            forgotten = set(state.due()) - {
                row["id"] for row in replicas.sendable(conn, state.due())
            }
            for row in self._unsent(conn, state, known):
                try:
                    packed = pack(self.here.folder, row)
                except ProductError as error:
                    self._cannot(sent, state, row, str(error))
                    continue
                chosen.append(packed)
                n_files += len(packed.files)
                if n_files >= self.send.batch_files:
                    is_all = False
                    break
        for product in forgotten:  # replaced, or removed on purpose, meanwhile
            del state.again[product]
        made = self.outbox.add(chosen) if chosen else None
        if is_all:
            state.after = max(state.after, last - _SLACK)
        else:
            state.after = max(state.after, min(chosen[-1].product_id, last - _SLACK))
        self.outbox.write_state(state)
        if made is None:
            return None
        self._enter(made)
        return self.outbox.note(made.shipment)

    def _enter(self, made: manifest.Manifest) -> None:
        with self.ledger.write() as conn:
            shipments.put(
                conn, made.shipment, direction=shipments.OUT, site=self.send.to,
                state=shipments.PACKED, files=len(made.files), n_bytes=made.n_bytes,
                packed_mjd=made.packed_mjd,
            )  # fmt: skip

    def _cannot(self, sent: Sent, state: State, row: dict[str, Any], reason: str) -> None:
        if state.try_again(row["id"], reason):
            sent.problems.append(f"{row['kind']} {row['key']}: {reason}")

    def _push(self, sent: Sent, state: State, note: Note, say: Say) -> None:
        """Send a shipment; products whose files go meanwhile are taken out of it."""
        while not rsync.push(self.outbox.parcel(note.shipment), self.send, self.here.name):
            gone = self.outbox.gone(note)
            if not gone:
                raise TransferError(
                    f"shipment {note.shipment}",
                    found="files that rsync does not read",
                    expected="files that we may read",
                    do=f"look at {self.outbox.parcel(note.shipment)}",
                )
            for product in gone:
                kind, key, _ = note.products[product]
                row = {"id": product, "kind": kind, "key": key}
                self._cannot(sent, state, row, "its file went while it was sent")
            self.outbox.write_state(state)
            note = self.outbox.leave_out(note, gone)
        self.outbox.pushed(note)
        made = self.outbox.sent(note.shipment)
        with self.ledger.write() as conn:
            shipments.put(
                conn, note.shipment, direction=shipments.OUT, site=self.send.to,
                state=shipments.SENT, files=len(made.files), n_bytes=made.n_bytes,
                packed_mjd=made.packed_mjd,
            )  # fmt: skip
        if not note.pushed_mjd:
            sent.shipments += 1
            sent.files += len(made.files)
            sent.bytes += made.n_bytes
        say(f"{note.shipment}: {len(made.files)} files, {made.n_bytes / 1e6:.1f} MB sent")

    def _hear(self, sent: Sent, state: State) -> None:
        """Fetch receipts and settle them."""
        rsync.fetch_receipts(self.send, self.here.name, self.outbox.folder)
        self._heard = time.monotonic()
        for path in self.outbox.fetched():
            try:
                answer = receipt.read(path.read_bytes(), f"receipt {path.name}")
            except BadInput as error:
                sent.problems.append(str(error))
                with self.ledger.write() as conn:
                    events.record(conn, "receipt not understood", key=path.stem, detail=str(error))
                path.unlink()
                continue
            self._settle(sent, state, answer)
            path.unlink()

    def _settle(self, sent: Sent, state: State, answer: Receipt) -> None:
        note = self.outbox.note(answer.shipment)
        if note is None:
            settled = settle.of_others(self.here, answer)
        else:
            made = self.outbox.sent(note.shipment)
            settled = settle.of_ours(self.here, self.send.to, answer, note, made, state)
            self.outbox.write_state(state)
            self._tell_on(sent, answer, settled.verified)
            self.outbox.discard(note.shipment)
        if answer.by == self.send.to:
            sent.verified += len(settled.verified)
        else:
            sent.elsewhere += len(settled.verified)
        sent.problems += settled.problems

    def _tell_on(self, sent: Sent, answer: Receipt, verified: list[settle.Name]) -> None:
        """Let the sites that send to us know which of their frames have another copy now."""
        ours = tuple(
            found
            for found in answer.files
            if found.file.kind == manifest.RAW and found.file.product in verified
        )
        if not ours or not self.here.inbox.is_dir():
            return
        told = Receipt(answer.shipment, answer.sender, answer.by, answer.at_mjd, ours)
        for folder in self.here.inbox.iterdir():
            if folder.is_dir() and folder.name != self.send.to and not folder.is_symlink():
                try:
                    receipt.leave(folder, told)
                except OSError as error:
                    sent.problems.append(f"{folder}: {error}; that site is not told of copies")
