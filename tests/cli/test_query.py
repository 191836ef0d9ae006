"""The working science database answers a SELECT, and nothing else."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from tesela.cli.main import build, exit_code
from tesela.errors import BadInput
from tesela.flow.run import working


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):  # type: ignore[no-untyped-def]
    """A site whose database holds three objects; returns a function that asks it."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    from tesela.sciencedb.working import connect

    path = tmp_path / "objects.parquet"
    mags = pa.FixedSizeListArray.from_arrays(pa.array([17.0, 18.0, None, 19.5, 20.0, 21.0]), 2)
    table = {"source_id": pa.array(np.arange(3)), "tile": ["a", "a", "b"], "mag_auto": mags}
    pq.write_table(pa.table(table), path)
    monkeypatch.setattr("tesela.flow.run.site.open_site", lambda folder: folder)
    monkeypatch.setattr(working, "connect", lambda site: connect({"objects": [path]}))

    def ask(*arguments: str):  # type: ignore[no-untyped-def]
        return CliRunner().invoke(build(), ["query", *arguments, "--site", str(tmp_path)])

    return ask


def rows(text: str) -> list[list[str]]:
    """CSV as any reader of it sees it."""
    return list(csv.reader(text.splitlines()))


def test_rows_for_people_programs_and_spreadsheets(asked) -> None:  # type: ignore[no-untyped-def]
    sql = "select tile, count(*) n from objects group by tile order by tile"
    assert json.loads(asked(sql, "--json").stdout) == [
        {"tile": "a", "n": 2},
        {"tile": "b", "n": 1},
    ]
    assert rows(asked(sql, "--csv").stdout) == [["tile", "n"], ["a", "2"], ["b", "1"]]
    assert "tile" in asked(sql).stdout


def test_what_json_does_not_know_is_null(asked) -> None:  # type: ignore[no-untyped-def]
    sql = "select 'nan'::double a, ['inf'::double, 2.0] b, mag_auto from objects limit 1"
    assert "NaN" not in (said := asked(sql, "--json").stdout)
    assert json.loads(said) == [{"a": None, "b": [None, 2.0], "mag_auto": [17.0, 18.0]}]


def test_arrays_count_from_one_and_null_is_a_dash(asked) -> None:  # type: ignore[no-untyped-def]
    sql = "select mag_auto[2] m, mag_auto from objects order by source_id"
    assert rows(asked(sql, "--csv").stdout) == [
        ["m", "mag_auto"],
        ["18", "17 18"],
        ["19.5", "- 19.5"],
        ["21", "20 21"],
    ]


@pytest.mark.parametrize(
    "sql",
    [
        "",
        "drop view objects",
        "select 1; select 2",
        "create table t as select 1",
        "select nothing from objects",
        "select * from read_csv('/etc/hosts')",
        "copy (select 1) to 'x.csv'",
        "set memory_limit='1TB'",
        "attach 'x.db'",
    ],
)
def test_all_else_is_refused_with_a_sentence(asked, sql: str) -> None:  # type: ignore[no-untyped-def]
    error = asked(sql).exception
    assert isinstance(error, BadInput)
    assert exit_code(error) == 2
    assert "one SELECT" in str(error)
