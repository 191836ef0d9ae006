"""Writes VOTables as a stream: the head once the first rows exist, then batch after batch.

Source: VOTable 1.4 (IVOA Recommendation 2019-10-21); DALI 1.1 section 4.4 for QUERY_STATUS. An
answer of any length needs the memory of one batch. If the rows fail after the head was sent, the
document still ends well-formed and says so in its last INFO.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import pyarrow as pa
import pyarrow.compute as pc

from tesela.errors import BadInput
from tesela.sciencedb.model import ColumnModel
from tesela.vo.fields import COOSYS, Field, fields
from tesela.vo.votable_binary2 import Binary2
from tesela.vo.votable_tabledata import TableData
from tesela.vo.xml import attributes, escape

_ROWS = 16_384  # a batch that stays in the processor's cache
_ROOT = (
    '<?xml version="1.0" encoding="UTF-8"?>\n'
    '<VOTABLE version="1.4" xmlns="http://www.ivoa.net/xml/VOTable/v1.3">\n'
)
_LOG = logging.getLogger(__name__)


class Rows(Protocol):
    """What can be written: columns and batches of their values."""

    @property
    def columns(self) -> Sequence[ColumnModel]:
        """Columns of every batch, in their order."""

    def __iter__(self) -> Iterator[pa.RecordBatch]:
        """Batches."""


class Encoder(Protocol):
    """Writes the rows between the bytes `open` and `close`."""

    open: bytes
    close: bytes

    def rows(self, batch: pa.RecordBatch) -> bytes:
        """What can be written once this batch is there."""

    def rest(self) -> bytes:
        """What was held back."""


SERIALISATIONS: Mapping[str, Callable[[Sequence[Field]], Encoder]] = {
    "BINARY2": Binary2,
    "TABLEDATA": TableData,
}


@dataclass(frozen=True)
class NoRows:
    """Columns alone."""

    columns: Sequence[ColumnModel]

    def __iter__(self) -> Iterator[pa.RecordBatch]:
        """No batch."""
        return iter(())


@dataclass(frozen=True)
class Head:
    """What a table says of itself."""

    name: str
    description: str = ""
    infos: tuple[tuple[str, str], ...] = ()
    """Names and values of INFOs, such as the release."""
    id_column: str = ""
    ucd1: bool = False
    """With the UCDs of Cone Search 1.03, see `fields.fields`."""


def stream(
    rows: Rows, head: Head, *, serialisation: str = "BINARY2", maxrec: int | None = None
) -> Iterator[bytes]:
    """Write a VOTable piece by piece.

    Parameters
    ----------
    rows : Rows
        With one row more than `maxrec` if there are more, so that OVERFLOW is exact.
    head : Head
    serialisation : str
        `BINARY2` or `TABLEDATA`.
    maxrec : int, optional
        The most rows that are written; 0 asks for the description of the columns alone, which
        DALI wants to end with OVERFLOW.

    Yields
    ------
    bytes
        The first piece has the head and the first rows.

    Raises
    ------
    BadInput
        The serialisation is unknown.
    Exception
        Whatever `rows` raises before its first batch: nothing was written then. Later failures
        are logged and told in the document.
    """
    if serialisation not in SERIALISATIONS:
        raise BadInput(
            "VOTable", found=f"serialisation {serialisation!r}", expected=", ".join(SERIALISATIONS)
        )
    batches = _limited(rows, maxrec)
    first, more = next(batches, (None, maxrec == 0))
    unicode = _not_ascii(rows.columns, first) if first is not None else ()
    declared = fields(rows.columns, id_column=head.id_column, ucd1=head.ucd1, unicode=unicode)
    encoder = SERIALISATIONS[serialisation](declared)
    opening = _opening(head, declared) + encoder.open
    if first is not None:
        opening += encoder.rows(first)
    yield opening
    status, message = "OVERFLOW" if more else "", ""
    try:
        for batch, more in batches:
            status = "OVERFLOW" if more else ""
            yield encoder.rows(batch)
    # The head is sent: whatever happened, the document must end well-formed and tell it.
    except Exception as error:  # noqa: BLE001 - the edge of the server
        _LOG.exception("the rows of %s ended early", head.name)
        status, message = "ERROR", str(error) if isinstance(error, BadInput) else _BROKEN
    yield encoder.rest() + encoder.close + _closing(status, message)


_BROKEN = "The server failed while it read the rows: those above are right, others are missing"


def error_document(message: str) -> bytes:
    """The answer to a request that cannot be met.

    It has the INFO `Error` where Cone Search 1.03 (section 2.3, errata 1 and 3) looks for it, and
    QUERY_STATUS where DALI does.
    """
    return (
        f"{_ROOT}<INFO{attributes(ID='Error', name='Error', value=message)}/>\n"
        f'<RESOURCE type="results">\n'
        f'<INFO name="QUERY_STATUS" value="ERROR">{escape(message)}</INFO>\n'
        f"</RESOURCE>\n</VOTABLE>\n"
    ).encode()


def _opening(head: Head, declared: Sequence[Field]) -> bytes:
    described = (
        f"<DESCRIPTION>{escape(head.description)}</DESCRIPTION>\n" if head.description else ""
    )
    infos = "".join(f'<INFO{attributes(name=n)} value="{escape(v)}"/>\n' for n, v in head.infos)
    return (
        f'{_ROOT}<RESOURCE type="results">\n'
        f'<INFO name="QUERY_STATUS" value="OK"/>\n{infos}'
        f'<COOSYS ID="{COOSYS}" system="ICRS"/>\n'
        f"<TABLE{attributes(name=head.name)}>\n{described}"
        f"{''.join(field.element() for field in declared)}"
    ).encode()


def _closing(status: str, message: str) -> bytes:
    info = f'<INFO name="QUERY_STATUS" value="{status}">{escape(message)}</INFO>\n'
    return f"</TABLE>\n{info if status else ''}</RESOURCE>\n</VOTABLE>\n".encode()


def _limited(rows: Rows, maxrec: int | None) -> Iterator[tuple[pa.RecordBatch, bool]]:
    """Batches of a bounded size up to `maxrec` rows; with the last one, whether there are more."""
    left = maxrec
    for large in rows:
        for start in range(0, large.num_rows, _ROWS):
            batch = large.slice(start, _ROWS)
            if left is None or batch.num_rows <= left:
                left = None if left is None else left - batch.num_rows
                yield batch, False
            else:
                yield batch.slice(0, left), True
                return


def _not_ascii(columns: Sequence[ColumnModel], batch: pa.RecordBatch) -> tuple[str, ...]:
    """Columns whose text needs more than ASCII.

    The first batch decides. Should a later one surprise a `char` field, TABLEDATA is right all
    the same, and BINARY2 ends with an error that says so.
    """
    names = []
    for i, column in enumerate(columns):
        if column.dtype == "str":
            ascii_only = pc.all(pc.string_is_ascii(pc.cast(batch.column(i), pa.string()))).as_py()
            if ascii_only is False:
                names.append(column.name)
    return tuple(names)
