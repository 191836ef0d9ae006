"""Telling the ledger which steps this program has: plans and pages know them only from there."""

from __future__ import annotations

from sqlalchemy.engine import Connection

from tesela.flow.run.steps import Registry
from tesela.ledger import steps


def register_steps(conn: Connection, registry: Registry) -> None:
    """Write down the steps of this program with the settings of this site."""
    steps.register(
        conn,
        (
            steps.StepRow(
                spec.name,
                spec.kind,
                spec.code_version,
                spec.settings_hash,
                spec.cores,
                spec.memory_mb,
                spec.seconds_per_mpix,
            )
            for spec in registry.specs.values()
        ),
    )
    for spec in registry.specs.values():
        steps.register_scopes(conn, spec.name, spec.settings_hash_in)
