"""The tiles of the survey's grid."""

from __future__ import annotations

from collections.abc import Iterable

from sqlalchemy.engine import Connection

from tesela.ledger import queries, schema


def register(
    conn: Connection, tiles: Iterable[tuple[str, float, float]], *, again: bool = False
) -> None:
    """Enter the tiles (name, ra_deg, dec_deg) of a new site; `again` replaces those before."""
    if again:
        conn.execute(schema.tile.delete())
    rows = [
        {"name": name, "ra_deg": float(ra_deg), "dec_deg": float(dec_deg)}
        for name, ra_deg, dec_deg in tiles
    ]
    if rows:
        conn.execute(schema.tile.insert(), rows)


def observed(conn: Connection) -> list[str]:
    """Return the names of the tiles that a frame touches, in their order."""
    return [row.tile for row in conn.execute(queries.OBSERVED_TILES)]
