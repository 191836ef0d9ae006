"""What a release offers, for programs: availability, capabilities, tables.

Source: VOSI 1.1 (IVOA Recommendation 2017-05-24), VOResource 1.1, VODataService 1.2, and
SimpleDALRegExt 1.1 for the capability of a cone search.
"""

from __future__ import annotations

from tesela.sciencedb.model import ColumnModel, TableModel
from tesela.sciencedb.release import Release
from tesela.vo import cone
from tesela.vo.fields import Field, fields
from tesela.vo.settings import VoSettings
from tesela.vo.xml import escape

MEDIA_TYPE = "text/xml"

_XML = '<?xml version="1.0" encoding="UTF-8"?>\n'
_XSI = "http://www.w3.org/2001/XMLSchema-instance"
_VS = "http://www.ivoa.net/xml/VODataService/v1.1"
_CS = "http://www.ivoa.net/xml/ConeSearch/v1.0"
_TEST_RADIUS_DEG = 0.01


def availability(note: str = "", *, available: bool = True) -> bytes:
    """Whether a release answers."""
    note_text = f"<note>{escape(note)}</note>" if note else ""
    return (
        f'{_XML}<availability xmlns="http://www.ivoa.net/xml/VOSIAvailability/v1.0">'
        f"<available>{str(available).lower()}</available>{note_text}</availability>\n"
    ).encode()


def capabilities(release: Release, base_url: str, settings: VoSettings) -> bytes:
    """Cone searches of a release and where they are.

    Parameters
    ----------
    release : Release
    base_url : str
        Address of the release's services, ending in `/vo`.
    settings : VoSettings
    """
    support = "".join(
        _support(name, f"{base_url}/{name}") for name in ("capabilities", "availability", "tables")
    )
    searches = "".join(
        _cone(release, table, f"{base_url}/{path}", settings)
        for table, path in cone.searchable(release).items()
    )
    return (
        f'{_XML}<vosi:capabilities xmlns:vosi="http://www.ivoa.net/xml/VOSICapabilities/v1.0"'
        f' xmlns:vr="http://www.ivoa.net/xml/VOResource/v1.0" xmlns:vs="{_VS}"'
        f' xmlns:cs="{_CS}" xmlns:xsi="{_XSI}"'
        f' xsi:schemaLocation="{_CS} {_CS}">\n'
        f"{support}{searches}</vosi:capabilities>\n"
    ).encode()


def _support(name: str, url: str) -> str:
    return (
        f'<capability standardID="ivo://ivoa.net/std/VOSI#{name}">'
        '<interface xsi:type="vs:ParamHTTP">'
        f'<accessURL use="full">{escape(url)}</accessURL></interface></capability>\n'
    )


def _cone(release: Release, table: str, url: str, settings: VoSettings) -> str:
    described = f"Cone search in the table {table} of {release.model.name}"
    return (
        '<capability standardID="ivo://ivoa.net/std/ConeSearch" xsi:type="cs:ConeSearch">'
        f"<description>{escape(described)}</description>"
        '<interface xsi:type="vs:ParamHTTP" role="std" version="1.03">'
        f'<accessURL use="base">{escape(url)}?</accessURL>'
        f"<queryType>GET</queryType><resultType>{cone.MEDIA_TYPE}</resultType></interface>"
        f"<maxSR>180</maxSR><maxRecords>{settings.max_records}</maxRecords>"
        f"<verbosity>true</verbosity>{_test_query(release, table)}</capability>\n"
    )


def _test_query(release: Release, table: str) -> str:
    """A cone around the first row: it always has something."""
    rows = release.scan(table, ["ra", "dec"], limit=1).table().to_pylist()
    if not rows:
        return ""
    ra_deg, dec_deg = rows[0]["ra"], rows[0]["dec"]
    return (
        f"<testQuery><ra>{ra_deg!r}</ra><dec>{dec_deg!r}</dec><sr>{_TEST_RADIUS_DEG}</sr>"
        "<verb>1</verb></testQuery>"
    )


def tables(release: Release) -> bytes:
    """All tables of a release and their columns."""
    model = release.model
    described = "".join(_table(table, model.rows.get(table.name)) for table in model.tables)
    return (
        f'{_XML}<vosi:tableset xmlns:vosi="http://www.ivoa.net/xml/VOSITables/v1.0"'
        f' xmlns:vs="{_VS}" xmlns:xsi="{_XSI}">\n'
        f"<schema><name>{escape(model.name)}</name>"
        f"<description>{escape(model.title)}</description>\n{described}</schema>\n"
        "</vosi:tableset>\n"
    ).encode()


def _table(table: TableModel, rows: int | None) -> str:
    declared = fields(table.columns)
    number = "" if rows is None else f"<nrows>{rows}</nrows>"
    columns = "".join(_column(table, c, f) for c, f in zip(table.columns, declared))
    return (
        f"<table><name>{escape(table.name)}</name>"
        f"<description>{escape(table.description)}</description>{number}\n{columns}</table>\n"
    )


def _column(table: TableModel, column: ColumnModel, field: Field) -> str:
    optional = "".join(
        f"<{name}>{escape(value)}</{name}>"
        for name, value in (
            ("description", field.description), ("unit", field.unit), ("ucd", field.ucd),
        )
        if value
    )  # fmt: skip
    size = "*" if field.is_text else str(field.length)
    array = "" if size == "1" else f' arraysize="{size}"'
    flags = "" if column.required else "<flag>nullable</flag>"
    if column.name == table.id_column:
        flags = "<flag>indexed</flag><flag>primary</flag>" + flags
    return (
        f"<column><name>{escape(field.name)}</name>{optional}"
        f'<dataType xsi:type="vs:VOTableType"{array}>{field.datatype}</dataType>{flags}</column>\n'
    )
