"""What is stale: sound and served, but made by other code, with other settings, or from a choice
that has a better one by now.

Products that were made alike are told from an index that begins with what they were made by: there
are few such groups of many products, and each is as a whole stale or not.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy.engine import Connection

from tesela.ledger import schema
from tesela.ledger.queries import stale as queries

OTHER_SETTINGS = "made with other settings"


@dataclass(frozen=True)
class Now:
    """The code and the settings that the step of a kind has now."""

    code: str
    settings: str
    scopes: Mapping[str, str] = field(default_factory=dict)
    """Settings of the scopes that have others, see `keys.Scope`."""

    def why(self, scope: str, code: str, settings: str) -> str:
        """Why what was made so is stale; '' if it is not."""
        if code != self.code:
            return f"made by code {code}, now {self.code}"
        return OTHER_SETTINGS if settings != self.scopes.get(scope, self.settings) else ""


@dataclass(frozen=True)
class Group:
    """Products of a kind that were made alike."""

    kind: str
    scope: str
    code: str
    settings: str


def now(conn: Connection) -> dict[str, Now]:
    """Return what the steps were when a run or a plan began last, by kind."""
    scopes: dict[str, dict[str, str]] = {}
    for row in conn.execute(schema.step_settings.select()):
        scopes.setdefault(row.step, {})[row.scope] = row.settings_hash
    return {
        row.kind: Now(row.code_version, row.settings_hash, scopes.get(row.name, {}))
        for row in conn.execute(schema.step.select())
    }


def groups(conn: Connection) -> Iterator[Group]:
    """Give the groups there are, each found by one look into the index."""
    last = Group("", "", "", "")
    while True:
        asked = {"kind": last.kind, "scope": last.scope, "code": last.code, "set": last.settings}
        row = conn.execute(queries.NEXT_GROUP, asked).first()
        if row is None:
            return
        last = Group(row.kind, row.scope, row.code_version, row.settings_hash)
        yield last


def products(conn: Connection, kinds: Collection[str] = ()) -> list[dict[str, Any]]:
    """Return the stale products of some kinds, '()' for all, in order: kind, key, version, why.

    What waits is none: it is made again when it can be.
    """
    steps = now(conn)
    found: dict[tuple[str, str], dict[str, Any]] = {}
    for group in groups(conn):
        why = _why(steps, group)
        if not why or (kinds and group.kind not in kinds):
            continue
        asked = {
            "kind": group.kind, "scope": group.scope, "code": group.code, "set": group.settings,
        }  # fmt: skip
        for row in conn.execute(queries.OF_GROUP, asked).mappings():
            found[row["kind"], row["key"]] = {**row, "why": why}
    for row in conn.execute(queries.NOTED).mappings():
        if row["kind"] in steps and (not kinds or row["kind"] in kinds):
            found[row["kind"], row["key"]] = dict(row)
    return [found[target] for target in sorted(found)]


def _why(steps: Mapping[str, Now], group: Group) -> str:
    step = steps.get(group.kind)
    return step.why(group.scope, group.code, group.settings) if step else ""
