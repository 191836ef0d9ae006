"""What a receipt is worth: each file against the ledger, then a replica or another try."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy.engine import Connection

from tesela.ledger import events, replicas, shipments
from tesela.ledger.clock import now_mjd
from tesela.products.files import sha256_of
from tesela.sites import manifest
from tesela.sites.installation import Installation
from tesela.sites.manifest import File, Manifest
from tesela.sites.outbox import Note, State
from tesela.sites.receipt import DAMAGED, MISSING, VERIFIED, Found, Receipt

Name = tuple[str, str, int]


@dataclass
class Settled:
    """What a receipt said."""

    verified: list[Name] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    """A sentence each."""


def of_ours(
    here: Installation, to: str, receipt: Receipt, note: Note, sent: Manifest, state: State
) -> Settled:
    """Take in the receipt of a shipment of ours that is on its way.

    What a site verified, as it says and with our checksums, becomes a replica in the ledger; all
    else is noted in `state`, to be tried again.
    """
    settled = Settled()
    said = {found.file.path: found for found in receipt.files}
    ids = {name: product for product, name in note.products.items()}
    whole = _why_not_ours(here, to, receipt) or receipt.refused
    rows, left = [], {}
    for name, files in sent.products().items():
        reason = whole or _why_not(here, files, said)
        if reason:
            left[name] = reason
            continue
        settled.verified.append(name)
        state.again.pop(ids[name], None)
        rows.append(_replica(ids[name], to, receipt, said[files[0].path]))
    with here.its_ledger("which knows what was sent").write() as conn:
        replicas.put(conn, rows)
        for name, reason in left.items():
            if sent.purpose == manifest.VERIFY:
                replicas.remove(conn, ids[name], to)
            if state.try_again(ids[name], reason):
                kind, key, _ = name
                events.record(conn, f"not at {to}", kind=kind, key=key, detail=reason)
                settled.problems.append(f"{kind} {key}: {reason}")
        for stranger in receipt.strangers:
            settled.problems.append(f"{stranger}: came there and was in no manifest")
        _end(conn, note.shipment, len(rows), left)
    return settled


def of_others(here: Installation, receipt: Receipt) -> Settled:
    """Take in a receipt about copies that another site sent on: those of raw frames of ours.

    It came by a site that we send to, and counts if it names the checksums of our ledger.
    """
    settled = Settled()
    founds = [found for found in receipt.files if found.file.kind == manifest.RAW]
    if receipt.by == here.name or not founds:
        return settled
    ledger = here.its_ledger("which knows our frames")
    with ledger.write() as conn:
        known = replicas.by_name(conn, (found.file.product for found in founds))
        rows = []
        for found in founds:
            row = known.get(found.file.product)
            if row is None or found.state != VERIFIED:
                continue
            if found.sha256 != row["checksum"]:
                reason = _other_checksum(receipt.by, found.sha256, row["checksum"])
                events.record(
                    conn, "receipt not believed", kind="raw", key=row["key"], detail=reason
                )
                settled.problems.append(f"raw {row['key']}: {reason}")
                continue
            settled.verified.append(found.file.product)
            rows.append(_replica(row["id"], receipt.by, receipt, found))
        replicas.put(conn, rows)
    return settled


def _why_not_ours(here: Installation, to: str, receipt: Receipt) -> str:
    if receipt.sender != here.name or receipt.by != to:
        return f"its receipt is of {receipt.by} for {receipt.sender}, not of {to} for {here.name}"
    return ""


def _why_not(here: Installation, files: Iterable[File], said: dict[str, Found]) -> str:
    """Why a product does not count as copied; '' if it does."""
    for file in files:
        found = said.get(file.path)
        if found is None or found.file.product != file.product:
            return f"its receipt does not name {file.path}"
        if found.state == VERIFIED:
            if found.sha256 != file.sha256:
                return _other_checksum("its receipt", found.sha256, file.sha256)
        elif found.state == DAMAGED:
            return found.reason + _and_ours(here, file)
        elif found.state == MISSING:
            return found.reason or "it is not there any more"
        else:
            return found.reason or "refused without a reason"
    return ""


def _and_ours(here: Installation, file: File) -> str:
    """Whether the bytes went wrong on their way, or had done before."""
    if file.kind == manifest.RAW and not (here.folder / file.path).exists():
        return ""  # it stays where the camera wrote it
    try:
        ours = sha256_of(here.folder / file.path)
    except OSError as error:
        return f"; ours cannot be read: {error.strerror}"
    if ours == file.sha256:
        return "; ours is sound"
    return f"; ours has {ours[:12]}: `tesela audit --repair`"


def _other_checksum(who: str, found: str, expected: str) -> str:
    return f"{who} says sha256 {found[:12]}, ours is {expected[:12]}: not believed"


def _replica(product: int, site: str, receipt: Receipt, main: Found) -> dict[str, Any]:
    return {
        "product_id": product,
        "site": site,
        "checksum": main.sha256,
        # A clock that is ahead must not make a copy look fresh for longer.
        "verified_mjd": min(receipt.at_mjd, now_mjd()),
        "shipment": receipt.shipment,
        "path": main.kept,
    }


def _end(conn: Connection, shipment: str, verified: int, left: dict[Name, str]) -> None:
    state = shipments.FAILED if left else shipments.VERIFIED
    detail = f"{verified} products verified"
    if left:
        (kind, key, _), reason = next(iter(left.items()))
        detail += f", {len(left)} not; {kind} {key}: {reason}"
    shipments.end(conn, shipment, state, detail)
