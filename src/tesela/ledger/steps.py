"""The steps as the running program describes them; everyone else reads them from here."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from sqlalchemy.engine import Connection

from tesela.ledger import events, schema
from tesela.ledger.insert import insert_once


@dataclass(frozen=True)
class StepRow:
    """What a step makes and needs."""

    name: str
    kind: str
    code_version: str
    settings_hash: str
    cores: int
    memory_mb: float
    seconds_per_mpix: float


def declared(conn: Connection) -> dict[str, float]:
    """Return the seconds a megapixel that each step says it needs; empty before the first run."""
    rows = conn.execute(schema.step.select())
    return {row.name: row.seconds_per_mpix for row in rows}


def is_outdated(conn: Connection, product: Mapping[str, Any]) -> bool:
    """Whether a product was made by other code or settings than its step has now."""
    table = schema.step
    row = conn.execute(table.select().where(table.c.kind == product["kind"])).first()
    made = (product["code_version"], product["settings_hash"])
    return row is not None and (row.code_version, row.settings_hash) != made


def register(conn: Connection, steps: Iterable[StepRow]) -> None:
    """Write the steps down; a changed code or setting is an event, and makes nothing due."""
    for step in steps:
        table = schema.step
        known = conn.execute(table.select().where(table.c.name == step.name)).mappings().first()
        if known is not None and dict(known) == asdict(step):
            continue
        row = asdict(step)
        insert_once(conn, table, row, ["name"], update=[n for n in row if n != "name"])
        if known is not None:
            detail = f"code {step.code_version}, settings {step.settings_hash}"
            events.record(conn, "step changed", kind="step", key=step.name, detail=detail)
