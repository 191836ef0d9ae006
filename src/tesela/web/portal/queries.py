"""What the pages ask of the ledger: read-only statements, aggregated where pages show counts.

A frame's state is told by one expression, so that counts, filters and the order of a table can
never disagree. Its names are those of `states.STATES`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection
from sqlalchemy.sql.elements import ColumnElement
from sqlalchemy.sql.selectable import FromClause

from tesela.ledger import schema
from tesela.web.portal.states import RANK

Row = Mapping[Any, Any]

_frame, _exposure = schema.frame, schema.exposure
_raw = schema.product.alias("raw")
_reduced = schema.product.alias("reduced")
_looked, _look = schema.product.alias("looked"), schema.quality.alias("look")
_quality, _task, _dirty = schema.quality, schema.task, schema.dirty
_waiting, _verdict = schema.waiting, schema.verdict


def _frames_with_state() -> FromClause:
    """Every frame beside what decides its state."""
    its_reduction = lambda table: sa.and_(  # noqa: E731 - three joins on the same pair
        table.c.kind == "reduced", table.c.key == _frame.c.name
    )
    return (
        _frame.join(_exposure, _exposure.c.id == _frame.c.exposure_id)
        .outerjoin(_reduced, sa.and_(its_reduction(_reduced), _reduced.c.is_current))
        .outerjoin(_quality, _quality.c.product_id == _reduced.c.id)
        .outerjoin(_task, its_reduction(_task))
        .outerjoin(_dirty, its_reduction(_dirty))
        .outerjoin(_waiting, its_reduction(_waiting))
        .outerjoin(
            _verdict,
            sa.and_(
                _verdict.c.kind == "raw",
                _verdict.c.key == _frame.c.name,
                _verdict.c.withdrawn_mjd.is_(None),
            ),
        )
    )


def _frames_with_numbers() -> FromClause:
    """The same beside what was measured, by the quick look where nothing is reduced."""
    is_look = sa.and_(
        _looked.c.kind == "quicklook", _looked.c.key == _frame.c.name, _looked.c.is_current
    )
    without_reduction = sa.and_(is_look, _reduced.c.id.is_(None))
    return (
        _frames_with_state()
        .outerjoin(_looked, without_reduction)
        .outerjoin(_look, _look.c.product_id == _looked.c.id)
    )


def _measured(name: str) -> ColumnElement[float]:
    return sa.func.coalesce(_quality.c[name], _look.c[name])


def _in_a_master() -> ColumnElement[bool]:
    """Whether a master that is served was made from the frame."""
    edge, master = schema.edge, schema.product.alias("its_master")
    return (
        sa.select(sa.literal(1))
        .select_from(edge.join(master, master.c.id == edge.c.product))
        .where(
            edge.c.source == _frame.c.product_id,
            edge.c.role == "input",
            master.c.kind == "master",
            master.c.is_current,
        )
        .exists()
    )


_STATE: ColumnElement[str] = sa.case(
    (_verdict.c.id.is_not(None), "flagged"),
    (
        _exposure.c.obstype != "science",
        sa.case((_in_a_master(), "used"), else_="unused"),
    ),
    (_task.c.state == "dead", "dead"),
    (_task.c.state == "skipped", "skipped"),
    (_task.c.state.in_(("ready", "running")), "due"),
    (_dirty.c.key.is_not(None), "due"),
    (_waiting.c.key.is_not(None), "waiting"),
    (sa.and_(_reduced.c.id.is_not(None), sa.not_(_quality.c.passed)), "rejected"),
    (_reduced.c.id.is_not(None), "reduced"),
    else_="new",
)

_REASON: ColumnElement[str] = sa.func.coalesce(
    sa.case(
        (_verdict.c.id.is_not(None), _verdict.c.reason),
        (_task.c.state.in_(("dead", "skipped")), _task.c.reason),
        (_task.c.state.in_(("ready", "running")), _task.c.why),
        (_dirty.c.key.is_not(None), _dirty.c.why),
        (_waiting.c.key.is_not(None), _waiting.c.reason),
        (sa.not_(_quality.c.passed), _quality.c.reason),
        else_="",
    ),
    "",
)

_FWHM, _ZEROPOINT = _measured("fwhm_arcsec"), _measured("zeropoint_mag")
_SKY_RATE: ColumnElement[float] = sa.case(
    (_exposure.c.exptime_s > 0, _measured("sky_e") / _exposure.c.exptime_s), else_=None
)
"""Electrons a second and pixel."""


@dataclass(frozen=True)
class Selection:
    """Which frames of a night a page shows, and in which order."""

    night: str
    obstype: str = ""
    band: str = ""
    state: str = ""
    sort: str = "time"
    descending: bool = False


def months(conn: Connection) -> dict[str, int]:
    """Exposures of every month that has any: '2017-07' -> n, in order of time."""
    month = sa.func.substr(_exposure.c.night, 1, 7)
    query = sa.select(month, sa.func.count()).group_by(month).order_by(month)
    return {row[0]: int(row[1]) for row in conn.execute(query)}


def month_counts(conn: Connection, month: str) -> list[Row]:
    """Frames of each night of a month by type and state: night, obstype, state, n."""
    return _counts(
        conn,
        (_exposure.c.night, _exposure.c.obstype),
        sa.and_(_exposure.c.night >= f"{month}-01", _exposure.c.night <= f"{month}-31"),
    )


def night_counts(conn: Connection, night: str) -> list[Row]:
    """Frames of a night by type, band and state: obstype, band, state, n."""
    return _counts(conn, (_exposure.c.obstype, _frame.c.band), _exposure.c.night == night)


def _counts(
    conn: Connection, by: Sequence[ColumnElement[Any]], where: ColumnElement[bool]
) -> list[Row]:
    frames = (
        sa.select(*by, _STATE.label("state")).select_from(_frames_with_state()).where(where)
    ).subquery()
    query = sa.select(*frames.c, sa.func.count().label("n")).group_by(*frames.c)
    return list(conn.execute(query.order_by(*frames.c)).mappings())


def nights_around(conn: Connection, night: str) -> tuple[str | None, str | None]:
    """The nights with exposures before and after one."""
    nights = _exposure.c.night
    before = conn.scalar(sa.select(sa.func.max(nights)).where(nights < night))
    after = conn.scalar(sa.select(sa.func.min(nights)).where(nights > night))
    return before, after


def is_night(conn: Connection, night: str) -> bool:
    """Whether there is an exposure of a night."""
    query = sa.select(_exposure.c.id).where(_exposure.c.night == night).limit(1)
    return conn.execute(query).first() is not None


_COLUMNS = (
    _frame.c.exposure_id,
    _frame.c.filter_serial,
    _frame.c.name,
    _frame.c.ccd,
    _frame.c.band,
    _frame.c.nx,
    _frame.c.ny,
    _exposure.c.obstype,
    _exposure.c.flat_kind,
    _exposure.c.object,
    _exposure.c.mjd_start,
    _exposure.c.exptime_s,
    _exposure.c.airmass,
    _STATE.label("state"),
    _REASON.label("reason"),
    _reduced.c.stale,
    _reduced.c.warnings_json,
    sa.func.coalesce(_reduced.c.checksum, _raw.c.checksum).label("checksum"),
    _FWHM.label("fwhm_arcsec"),
    _measured("ellipticity").label("ellipticity"),
    _SKY_RATE.label("sky_e_s"),
    _ZEROPOINT.label("zeropoint_mag"),
    _look.c.passed.label("look_passed"),
    _look.c.reason.label("look_reason"),
)


def _order(sort: str, bands: Sequence[str]) -> ColumnElement[Any]:
    """What a table is sorted by; bands go by their order in the survey, that of wavelength."""
    if sort == "band":
        places = {band: place for place, band in enumerate(bands)}
        return sa.case(places, value=_frame.c.band, else_=len(places)) if places else _frame.c.band
    if sort == "state":
        return sa.case(dict(RANK), value=_STATE)
    return {
        "name": _frame.c.name,
        "object": _exposure.c.object,
        "time": _exposure.c.mjd_start,
        "exptime": _exposure.c.exptime_s,
        "fwhm": _FWHM,
        "sky": _SKY_RATE,
        "zeropoint": _ZEROPOINT,
    }[sort]


SORTS = ("time", "name", "band", "object", "exptime", "state", "fwhm", "sky", "zeropoint")
"""What the table of a night can be sorted by."""


def frames(
    conn: Connection, chosen: Selection, bands: Sequence[str], *, limit: int, offset: int = 0
) -> list[Row]:
    """Frames of a night with their state and what was measured, sorted over the whole selection.

    What was not measured comes last in either direction.
    """
    key = _order(chosen.sort, bands)
    key = (key.desc() if chosen.descending else key.asc()).nulls_last()
    query = (
        sa.select(*_COLUMNS)
        .select_from(_frames_with_numbers().join(_raw, _raw.c.id == _frame.c.product_id))
        .where(*_chosen(chosen))
        .order_by(key, _exposure.c.mjd_start, _frame.c.name)
        .limit(limit)
        .offset(offset)
    )
    return list(conn.execute(query).mappings())


def _chosen(chosen: Selection) -> list[ColumnElement[bool]]:
    """The conditions of a selection."""
    where: list[ColumnElement[bool]] = [_exposure.c.night == chosen.night]
    if chosen.obstype:
        where.append(_exposure.c.obstype == chosen.obstype)
    if chosen.band:
        where.append(_frame.c.band == chosen.band)
    if chosen.state:
        where.append(_STATE.in_((chosen.state,)))
    return where


def exposures(conn: Connection, night: str) -> list[Row]:
    """Exposures of a night with the means over their frames, for its timeline.

    `rank` is that of the state, among the frames', that wants attention most.
    """
    frames_ = (
        sa.select(
            _exposure.c.id,
            _exposure.c.key,
            _exposure.c.obstype,
            _exposure.c.object,
            _exposure.c.mjd_start,
            _exposure.c.exptime_s,
            _frame.c.name,
            _frame.c.band,
            _FWHM.label("fwhm_arcsec"),
            _SKY_RATE.label("sky_e_s"),
            _ZEROPOINT.label("zeropoint_mag"),
            sa.case(dict(RANK), value=_STATE).label("rank"),
        )
        .select_from(_frames_with_numbers())
        .where(_exposure.c.night == night)
    ).subquery()
    c = frames_.c
    query = (
        sa.select(
            c.key,
            c.obstype,
            c.object,
            c.mjd_start,
            c.exptime_s,
            sa.func.min(c.name).label("name"),
            sa.func.min(c.band).label("band"),
            sa.func.count().label("n"),
            sa.func.avg(c.fwhm_arcsec).label("fwhm_arcsec"),
            sa.func.avg(c.sky_e_s).label("sky_e_s"),
            sa.func.avg(c.zeropoint_mag).label("zeropoint_mag"),
            sa.func.max(c.rank).label("rank"),
        )
        .group_by(c.id, c.key, c.obstype, c.object, c.mjd_start, c.exptime_s)
        .order_by(c.mjd_start, c.id)
    )
    return list(conn.execute(query).mappings())


def has_many_ccds(conn: Connection, night: str) -> bool:
    """Whether an exposure of a night has, or should have, frames of several CCDs."""
    other = _frame.alias()
    another = sa.exists().where(
        other.c.exposure_id == _exposure.c.id, other.c.product_id != _frame.c.product_id
    )
    query = (
        sa.select(_exposure.c.id)
        .join(_frame, _frame.c.exposure_id == _exposure.c.id)
        .where(_exposure.c.night == night, sa.or_(_exposure.c.ccds_json.like("%,%"), another))
        .limit(1)
    )
    return conn.execute(query).first() is not None


def exposure_row(conn: Connection, exposure_id: int) -> Row | None:
    """An exposure by its number."""
    query = sa.select(_exposure).where(_exposure.c.id == exposure_id)
    return conn.execute(query).mappings().first()


def exposures_of(conn: Connection, chosen: Selection, *, limit: int, offset: int = 0) -> list[Row]:
    """Exposures of a night of which a frame is in the selection, in order of time."""
    query = (
        sa.select(_exposure)
        .where(_exposure.c.id.in_(_ids_of_exposures(chosen)))
        .order_by(_exposure.c.mjd_start, _exposure.c.id)
        .limit(limit)
        .offset(offset)
    )
    if chosen.descending:
        query = query.order_by(None).order_by(_exposure.c.mjd_start.desc(), _exposure.c.id)
    return list(conn.execute(query).mappings())


def count_exposures(conn: Connection, chosen: Selection) -> int:
    """How many there are of them."""
    found = _ids_of_exposures(chosen).subquery()
    return int(conn.scalar(sa.select(sa.func.count()).select_from(found)) or 0)


def _ids_of_exposures(chosen: Selection) -> sa.Select[tuple[int]]:
    selected = sa.select(_frame.c.exposure_id).select_from(_frames_with_state())
    return selected.where(*_chosen(chosen)).distinct()


def frames_of(conn: Connection, exposure_ids: Sequence[int]) -> list[Row]:
    """All frames of some exposures, by CCD, with their state and what was measured."""
    query = (
        sa.select(*_COLUMNS)
        .select_from(_frames_with_numbers().join(_raw, _raw.c.id == _frame.c.product_id))
        .where(_frame.c.exposure_id.in_(exposure_ids))
        .order_by(_frame.c.ccd, _frame.c.name)
    )
    return list(conn.execute(query).mappings())


def frame_state(conn: Connection, name: str) -> Row | None:
    """State and reason of one frame."""
    query = (
        sa.select(_STATE.label("state"), _REASON.label("reason"))
        .select_from(_frames_with_state())
        .where(_frame.c.name == name)
    )
    return conn.execute(query).mappings().first()
