"""How Alembic reaches the ledger: always through a connection that we opened."""

from __future__ import annotations

from alembic import context

from tesela.ledger.schema import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    render_as_batch=True,
)
with context.begin_transaction():
    context.run_migrations()
