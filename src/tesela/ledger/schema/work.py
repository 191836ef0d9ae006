"""What is to be done: steps, dirty and waiting keys, tasks, attempts, and who hands them out."""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy import Boolean, Column, Float, ForeignKey, Index, Integer, Table

from tesela.ledger.schema.base import Text, metadata, text

step = Table(
    "step",
    metadata,
    Column("name", Text, primary_key=True),
    text("kind"),
    text("code_version"),
    text("settings_hash"),
    Column("cores", Integer, nullable=False),
    Column("memory_mb", Float, nullable=False),
    Column("seconds_per_mpix", Float, nullable=False),
)

step_settings = Table(
    "step_settings",
    metadata,
    Column("step", Text, primary_key=True),
    Column("scope", Text, primary_key=True),
    text("settings_hash"),
)

dirty = Table(
    "dirty",
    metadata,
    Column("kind", Text, primary_key=True),
    Column("key", Text, primary_key=True),
    Column("not_before", Float, nullable=False),
    text("why"),
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
    text("reason"),
    Column("pending", Boolean, nullable=False),  # what it waits for is under way
    Column("fresh", Boolean, nullable=False),
    text("configuration", default=""),  # of the frame or master that waits
    Column("priority", Integer, nullable=False, server_default="0"),
)
Index("ix_waiting_configuration", waiting.c.configuration)

task = Table(
    "task",
    metadata,
    Column("id", Integer, primary_key=True),
    text("step"),
    text("kind"),
    text("key"),
    text("state"),  # ready, running, done, skipped, dead
    Column("priority", Integer, nullable=False),
    text("wanted_hash"),
    text("why", default=""),
    Column("megapixels", Float, nullable=False, server_default="1"),
    Column("not_before", Float, nullable=False),
    Column("attempts", Integer, nullable=False, server_default="0"),
    Column("faults", Integer, nullable=False, server_default="0"),
    Column("interruptions", Integer, nullable=False, server_default="0"),
    Column("memory_faults", Integer, nullable=False, server_default="0"),
    Column("lease_until", Float),
    Column("attempt_id", Integer),
    text("reason", default=""),  # why it is skipped or dead
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
Index(
    "ix_task_open",
    task.c.kind,
    task.c.key,
    sqlite_where=sa.text("state IN ('ready', 'running')"),
    postgresql_where=sa.text("state IN ('ready', 'running')"),
)

task_input = Table(
    "task_input",
    metadata,
    Column("task_id", Integer, ForeignKey("task.id"), primary_key=True, autoincrement=False),
    Column("source", Integer, ForeignKey("product.id"), primary_key=True, autoincrement=False),
    text("role"),
)
Index("ix_task_input_source", task_input.c.source)

attempt = Table(
    "attempt",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("task_id", Integer, ForeignKey("task.id"), nullable=False),
    Column("number", Integer, nullable=False),
    text("host"),
    Column("started_mjd", Float, nullable=False),
    Column("ended_mjd", Float),
    text("outcome", default="running"),  # running, done, failed, late
    text("fault_class", default=""),  # infrastructure, fault, memory, quality
    Column("seconds", Float),
    Column("peak_memory_mb", Float),
    text("log", default=""),
    text("controller", default=""),  # who handed it out
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
    text("host"),
    Column("pid", Integer, nullable=False),
    text("engine"),
    Column("started_mjd", Float, nullable=False),
    Column("seen_mjd", Float, nullable=False),
    Column("ended_mjd", Float),
)

paused = Table(
    "paused",
    metadata,
    Column("step", Text, primary_key=True),  # * for all
    Column("project", Text, primary_key=True),  # * for all
    text("reason", default=""),
    text("who", default=""),
    Column("at_mjd", Float, nullable=False),
)
