"""What the pages of masters and monitors ask of the ledger: read-only statements."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection
from sqlalchemy.sql.elements import ColumnElement

from tesela.ledger import schema
from tesela.web.portal.queries import Row
from tesela.web.portal.states import OF_SIGNATURE

_product, _quality, _edge = schema.product, schema.quality, schema.edge
_master, _amp = schema.master, schema.amp_quality
_exposure = schema.exposure


@dataclass(frozen=True)
class Chosen:
    """Which masters a page lists; '' is any."""

    kind: str = ""
    state: str = ""
    filter: str = ""
    detector: str = ""
    night: str = ""


def latest_night(conn: Connection) -> str:
    """The last night with an exposure, else with a master, '' without either."""
    night = conn.scalar(sa.select(sa.func.max(_exposure.c.night)))
    return str(night or conn.scalar(sa.select(sa.func.max(_master.c.night))) or "")


_state = sa.case(
    (
        sa.and_(_master.c.state == "proposed", _master.c.reason.in_(OF_SIGNATURE)),
        sa.literal("waits"),
    ),
    else_=_master.c.state,
)
"""As `states.master_state` has it."""


def groups(conn: Connection) -> list[Row]:
    """Versions of masters counted: master_kind, configuration, state, is_current, n, latest
    (night)."""
    query = (
        sa.select(
            _master.c.master_kind,
            _master.c.configuration,
            _state.label("state"),
            _product.c.is_current,
            sa.func.count().label("n"),
            sa.func.max(_master.c.night).label("latest"),
        )
        .select_from(_master.join(_product, _product.c.id == _master.c.product_id))
        .group_by(_master.c.master_kind, _master.c.configuration, _state, _product.c.is_current)
        .order_by(_master.c.master_kind, _master.c.configuration, _state)
    )
    return list(conn.execute(query).mappings())


_COLUMNS = (
    _product.c.key,
    _product.c.version,
    _product.c.is_current,
    _product.c.files_json,
    _product.c.warnings_json,
    _product.c.stale,
    _master,
)


def _current(configurations: Iterable[str] | None = None) -> list[ColumnElement[bool]]:
    where: list[ColumnElement[bool]] = [_product.c.is_current]
    if configurations is not None:
        where.append(_master.c.configuration.in_(configurations))
    return where


def listed(
    conn: Connection,
    chosen: Chosen,
    configurations: Iterable[str],
    *,
    limit: int,
    offset: int = 0,
) -> list[Row]:
    """Masters of these configurations, the latest night first: those that are served or, of a
    state, every version in it."""
    query = (
        sa.select(*_COLUMNS)
        .select_from(_master.join(_product, _product.c.id == _master.c.product_id))
        .where(*_chosen(chosen, configurations))
        .order_by(_master.c.night.desc(), _product.c.key, _product.c.version.desc())
        .limit(limit)
        .offset(offset)
    )
    return list(conn.execute(query).mappings())


def count_listed(conn: Connection, chosen: Chosen, configurations: Iterable[str]) -> int:
    """How many masters `listed` has."""
    query = (
        sa.select(sa.func.count())
        .select_from(_master.join(_product, _product.c.id == _master.c.product_id))
        .where(*_chosen(chosen, configurations))
    )
    return int(conn.scalar(query) or 0)


def _chosen(chosen: Chosen, configurations: Iterable[str]) -> list[ColumnElement[bool]]:
    where = [] if chosen.state else _current()
    where.append(_master.c.configuration.in_(configurations))
    if chosen.kind:
        where.append(_master.c.master_kind == chosen.kind)
    if chosen.state:
        where.append(_state == chosen.state)
    if chosen.night:
        where.append(_master.c.night == chosen.night)
    return where


def latest_of(conn: Connection, master_kind: str, configuration: str) -> Row | None:
    """The served master of the last night of a configuration."""
    query = (
        sa.select(*_COLUMNS)
        .select_from(_master.join(_product, _product.c.id == _master.c.product_id))
        .where(
            *_current(),
            _master.c.master_kind == master_kind,
            _master.c.configuration == configuration,
        )
        .order_by(_master.c.night.desc(), _product.c.id.desc())
        .limit(1)
    )
    return conn.execute(query).mappings().first()


def certified_between(
    conn: Connection, begin: float, end: float, configurations: Iterable[str], kind: str = ""
) -> list[Row]:
    """Certified masters that hold at some time of [begin, end): their intervals, in order."""
    query = (
        sa.select(
            _product.c.key,
            _master.c.master_kind,
            _master.c.configuration,
            _master.c.night,
            _master.c.valid_begin,
            _master.c.valid_end,
        )
        .select_from(_master.join(_product, _product.c.id == _master.c.product_id))
        .where(
            *_current(configurations),
            _master.c.state == "certified",
            _master.c.valid_end > begin,
            _master.c.valid_begin < end,
            *([_master.c.master_kind == kind] if kind else []),
        )
        .order_by(_master.c.valid_begin)
    )
    return list(conn.execute(query).mappings())


def of_configuration(
    conn: Connection, master_kind: str, configuration: str, *, around: str, each_side: int
) -> list[Row]:
    """Served masters of a configuration, those around a night, in the order of nights."""
    base = (
        sa.select(*_COLUMNS)
        .select_from(_master.join(_product, _product.c.id == _master.c.product_id))
        .where(
            *_current(),
            _master.c.master_kind == master_kind,
            _master.c.configuration == configuration,
        )
    )
    night = _master.c.night
    before = base.where(night <= around).order_by(night.desc()).limit(each_side + 1)
    after = base.where(night > around).order_by(night).limit(each_side)
    return [
        *reversed(list(conn.execute(before).mappings())),
        *conn.execute(after).mappings(),
    ]


def shown_version(conn: Connection, key: str) -> Row | None:
    """The version of a master that is served, else the last one, beside its facts as a master."""
    query = (
        sa.select(_product, *(c for c in _master.c if c.name != "state"))
        .add_columns(_master.c.state.label("master_state"))
        .select_from(_product.join(_master, _master.c.product_id == _product.c.id))
        .where(_product.c.kind == "master", _product.c.key == key)
        .order_by(_product.c.is_current.desc(), _product.c.version.desc())
        .limit(1)
    )
    return conn.execute(query).mappings().first()


def amp_values(conn: Connection, product_id: int) -> list[Row]:
    """What the monitors took from a product: amp, metric, value, error, level, reason."""
    query = _amp.select().where(_amp.c.product_id == product_id)
    return list(conn.execute(query.order_by(_amp.c.metric, _amp.c.amp)).mappings())


def alert_counts(conn: Connection, first: str, last: str) -> dict[str, dict[int, int]]:
    """Alerts of the nights first ... last by level (1 warning, 2 alarm).

    Values of products that were retired, or of rejected masters, count no more.
    """
    joined, where = _good(*_within(first, last), _amp.c.level >= 1)
    query = (
        sa.select(_amp.c.night, _amp.c.level, sa.func.count())
        .select_from(joined)
        .where(*where)
        .group_by(_amp.c.night, _amp.c.level)
    )
    found: dict[str, dict[int, int]] = {}
    for night, level, n in conn.execute(query):
        found.setdefault(night, {})[int(level)] = int(n)
    return found


def master_keys(conn: Connection, product_ids: Iterable[int]) -> Mapping[int, tuple[str, str]]:
    """(kind, key) of products."""
    query = sa.select(_product.c.id, _product.c.kind, _product.c.key)
    rows = conn.execute(query.where(_product.c.id.in_(set(product_ids))))
    return {row.id: (row.kind, row.key) for row in rows}


def file_row(conn: Connection, kind: str, key: str, version: int) -> dict[str, Any] | None:
    """The row of one version, whatever became of it."""
    query = _product.select().where(
        _product.c.kind == kind, _product.c.key == key, _product.c.version == version
    )
    row = conn.execute(query).mappings().first()
    return None if row is None else dict(row)


def _good(*where: ColumnElement[bool]) -> tuple[Any, list[ColumnElement[bool]]]:
    """Values of products that are still held to be good: what is joined, and the conditions."""
    joined = _amp.join(
        _product, sa.and_(_product.c.id == _amp.c.product_id, _product.c.state == "valid")
    ).outerjoin(_master, _master.c.product_id == _amp.c.product_id)
    bad = sa.func.coalesce(_master.c.state, "").in_(("invalid", "rejected"))
    return joined, [sa.not_(bad), *where]


def _within(first: str, last: str) -> tuple[ColumnElement[bool], ...]:
    """Of the nights first ... last; PostgreSQL does not read what SQLAlchemy writes for BETWEEN of
    collated texts."""
    return _amp.c.night >= first, _amp.c.night <= last


def _of(detector: str) -> ColumnElement[bool]:
    """Of a detector, but not found by the index of its series: that of the nights reads less."""
    return (_amp.c.detector + "") == detector


def last_followed(conn: Connection) -> str:
    """The last night of which the monitors have a value, '' without any."""
    return str(conn.scalar(sa.select(sa.func.max(_amp.c.night))) or "")


_LAST_NIGHT = """
    SELECT a.night FROM amp_quality a JOIN product p ON p.id = a.product_id
    LEFT JOIN master m ON m.product_id = a.product_id
    WHERE a.detector || '' = :detector AND a.night {which}
      AND p.state = 'valid' AND COALESCE(m.state, '') NOT IN ('invalid', 'rejected')
    ORDER BY a.night DESC LIMIT 1"""
_NIGHTS_BACKWARDS = sa.text(f"""
    WITH RECURSIVE back(night) AS (
        SELECT ({_LAST_NIGHT.format(which="<= :until")})
        UNION ALL
        SELECT ({_LAST_NIGHT.format(which="< back.night")})
        FROM back WHERE back.night IS NOT NULL
        LIMIT :limit)
    SELECT night FROM back WHERE night IS NOT NULL ORDER BY night""")


def followed_nights(conn: Connection, detector: str, until: str, limit: int) -> list[str]:
    """The last nights of a detector with values, the oldest first; '' as `until` is no end.

    They are sought one by one from the last: a list of all nights would read all values.
    """
    wanted = {"detector": detector, "until": until or "9999-12-31", "limit": limit}
    return [row.night for row in conn.execute(_NIGHTS_BACKWARDS, wanted)]


def worst_levels(conn: Connection, detector: str, first: str, last: str) -> list[Row]:
    """The gravest level of each night and amplifier: night, amp, level."""
    joined, where = _good(_of(detector), *_within(first, last))
    query = (
        sa.select(_amp.c.night, _amp.c.amp, sa.func.max(_amp.c.level).label("level"))
        .select_from(joined)
        .where(*where)
        .group_by(_amp.c.night, _amp.c.amp)
    )
    return list(conn.execute(query).mappings())


def series_between(conn: Connection, detector: str, first: str, last: str) -> list[Row]:
    """The series of a detector that have a value then: metric, filter, source, raised."""
    joined, where = _good(_of(detector), *_within(first, last))
    query = (
        sa.select(
            _amp.c.metric,
            _amp.c.filter,
            _amp.c.source,
            sa.func.sum(sa.case((_amp.c.level >= 1, 1), else_=0)).label("raised"),
        )
        .select_from(joined)
        .where(*where)
        .group_by(_amp.c.metric, _amp.c.filter, _amp.c.source)
        .order_by(_amp.c.metric, _amp.c.filter, _amp.c.source)
    )
    return list(conn.execute(query).mappings())


def alerts(
    conn: Connection, first: str, last: str, *, detector: str = "", limit: int = 100
) -> list[Row]:
    """What was raised in the nights first ... last, the latest first, beside what it was of."""
    joined, where = _good(*_within(first, last), _amp.c.level >= 1)
    if detector:
        where.append(_of(detector))
    query = (
        sa.select(_amp, _product.c.kind, _product.c.key)
        .select_from(joined)
        .where(*where)
        .order_by(_amp.c.night.desc(), _amp.c.level.desc(), _amp.c.detector, _amp.c.metric,
                  _amp.c.filter, _amp.c.source, _amp.c.amp)
        .limit(limit)
    )  # fmt: skip
    return list(conn.execute(query).mappings())


def detectors(conn: Connection, first: str) -> list[Row]:
    """Detectors with values since a night: detector, latest, nights, warnings, alarms."""
    joined, where = _good(_amp.c.night >= first)
    query = (
        sa.select(
            _amp.c.detector,
            sa.func.max(_amp.c.night).label("latest"),
            sa.func.count(sa.distinct(_amp.c.night)).label("nights"),
            sa.func.sum(sa.case((_amp.c.level == 1, 1), else_=0)).label("warnings"),
            sa.func.sum(sa.case((_amp.c.level == 2, 1), else_=0)).label("alarms"),
        )
        .select_from(joined)
        .where(*where)
        .group_by(_amp.c.detector)
        .order_by(_amp.c.detector)
    )
    return list(conn.execute(query).mappings())
