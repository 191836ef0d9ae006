"""What several controllers, sites and millions of frames need."""

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

_NEW = (
    "access_token",
    "member",
    "account",
    "shipment",
    "replica",
    "tally",
    "planned",
    "paused",
    "controller",
    "environment",
    "settings",
)
_SEARCHED = {
    "ix_exposure_time": ["mjd_start", "id"],
    "ix_exposure_project_time": ["project", "mjd_start", "id"],
    "ix_exposure_object": ["object"],
    "ix_exposure_dec_deg": ["dec_deg"],
}
_PARTIAL = {
    "ix_product_made_by": (
        "product",
        ["kind", "scope", "code_version", "settings_hash"],
        "is_current",
    ),
    "ix_master_proposed": ("master", ["product_id"], "state = 'proposed'"),
    "ix_product_stale": ("product", ["kind", "key"], "is_current AND stale <> ''"),
    "ix_product_warned": ("product", ["kind", "key"], "is_current AND warnings_json <> '[]'"),
    "ix_product_dropped": ("product", ["id"], "dropped_mjd IS NOT NULL"),
    "ix_task_open": ("task", ["kind", "key"], "state IN ('ready', 'running')"),
    "ix_task_ended_badly": ("task", ["state", "step", "key"], "state IN ('dead', 'skipped')"),
    "ix_attempt_running": ("attempt", ["controller"], "outcome = 'running'"),
}


def upgrade() -> None:
    """Go to this revision."""
    _make_tables()
    op.add_column("product", _text("environment", ""))
    op.add_column("product", sa.Column("dropped_mjd", sa.Float()))
    op.add_column("attempt", _text("controller", ""))
    op.add_column("waiting", _number("priority", "0"))
    op.add_column("dirty", _number("priority", "0"))
    op.add_column("dirty", _number("rank", "9"))
    op.execute(
        "UPDATE dirty SET rank = CASE kind WHEN 'master' THEN 0 WHEN 'detrended' THEN 1"
        " WHEN 'reduced' THEN 2 WHEN 'coadd' THEN 3 WHEN 'catalogue' THEN 4 WHEN 'dual' THEN 5"
        " WHEN 'zeropoints' THEN 5 WHEN 'valueadded' THEN 6 ELSE 7 END"
    )
    _make_index("ix_task_ready", "task", ["step", sa.literal_column("priority DESC"), "id"])
    op.create_index("ix_product_key", "product", ["key"])
    op.create_index("ix_task_input_source", "task_input", ["source"])
    op.create_index("ix_master_night", "master", ["night"])
    op.create_index("ix_dirty_order", "dirty", [sa.literal_column("priority DESC"), "rank", "key"])
    for name, searched in _SEARCHED.items():
        op.create_index(name, "exposure", searched)
    for name, (table, columns, where) in _PARTIAL.items():
        condition = sa.text(where)
        op.create_index(name, table, columns, sqlite_where=condition, postgresql_where=condition)
    if op.get_bind().dialect.name == "postgresql":
        _suit_postgresql()


def _make_index(name: str, table: str, columns: list[Any]) -> None:
    op.drop_index(name, table_name=table)
    ready = sa.text("state = 'ready'")
    op.create_index(name, table, columns, sqlite_where=ready, postgresql_where=ready)


def _make_tables() -> None:
    op.create_table(
        "settings",
        _key("hash"),
        _text("content_json"),
        sa.PrimaryKeyConstraint("hash", name=op.f("pk_settings")),
    )
    op.create_table(
        "environment",
        _key("hash"),
        _text("content_json"),
        sa.PrimaryKeyConstraint("hash", name=op.f("pk_environment")),
    )
    op.create_table(
        "controller",
        _key("id"),
        _text("host"),
        _number("pid"),
        _text("engine"),
        _time("started_mjd"),
        _time("seen_mjd"),
        sa.Column("ended_mjd", sa.Float()),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_controller")),
    )
    op.create_table(
        "paused",
        _key("step"),
        _key("project"),
        _text("reason", ""),
        _text("who", ""),
        _time("at_mjd"),
        sa.PrimaryKeyConstraint("step", "project", name=op.f("pk_paused")),
    )
    op.create_table(
        "planned",
        _key("tile"),
        _key("band"),
        _number("frames"),
        sa.ForeignKeyConstraint(["tile"], ["tile.name"], name=op.f("fk_planned_tile")),
        sa.PrimaryKeyConstraint("tile", "band", name=op.f("pk_planned")),
    )
    op.create_table(
        "tally",
        _key("what"),
        _key("kind"),
        _key("state"),
        _number("n"),
        _text("example", ""),
        _time("at_mjd"),
        sa.PrimaryKeyConstraint("what", "kind", "state", name=op.f("pk_tally")),
    )
    op.create_table(
        "replica",
        sa.Column("product_id", sa.Integer(), autoincrement=False, nullable=False),
        _key("site"),
        _text("checksum"),
        _time("verified_mjd"),
        _text("shipment", ""),
        _text("path", ""),
        sa.ForeignKeyConstraint(["product_id"], ["product.id"], name=op.f("fk_replica_product_id")),
        sa.PrimaryKeyConstraint("product_id", "site", name=op.f("pk_replica")),
    )
    op.create_index("ix_replica_site", "replica", ["site", "verified_mjd"])
    op.create_table(
        "shipment",
        _key("id"),
        _text("direction"),
        _text("site"),
        _text("state"),
        _number("files"),
        sa.Column("bytes", sa.BigInteger(), nullable=False),
        _time("packed_mjd"),
        sa.Column("ended_mjd", sa.Float()),
        _text("detail", ""),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_shipment")),
    )
    op.create_index("ix_shipment_state", "shipment", ["direction", "site", "state"])
    op.create_table(
        "account",
        _key("name"),
        _text("role", "member"),
        _time("created_mjd"),
        sa.Column("disabled_mjd", sa.Float()),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_account")),
    )
    op.create_table(
        "member",
        _key("account"),
        _key("project"),
        sa.ForeignKeyConstraint(["account"], ["account.name"], name=op.f("fk_member_account")),
        sa.PrimaryKeyConstraint("account", "project", name=op.f("pk_member")),
    )
    op.create_table(
        "access_token",
        _key("hash"),
        _text("account"),
        _text("label", ""),
        _time("created_mjd"),
        sa.Column("expires_mjd", sa.Float()),
        sa.Column("revoked_mjd", sa.Float()),
        sa.ForeignKeyConstraint(
            ["account"], ["account.name"], name=op.f("fk_access_token_account")
        ),
        sa.PrimaryKeyConstraint("hash", name=op.f("pk_access_token")),
    )
    op.create_index("ix_access_token_account", "access_token", ["account"])


def _key(name: str) -> sa.Column[str]:
    return sa.Column(name, sa.Text(), nullable=False)


def _text(name: str, default: str | None = None) -> sa.Column[str]:
    return sa.Column(name, sa.Text(), server_default=default, nullable=False)


def _number(name: str, default: str | None = None) -> sa.Column[int]:
    return sa.Column(name, sa.Integer(), server_default=default, nullable=False)


def _time(name: str) -> sa.Column[float]:
    return sa.Column(name, sa.Float(), nullable=False)


def _suit_postgresql() -> None:
    """Compare text byte by byte, as SQLite does; keep the busiest tables from swelling.

    No ledger on PostgreSQL is older than this revision, so every table is empty.
    """
    conn = op.get_bind()
    columns = conn.execute(
        sa.text(
            "SELECT table_name, column_name FROM information_schema.columns"
            " WHERE table_schema = current_schema() AND data_type = 'text'"
        )
    ).all()
    by_table: dict[str, list[str]] = {}
    for table, column in columns:
        by_table.setdefault(table, []).append(f'ALTER COLUMN "{column}" TYPE text COLLATE "C"')
    for table, changes in by_table.items():
        op.execute(f"ALTER TABLE {table} {', '.join(changes)}")
    op.drop_index("ix_event_at_mjd", table_name="event")
    op.create_index("ix_event_at_mjd", "event", ["at_mjd"], postgresql_using="brin")
    for table in ("task", "dirty", "waiting"):
        op.execute(
            f"ALTER TABLE {table} SET (fillfactor = 80, autovacuum_vacuum_scale_factor = 0,"
            " autovacuum_vacuum_threshold = 2000, autovacuum_analyze_scale_factor = 0.02)"
        )


def downgrade() -> None:
    """Go back to the revision before; what only this one knows is lost."""
    for name, (table, _, _) in _PARTIAL.items():
        op.drop_index(name, table_name=table)
    for name in _SEARCHED:
        op.drop_index(name, table_name="exposure")
    op.drop_index("ix_product_key", table_name="product")
    op.drop_index("ix_task_input_source", table_name="task_input")
    op.drop_index("ix_master_night", table_name="master")
    op.drop_index("ix_dirty_order", table_name="dirty")
    _make_index("ix_task_ready", "task", [sa.literal_column("priority DESC"), "id"])
    op.drop_column("dirty", "rank")
    op.drop_column("dirty", "priority")
    op.drop_column("waiting", "priority")
    op.drop_column("attempt", "controller")
    op.drop_column("product", "dropped_mjd")
    op.drop_column("product", "environment")
    for table in _NEW:
        op.drop_table(table)
