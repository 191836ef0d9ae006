"""`tesela query`: ask the working science database."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tesela.cli.common import HERE, JsonOption, SiteOption, finite
from tesela.errors import BadInput

if TYPE_CHECKING:
    import pyarrow as pa

_SHOWN = 100


def add_to(app: typer.Typer) -> None:
    """Add the verb."""
    app.command("query")(query)


def query(
    sql: Annotated[str, typer.Argument(help="A SELECT over objects, detections and tiles.")],
    site: SiteOption = HERE,
    csv: Annotated[bool, typer.Option("--csv", help="Print CSV, all rows.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Ask the working science database of the site: what is current, published or not.

    DuckDB's SQL. Arrays over bands count from 1 in the order of the table `filters` of a release,
    by wavelength. Nothing can be written and no file be opened.
    """
    import duckdb

    from tesela.flow.run import working
    from tesela.flow.run.site import open_site

    connection = working.connect(open_site(site))
    try:
        statements = connection.extract_statements(sql)
        if [s.type for s in statements] != [duckdb.StatementType.SELECT]:
            raise _refused(f"{len(statements)} statements, or one of another kind")
        found = connection.execute(sql).to_arrow_table()
    except duckdb.Error as error:
        raise _refused(str(error).splitlines()[0]) from error
    if csv:
        _print_csv(found)
    elif as_json:
        typer.echo(_json(found))
    else:
        _print_table(found)


def _refused(found: str) -> BadInput:
    return BadInput(
        "the query",
        found=found,
        expected="one SELECT over objects, detections and tiles",
        do="columns are listed in docs/reference/columns.md",
    )


def _print_csv(found: pa.Table) -> None:
    import pyarrow as pa
    import pyarrow.csv as pacsv

    # CSV knows no arrays: they are written as text.
    columns = {
        field.name: pa.array([_cell(value) for value in found.column(field.name).to_pylist()])
        if pa.types.is_nested(field.type)
        else found.column(field.name)
        for field in found.schema
    }
    options = pacsv.WriteOptions(quoting_style="needed")
    pacsv.write_csv(pa.table(columns), sys.stdout.buffer, options)


def _json(found: pa.Table) -> str:
    import json

    return json.dumps(finite(found.to_pylist()), default=str, allow_nan=False)


def _print_table(found: pa.Table) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table()
    for name in found.column_names:
        table.add_column(name, overflow="fold")
    for row in found.slice(0, _SHOWN).to_pylist():
        table.add_row(*(_cell(value) for value in row.values()))
    Console().print(table)
    if found.num_rows > _SHOWN:
        typer.echo(f"{_SHOWN} of {found.num_rows} rows; --csv and --json print all")


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:.7g}"
    if isinstance(value, list):
        return " ".join(_cell(one) or "-" for one in value)
    return str(value)
