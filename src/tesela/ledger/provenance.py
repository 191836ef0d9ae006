"""What products were made with, kept once for all that share it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from sqlalchemy.engine import Connection

from tesela.ledger import schema
from tesela.ledger.insert import insert_once


def keep_settings(conn: Connection, fingerprint: str, settings: Mapping[str, Any]) -> None:
    """Keep the settings behind a fingerprint, so that what they made can be made again."""
    row = {"hash": fingerprint, "content_json": json.dumps(settings, sort_keys=True, default=str)}
    insert_once(conn, schema.settings, row, ["hash"])
