"""What all tables share."""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy import Column, ForeignKey, Integer
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


def text(name: str, *args: sa.schema.SchemaItem, default: str | None = None) -> Column[str]:
    """A text column that is never NULL."""
    return Column(name, Text, *args, nullable=False, server_default=default)


def product_key(name: str = "product_id") -> Column[int]:
    """A primary key that is a product."""
    return Column(name, Integer, ForeignKey("product.id"), primary_key=True, autoincrement=False)
