"""Who may fetch raw frames."""

from __future__ import annotations

from sqlalchemy import Column, Float, ForeignKey, Index, Table

from tesela.ledger.schema.base import Text, metadata, text

account = Table(
    "account",
    metadata,
    Column("name", Text, primary_key=True),
    text("role", default="member"),  # member, or operator: of every project
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
    text("label", default=""),
    Column("created_mjd", Float, nullable=False),
    Column("expires_mjd", Float),
    Column("revoked_mjd", Float),
)
Index("ix_access_token_account", access_token.c.account)
