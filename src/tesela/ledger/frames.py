"""Raw frames: taken in once, never changed."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from tesela.errors import Duplicate, NotFound
from tesela.ledger import events, exposures, products, queries, schema, verdicts
from tesela.ledger.clock import now_mjd, to_unix
from tesela.ledger.insert import insert_each_once, insert_once
from tesela.ledger.keys import NO_FILTER, Configuration
from tesela.ledger.parts import ask, each
from tesela.products.frame import FrameFacts
from tesela.products.rawfile import frame_name

NO_FILTER_TYPES = ("bias", "dark")


def configuration_of(facts: FrameFacts) -> Configuration:
    """Return what a frame's calibrations must share with it."""
    through = NO_FILTER
    if facts.obstype not in NO_FILTER_TYPES:
        through = f"{facts.band}_{facts.filter_serial or NO_FILTER}"
    return Configuration.of(facts.telescope, facts.camera, facts.ccd, through, facts.readout_mode)


def by_name(conn: Connection, name: str) -> dict[str, Any] | None:
    """Return a frame with its exposure's facts, or None."""
    row = conn.execute(queries.FRAME_BY_NAME, {"name": name}).mappings().first()
    return None if row is None else _read(dict(row))


def several(conn: Connection, names: Collection[str]) -> dict[str, dict[str, Any]]:
    """Return frames by their names, as `by_name` does; those that are not known are left out."""
    return {row["name"]: _read(row) for row in ask(conn, queries.FRAMES_BY_NAME, names)}


def _read(row: Mapping[str, Any]) -> dict[str, Any]:
    found = dict(row)
    found["footprint"] = json.loads(found.pop("footprint_json"))
    found["ccds"] = json.loads(found.pop("ccds_json"))
    return found


def get(conn: Connection, name: str) -> dict[str, Any]:
    """Return a frame; raise `NotFound` if it was never taken in."""
    found = by_name(conn, name)
    if found is None:
        raise NotFound(name, found="no frame of that name", do="ingest it, or check the name")
    return found


def is_known(conn: Connection, facts: FrameFacts) -> bool:
    """Whether this very file is here already; raise `Duplicate` if name and content disagree."""
    asked = {name: getattr(facts, name) for name in ("name", "sha256", "data_sha256")}
    alike = conn.execute(queries.FRAMES_LIKE, asked).mappings().all()
    for row in alike:
        if row["sha256"] != facts.sha256 and row["data_sha256"] != facts.data_sha256:
            continue  # of the same name alone
        if row["name"] == facts.name and row["sha256"] == facts.sha256:
            return True
        if row["sha256"] != facts.sha256 and verdicts.standing(conn, "raw", row["name"]):
            continue  # the same pixels with a corrected header; the wrong one is flagged
        if row["name"] != facts.name:
            raise Duplicate(
                facts.name,
                found=f"the same content as frame {row['name']}",
                expected="a frame that is not here yet",
                do="keep one name; if that frame's header is wrong, `tesela flag` it and ingest "
                "the corrected file under a new name; nothing was taken in",
            )
    known = next((row for row in alike if row["name"] == facts.name), None)
    if known is not None:
        raise Duplicate(
            facts.name,
            found=f"other content (sha256 {facts.sha256[:12]}) than the frame of that name here"
            f" ({known['sha256'][:12]})",
            expected="one content for one name",
            do="rename it if it is another exposure; if its header was corrected, `tesela flag` "
            "the frame here first, then rename the file; nothing was overwritten",
        )
    exposures.check(conn, facts)
    return False


def add(
    conn: Connection,
    facts: FrameFacts,
    tiles: Iterable[str] = (),
    picture: products.File | None = None,
    *,
    size: int = 0,
) -> int:
    """Take a frame in: product, exposure, frame and the tiles its pointing may touch.

    `picture` is the file of its small picture, `size` that of its own file in bytes, 0 if nobody
    looked. Returns the product's id. Raises `Duplicate` if name or content are here already.
    """
    if is_known(conn, facts):
        raise Duplicate(facts.name, found="this very frame is here already")
    product_id = products.insert(
        conn,
        products.NewProduct(
            kind="raw",
            key=facts.name,
            version=1,
            path=facts.path,
            files=((facts.path, facts.sha256, size), *((picture,) if picture else ())),
            checksum=facts.sha256,
            data_hash=facts.data_sha256,
        ),
    )
    exposure_id = exposures.put(conn, facts)
    row = {
        "product_id": product_id,
        "exposure_id": exposure_id,
        "name": facts.name,
        "ccd": str(facts.ccd),
        "band": facts.band,
        "filter_serial": facts.filter_serial,
        "configuration": str(configuration_of(facts)),
        "nx": facts.nx,
        "ny": facts.ny,
        "sha256": facts.sha256,
        "data_sha256": facts.data_sha256,
        "footprint_json": json.dumps(facts.footprint),
    }
    conn.execute(schema.frame.insert(), row)
    _add_tiles(conn, product_id, facts.band, tiles, "pointing")
    events.record(conn, "ingested", kind="raw", key=facts.name, detail=facts.path)
    exposures.take_verdict(conn, facts)
    return product_id


def set_tiles(
    conn: Connection, frame_id: int, band: str, tiles: Iterable[str], *, source: str
) -> None:
    """Replace the tiles that a frame touches (`source`: pointing, wcs)."""
    table = schema.frame_tile
    conn.execute(table.delete().where(table.c.frame_id == frame_id))
    _add_tiles(conn, frame_id, band, tiles, source)


def _add_tiles(
    conn: Connection, frame_id: int, band: str, tiles: Iterable[str], source: str
) -> None:
    names = sorted(set(tiles))
    if not names:
        return
    insert_each_once(conn, schema.tile, [{"name": name} for name in names], ["name"])
    same = {"frame_id": frame_id, "band": band, "source": source}
    each(conn, schema.frame_tile.insert(), [{**same, "tile": name} for name in names])


def tiles_of(conn: Connection, frame_id: int) -> list[str]:
    """Return the names of the tiles that a frame touches."""
    rows = conn.execute(queries.TILES_OF_FRAME, {"frame_id": frame_id})
    return [row.tile for row in rows]


def bands_of(conn: Connection, tile: str) -> list[str]:
    """Return the bands in which frames touch a tile."""
    return [row.band for row in conn.execute(queries.BANDS_OF_TILE, {"tile": tile})]


def refused_at(conn: Connection) -> dict[str, float]:
    """Return when each file was refused last, as Unix time, by its path."""
    table = schema.refused
    found: dict[str, float] = {}
    for row in conn.execute(table.select().with_only_columns(table.c.path, table.c.at_mjd)):
        found[row.path] = max(found.get(row.path, 0.0), to_unix(row.at_mjd))
    return found


def refusals(conn: Connection, name: str) -> list[dict[str, Any]]:
    """Return path, reason and at_mjd of files that were not taken in, the latest first.

    `name` is the path of a file, its name, or that without its ending: what its frame would be.
    """
    rows = [dict(row) for row in conn.execute(queries.REFUSED).mappings()]
    return [
        row
        for row, path in ((row, Path(row["path"])) for row in rows)
        if name in (row["path"], path.name, frame_name(path))
    ]


def refuse(conn: Connection, path: str, sha256: str, reason: str, log: str = "") -> None:
    """Record that a file was not taken in, and why; the same refusal again is one row.

    `log` goes to the event alone: where our code stumbled, if it did.
    """
    row = {"path": path, "sha256": sha256, "reason": reason, "at_mjd": now_mjd()}
    insert_once(conn, schema.refused, row, ["path", "sha256"], update=["reason", "at_mjd"])
    events.record(conn, "ingest refused", kind="raw", key=path, detail=f"{reason}\n{log}".strip())


def bands_made(conn: Connection, tile: str) -> list[dict[str, Any]]:
    """Return each band that was observed of a tile: band, coadd and catalogue (ids of what is
    served, or None), megapixels of its coadd's frames, is_pending."""
    return [dict(row) for row in conn.execute(queries.BANDS_MADE, {"tile": tile}).mappings()]


def count_good(conn: Connection, tile: str, band: str) -> int:
    """Return how many frames of a tile and band have an image that would go into a coadd."""
    wanted = {"tile": tile, "band": band, "yes": True}
    return int(conn.scalar(queries.GOOD_FRAMES, wanted) or 0)


def planned(conn: Connection, tiles: Collection[str], band: str) -> dict[str, int]:
    """Return how many frames are planned for each tile in a band of which that is said."""
    rows = ask(conn, queries.PLANNED_OF_TILES, tiles, band=band)
    return {row["tile"]: row["frames"] for row in rows}


def set_planned(conn: Connection, rows: Iterable[tuple[str, str, int]]) -> int:
    """Say how many frames are planned (tile, band, frames); returns for how many tiles and bands.

    Raises `NotFound` for a tile that the grid does not have.
    """
    known = set(conn.scalars(sa.select(schema.tile.c.name)))
    n = 0
    for tile, band, wanted in rows:
        if tile not in known:
            raise NotFound(f"tile {tile}", found="no tile of that name in the survey's grid")
        row = {"tile": tile, "band": band, "frames": wanted}
        insert_once(conn, schema.planned, row, ["tile", "band"], update=["frames"])
        n += 1
    return n
