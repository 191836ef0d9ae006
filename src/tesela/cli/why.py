"""`tesela why`: why a product is as it is, and why this calibration and not the others."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any

import typer

from tesela.cli.common import HERE, JsonOption, SiteOption, emit, worded


def add_to(app: typer.Typer) -> None:
    """Add the verb."""
    app.command("why")(why)


def why(
    key: Annotated[
        str,
        typer.Argument(
            help="A frame, exposure, master, tile, <tile>.<band> or release.", callback=worded
        ),
    ],
    site: SiteOption = HERE,
    as_json: JsonOption = False,
) -> None:
    """Explain a frame's calibrations, a coadd's frames, a release's tiles, and why something is
    due or waits."""
    from tesela.flow.plan.why import explain
    from tesela.flow.run.bodies import steps_of
    from tesela.flow.run.site import open_site

    opened = open_site(site)
    steps_of(opened)  # nothing is due, or as it is, because of settings that a run refuses
    with opened.ledger.read() as conn:
        data = explain(conn, opened.rules, key)
    emit(data, as_json, lambda: _lines(data))


def _lines(data: dict[str, Any]) -> Iterator[str]:
    yield from data["state"]
    for need in data.get("calibrations", []):
        yield from _calibration(need)
    for row in data.get("frames", []):
        yield f"  {row['frame']}: {row['state']}" + (f", {row['reason']}" if row["reason"] else "")
    for row in data.get("tiles", []):
        yield f"  {row['tile']}: version {row['version']}, {_since(row)}"


def _since(row: dict[str, Any]) -> str:
    if row["current"] is None:
        return "of which none is current now"
    return "still current" if row["current"] == row["version"] else f"now it is {row['current']}"


def _calibration(need: dict[str, Any]) -> Iterator[str]:
    kind = need["master_kind"]
    if need["chosen"]:
        away = need["distance_days"]
        how = f", {away:.2f} d outside its validity" if away else ", valid then"
        across = f", across {need['crosses']}" if need["crosses"] else ""
        stands_in = f", standing in for {kind}" if need["stands_in"] else ""
        yield f"{kind}: {need['chosen']}{how}{across}{stands_in}"
    elif not need["is_required"] and not need["waits_for"]:
        yield f"{kind}: none, the image goes without"
    if need["in_use"] and need["in_use"] != need["chosen"]:
        yield f"{kind}: the current image was made with {need['in_use']}"
    if need["waits_for"]:
        yield f"{kind}: waits for {need['waits_for']}"
    for row in need["rejected"]:
        yield f"  not {row['key']} version {row['version']}: {row['reason']}"
