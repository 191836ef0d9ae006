"""Making a recorded version again, from what is recorded of it.

The files of what can be made again may be dropped. Who needs one later makes it again for itself,
from the same inputs with the same settings, and goes on only if the data are the same; `restore`
puts it back for everybody.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy.engine import Connection

from tesela import config
from tesela.errors import LedgerError, ProductError
from tesela.flow.run.steps import InputRef, Order, Outcome
from tesela.ledger import provenance

REMADE = "remade"
"""Folder of an attempt for the inputs that it makes again."""


@dataclass(frozen=True)
class Remake:
    """How a dropped product is made again, and what it must be then."""

    run: Callable[[Order], Outcome]
    order: Order
    data_hash: str
    main: str
    """Its main file, relative to the site."""


def with_inputs_remade(order: Order) -> Order:
    """Make the dropped inputs of an order again, each below its own folder; others stay as they
    are."""
    folder = Path(order.out_dir) / REMADE
    inputs = tuple(_remade(ref, folder) for ref in order.inputs)
    return dataclasses.replace(order, inputs=inputs) if inputs != order.inputs else order


def _remade(ref: InputRef, folder: Path) -> InputRef:
    members = tuple(_remade(member, folder) for member in ref.members)
    if members != ref.members:
        ref = dataclasses.replace(ref, members=members)
    if ref.remake is None:
        return ref
    place = folder / f"{ref.kind}-{ref.key}-{ref.version}"
    main = place / ref.remake.main
    if not main.exists():  # of several members of one order
        outcome = make_again(ref.remake, place)
        for temporary, final in outcome.files:
            (place / final).parent.mkdir(parents=True, exist_ok=True)
            Path(temporary).rename(place / final)
    return dataclasses.replace(ref, path=str(main), remake=None)


def make_again(remake: Remake, place: Path) -> Outcome:
    """Perform the recorded order below `place`.

    Raises `ProductError` if the data are not those that were recorded.
    """
    order = dataclasses.replace(remake.order, out_dir=str(place / "work"))
    Path(order.out_dir).mkdir(parents=True, exist_ok=True)
    outcome = remake.run(with_inputs_remade(order))
    check(remake, outcome)
    return outcome


def check(remake: Remake, outcome: Outcome) -> None:
    """Raise `ProductError` if the data are not those that were recorded."""
    order = remake.order
    if outcome.data_hash != remake.data_hash:
        raise ProductError(
            f"{order.kind} {order.key} version {order.version}",
            found=f"made again it has the data hash {outcome.data_hash[:16]}",
            expected=f"{remake.data_hash[:16]}, as it was recorded",
            do=f"make a new version: tesela reprocess {order.key} (code or libraries have changed)",
        )


def recorded_settings(conn: Connection, product: dict[str, Any], now: dict[str, Any]) -> Any:
    """The settings that a product was made with: those of now where they are the same.

    Raises `LedgerError` where they were never kept.
    """
    if config.fingerprint(now) == product["settings_hash"]:
        return now
    kept = provenance.settings_of(conn, product["settings_hash"])
    if kept is None:
        raise LedgerError(
            f"{product['kind']} {product['key']} version {product['version']}",
            found="its settings were not kept: it was made by an older version of tesela",
            expected=f"the settings with the fingerprint {product['settings_hash']}",
            do=f"make a new version: tesela reprocess {product['key']}",
        )
    return kept
