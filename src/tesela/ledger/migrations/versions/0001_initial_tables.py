"""Initial tables."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

OVERLAP_TRIGGERS = tuple(
    f"""
    CREATE TRIGGER master_overlap_{when} BEFORE {when} ON master
    WHEN NEW.state = 'certified' AND EXISTS (
        SELECT 1 FROM master
        WHERE product_id <> NEW.product_id AND state = 'certified'
          AND master_kind = NEW.master_kind AND configuration = NEW.configuration
          AND valid_begin < NEW.valid_end AND NEW.valid_begin < valid_end)
    BEGIN SELECT RAISE(ABORT, 'certified masters of one configuration may not overlap'); END
    """
    for when in ("insert", "update")
)
"""SQLite's form of the exclusion constraint on certified intervals."""

OVERLAP_CONSTRAINT = """
    CREATE EXTENSION IF NOT EXISTS btree_gist;
    ALTER TABLE master ADD CONSTRAINT certified_masters_may_not_overlap EXCLUDE USING gist (
        master_kind WITH =, configuration WITH =,
        numrange(valid_begin::numeric, valid_end::numeric) WITH &&)
    WHERE (state = 'certified')
"""
"""That of PostgreSQL."""

TABLES = (
    "dirty",
    "event",
    "product",
    "project",
    "refused",
    "step",
    "task",
    "tile",
    "verdict",
    "waiting",
    "attempt",
    "edge",
    "exposure",
    "master",
    "quality",
    "refcat",
    "task_input",
    "frame",
    "frame_tile",
)


def upgrade() -> None:
    """Go to this revision."""
    op.create_table(
        "dirty",
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("not_before", sa.Float(), nullable=False),
        sa.Column("why", sa.Text(), nullable=False),
        sa.Column("fresh", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("kind", "key", name=op.f("pk_dirty")),
    )
    op.create_index("ix_dirty_not_before", "dirty", ["not_before"], unique=False)

    op.create_table(
        "event",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("at_mjd", sa.Float(), nullable=False),
        sa.Column("what", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), server_default="", nullable=False),
        sa.Column("key", sa.Text(), server_default="", nullable=False),
        sa.Column("detail", sa.Text(), server_default="", nullable=False),
        sa.Column("who", sa.Text(), server_default="", nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_event")),
    )
    op.create_index("ix_event_at_mjd", "event", ["at_mjd"], unique=False)
    op.create_index("ix_event_kind_key", "event", ["kind", "key"], unique=False)

    op.create_table(
        "product",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("is_current", sa.Boolean(), nullable=False),
        sa.Column("path", sa.Text(), server_default="", nullable=False),
        sa.Column("files_json", sa.Text(), server_default="[]", nullable=False),
        sa.Column("checksum", sa.Text(), server_default="", nullable=False),
        sa.Column("data_hash", sa.Text(), server_default="", nullable=False),
        sa.Column("code_version", sa.Text(), server_default="", nullable=False),
        sa.Column("settings_hash", sa.Text(), server_default="", nullable=False),
        sa.Column("attempt_id", sa.Integer(), nullable=True),
        sa.Column("made_mjd", sa.Float(), nullable=False),
        sa.Column("stale", sa.Text(), server_default="", nullable=False),
        sa.Column("warnings_json", sa.Text(), server_default="[]", nullable=False),
        sa.Column("operations_json", sa.Text(), server_default="[]", nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_product")),
        sa.UniqueConstraint("kind", "key", "version", name=op.f("uq_product_kind_key_version")),
    )
    op.create_index(
        "uq_product_current",
        "product",
        ["kind", "key"],
        unique=True,
        sqlite_where=sa.text("is_current"),
        postgresql_where=sa.text("is_current"),
    )

    op.create_table(
        "project",
        sa.Column("name", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_project")),
    )
    op.create_table(
        "refused",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("path", sa.Text(), nullable=False),
        sa.Column("sha256", sa.Text(), server_default="", nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("at_mjd", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_refused")),
        sa.UniqueConstraint("path", "sha256", name=op.f("uq_refused_path_sha256")),
    )
    op.create_table(
        "step",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("code_version", sa.Text(), nullable=False),
        sa.Column("settings_hash", sa.Text(), nullable=False),
        sa.Column("cores", sa.Integer(), nullable=False),
        sa.Column("memory_mb", sa.Float(), nullable=False),
        sa.Column("seconds_per_mpix", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_step")),
    )
    op.create_table(
        "task",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("step", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("priority", sa.Integer(), nullable=False),
        sa.Column("wanted_hash", sa.Text(), nullable=False),
        sa.Column("why", sa.Text(), server_default="", nullable=False),
        sa.Column("megapixels", sa.Float(), server_default="1", nullable=False),
        sa.Column("not_before", sa.Float(), nullable=False),
        sa.Column("attempts", sa.Integer(), server_default="0", nullable=False),
        sa.Column("faults", sa.Integer(), server_default="0", nullable=False),
        sa.Column("interruptions", sa.Integer(), server_default="0", nullable=False),
        sa.Column("memory_faults", sa.Integer(), server_default="0", nullable=False),
        sa.Column("lease_until", sa.Float(), nullable=True),
        sa.Column("attempt_id", sa.Integer(), nullable=True),
        sa.Column("reason", sa.Text(), server_default="", nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_task")),
        sa.UniqueConstraint("step", "key", name=op.f("uq_task_step_key")),
    )
    op.create_index("ix_task_kind_key", "task", ["kind", "key"], unique=False)
    op.create_index(
        "ix_task_ready",
        "task",
        [sa.literal_column("priority DESC"), "id"],
        unique=False,
        sqlite_where=sa.text("state = 'ready'"),
        postgresql_where=sa.text("state = 'ready'"),
    )
    op.create_index(
        "ix_task_running",
        "task",
        ["lease_until"],
        unique=False,
        sqlite_where=sa.text("state = 'running'"),
        postgresql_where=sa.text("state = 'running'"),
    )

    op.create_table(
        "tile",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("ra_deg", sa.Float(), nullable=True),
        sa.Column("dec_deg", sa.Float(), nullable=True),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_tile")),
    )
    op.create_table(
        "verdict",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("value", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("comment", sa.Text(), server_default="", nullable=False),
        sa.Column("who", sa.Text(), nullable=False),
        sa.Column("set_mjd", sa.Float(), nullable=False),
        sa.Column("withdrawn_mjd", sa.Float(), nullable=True),
        sa.Column("withdrawn_by", sa.Text(), server_default="", nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_verdict")),
    )
    op.create_index(
        "uq_verdict_standing",
        "verdict",
        ["kind", "key"],
        unique=True,
        sqlite_where=sa.text("withdrawn_mjd IS NULL"),
        postgresql_where=sa.text("withdrawn_mjd IS NULL"),
    )

    op.create_table(
        "waiting",
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("since_mjd", sa.Float(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("pending", sa.Boolean(), nullable=False),
        sa.Column("fresh", sa.Boolean(), nullable=False),
        sa.Column("configuration", sa.Text(), server_default="", nullable=False),
        sa.PrimaryKeyConstraint("kind", "key", name=op.f("pk_waiting")),
    )
    op.create_index("ix_waiting_configuration", "waiting", ["configuration"], unique=False)

    op.create_table(
        "attempt",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("task_id", sa.Integer(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("host", sa.Text(), nullable=False),
        sa.Column("started_mjd", sa.Float(), nullable=False),
        sa.Column("ended_mjd", sa.Float(), nullable=True),
        sa.Column("outcome", sa.Text(), server_default="running", nullable=False),
        sa.Column("fault_class", sa.Text(), server_default="", nullable=False),
        sa.Column("seconds", sa.Float(), nullable=True),
        sa.Column("peak_memory_mb", sa.Float(), nullable=True),
        sa.Column("log", sa.Text(), server_default="", nullable=False),
        sa.ForeignKeyConstraint(["task_id"], ["task.id"], name=op.f("fk_attempt_task_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_attempt")),
    )
    op.create_index("ix_attempt_task_id", "attempt", ["task_id"], unique=False)

    op.create_table(
        "edge",
        sa.Column("product", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("source", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("role", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["product"], ["product.id"], name=op.f("fk_edge_product")),
        sa.ForeignKeyConstraint(["source"], ["product.id"], name=op.f("fk_edge_source")),
        sa.PrimaryKeyConstraint("product", "source", name=op.f("pk_edge")),
    )
    op.create_index("ix_product_attempt_id", "product", ["attempt_id"], unique=False)
    op.create_index("ix_edge_source", "edge", ["source"], unique=False)

    op.create_table(
        "exposure",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("key", sa.Text(), server_default="", nullable=False),
        sa.Column("telescope", sa.Text(), nullable=False),
        sa.Column("camera", sa.Text(), nullable=False),
        sa.Column("night", sa.Text(), nullable=False),
        sa.Column("obstype", sa.Text(), nullable=False),
        sa.Column("flat_kind", sa.Text(), server_default="", nullable=False),
        sa.Column("readout_mode", sa.Text(), nullable=False),
        sa.Column("mjd_start", sa.Float(), nullable=False),
        sa.Column("exptime_s", sa.Float(), nullable=False),
        sa.Column("ra_deg", sa.Float(), nullable=True),
        sa.Column("dec_deg", sa.Float(), nullable=True),
        sa.Column("airmass", sa.Float(), nullable=True),
        sa.Column("object", sa.Text(), server_default="", nullable=False),
        sa.Column("project", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["project"], ["project.name"], name=op.f("fk_exposure_project")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_exposure")),
        sa.UniqueConstraint("key", name=op.f("uq_exposure_key")),
    )
    op.create_index("ix_exposure_night", "exposure", ["night", "obstype"], unique=False)

    op.create_table(
        "master",
        sa.Column("product_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("master_kind", sa.Text(), nullable=False),
        sa.Column("configuration", sa.Text(), nullable=False),
        sa.Column("night", sa.Text(), nullable=False),
        sa.Column("valid_begin", sa.Float(), nullable=False),
        sa.Column("valid_end", sa.Float(), nullable=False),
        sa.Column("natural_end", sa.Float(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), server_default="", nullable=False),
        sa.Column("n_frames", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["product_id"], ["product.id"], name=op.f("fk_master_product_id")),
        sa.PrimaryKeyConstraint("product_id", name=op.f("pk_master")),
    )
    op.create_index(
        "ix_master_configuration", "master", ["configuration", "master_kind", "state"], unique=False
    )

    op.create_table(
        "quality",
        sa.Column("product_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("passed", sa.Boolean(), nullable=False),
        sa.Column("reason", sa.Text(), server_default="", nullable=False),
        sa.Column("fwhm_arcsec", sa.Float(), nullable=True),
        sa.Column("ellipticity", sa.Float(), nullable=True),
        sa.Column("sky_e", sa.Float(), nullable=True),
        sa.Column("sky_rms_e", sa.Float(), nullable=True),
        sa.Column("zeropoint_mag", sa.Float(), nullable=True),
        sa.Column("zeropoint_err_mag", sa.Float(), nullable=True),
        sa.Column("depth_psf_mag", sa.Float(), nullable=True),
        sa.Column("astrometry_rms_ra_arcsec", sa.Float(), nullable=True),
        sa.Column("astrometry_rms_dec_arcsec", sa.Float(), nullable=True),
        sa.Column("n_psf_stars", sa.Integer(), nullable=True),
        sa.Column("metrics_json", sa.Text(), server_default="{}", nullable=False),
        sa.Column("seconds", sa.Float(), nullable=True),
        sa.Column("peak_memory_mb", sa.Float(), nullable=True),
        sa.ForeignKeyConstraint(["product_id"], ["product.id"], name=op.f("fk_quality_product_id")),
        sa.PrimaryKeyConstraint("product_id", name=op.f("pk_quality")),
    )
    op.create_index("ix_quality_fwhm_arcsec", "quality", ["fwhm_arcsec"], unique=False)
    op.create_index("ix_quality_zeropoint_mag", "quality", ["zeropoint_mag"], unique=False)

    op.create_table(
        "refcat",
        sa.Column("product_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("rows", sa.Integer(), nullable=False),
        sa.Column("origin", sa.Text(), nullable=False),
        sa.Column("columns_json", sa.Text(), server_default="[]", nullable=False),
        sa.ForeignKeyConstraint(["product_id"], ["product.id"], name=op.f("fk_refcat_product_id")),
        sa.PrimaryKeyConstraint("product_id", name=op.f("pk_refcat")),
    )
    op.create_table(
        "task_input",
        sa.Column("task_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("source", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("role", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["source"], ["product.id"], name=op.f("fk_task_input_source")),
        sa.ForeignKeyConstraint(["task_id"], ["task.id"], name=op.f("fk_task_input_task_id")),
        sa.PrimaryKeyConstraint("task_id", "source", name=op.f("pk_task_input")),
    )
    op.create_table(
        "frame",
        sa.Column("product_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("exposure_id", sa.Integer(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("ccd", sa.Text(), nullable=False),
        sa.Column("band", sa.Text(), server_default="", nullable=False),
        sa.Column("filter_serial", sa.Text(), server_default="", nullable=False),
        sa.Column("configuration", sa.Text(), nullable=False),
        sa.Column("nx", sa.Integer(), nullable=False),
        sa.Column("ny", sa.Integer(), nullable=False),
        sa.Column("sha256", sa.Text(), nullable=False),
        sa.Column("data_sha256", sa.Text(), nullable=False),
        sa.Column("footprint_json", sa.Text(), server_default="null", nullable=False),
        sa.ForeignKeyConstraint(
            ["exposure_id"], ["exposure.id"], name=op.f("fk_frame_exposure_id")
        ),
        sa.ForeignKeyConstraint(["product_id"], ["product.id"], name=op.f("fk_frame_product_id")),
        sa.PrimaryKeyConstraint("product_id", name=op.f("pk_frame")),
        sa.UniqueConstraint("name", name=op.f("uq_frame_name")),
        sa.UniqueConstraint("sha256", name=op.f("uq_frame_sha256")),
    )
    op.create_index("ix_frame_configuration", "frame", ["configuration"], unique=False)
    op.create_index("ix_frame_data_sha256", "frame", ["data_sha256"], unique=False)
    op.create_index("ix_frame_exposure_id", "frame", ["exposure_id"], unique=False)

    op.create_table(
        "frame_tile",
        sa.Column("frame_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("tile", sa.Text(), nullable=False),
        sa.Column("band", sa.Text(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["frame_id"], ["frame.product_id"], name=op.f("fk_frame_tile_frame_id")
        ),
        sa.ForeignKeyConstraint(["tile"], ["tile.name"], name=op.f("fk_frame_tile_tile")),
        sa.PrimaryKeyConstraint("frame_id", "tile", name=op.f("pk_frame_tile")),
    )
    op.create_index("ix_frame_tile_tile_band", "frame_tile", ["tile", "band"], unique=False)

    if op.get_bind().dialect.name == "postgresql":
        op.execute(OVERLAP_CONSTRAINT)
    else:
        for trigger in OVERLAP_TRIGGERS:
            op.execute(trigger)


def downgrade() -> None:
    """Remove everything."""
    for table in reversed(TABLES):
        op.drop_table(table)
