"""The tables. Columns ending in `_json` hold JSON text; times are MJD, UTC (days).

what exists          exposure, frame, frame_tile, tile, refcat, project, master, planned
what was made        product, edge, settings, environment
what is known of it  quality, amp_quality, verdict, event, refused, replica, tally
what is to be done   step, step_settings, paused, dirty, waiting, task, task_input, attempt,
                     controller
who and where        account, access_token, member, shipment
"""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy import Boolean, Column, Float, ForeignKey, Index, Integer, Table
from sqlalchemy.dialects import postgresql

Text = sa.Text().with_variant(postgresql.TEXT(collation="C"), "postgresql")
"""Compared byte by byte on both: ranges of keys, and the order of lists, rely on it."""

metadata = sa.MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)


def _text(name: str, *args: sa.schema.SchemaItem, default: str | None = None) -> Column[str]:
    """A text column that is never NULL."""
    return Column(name, Text, *args, nullable=False, server_default=default)


def _product(name: str = "product_id") -> Column[int]:
    """A primary key that is a product."""
    return Column(name, Integer, ForeignKey("product.id"), primary_key=True, autoincrement=False)


product = Table(
    "product",
    metadata,
    Column("id", Integer, primary_key=True),
    _text("kind"),
    _text("key"),
    Column("version", Integer, nullable=False),
    _text("state"),  # valid, invalid
    Column("is_current", Boolean, nullable=False),
    _text("path", default=""),  # the main file, relative to the site; '' where there is none
    _text("files_json", default="[]"),  # every file: [path, sha256, bytes]
    _text("checksum", default=""),
    _text("data_hash", default=""),  # pixels and columns only: no dates, no history
    _text("code_version", default=""),
    _text("settings_hash", default=""),
    _text("scope", default=""),  # camera.project.obstype, on which the settings may depend
    Column("attempt_id", Integer),
    Column("made_mjd", Float, nullable=False),
    _text("stale", default=""),  # why a newer choice exists; '' if none
    _text("warnings_json", default="[]"),
    _text("operations_json", default="[]"),
    _text("environment", default=""),  # of libraries, see `environment`
    Column("dropped_mjd", Float),  # its files were removed on purpose and can be made again
    sa.UniqueConstraint("kind", "key", "version"),
)
Index(
    "uq_product_current",
    product.c.kind,
    product.c.key,
    unique=True,
    sqlite_where=sa.text("is_current"),
    postgresql_where=sa.text("is_current"),
)

Index("ix_product_attempt_id", product.c.attempt_id)
Index("ix_product_key", product.c.key)
Index(
    "ix_product_made_by",  # few groups of many: what is stale is told from the groups
    product.c.kind,
    product.c.scope,
    product.c.code_version,
    product.c.settings_hash,
    sqlite_where=sa.text("is_current"),
    postgresql_where=sa.text("is_current"),
)
Index(
    "ix_product_stale",
    product.c.kind,
    product.c.key,
    sqlite_where=sa.text("is_current AND stale <> ''"),
    postgresql_where=sa.text("is_current AND stale <> ''"),
)
Index(
    "ix_product_warned",
    product.c.kind,
    product.c.key,
    sqlite_where=sa.text("is_current AND warnings_json <> '[]'"),
    postgresql_where=sa.text("is_current AND warnings_json <> '[]'"),
)
Index(
    "ix_product_dropped",
    product.c.id,
    sqlite_where=sa.text("dropped_mjd IS NOT NULL"),
    postgresql_where=sa.text("dropped_mjd IS NOT NULL"),
)

settings = Table(
    "settings",
    metadata,
    Column("hash", Text, primary_key=True),
    _text("content_json"),  # every setting of a step, as its worker got them
)

environment = Table(
    "environment",
    metadata,
    Column("hash", Text, primary_key=True),
    _text("content_json"),  # versions of Python and of the libraries that touch numbers
)

edge = Table(
    "edge",
    metadata,
    Column("product", Integer, ForeignKey("product.id"), primary_key=True, autoincrement=False),
    Column("source", Integer, ForeignKey("product.id"), primary_key=True, autoincrement=False),
    _text("role"),  # input, evidence
)
Index("ix_edge_source", edge.c.source)

project = Table("project", metadata, Column("name", Text, primary_key=True))

exposure = Table(
    "exposure",
    metadata,
    Column("id", Integer, primary_key=True),
    _text("key", default=""),
    _text("name", default=""),  # what its frames share; of a camera with one CCD the frame's
    _text("telescope"),
    _text("camera"),
    _text("ccds_json", default="[]"),  # CCDs that it should have; [] where that is not known
    _text("night"),
    _text("obstype"),
    _text("flat_kind", default=""),
    _text("readout_mode"),
    Column("mjd_start", Float, nullable=False),
    Column("exptime_s", Float, nullable=False),
    Column("ra_deg", Float),
    Column("dec_deg", Float),
    Column("airmass", Float),
    _text("object", default=""),
    Column("project", Text, ForeignKey("project.name"), nullable=False),
    sa.UniqueConstraint("key"),
)
Index("ix_exposure_night", exposure.c.night, exposure.c.obstype)
Index("ix_exposure_name", exposure.c.name)
# Frames are searched in the order of their exposures' times, those of a project too.
Index("ix_exposure_time", exposure.c.mjd_start, exposure.c.id)
Index("ix_exposure_project_time", exposure.c.project, exposure.c.mjd_start, exposure.c.id)
Index("ix_exposure_object", exposure.c.object)
Index("ix_exposure_dec_deg", exposure.c.dec_deg)

frame = Table(
    "frame",
    metadata,
    _product(),
    Column("exposure_id", Integer, ForeignKey("exposure.id"), nullable=False),
    _text("name"),
    _text("ccd"),
    _text("band", default=""),
    _text("filter_serial", default=""),
    _text("configuration"),
    Column("nx", Integer, nullable=False),
    Column("ny", Integer, nullable=False),
    _text("sha256"),
    _text("data_sha256"),
    _text("footprint_json", default="null"),
    sa.UniqueConstraint("name"),
    sa.UniqueConstraint("sha256"),
)
Index("ix_frame_exposure_id", frame.c.exposure_id)
Index("ix_frame_data_sha256", frame.c.data_sha256)
Index("ix_frame_configuration", frame.c.configuration)

tile = Table(
    "tile",
    metadata,
    Column("name", Text, primary_key=True),
    Column("ra_deg", Float),
    Column("dec_deg", Float),
)

frame_tile = Table(
    "frame_tile",
    metadata,
    Column(
        "frame_id",
        Integer,
        ForeignKey("frame.product_id"),
        primary_key=True,
        autoincrement=False,
    ),
    Column("tile", Text, ForeignKey("tile.name"), primary_key=True),
    _text("band"),
    _text("source"),  # pointing, wcs
)
Index("ix_frame_tile_tile_band", frame_tile.c.tile, frame_tile.c.band)

refcat = Table(
    "refcat",
    metadata,
    _product(),
    _text("name"),
    Column("rows", Integer, nullable=False),
    _text("origin"),
    _text("columns_json", default="[]"),
)

master = Table(
    "master",
    metadata,
    _product(),
    _text("master_kind"),
    _text("configuration"),
    _text("night"),
    Column("valid_begin", Float, nullable=False),
    Column("valid_end", Float, nullable=False),
    Column("natural_end", Float, nullable=False),  # where it would end without a successor
    _text("state"),  # proposed, certified, superseded, invalid, rejected
    _text("reason", default=""),
    Column("n_frames", Integer, nullable=False),
)
Index("ix_master_configuration", master.c.configuration, master.c.master_kind, master.c.state)
Index("ix_master_night", master.c.night)
Index(
    "ix_master_proposed",
    master.c.product_id,
    sqlite_where=sa.text("state = 'proposed'"),
    postgresql_where=sa.text("state = 'proposed'"),
)

quality = Table(
    "quality",
    metadata,
    _product(),
    Column("passed", Boolean, nullable=False),
    _text("reason", default=""),
    Column("fwhm_arcsec", Float),
    Column("ellipticity", Float),
    Column("sky_e", Float),
    Column("sky_rms_e", Float),
    Column("zeropoint_mag", Float),
    Column("zeropoint_err_mag", Float),
    Column("depth_psf_mag", Float),
    Column("astrometry_rms_ra_arcsec", Float),
    Column("astrometry_rms_dec_arcsec", Float),
    Column("n_psf_stars", Integer),
    _text("metrics_json", default="{}"),
    Column("seconds", Float),
    Column("peak_memory_mb", Float),
)
Index("ix_quality_fwhm_arcsec", quality.c.fwhm_arcsec)
Index("ix_quality_zeropoint_mag", quality.c.zeropoint_mag)

amp_quality = Table(
    "amp_quality",
    metadata,
    Column("detector", Text, primary_key=True),  # the configuration without its filter
    Column("metric", Text, primary_key=True),
    Column("filter", Text, primary_key=True),  # "-" where no filter matters
    Column("source", Text, primary_key=True),  # kind of the master, or of the product
    Column("night", Text, primary_key=True),
    Column("amp", Integer, primary_key=True, autoincrement=False),  # 0 is the whole CCD
    Column("value", Float),  # NULL: asked for, could not be measured
    Column("error", Float),
    Column("n", Integer, nullable=False),
    Column("level", Integer, nullable=False),  # 0 quiet, 1 warning, 2 alarm
    _text("reason", default=""),
    Column("product_id", Integer, ForeignKey("product.id"), nullable=False),
    Column("at_mjd", Float, nullable=False),
)
Index(
    "ix_amp_quality_series",
    amp_quality.c.detector,
    amp_quality.c.metric,
    amp_quality.c.amp,
    amp_quality.c.night,
)
Index("ix_amp_quality_night", amp_quality.c.night, amp_quality.c.level)
Index("ix_amp_quality_product_id", amp_quality.c.product_id)

verdict = Table(
    "verdict",
    metadata,
    Column("id", Integer, primary_key=True),
    _text("kind"),
    _text("key"),
    _text("value"),  # bad
    _text("reason"),
    _text("comment", default=""),
    _text("who"),
    Column("set_mjd", Float, nullable=False),
    Column("withdrawn_mjd", Float),
    _text("withdrawn_by", default=""),
)
Index(
    "uq_verdict_standing",
    verdict.c.kind,
    verdict.c.key,
    unique=True,
    sqlite_where=sa.text("withdrawn_mjd IS NULL"),
    postgresql_where=sa.text("withdrawn_mjd IS NULL"),
)

event = Table(
    "event",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("at_mjd", Float, nullable=False),
    _text("what"),
    _text("kind", default=""),
    _text("key", default=""),
    _text("detail", default=""),
    _text("who", default=""),
)
Index("ix_event_kind_key", event.c.kind, event.c.key)
Index("ix_event_at_mjd", event.c.at_mjd, postgresql_using="brin")

refused = Table(
    "refused",
    metadata,
    Column("id", Integer, primary_key=True),
    _text("path"),
    _text("sha256", default=""),
    _text("reason"),
    Column("at_mjd", Float, nullable=False),
    sa.UniqueConstraint("path", "sha256"),
)

step = Table(
    "step",
    metadata,
    Column("name", Text, primary_key=True),
    _text("kind"),
    _text("code_version"),
    _text("settings_hash"),
    Column("cores", Integer, nullable=False),
    Column("memory_mb", Float, nullable=False),
    Column("seconds_per_mpix", Float, nullable=False),
)

step_settings = Table(
    "step_settings",
    metadata,
    Column("step", Text, primary_key=True),
    Column("scope", Text, primary_key=True),
    _text("settings_hash"),
)

dirty = Table(
    "dirty",
    metadata,
    Column("kind", Text, primary_key=True),
    Column("key", Text, primary_key=True),
    Column("not_before", Float, nullable=False),
    _text("why"),
    Column("fresh", Boolean, nullable=False),  # choose calibrations anew
    Column("priority", Integer, nullable=False, server_default="0"),
    Column("rank", Integer, nullable=False, server_default="9"),  # what is made first
)
Index("ix_dirty_not_before", dirty.c.not_before)
Index("ix_dirty_order", dirty.c.priority.desc(), dirty.c.rank, dirty.c.key)

waiting = Table(
    "waiting",
    metadata,
    Column("kind", Text, primary_key=True),
    Column("key", Text, primary_key=True),
    Column("since_mjd", Float, nullable=False),
    _text("reason"),
    Column("pending", Boolean, nullable=False),  # what it waits for is under way
    Column("fresh", Boolean, nullable=False),
    _text("configuration", default=""),  # of the frame or master that waits
    Column("priority", Integer, nullable=False, server_default="0"),
)
Index("ix_waiting_configuration", waiting.c.configuration)

task = Table(
    "task",
    metadata,
    Column("id", Integer, primary_key=True),
    _text("step"),
    _text("kind"),
    _text("key"),
    _text("state"),  # ready, running, done, skipped, dead
    Column("priority", Integer, nullable=False),
    _text("wanted_hash"),
    _text("why", default=""),
    Column("megapixels", Float, nullable=False, server_default="1"),
    Column("not_before", Float, nullable=False),
    Column("attempts", Integer, nullable=False, server_default="0"),
    Column("faults", Integer, nullable=False, server_default="0"),
    Column("interruptions", Integer, nullable=False, server_default="0"),
    Column("memory_faults", Integer, nullable=False, server_default="0"),
    Column("lease_until", Float),
    Column("attempt_id", Integer),
    _text("reason", default=""),  # why it is skipped or dead
    sa.UniqueConstraint("step", "key"),
)
Index(
    "ix_task_ready",
    task.c.step,
    task.c.priority.desc(),
    task.c.id,
    sqlite_where=sa.text("state = 'ready'"),
    postgresql_where=sa.text("state = 'ready'"),
)
Index(
    "ix_task_running",
    task.c.lease_until,
    sqlite_where=sa.text("state = 'running'"),
    postgresql_where=sa.text("state = 'running'"),
)
Index(
    "ix_task_ended_badly",
    task.c.state,
    task.c.step,
    task.c.key,
    sqlite_where=sa.text("state IN ('dead', 'skipped')"),
    postgresql_where=sa.text("state IN ('dead', 'skipped')"),
)
Index("ix_task_kind_key", task.c.kind, task.c.key)

task_input = Table(
    "task_input",
    metadata,
    Column("task_id", Integer, ForeignKey("task.id"), primary_key=True, autoincrement=False),
    Column("source", Integer, ForeignKey("product.id"), primary_key=True, autoincrement=False),
    _text("role"),
)
Index("ix_task_input_source", task_input.c.source)

attempt = Table(
    "attempt",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("task_id", Integer, ForeignKey("task.id"), nullable=False),
    Column("number", Integer, nullable=False),
    _text("host"),
    Column("started_mjd", Float, nullable=False),
    Column("ended_mjd", Float),
    _text("outcome", default="running"),  # running, done, failed, late
    _text("fault_class", default=""),  # infrastructure, fault, memory, quality
    Column("seconds", Float),
    Column("peak_memory_mb", Float),
    _text("log", default=""),
    _text("controller", default=""),  # who handed it out
)
Index("ix_attempt_task_id", attempt.c.task_id)
Index(
    "ix_attempt_running",
    attempt.c.controller,
    sqlite_where=sa.text("outcome = 'running'"),
    postgresql_where=sa.text("outcome = 'running'"),
)

controller = Table(
    "controller",
    metadata,
    Column("id", Text, primary_key=True),  # host.pid.random
    _text("host"),
    Column("pid", Integer, nullable=False),
    _text("engine"),
    Column("started_mjd", Float, nullable=False),
    Column("seen_mjd", Float, nullable=False),
    Column("ended_mjd", Float),
)

paused = Table(
    "paused",
    metadata,
    Column("step", Text, primary_key=True),  # * for all
    Column("project", Text, primary_key=True),  # * for all
    _text("reason", default=""),
    _text("who", default=""),
    Column("at_mjd", Float, nullable=False),
)

planned = Table(
    "planned",
    metadata,
    Column("tile", Text, ForeignKey("tile.name"), primary_key=True),
    Column("band", Text, primary_key=True),
    Column("frames", Integer, nullable=False),  # with so many a coadd is complete
)

tally = Table(
    "tally",
    metadata,
    Column("what", Text, primary_key=True),  # products, tasks, stale, warned
    Column("kind", Text, primary_key=True),
    Column("state", Text, primary_key=True),
    Column("n", Integer, nullable=False),
    _text("example", default=""),
    Column("at_mjd", Float, nullable=False),
)

replica = Table(
    "replica",
    metadata,
    Column("product_id", Integer, ForeignKey("product.id"), primary_key=True, autoincrement=False),
    Column("site", Text, primary_key=True),
    _text("checksum"),  # of the main file, as that site computed it
    Column("verified_mjd", Float, nullable=False),
    _text("shipment", default=""),
    _text("path", default=""),  # where that site keeps it, relative to its folder; '' if not known
)
Index("ix_replica_site", replica.c.site, replica.c.verified_mjd)

shipment = Table(
    "shipment",
    metadata,
    Column("id", Text, primary_key=True),
    _text("direction"),  # out, in
    _text("site"),  # the other one
    _text("state"),  # packed, sent, verified, failed
    Column("files", Integer, nullable=False),
    Column("bytes", sa.BigInteger, nullable=False),
    Column("packed_mjd", Float, nullable=False),
    Column("ended_mjd", Float),
    _text("detail", default=""),
)
Index("ix_shipment_state", shipment.c.direction, shipment.c.site, shipment.c.state)

account = Table(
    "account",
    metadata,
    Column("name", Text, primary_key=True),
    _text("role", default="member"),  # member, or operator: of every project
    Column("created_mjd", Float, nullable=False),
    Column("disabled_mjd", Float),
)

member = Table(
    "member",
    metadata,
    Column("account", Text, ForeignKey("account.name"), primary_key=True),
    Column("project", Text, primary_key=True),
)

access_token = Table(
    "access_token",
    metadata,
    Column("hash", Text, primary_key=True),  # sha256 of the token, which nobody keeps
    Column("account", Text, ForeignKey("account.name"), nullable=False),
    _text("label", default=""),
    Column("created_mjd", Float, nullable=False),
    Column("expires_mjd", Float),
    Column("revoked_mjd", Float),
)
Index("ix_access_token_account", access_token.c.account)
