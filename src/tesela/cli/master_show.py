"""`tesela masters show`: what one version of a master is."""

from __future__ import annotations

import json
import textwrap
from collections import Counter
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tesela.cli.common import HERE, JsonOption, SiteOption, emit, some, worded
from tesela.errors import BadInput

if TYPE_CHECKING:
    from sqlalchemy.engine import Connection

_NAMES, _WIDTH = 40, 96
"""Names that are written out at the most, and the columns of a line of them."""

_HOLDS = {"certified": "holds", "flagged": "holds until the next run,", "proposed": "would hold"}

_Row = dict[str, Any]


def show(
    key: Annotated[str, typer.Argument(help="Key of a master.", callback=worded)],
    number: Annotated[
        int | None,
        typer.Option(
            "--version", min=1, help="Any version; default: the one served, else the newest."
        ),
    ] = None,
    site: SiteOption = HERE,
    as_json: JsonOption = False,
) -> None:
    """Tell what a master was made of, what was left out and why, how it compares with the one
    before, how long it holds, and where the pages about it are. Without a version that is served,
    the newest there is, and what became of it."""
    from tesela.flow.run.site import open_site
    from tesela.ledger import master_lists, products
    from tesela.ledger.clock import iso

    opened = open_site(site)
    with opened.ledger.read() as conn:
        listed = master_lists.versions(conn, key=key) or _refuse(conn, key)
        state = _chosen(key, listed, number)
        row = products.version(conn, "master", key, state["version"])
        quality = products.quality_of(conn, row["id"])
        sources = products.inputs(conn, row["id"])
    metrics = json.loads(quality["metrics_json"]) if quality else {}
    rejected = metrics.pop("rejected", {})
    data = {
        "key": key,
        "version": row["version"],
        "is_current": bool(row["is_current"]),
        "versions": [one["version"] for one in listed],
        "state": state["state"],
        "reason": state["reason"],
        "valid_from": iso(state["valid_begin"]),
        "valid_until": iso(state["valid_end"]),
        "made_of": [
            {name: source[name] for name in ("kind", "key", "version", "role")}
            for source in sources
            if source["key"] not in rejected
        ],
        "rejected": rejected,
        "warnings": json.loads(row["warnings_json"]),
        "metrics": metrics,
        "files": [str(opened.folder / path) for path, _, _ in json.loads(row["files_json"])],
    }
    emit(data, as_json, lambda: _lines(data))


def _refuse(conn: Connection, key: str) -> list[_Row]:
    """Say that there is no version, and why not where the ledger knows."""
    from tesela.ledger import tasks

    task = tasks.get(conn, "master", key)
    because = f", its task is {task['state']}" if task else ""
    because += f": {task['reason']}" if task and task["reason"] else ""
    raise BadInput(
        key,
        found=f"no version of a master of that key{because}",
        do=f"see `tesela why {key}`" if task else "see `tesela masters list --all`",
    )


def _chosen(key: str, listed: list[_Row], number: int | None) -> _Row:
    """The version asked for, else the one that is served, else the newest."""
    if number is None:
        return max(listed, key=lambda row: (bool(row["is_current"]), row["version"]))
    for row in listed:
        if row["version"] == number:
            return row
    raise BadInput(
        f"{key} version {number}",
        found="no such version",
        expected=f"one of {', '.join(str(row['version']) for row in listed)}",
    )


def _lines(data: dict[str, Any]) -> Iterator[str]:
    reason = f": {data['reason']}" if data["reason"] else ""
    served = "" if data["is_current"] else ", not served"
    yield f"{data['key']} version {data['version']}: {data['state']}{reason}{served}"
    if others := [str(n) for n in data["versions"] if n != data["version"]]:
        yield f"other versions: {', '.join(others)} (--version N)"
    holds = _HOLDS.get(data["state"], "was to hold")
    yield f"{holds} from {data['valid_from']} until {data['valid_until']}"
    kinds = Counter(f"{source['kind']} ({source['role']})" for source in data["made_of"])
    yield "made of: " + (", ".join(f"{n} {kind}" for kind, n in kinds.items()) or "nothing")
    yield from _kept(data["key"], data["made_of"])
    yield from some([f"left out: {name}: {why}" for name, why in data["rejected"].items()])
    yield from some([f"warning: {text}" for text in data["warnings"]])
    for name, value in data["metrics"].items():
        if isinstance(value, float):
            yield f"  {name} = {value:.6g}"
        elif isinstance(value, (int, str)):
            yield f"  {name} = {value}"
    yield "files:"
    yield from (f"  {path}" for path in data["files"])


def _kept(key: str, sources: list[dict[str, Any]]) -> Iterator[str]:
    """Name what was combined: not the masters that were applied, nor those it was compared with."""
    from tesela.ledger.keys import MasterKey
    from tesela.products.masterkind import IMAGES, KINDS, MASTERS, RAW

    source = KINDS[MasterKey.parse(key).master_kind].source
    kind = {RAW: "raw", IMAGES: "detrended", MASTERS: "master"}[source]
    names = [
        one["key"]
        for one in sources
        if one["kind"] == kind and (kind != "master" or one["role"] == "input")
    ]
    if names:
        yield from textwrap.wrap(
            f"kept: {', '.join(names[:_NAMES])}",
            _WIDTH,
            subsequent_indent="  ",
            break_long_words=False,
            break_on_hyphens=False,
        )
    if len(names) > _NAMES:
        yield f"  and {len(names) - _NAMES} more: --json"
