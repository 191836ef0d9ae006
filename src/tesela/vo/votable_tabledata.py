"""Rows of a VOTable as TABLEDATA: a TR a row and a TD a cell.

Source: VOTable 1.4, sections 5.1 and 6. Numbers are written with the fewest digits that read back
as the same number. All cells of a batch become text column by column in Arrow; rows are joined
there too, and the buffer of the joined column is the answer.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tesela.vo.cells import flat, text, unwrapped
from tesela.vo.fields import Field
from tesela.vo.xml import ILLEGAL

OPEN = b"<DATA><TABLEDATA>\n"
CLOSE = b"</TABLEDATA></DATA>\n"


class TableData:
    """Encodes batches one after the other."""

    open: bytes = OPEN
    close: bytes = CLOSE

    def __init__(self, fields: Sequence[Field]) -> None:
        self._fields = fields

    def rows(self, batch: pa.RecordBatch) -> bytes:
        """The rows of a batch; NULL is an empty cell.

        In vectors, whose cells may not be empty, each NULL element is NaN, or `Field.null` for
        integers; a vector that is NULL as a whole has only such elements.
        """
        cells = [_cells(field, batch.column(i)) for i, field in enumerate(self._fields)]
        joined = pc.binary_join_element_wise(*cells, "</TD><TD>")
        lines = pc.binary_join_element_wise("<TR><TD>", joined, "</TD></TR>\n", "")
        offsets = np.frombuffer(lines.buffers()[1], np.int32)[lines.offset :]
        return lines.buffers()[2].to_pybytes()[offsets[0] : offsets[len(lines)]]

    def rest(self) -> bytes:
        """Nothing is held back."""
        return b""


def _cells(field: Field, column: pa.Array) -> pa.StringArray:
    array = unwrapped(field, column)
    if field.is_text:
        return _escaped(text(array))
    if field.length == 1:
        return pc.fill_null(_written(array), "")
    values = _written(flat(field, array))
    filled = pc.fill_null(values, "NaN" if field.null is None else str(field.null))
    ends = np.arange(0, len(filled) + 1, field.length, dtype=np.int32)
    return pc.binary_join(pa.ListArray.from_arrays(pa.array(ends), filled), " ")


def _written(values: pa.Array) -> pa.StringArray:
    """Numbers as VOTable writes them; NULL stays NULL."""
    written = pc.cast(values, pa.string())
    if not pa.types.is_floating(values.type) or pc.all(pc.is_finite(values)).as_py() is not False:
        return written
    for infinity, spelling in ((np.inf, "+Inf"), (-np.inf, "-Inf")):
        written = pc.if_else(pc.equal(values, infinity), spelling, written)
    return pc.if_else(pc.is_nan(values), "NaN", written)


def _escaped(texts: pa.StringArray) -> pa.StringArray:
    for character, entity in (("&", "&amp;"), ("<", "&lt;"), (">", "&gt;"), ("\r", "&#13;")):
        texts = pc.replace_substring(texts, character, entity)
    return pc.replace_substring_regex(texts, ILLEGAL, "\ufffd")
