"""Masters: their intervals and their states.

A certified master holds from the noon before its night until its natural end, or until the next
certified master of its configuration begins. So intervals depend on which masters are certified,
never on the order in which they were.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy.engine import Connection

from tesela.ledger import events, queries, schema
from tesela.ledger.keys import Configuration, MasterKey
from tesela.ledger.parts import ask
from tesela.products.validity import Validity

_A_MOMENT = 1e-6
"""Days; shorter than any night."""


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
    """Enter a master as proposed; `reason` says which gates it failed, if any.

    It takes the place of an earlier version that is proposed still: nobody can certify that now.
    """
    own = {"master_kind": key.master_kind, "configuration": str(key.configuration)}
    for earlier in _versions(conn, {**own, "night": key.night}, "proposed"):
        set_state(conn, earlier, "superseded", "by a later version")
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


def several(conn: Connection, ids: Collection[int]) -> dict[int, dict[str, Any]]:
    """Return the rows of masters, by their ids."""
    return {row["product_id"]: row for row in ask(conn, queries.MASTERS_OF_IDS, ids)}


def certify(conn: Connection, product_id: int, natural_end: float | None = None) -> list[int]:
    """Let a master be used, in the same transaction closing the one before it and superseding
    other certified versions of its key; returns their ids.

    `natural_end` replaces the one it was entered with: the calendar may have changed since.
    """
    row = get(conn, product_id)
    replaced = [i for i in certified_versions(conn, row) if i != product_id]
    for other in replaced:
        set_state(conn, other, "superseded", "by a later version")
    if natural_end is not None and natural_end != row["natural_end"]:
        table = schema.master
        changed = table.update().where(table.c.product_id == product_id)
        conn.execute(changed.values(natural_end=natural_end))
        row = get(conn, product_id)
    _fit_intervals(conn, row["master_kind"], row["configuration"], entering=row)
    _record(conn, row, "certified", "")
    return replaced


def certified_versions(conn: Connection, row: dict[str, Any]) -> list[int]:
    """Return the ids of the certified versions of a master's key."""
    return _versions(conn, row, "certified")


def _versions(conn: Connection, row: dict[str, Any], state: str) -> list[int]:
    wanted = {name: row[name] for name in ("master_kind", "configuration", "night")}
    found = conn.execute(queries.VERSIONS_IN_STATE, {**wanted, "state": state})
    return [int(one.product_id) for one in found]


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


def configurations(conn: Connection) -> list[tuple[str, Configuration]]:
    """Return every kind and configuration of which there was ever a master."""
    rows = conn.execute(queries.MASTER_CONFIGURATIONS)
    return [(row.master_kind, _configuration(row.configuration)) for row in rows]


def listed(conn: Connection, master_kind: str = "", state: str = "") -> list[dict[str, Any]]:
    """Return the current masters of a kind and state, '' for any, in the order of their keys."""
    wanted = {"master_kind": master_kind, "state": state}
    return [dict(row) for row in conn.execute(queries.MASTERS_LISTED, wanted).mappings()]


def every_certified(conn: Connection) -> list[dict[str, Any]]:
    """Return every certified master: its id, natural end and key."""
    return [dict(row) for row in conn.execute(queries.EVERY_CERTIFIED).mappings()]


def set_natural_ends(conn: Connection, ends: Mapping[int, float]) -> None:
    """Let certified masters end elsewhere where they have no successor; neighbours follow."""
    table = schema.master
    touched = set()
    for product_id, end in ends.items():
        row = get(conn, product_id)
        touched.add((row["master_kind"], row["configuration"]))
        conn.execute(table.update().where(table.c.product_id == product_id).values(natural_end=end))
    for master_kind, configuration in sorted(touched):
        _fit_intervals(conn, master_kind, configuration)


def around(
    conn: Connection, master_kind: str, configuration: Configuration, mjd: float
) -> list[dict[str, Any]]:
    """Return the certified masters nearest to an instant: the last begun and the next."""
    wanted = {"master_kind": master_kind, "configuration": str(configuration), "mjd": mjd}
    return [dict(row) for row in conn.execute(queries.CERTIFIED_AROUND, wanted).mappings()]


def certified(
    conn: Connection, master_kind: str, configuration: Configuration, *, but: Collection[str] = ()
) -> list[Validity]:
    """Return how long each certified master of a configuration holds by itself, without those of
    some keys."""
    wanted = {"master_kind": master_kind, "configuration": str(configuration)}
    rows = conn.execute(queries.CERTIFIED, wanted)
    return [Validity(r.valid_begin, r.natural_end) for r in rows if r.key not in but]


def neighbours(conn: Connection, key: MasterKey, begin: float) -> tuple[float | None, float | None]:
    """Return the end of the certified interval before `begin` and the beginning of the one after;
    None where there is none."""
    rows = [
        row
        for row in around(conn, key.master_kind, key.configuration, begin - _A_MOMENT)
        if row["night"] != key.night
    ]
    before = [row["valid_end"] for row in rows if row["valid_begin"] < begin]
    later = around(conn, key.master_kind, key.configuration, begin)
    after = [row["valid_begin"] for row in later if row["valid_begin"] > begin]
    return (before[0] if before else None), (after[0] if after else None)


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
