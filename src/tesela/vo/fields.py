"""FIELDs of a VOTable: how a published column is declared.

Source: VOTable 1.4 (IVOA Recommendation 2019-10-21), section 2 (types) and 4.1 (FIELD); VOUnits
1.1. A signed byte does not exist in VOTable, so int8 is a `short`.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from tesela.errors import ProductError
from tesela.sciencedb.model import ColumnModel
from tesela.vo.xml import attributes, escape

COOSYS = "coosys_icrs"
"""ID of the coordinate system to which positions refer."""

_TYPES = {
    "int8": ("short", ">i2"),
    "int16": ("short", ">i2"),
    "int32": ("int", ">i4"),
    "int64": ("long", ">i8"),
    "float32": ("float", ">f4"),
    "float64": ("double", ">f8"),
    "bool": ("boolean", "u1"),
    "str": ("char", ""),
}
_NULLS = {"short": -(2**15), "int": -(2**31), "long": -(2**63)}
_POWER = re.compile(r"(?<=[A-Za-z])(-?\d+)")
_NOT_IN_ID = re.compile(r"[^A-Za-z0-9_.-]")

# Cone Search 1.03 asks for these of the vocabulary of 2002, and for an identifier of characters.
_UCD1 = {"pos.eq.ra;meta.main": "POS_EQ_RA_MAIN", "pos.eq.dec;meta.main": "POS_EQ_DEC_MAIN"}
_ID_MAIN = "ID_MAIN"


@dataclass(frozen=True)
class Field:
    """A column as VOTable declares it."""

    name: str
    id: str
    datatype: str
    """VOTable's name of the type of one element."""
    binary: str
    """numpy's name of the same in BINARY2, empty for text."""
    length: int
    """Elements in a cell; 1 for text."""
    unit: str
    ucd: str
    description: str
    ref: str = ""

    @property
    def is_text(self) -> bool:
        """Cells are strings of any length."""
        return not self.binary

    @property
    def null(self) -> int | None:
        """Number that means NULL inside a vector of integers, None for all other fields.

        A scalar cell that is NULL is flagged (BINARY2) or empty (TABLEDATA); elements of vectors
        cannot be, so integers need a number and floats are NaN.
        """
        return _NULLS.get(self.datatype) if self.length > 1 else None

    def element(self) -> str:
        """The FIELD element."""
        size = "*" if self.is_text else str(self.length) if self.length > 1 else ""
        head = attributes(
            ID=self.id,
            name=self.name,
            datatype=self.datatype,
            arraysize=size,
            unit=self.unit,
            ucd=self.ucd,
            ref=self.ref,
        )
        text = f"<DESCRIPTION>{escape(self.description)}</DESCRIPTION>" if self.description else ""
        values = f'<VALUES null="{self.null}"/>' if self.null is not None else ""
        return f"<FIELD{head}>{text}{values}</FIELD>\n"


def vounit(unit: str) -> str:
    """A unit of ours in the spelling of VOUnits: powers are written with `**`."""
    return _POWER.sub(r"**\1", unit)


def fields(
    columns: Sequence[ColumnModel],
    *,
    id_column: str = "",
    ucd1: bool = False,
    unicode: Collection[str] = (),
) -> tuple[Field, ...]:
    """Declare columns.

    Parameters
    ----------
    columns : ColumnModel of each
    id_column : str
        Name of the column that identifies a row.
    ucd1 : bool
        As Cone Search 1.03 wants them: position and identifier have the UCDs of 2002, and the
        identifier is text.
    unicode : names of the columns whose text is not all ASCII
    """
    made: list[Field] = []
    taken = {COOSYS}
    for column in columns:
        if column.dtype not in _TYPES:
            raise ProductError(
                f"column {column.name}", found=f"type {column.dtype}", expected=", ".join(_TYPES)
            )
        datatype, binary = _TYPES[column.dtype]
        ucd = column.ucd
        if ucd1:
            ucd = _ID_MAIN if column.name == id_column else _UCD1.get(ucd, ucd)
        if ucd == _ID_MAIN or not binary:
            datatype, binary = "unicodeChar" if column.name in unicode else "char", ""
        made.append(
            Field(
                name=column.name,
                id=_unique(column.name, taken),
                datatype=datatype,
                binary=binary,
                length=column.length,
                unit=vounit(column.unit),
                ucd=ucd,
                description=column.description,
                ref=COOSYS if column.ucd in _UCD1 else "",
            )
        )
    return tuple(made)


def _unique(name: str, taken: set[str]) -> str:
    """An XML ID that is like the name and not yet taken."""
    base = _NOT_IN_ID.sub("_", name)
    base = base if base[:1].isalpha() or base[:1] == "_" else f"_{base}"
    candidate, number = base, 2
    while candidate in taken:
        candidate, number = f"{base}_{number}", number + 1
    taken.add(candidate)
    return candidate
