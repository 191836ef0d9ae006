"""How transfer stands at a site."""

from __future__ import annotations

from typing import Any

from tesela.config import Send
from tesela.ledger import events, replicas, shipments
from tesela.ledger.clock import iso
from tesela.products import paths
from tesela.sites.installation import Installation
from tesela.sites.keep import Places
from tesela.sites.outbox import Outbox, State
from tesela.sites.receive import Receiver
from tesela.sites.rounds import FAILED, GOES_ON

_REASONS = 20


def overview(here: Installation) -> dict[str, Any]:
    """What is to go where, what is on its way, and what is in the inbox; nothing is changed."""
    sends = [] if here.ledger is None else [_to(here, one) for one in here.settings.send]
    inbox = Receiver(here, Places(here.folder, apart=True)).waiting() if here.inbox.is_dir() else []
    return {"site": here.name, "role": here.settings.role, "send": sends, "inbox": inbox}


def _to(here: Installation, send: Send) -> dict[str, Any]:
    box = Outbox(paths.outbox(here.folder, send.to), here.name, send.to)
    state = box.state(send.kinds) if box.folder.is_dir() else State()
    notes = box.notes() if box.folder.is_dir() else []
    known = {product for note in notes for product in note.products}
    with here.its_ledger("which knows what there is to send").read() as conn:
        waiting = sum(
            row["id"] not in known
            for row in replicas.unsent(conn, send.to, send.kinds, state.after)
        )
        good = shipments.latest(conn, shipments.OUT, send.to, shipments.VERIFIED)
        bad = shipments.latest(conn, shipments.OUT, send.to, shipments.FAILED)
        last = events.last_of(conn, (FAILED, GOES_ON), send.to)
    return {
        "to": send.to,
        "waiting": waiting,
        "under_way": len(notes),
        "last_verified": iso(good[0]["ended_mjd"]) if good else "",
        "trouble": last["detail"] if last and last["what"] == FAILED else "",
        "last_failed": bad[0]["detail"] if bad else "",
        "again": [
            f"{one.reason} (tried {one.tries} times)"
            for one in list(state.again.values())[:_REASONS]
        ],
    }
