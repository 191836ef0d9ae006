"""What is known of it: quality, verdicts, events, counts, copies elsewhere."""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy import Boolean, Column, Float, ForeignKey, Index, Integer, Table

from tesela.ledger.schema.base import Text, metadata, product_key, text

quality = Table(
    "quality",
    metadata,
    product_key(),
    Column("passed", Boolean, nullable=False),
    text("reason", default=""),
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
    text("metrics_json", default="{}"),
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
    text("reason", default=""),
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
    text("kind"),
    text("key"),
    text("value"),  # bad
    text("reason"),
    text("comment", default=""),
    text("who"),
    Column("set_mjd", Float, nullable=False),
    Column("withdrawn_mjd", Float),
    text("withdrawn_by", default=""),
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
    text("what"),
    text("kind", default=""),
    text("key", default=""),
    text("detail", default=""),
    text("who", default=""),
)
Index("ix_event_kind_key", event.c.kind, event.c.key)
Index("ix_event_at_mjd", event.c.at_mjd, postgresql_using="brin")

refused = Table(
    "refused",
    metadata,
    Column("id", Integer, primary_key=True),
    text("path"),
    text("sha256", default=""),
    text("reason"),
    Column("at_mjd", Float, nullable=False),
    sa.UniqueConstraint("path", "sha256"),
)

tally = Table(
    "tally",
    metadata,
    Column("what", Text, primary_key=True),  # products, tasks, stale, warned
    Column("kind", Text, primary_key=True),
    Column("state", Text, primary_key=True),
    Column("n", Integer, nullable=False),
    text("example", default=""),
    Column("at_mjd", Float, nullable=False),
)

replica = Table(
    "replica",
    metadata,
    Column("product_id", Integer, ForeignKey("product.id"), primary_key=True, autoincrement=False),
    Column("site", Text, primary_key=True),
    text("checksum"),  # of the main file, as that site computed it
    Column("verified_mjd", Float, nullable=False),
    text("shipment", default=""),
    text("path", default=""),  # where that site keeps it, relative to its folder; '' if not known
)
Index("ix_replica_site", replica.c.site, replica.c.verified_mjd)

shipment = Table(
    "shipment",
    metadata,
    Column("id", Text, primary_key=True),
    text("direction"),  # out, in
    text("site"),  # the other one
    text("state"),  # packed, sent, verified, failed
    Column("files", Integer, nullable=False),
    Column("bytes", sa.BigInteger, nullable=False),
    Column("packed_mjd", Float, nullable=False),
    Column("ended_mjd", Float),
    text("detail", default=""),
)
Index("ix_shipment_state", shipment.c.direction, shipment.c.site, shipment.c.state)
