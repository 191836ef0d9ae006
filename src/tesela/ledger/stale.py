"""What is stale: sound and served, but made by other code, with other settings, or from a choice
that has a better one by now.

Products that were made alike are told from an index that begins with what they were made by: there
are few such groups of many products, and each is as a whole stale or not.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from sqlalchemy.engine import Connection

from tesela.ledger import schema
from tesela.ledger.queries import stale as queries

OTHER_SETTINGS = "made with other settings"
ASKED = "asked to be made again"
"""Noted with a product that a person wants anew though nothing is newer."""


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


def stale_groups(
    conn: Connection, steps: Mapping[str, Now] | None = None
) -> list[tuple[Group, str]]:
    """Return the groups that are stale as a whole, each with why; by the steps as `now` has them,
    or others."""
    steps = now(conn) if steps is None else steps
    found = []
    for group in groups(conn):
        step = steps.get(group.kind)
        why = step.why(group.scope, group.code, group.settings) if step else ""
        if why:
            found.append((group, why))
    return found
