"""Rows of a VOTable as BINARY2: big-endian records with flags of what is NULL, in base64.

Source: VOTable 1.4, section 5.4. A record is the flags (one bit a field, the first field in the
highest bit), then the cells; a text is its length in four bytes and its characters. All records
of a batch are filled column by column in one numpy structured array. Texts are padded to the
longest of the batch first, and the padding is cut out of all records at once at the end.
"""

from __future__ import annotations

import binascii
from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from tesela.errors import BadInput
from tesela.vo.cells import elements, null_rows, text, unwrapped
from tesela.vo.fields import Field

OPEN = b'<DATA><BINARY2><STREAM encoding="base64">\n'
CLOSE = b"</STREAM></BINARY2></DATA>\n"

_TRUE, _FALSE, _UNKNOWN = ord("T"), ord("F"), ord("?")


class Binary2:
    """Encodes batches one after the other into one base64 stream."""

    open: bytes = OPEN
    close: bytes = CLOSE

    def __init__(self, fields: Sequence[Field]) -> None:
        self._fields = fields
        self._left = b""

    def rows(self, batch: pa.RecordBatch) -> bytes:
        """Base64 of the records of a batch, held back to a multiple of three bytes."""
        data = self._left + records(self._fields, batch)
        whole = len(data) - len(data) % 3
        self._left = data[whole:]
        return binascii.b2a_base64(memoryview(data)[:whole])

    def rest(self) -> bytes:
        """What was held back, padded: the end of the stream."""
        left, self._left = self._left, b""
        return binascii.b2a_base64(left) if left else b""


def records(fields: Sequence[Field], batch: pa.RecordBatch) -> bytes:
    """The records of a batch.

    Parameters
    ----------
    fields : as many as the batch has columns, in their order
    batch : (n,) rows
        NULL cells are flagged and have the value 0, NaN, `?` or no characters. In vectors NULL
        elements are NaN, or `Field.null` for integers.
    """
    number, flag_bytes = batch.num_rows, (len(fields) + 7) // 8
    texts = {
        i: _characters(field, batch.column(i)) for i, field in enumerate(fields) if field.is_text
    }
    layout: list[tuple[str, str, tuple[int, ...]]] = [("flags", "u1", (flag_bytes,))]
    for i, field in enumerate(fields):
        if i in texts:
            layout += [(f"n{i}", ">i4", ()), (f"c{i}", "u1", (texts[i][0].shape[1],))]
        else:
            layout.append((f"c{i}", field.binary, (field.length,) if field.length > 1 else ()))
    table = np.zeros(number, np.dtype(layout))
    flags = table["flags"]
    ragged: list[tuple[int, NDArray[np.bool_]]] = []
    for i, field in enumerate(fields):
        array = unwrapped(field, batch.column(i))
        if array.null_count:
            flags[:, i // 8] |= null_rows(array).astype(np.uint8) << np.uint8(7 - i % 8)
        if i in texts:
            characters, used = texts[i]
            table[f"c{i}"] = characters
            unit = 2 if field.datatype == "unicodeChar" else 1
            table[f"n{i}"] = used.sum(axis=1) // unit
            if not used.all():
                ragged.append((table.dtype.fields[f"c{i}"][1], used))
        else:
            table[f"c{i}"] = _numbers(field, array)
    if not ragged:
        return table.tobytes()
    return _cut(table, ragged)


def _numbers(field: Field, array: pa.Array) -> NDArray[np.generic]:
    values = elements(field, array)
    if field.datatype != "boolean":
        return values
    letters = np.where(values, np.uint8(_TRUE), np.uint8(_FALSE))
    if array.null_count:
        letters[null_rows(array)] = _UNKNOWN
    return letters


def _characters(field: Field, array: pa.Array) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """Bytes of each text, padded to the longest, and which of them are used; both (n, width).

    Raises `BadInput` for text that a `char` cannot hold: clients fail on the whole table.
    """
    plain = text(array)
    if field.datatype == "char" and pc.all(pc.string_is_ascii(plain)).as_py() is False:
        raise BadInput(
            f"column {field.name}",
            found="text beyond ASCII after rows without",
            do="ask for RESPONSEFORMAT=votable/td",
        )
    if field.datatype == "unicodeChar":
        plain = pa.array([s.encode("utf-16-be") for s in plain.to_pylist()], pa.binary())
    lengths = pc.binary_length(plain).to_numpy(zero_copy_only=False).astype(np.int64)
    width = int(lengths.max(initial=0))
    used = np.arange(width) < lengths[:, None]
    out = np.zeros(used.shape, np.uint8)
    offsets = np.frombuffer(plain.buffers()[1], np.int32)[plain.offset :]
    data = plain.buffers()[2]
    if width and data is not None:
        # Row after row, the used places take the bytes in the order in which Arrow keeps them.
        out[used] = np.frombuffer(data, np.uint8)[offsets[0] : offsets[len(plain)]]
    return out, used


def _cut(table: NDArray[np.void], ragged: list[tuple[int, NDArray[np.bool_]]]) -> bytes:
    """Records without the padding of their texts."""
    keep = np.ones((len(table), table.dtype.itemsize), np.bool_)
    for offset, used in ragged:
        keep[:, offset : offset + used.shape[1]] = used
    return table.view(np.uint8).reshape(keep.shape)[keep].tobytes()
