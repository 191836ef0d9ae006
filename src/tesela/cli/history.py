"""`tesela history`: everything that happened to a frame or product."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any

import typer

from tesela.cli.common import HERE, JsonOption, SiteOption, emit, some, worded
from tesela.errors import NotFound


def add_to(app: typer.Typer) -> None:
    """Add the verb."""
    app.command("history")(history)


def history(
    key: Annotated[
        str,
        typer.Argument(
            help="A frame, exposure, master, tile, <tile>.<band> or release.", callback=worded
        ),
    ],
    site: SiteOption = HERE,
    as_json: JsonOption = False,
) -> None:
    """Print the events, versions, attempts, verdicts and copies at other sites of a frame, product
    or release; of an exposure the events and verdicts of all its frames."""
    from tesela.flow.run.site import open_site
    from tesela.ledger import history as past

    opened = open_site(site)
    with opened.ledger.read() as conn:
        data = past.of_key(conn, key)
        if not any(data.values()):
            data = past.of_exposure(conn, key)
    if not any(data.values()):
        raise NotFound(key, found="nothing of that name", do="see `tesela status`")
    emit(data, as_json, lambda: _lines(data, key))


_MOST_TELLING = ("python", "numpy", "scipy", "numba", "astropy")


def _made_by(row: dict[str, Any]) -> str:
    """Code, settings and environment of a version, as far as they are known."""
    parts = [
        f"{word} {row[name]}"
        for word, name in (
            ("code", "code_version"), ("settings", "settings_hash"), ("environment", "environment")
        )
        if row[name]
    ]  # fmt: skip
    if row["libraries"]:
        known = [f"{n} {row['libraries'][n]}" for n in _MOST_TELLING if n in row["libraries"]]
        parts[-1] += f" ({', '.join(known)})"
    return ", ".join(parts)


def _lines(data: dict[str, list[dict[str, Any]]], key: str) -> Iterator[str]:
    from tesela.ledger.clock import iso

    for row in data["events"]:
        who = f" by {row['who']}" if row["who"] else ""
        of = row["kind"] if row["key"] == key else f"{row['kind']} {row['key']}"
        yield f"{iso(row['at_mjd'])} {of} {row['what']}{who}: {row['detail']}"
    for row in data["versions"]:
        state = "current" if row["is_current"] else row["state"]
        note = f", {row['master_state']}" if row["master_state"] else ""
        note += ", passed" * (row["passed"] is True)
        where = row["path"] or "no file"
        if row["dropped_mjd"] is not None:
            where += f", removed on purpose {iso(row['dropped_mjd'])}"
        made = f"{iso(row['made_mjd'])} version {row['version']} of {row['kind']}"
        yield f"{made}: {state}{note}, {where}"
        if row["passed"] is False:
            yield f"  did not pass: {row['quality_reason']}"
        if row["version"] > 1:
            yield from some([f"  {text}" for text in row["changes"] or ["from the same inputs"]])
        if by := _made_by(row):
            yield f"  made by {by}"
        yield from some([f"  {text}" for text in row["differences"]])
        yield from some([f"  warning: {text}" for text in row["warnings"]])
    for row in data["copies"]:
        sound = "copy" if row["is_ours"] else "another content"
        yield (
            f"{sound} of version {row['version']} of {row['kind']} at {row['site']}, verified "
            f"{iso(row['verified_mjd'])}"
        )
    for row in data["attempts"]:
        how = row["outcome"] + (f" ({row['fault_class']})" if row["fault_class"] else "")
        took = f", {row['seconds']:.1f} s" if row["seconds"] is not None else ""
        said = row["log"].partition("\n")[0] if row["outcome"] == "failed" else ""
        why = f": {said}" if said else ""
        began = f"{iso(row['started_mjd'])} attempt {row['number']} of {row['step']}"
        yield f"{began} on {row['host']}: {how}{took}{why}"
    for row in data["verdicts"]:
        ended = f", withdrawn by {row['withdrawn_by']}" if row["withdrawn_mjd"] else ""
        of = "" if row["key"] == key else f" on {row['kind']} {row['key']}"
        yield f"verdict {row['value']}{of} by {row['who']}: {row['reason']} {row['comment']}{ended}"
