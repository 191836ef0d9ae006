"""The score as a table for the terminal, as JSON and as Markdown."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Sequence

from rich.console import Group
from rich.table import Table
from rich.text import Text

from tesela.score.rows import Row

_VERDICT = {True: "pass", False: "FAIL", None: ""}
_COLOUR = {True: "green", False: "bold red", None: ""}


def passed(rows: Sequence[Row]) -> bool:
    """Whether every row that is judged has passed."""
    return all(row.passed is not False for row in rows)


def terminal(rows: Sequence[Row], title: str = "Products against simulated truth") -> Group:
    """Two tables to print with rich: all bands together, and bands against metrics."""
    table = Table(title=title, title_justify="left")
    for heading in ("what", "value", "unit", "n", "target", ""):
        right = heading in ("value", "n")
        table.add_column(heading, justify="right" if right else "left", no_wrap=heading != "what")
    table.add_column("note", overflow="fold")
    for row in rows:
        if not row.band:
            table.add_row(
                row.metric, number(row), row.unit, str(row.n), row.goal, _verdict(row), row.note
            )
    return Group(table, _by_band(rows))


def _by_band(rows: Sequence[Row]) -> Table:
    metrics = _unique(row.metric for row in rows if row.band)
    table = Table(title="By band: value +- error (n)", title_justify="left")
    table.add_column("band")
    units = {row.metric: row for row in rows if row.band}
    for metric in metrics:
        unit = units[metric].unit
        table.add_column(
            f"{metric} [{unit}]".replace(" []", "").replace("[", r"\["), justify="right"
        )
    cells = {(row.band, row.metric): row for row in rows if row.band}
    for band in _unique(row.band for row in rows if row.band):
        found = [cells.get((band, metric)) for metric in metrics]
        table.add_row(band, *(_cell(row) for row in found))
    return table


def _unique(names: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(names))


def _cell(row: Row | None) -> Text:
    if row is None:
        return Text("")
    return Text(f"{number(row)} ({row.n})", style=_COLOUR[row.passed])


def _verdict(row: Row) -> Text:
    return Text(_VERDICT[row.passed], style=_COLOUR[row.passed])


def number(row: Row) -> str:
    """Value and error, with the digits that the error deserves: "12.3 +- 0.4"."""
    if math.isnan(row.value):
        return "-"
    digits = 1 if row.unit in ("mas", "mmag", "1/Mpix") else 3
    if math.isnan(row.error):
        return f"{row.value:.{digits}f}"
    return f"{row.value:.{digits}f} +- {row.error:.{digits}f}"


def to_json(rows: Sequence[Row]) -> str:
    """All rows with the overall verdict."""
    content = {"passed": passed(rows), "rows": [row.as_dict() for row in rows]}
    return json.dumps(content, indent=1, allow_nan=False) + "\n"


def to_markdown(rows: Sequence[Row]) -> str:
    """One table of all rows."""
    lines = [
        "| what | band | value | unit | n | target | verdict | note |",
        "|---|---|---:|---|---:|---|---|---|",
    ]
    for row in rows:
        cells = (
            row.metric, row.band, number(row), row.unit, str(row.n), row.goal,
            _VERDICT[row.passed], row.note,
        )  # fmt: skip
        lines.append("| " + " | ".join(cell.replace("|", r"\|") for cell in cells) + " |")
    return "\n".join(lines) + "\n"
