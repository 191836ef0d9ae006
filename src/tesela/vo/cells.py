"""Cells of an Arrow column as plain numpy arrays and texts."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from tesela.errors import ProductError
from tesela.vo.fields import Field


def null_rows(array: pa.Array) -> NDArray[np.bool_]:
    """(n,) true where the whole cell is NULL."""
    return pc.is_null(array).to_numpy(zero_copy_only=False)


def text(array: pa.Array) -> pa.StringArray:
    """A column as text without NULL: numbers in decimal, NULL as the empty text."""
    plain = array if array.type == pa.string() else pc.cast(array, pa.string())
    return pc.fill_null(plain, "") if plain.null_count else plain


def unwrapped(field: Field, array: pa.Array) -> pa.Array:
    """Vectors of one element as plain values: a VOTable knows no difference."""
    nested = pa.types.is_nested(array.type)
    return flat(field, array) if nested and field.length == 1 else array


def flat(field: Field, array: pa.Array) -> pa.Array:
    """All elements of a column of vectors, one row after the other; NULL rows give NULLs.

    Raises `ProductError` if a vector has not the length that its field declares.
    """
    if pa.types.is_fixed_size_list(array.type):
        if array.type.list_size != field.length:
            raise _wrong_length(field, array.type.list_size)
        values = array.values.slice(array.offset * field.length, len(array) * field.length)
        if not array.null_count:
            return values
        hidden = pa.array(np.repeat(null_rows(array), field.length))
        return pc.if_else(hidden, pa.scalar(None, values.type), values)
    valid = ~null_rows(array)
    lengths = pc.list_value_length(array).to_numpy(zero_copy_only=False)[valid]
    if len(lengths) and not (lengths == field.length).all():
        raise _wrong_length(field, int(lengths[lengths != field.length][0]))
    values = pc.list_flatten(array)
    if valid.all():
        return values
    place = np.full((len(array), field.length), -1, np.int64)
    place[valid] = np.arange(len(values)).reshape(-1, field.length)
    return values.take(pa.array(place.ravel(), mask=place.ravel() < 0))


def elements(field: Field, array: pa.Array) -> NDArray[np.generic]:
    """Numbers of a column, (n,) or (n, length): floats have NaN where they are NULL.

    Integers have `Field.null` there, or 0 in scalar cells, whose NULL is told elsewhere.
    """
    values = array if field.length == 1 else flat(field, array)
    if values.null_count and not pa.types.is_floating(values.type):
        fill = False if pa.types.is_boolean(values.type) else field.null or 0
        wide = values if pa.types.is_boolean(values.type) else pc.cast(values, _arrow(field))
        values = pc.fill_null(wide, fill)
    out = values.to_numpy(zero_copy_only=False)
    return out if field.length == 1 else out.reshape(-1, field.length)


def _arrow(field: Field) -> pa.DataType:
    """Arrow's type of VOTable's integer: an int8 has no room for the null of a short."""
    return {"short": pa.int16(), "int": pa.int32()}.get(field.datatype, pa.int64())


def _wrong_length(field: Field, found: int) -> ProductError:
    return ProductError(
        f"column {field.name}", found=f"a vector of {found}", expected=f"{field.length} elements"
    )
