"""The working science database of a site: the tables of the tiles that are current."""

from __future__ import annotations

import json
from pathlib import Path

import duckdb

from tesela.flow.run.site import Site
from tesela.ledger import products
from tesela.sciencedb import working

TABLES = ("objects", "detections", "tiles")


def connect(site: Site) -> duckdb.DuckDBPyConnection:
    """Open it for reading; tiles that are loaded later are seen by the next connection."""
    with site.ledger.read() as conn:
        rows = products.all_current(conn, "science")
    files: dict[str, list[Path]] = {name: [] for name in TABLES}
    for row in rows:
        for path, _, _ in json.loads(row["files_json"]):
            table = Path(path).stem.rpartition(".")[2]
            files[table].append(site.folder / path)
    return working.connect(files)
