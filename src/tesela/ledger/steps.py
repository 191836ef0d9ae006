"""The steps as the running program describes them; everyone else reads them from here."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from sqlalchemy.engine import Connection

from tesela.ledger import events, frames, queries, schema
from tesela.ledger.insert import insert_once
from tesela.ledger.keys import MasterKey, Scope
from tesela.ledger.stale import ASKED
from tesela.products.masterkind import DETRENDED, FULL, KINDS, QUICK


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
    """Whether a product was made by other code or settings than its step has now in its scope, or
    somebody asked for another one all the same."""
    if product["stale"] == ASKED:
        return True
    wanted = {"kind": product["kind"], "scope": product["scope"]}
    row = conn.execute(queries.SETTINGS_NOW, wanted).first()
    made = (product["code_version"], product["settings_hash"])
    return row is not None and (row.code_version, row.settings_hash) != made


def scope_of(conn: Connection, kind: str, key: str) -> Scope | None:
    """Return the scope of a product; None for those whose settings are the survey's."""
    if kind in (FULL, DETRENDED, QUICK):
        frame = frames.get(conn, key)
        return Scope.of(frame["camera"], frame["project"], frame["obstype"])
    if kind == "master":
        master = MasterKey.parse(key)
        return Scope.of(master.configuration.camera, "", KINDS[master.master_kind].obstype)
    return None


def note_settings(conn: Connection, step: str, scope: Scope, settings_hash: str) -> None:
    """Write down which settings a step has in a scope in which it made something.

    Looked at first: an update would have all who commit at once wait for each other.
    """
    wanted = {"step": step, "scope": str(scope)}
    if conn.scalar(queries.SETTINGS_NOTED, wanted) == settings_hash:
        return
    row = {"step": step, "scope": str(scope), "settings_hash": settings_hash}
    insert_once(conn, schema.step_settings, row, ["step", "scope"], update=["settings_hash"])


def register_scopes(conn: Connection, step: str, settings_of: Callable[[Scope], str]) -> None:
    """Write down the settings that a step has now, wherever it made something.

    `settings_of` gives their fingerprint in a scope.
    """
    table = schema.step_settings
    for row in conn.execute(table.select().where(table.c.step == step)).all():
        now = settings_of(Scope.parse(row.scope))
        if now != row.settings_hash:
            note_settings(conn, step, Scope.parse(row.scope), now)
            detail = f"settings {now} for {row.scope}"
            events.record(conn, "step changed", kind="step", key=step, detail=detail)


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
