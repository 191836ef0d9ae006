"""What the pages of tiles, products and releases ask of the ledger: read-only statements."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from tesela.ledger import schema
from tesela.web.portal.queries import Row

_product, _quality, _edge = schema.product, schema.quality, schema.edge
_tile, _frame_tile = schema.tile, schema.frame_tile

_AFTER = "\U0010ffff"
"""Sorts after any text that continues a prefix."""


def current(conn: Connection, kinds: Collection[str], keys: Collection[str]) -> list[Row]:
    """The versions that are served, of these kinds and keys, with their quality."""
    query = (
        sa.select(
            _product,
            _quality.c.passed,
            _quality.c.reason.label("quality_reason"),
            _quality.c.metrics_json,
        )
        .select_from(_product.outerjoin(_quality, _quality.c.product_id == _product.c.id))
        .where(_product.c.kind.in_(kinds), _product.c.key.in_(keys), _product.c.is_current)
        .order_by(_product.c.kind, _product.c.key)
    )
    return list(conn.execute(query).mappings())


def pending(
    conn: Connection, kinds: Collection[str], keys: Collection[str]
) -> dict[tuple[str, str], tuple[str, str]]:
    """State (due, waiting, skipped, dead) and reason of what is not simply made, by kind and key.

    What is due hides why the last try failed, as it will be tried again.
    """
    found: dict[tuple[str, str], tuple[str, str]] = {}
    for table, state in ((schema.waiting, "waiting"), (schema.task, ""), (schema.dirty, "due")):
        query = sa.select(table).where(table.c.kind.in_(kinds), table.c.key.in_(keys))
        for row in conn.execute(query).mappings():
            key = row["kind"], row["key"]
            if state == "waiting":
                found[key] = state, row["reason"]
            elif state == "due":
                found[key] = state, row["why"]
            elif row["state"] in ("dead", "skipped"):
                found[key] = row["state"], row["reason"]
            elif row["state"] in ("ready", "running"):
                found[key] = "due", row["why"]
    return found


def tile(conn: Connection, name: str) -> Row | None:
    """A tile with its centre, None if the grid has none of that name."""
    return conn.execute(sa.select(_tile).where(_tile.c.name == name)).mappings().first()


def frames_by_band(conn: Connection, name: str) -> dict[str, int]:
    """Frames that touch a tile, by band."""
    query = (
        sa.select(_frame_tile.c.band, sa.func.count())
        .where(_frame_tile.c.tile == name)
        .group_by(_frame_tile.c.band)
    )
    return {row[0]: int(row[1]) for row in conn.execute(query)}


def tiles(conn: Connection, *, limit: int, offset: int) -> list[Row]:
    """Tiles that frames touch, by name: name, ra_deg, dec_deg, frames, bands."""
    query = (
        sa.select(
            _tile.c.name,
            _tile.c.ra_deg,
            _tile.c.dec_deg,
            sa.func.count().label("frames"),
            sa.func.count(sa.distinct(_frame_tile.c.band)).label("bands"),
        )
        .select_from(_tile.join(_frame_tile, _frame_tile.c.tile == _tile.c.name))
        .group_by(_tile.c.name, _tile.c.ra_deg, _tile.c.dec_deg)
        .order_by(_tile.c.name)
        .limit(limit)
        .offset(offset)
    )
    return list(conn.execute(query).mappings())


def count_tiles(conn: Connection) -> int:
    """Tiles that frames touch."""
    return int(conn.scalar(sa.select(sa.func.count(sa.distinct(_frame_tile.c.tile)))) or 0)


def keys_between(conn: Connection, kinds: Collection[str], first: str, last: str) -> list[Row]:
    """Kind and key of the products served whose keys lie between two, the prefixed included."""
    query = (
        sa.select(_product.c.kind, _product.c.key)
        .where(
            _product.c.kind.in_(kinds),
            _product.c.key >= first,
            _product.c.key < last + _AFTER,
            _product.c.is_current,
        )
        .order_by(_product.c.kind, _product.c.key)
    )
    return list(conn.execute(query).mappings())


def releases(conn: Connection) -> list[Row]:
    """Every release that was built, latest first, with its quality and how many tiles it has."""
    n_sources = (
        sa.select(sa.func.count())
        .select_from(_edge.join(schema.product.alias("s"), sa.text("s.id = edge.source")))
        .where(_edge.c.product == _product.c.id, sa.text("s.kind = 'science'"))
        .scalar_subquery()
    )
    query = (
        sa.select(
            _product,
            _quality.c.passed,
            _quality.c.reason.label("quality_reason"),
            _quality.c.metrics_json,
            n_sources.label("tiles"),
        )
        .select_from(_product.outerjoin(_quality, _quality.c.product_id == _product.c.id))
        .where(_product.c.kind == "release")
        .order_by(_product.c.id.desc())
    )
    return list(conn.execute(query).mappings())


def releases_with(conn: Connection, tile_name: str) -> list[Row]:
    """Releases that hold a version of a tile's science products: key, version, is_current."""
    source = schema.product.alias("science")
    query = (
        sa.select(_product.c.key, _product.c.version, _product.c.is_current,
                  source.c.version.label("tile_version"))
        .select_from(
            _product.join(_edge, _edge.c.product == _product.c.id)
            .join(source, source.c.id == _edge.c.source)
        )
        .where(
            _product.c.kind == "release", source.c.kind == "science", source.c.key == tile_name
        )
        .order_by(_product.c.id.desc())
    )  # fmt: skip
    return list(conn.execute(query).mappings())


def names_like(conn: Connection, words: str, limit: int) -> list[tuple[str, str]]:
    """(kind, key) of frames and tiles whose names begin with `words`."""
    frame = schema.frame
    found: list[tuple[str, str]] = []
    for kind, column in (("raw", frame.c.name), ("tile", _tile.c.name)):
        query = (
            sa.select(column)
            .where(column >= words, column < words + _AFTER)
            .order_by(column)
            .limit(limit)
        )
        found += [(kind, row[0]) for row in conn.execute(query)]
    return found


def exposures_named(conn: Connection, words: str) -> list[str]:
    """Keys of the exposures of this name or key."""
    table = schema.exposure
    query = sa.select(table.c.key).where(sa.or_(table.c.name == words, table.c.key == words))
    return [row[0] for row in conn.execute(query.order_by(table.c.key))]


def kinds_of(conn: Connection, key: str, kinds: Collection[str]) -> list[str]:
    """Kinds of products that carry a key, in any version."""
    query = (
        sa.select(_product.c.kind)
        .where(_product.c.kind.in_(kinds), _product.c.key == key)
        .distinct()
        .order_by(_product.c.kind)
    )
    return [row[0] for row in conn.execute(query)]


def quality(conn: Connection, product_id: int) -> dict[str, Any]:
    """What was measured on a version; empty if nothing was."""
    row = conn.execute(_quality.select().where(_quality.c.product_id == product_id)).mappings()
    first = row.first()
    return {} if first is None else dict(first)
