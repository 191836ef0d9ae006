"""What exists: exposures and frames, masters, reference catalogues, tiles; and what was made of
them: products and edges."""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy import Boolean, Column, Float, ForeignKey, Index, Integer, Table

from tesela.ledger.schema.base import Text, metadata, product_key, text

product = Table(
    "product",
    metadata,
    Column("id", Integer, primary_key=True),
    text("kind"),
    text("key"),
    Column("version", Integer, nullable=False),
    text("state"),  # valid, invalid
    Column("is_current", Boolean, nullable=False),
    text("path", default=""),  # the main file, relative to the site; '' where there is none
    text("files_json", default="[]"),  # every file: [path, sha256, bytes]
    text("checksum", default=""),
    text("data_hash", default=""),  # pixels and columns only: no dates, no history
    text("code_version", default=""),
    text("settings_hash", default=""),
    text("scope", default=""),  # camera.project.obstype, on which the settings may depend
    Column("attempt_id", Integer),
    Column("made_mjd", Float, nullable=False),
    text("stale", default=""),  # why a newer choice exists; '' if none
    text("warnings_json", default="[]"),
    text("operations_json", default="[]"),
    text("environment", default=""),  # of libraries, see `environment`
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
    text("content_json"),  # every setting of a step, as its worker got them
)

environment = Table(
    "environment",
    metadata,
    Column("hash", Text, primary_key=True),
    text("content_json"),  # versions of Python and of the libraries that touch numbers
)

edge = Table(
    "edge",
    metadata,
    Column("product", Integer, ForeignKey("product.id"), primary_key=True, autoincrement=False),
    Column("source", Integer, ForeignKey("product.id"), primary_key=True, autoincrement=False),
    text("role"),  # input, evidence
)
Index("ix_edge_source", edge.c.source)

project = Table("project", metadata, Column("name", Text, primary_key=True))

exposure = Table(
    "exposure",
    metadata,
    Column("id", Integer, primary_key=True),
    text("key", default=""),
    text("name", default=""),  # what its frames share; of a camera with one CCD the frame's
    text("telescope"),
    text("camera"),
    text("ccds_json", default="[]"),  # CCDs that it should have; [] where that is not known
    text("night"),
    text("obstype"),
    text("flat_kind", default=""),
    text("readout_mode"),
    Column("mjd_start", Float, nullable=False),
    Column("exptime_s", Float, nullable=False),
    Column("ra_deg", Float),
    Column("dec_deg", Float),
    Column("airmass", Float),
    text("object", default=""),
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
    product_key(),
    Column("exposure_id", Integer, ForeignKey("exposure.id"), nullable=False),
    text("name"),
    text("ccd"),
    text("band", default=""),
    text("filter_serial", default=""),
    text("configuration"),
    Column("nx", Integer, nullable=False),
    Column("ny", Integer, nullable=False),
    text("sha256"),
    text("data_sha256"),
    text("footprint_json", default="null"),
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
    text("band"),
    text("source"),  # pointing, wcs
)
Index("ix_frame_tile_tile_band", frame_tile.c.tile, frame_tile.c.band)

refcat = Table(
    "refcat",
    metadata,
    product_key(),
    text("name"),
    Column("rows", Integer, nullable=False),
    text("origin"),
    text("columns_json", default="[]"),
)

master = Table(
    "master",
    metadata,
    product_key(),
    text("master_kind"),
    text("configuration"),
    text("night"),
    Column("valid_begin", Float, nullable=False),
    Column("valid_end", Float, nullable=False),
    Column("natural_end", Float, nullable=False),  # where it would end without a successor
    text("state"),  # proposed, certified, superseded, invalid, rejected
    text("reason", default=""),
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

planned = Table(
    "planned",
    metadata,
    Column("tile", Text, ForeignKey("tile.name"), primary_key=True),
    Column("band", Text, primary_key=True),
    Column("frames", Integer, nullable=False),  # with so many a coadd is complete
)
