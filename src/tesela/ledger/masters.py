"""Masters: their intervals and their states.

A certified master holds from the noon before its night until its natural end, or until the next
certified master of its configuration begins. So intervals depend on which masters are certified,
never on the order in which they were.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlalchemy.engine import Connection

from tesela.ledger import events, queries, schema
from tesela.ledger.keys import Configuration, MasterKey


@dataclass(frozen=True)
class Interval:
    """When a master may be used: [begin, natural_end) unless another begins before."""

    begin: float
    natural_end: float


def add(
    conn: Connection,
    product_id: int,
    key: MasterKey,
    interval: Interval,
    *,
    n_frames: int,
    reason: str = "",
) -> None:
    """Enter a master as proposed; `reason` says which gates it failed, if any."""
    conn.execute(
        schema.master.insert().values(
            product_id=product_id,
            master_kind=key.master_kind,
            configuration=str(key.configuration),
            night=key.night,
            valid_begin=interval.begin,
            valid_end=interval.natural_end,
            natural_end=interval.natural_end,
            state="proposed",
            reason=reason,
            n_frames=n_frames,
        )
    )


def get(conn: Connection, product_id: int) -> dict[str, Any]:
    """Return a master's row."""
    table = schema.master
    row = conn.execute(table.select().where(table.c.product_id == product_id)).mappings().one()
    return dict(row)


def certify(conn: Connection, product_id: int) -> None:
    """Let a master be used, in the same transaction closing the one before it."""
    row = get(conn, product_id)
    _fit_intervals(conn, row["master_kind"], row["configuration"], entering=row)
    _record(conn, row, "certified", "")


def set_state(conn: Connection, product_id: int, state: str, reason: str) -> None:
    """Move a master to superseded, invalid, rejected or proposed; neighbours take its time."""
    row = get(conn, product_id)
    table = schema.master
    conn.execute(
        table.update().where(table.c.product_id == product_id).values(state=state, reason=reason)
    )
    _fit_intervals(conn, row["master_kind"], row["configuration"])
    _record(conn, row, state, reason)


def _record(conn: Connection, row: dict[str, Any], state: str, reason: str) -> None:
    key = MasterKey(row["master_kind"], _configuration(row["configuration"]), row["night"])
    events.record(conn, f"master {state}", kind="master", key=str(key), detail=reason)


def _configuration(text: str) -> Configuration:
    return Configuration(*text.split("."))


def _fit_intervals(
    conn: Connection, master_kind: str, configuration: str, entering: dict[str, Any] | None = None
) -> None:
    """Set every certified interval's end to the beginning of the next, or its natural end."""
    wanted = {"master_kind": master_kind, "configuration": configuration}
    rows = [dict(r) for r in conn.execute(queries.CERTIFIED, wanted).mappings()]
    everyone = sorted(rows + ([entering] if entering else []), key=lambda r: r["valid_begin"])
    begins = [*(row["valid_begin"] for row in everyone[1:]), float("inf")]
    ends = {
        row["product_id"]: min(row["natural_end"], begin) for row, begin in zip(everyone, begins)
    }
    # First those that shrink, so that at no moment two overlap.
    for row in sorted(rows, key=lambda r: ends[r["product_id"]] >= r["valid_end"]):
        if ends[row["product_id"]] < row["valid_end"]:
            _set_end(conn, row["product_id"], ends[row["product_id"]])
    if entering:
        table = schema.master
        conn.execute(
            table.update()
            .where(table.c.product_id == entering["product_id"])
            .values(state="certified", reason="", valid_end=ends[entering["product_id"]])
        )
    for row in rows:
        if ends[row["product_id"]] > row["valid_end"]:
            _set_end(conn, row["product_id"], ends[row["product_id"]])


def _set_end(conn: Connection, product_id: int, end: float) -> None:
    table = schema.master
    conn.execute(table.update().where(table.c.product_id == product_id).values(valid_end=end))


def listed(conn: Connection, master_kind: str = "", state: str = "") -> list[dict[str, Any]]:
    """Return the current masters of a kind and state, '' for any, in the order of their keys."""
    wanted = {"master_kind": master_kind, "state": state}
    return [dict(row) for row in conn.execute(queries.MASTERS_LISTED, wanted).mappings()]


def every_certified(conn: Connection) -> list[dict[str, Any]]:
    """Return every certified master: its id, natural end and key."""
    return [dict(row) for row in conn.execute(queries.EVERY_CERTIFIED).mappings()]


def set_natural_end(conn: Connection, product_id: int, end: float) -> None:
    """Let a certified master end elsewhere where it has no successor; its neighbours follow."""
    row = get(conn, product_id)
    table = schema.master
    conn.execute(table.update().where(table.c.product_id == product_id).values(natural_end=end))
    _fit_intervals(conn, row["master_kind"], row["configuration"])


def around(
    conn: Connection, master_kind: str, configuration: Configuration, mjd: float
) -> list[dict[str, Any]]:
    """Return the certified masters nearest to an instant: the last begun and the next."""
    wanted = {"master_kind": master_kind, "configuration": str(configuration), "mjd": mjd}
    return [dict(row) for row in conn.execute(queries.CERTIFIED_AROUND, wanted).mappings()]


def previous(conn: Connection, key: MasterKey) -> int | None:
    """Return the id of the certified master of the last night before `key`'s, or None."""
    wanted = {
        "master_kind": key.master_kind,
        "configuration": str(key.configuration),
        "night": key.night,
    }
    found = conn.scalar(queries.PREVIOUS_CERTIFIED, wanted)
    return None if found is None else int(found)


def first_since(conn: Connection, key: MasterKey, mjd: float) -> int | None:
    """Return the id of the first certified master since an instant, before `key`'s, or None."""
    wanted = {
        "master_kind": key.master_kind,
        "configuration": str(key.configuration),
        "night": key.night,
        "since": mjd,
    }
    found = conn.scalar(queries.FIRST_CERTIFIED_SINCE, wanted)
    return None if found is None else int(found)


def is_sound(conn: Connection, product_id: int) -> bool:
    """Whether what was made with a master may stand."""
    return get(conn, product_id)["state"] in ("certified", "superseded")


def of_ccd(
    conn: Connection, master_kind: str, configuration: Configuration, first: str, end: str
) -> list[dict[str, Any]]:
    """Return the certified masters of a CCD and read-out mode, of any filter, of nights
    [first, end)."""
    low, high = _of_ccd(configuration)
    wanted = {"master_kind": master_kind, "low": low, "high": high, "first": first, "end": end}
    rows = conn.execute(queries.CERTIFIED_OF_CCD, wanted).mappings()
    mode = f".{configuration.readout_mode}"
    return [dict(row) for row in rows if row["configuration"].endswith(mode)]


def pending_of_ccd(
    conn: Connection, master_kind: str, configuration: Configuration
) -> list[MasterKey]:
    """Return the masters of a CCD and read-out mode, of any filter, that are under way."""
    low, high = (f"{master_kind}.{end}" for end in _of_ccd(configuration))
    rows = conn.execute(queries.MASTERS_PENDING, {"low": low, "high": high})
    keys = [MasterKey.parse(row.key) for row in rows]
    return [key for key in keys if key.configuration.detector == configuration.detector]


def _of_ccd(configuration: Configuration) -> tuple[str, str]:
    """The range of the configurations of a CCD."""
    prefix = f"{configuration.telescope}.{configuration.camera}.{configuration.ccd}"
    return f"{prefix}.", f"{prefix}/"  # '/' follows '.'


def candidates(
    conn: Connection, master_kind: str, telescope: str, camera: str
) -> list[dict[str, Any]]:
    """Return every master of this kind of a telescope's camera, in whatever state."""
    wanted = {"master_kind": master_kind, "prefix": f"{telescope}.{camera}"}
    return [dict(row) for row in conn.execute(queries.MASTER_CANDIDATES, wanted).mappings()]


def given_up(
    conn: Connection, master_kind: str, configuration: Configuration
) -> list[tuple[MasterKey, str]]:
    """Return the masters of a configuration that will not come by themselves, and why not."""
    rows = conn.execute(queries.MASTERS_GIVEN_UP, _range(master_kind, configuration))
    return [(MasterKey.parse(row.key), f"{row.how}: {row.reason}") for row in rows]


def pending(conn: Connection, master_kind: str, configuration: Configuration) -> list[MasterKey]:
    """Return the masters of a configuration that are due, running or about to be."""
    rows = conn.execute(queries.MASTERS_PENDING, _range(master_kind, configuration))
    return [MasterKey.parse(row.key) for row in rows]


def _range(master_kind: str, configuration: Configuration) -> dict[str, str]:
    """The keys of a configuration's masters, all nights."""
    prefix = f"{master_kind}.{configuration}"
    return {"low": prefix + ".", "high": prefix + "/"}  # '/' follows '.'
