"""The cluster NGC 2420 through the ordinary commands, once."""

from __future__ import annotations

import json
import sqlite3
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from verbs import well

SURVEY = Path(__file__).parents[2] / "examples" / "cafos_ngc2420" / "survey.toml"


@dataclass(frozen=True)
class Cluster:
    """A site that holds the finished cluster."""

    site: Path
    summary: dict[str, Any]

    def path(self, kind: str, key: str) -> Path:
        """File of the current version of a product."""
        row = self._rows("SELECT path FROM product WHERE kind = ? AND key = ?", (kind, key))
        return self.site / row[0][0]

    def keys(self, kind: str) -> list[str]:
        """Keys of the current products of a kind."""
        rows = self._rows(
            "SELECT key FROM product WHERE kind = ? AND is_current ORDER BY key", (kind,)
        )
        return [key for (key,) in rows]

    def metrics(self, key: str) -> dict[str, Any]:
        """What was measured on a reduced frame."""
        ((text,),) = self._rows(
            "SELECT metrics_json FROM quality q JOIN product p ON p.id = q.product_id"
            " WHERE p.kind = 'reduced' AND p.key = ?",
            (key,),
        )
        return json.loads(text)

    def _rows(self, query: str, values: tuple[str, ...]) -> list[tuple[Any, ...]]:
        with sqlite3.connect(self.site / "ledger.sqlite") as ledger:
            return ledger.execute(query, values).fetchall()


@pytest.fixture(scope="session")
def cluster(real_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Cluster:
    """Raw frames to coadd and catalogue, nothing special but the survey.toml."""
    folder = real_data / "cafos_ngc2420"
    if not folder.is_dir():
        pytest.skip("no frames of NGC 2420 among the real observations")
    site = tmp_path_factory.mktemp("real") / "ngc2420"
    well("init", site, "--survey", SURVEY)
    reference = folder / "reference_NGC2420_ugriz_daophot.csv"
    well("refcat", "add", "sdss", reference, "--site", site)
    parts = [folder / part for part in ("bias", "flat_V", "science_V")]
    well("ingest", *parts, "--site", site)
    return Cluster(site, well("run", "--site", site, "--json").data)
