"""What is written as VOTable is read back by astropy and found right by STILTS."""

import re
import xml.etree.ElementTree as ET
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pytest
from astropy import units
from astropy.io.votable.ucd import check_ucd

from tesela.bands import filters
from tesela.errors import BadInput, ProductError
from tesela.sciencedb.model import ColumnModel, published_tables
from tesela.vo import fields, votable
from vo.conftest import read, same, status

BOTH = pytest.mark.parametrize("serialisation", ["BINARY2", "TABLEDATA"])


def column(name: str, dtype: str, length: int = 1, unit: str = "", ucd: str = "") -> ColumnModel:
    return ColumnModel(name, dtype, unit, ucd, f"Of {name}", length)


COLUMNS = (
    column("id", "int64", ucd="meta.id;meta.main"),
    column("ra", "float64", unit="deg", ucd="pos.eq.ra;meta.main"),
    column("dec", "float64", unit="deg", ucd="pos.eq.dec;meta.main"),
    column("tiny", "int8"),
    column("small", "int16"),
    column("area", "int32", unit="pix2"),
    column("good", "bool"),
    column("flux", "float32", unit="uJy"),
    column("tile", "str"),
    column("remark", "str"),
    column("mag", "float32", 3, unit="mag"),
    column("state", "int8", 3),
    column("flags", "int16", 3),
    column("number", "int32", 3),
)


@dataclass
class Rows:
    batches: Sequence[pa.RecordBatch]
    columns: Sequence[ColumnModel] = COLUMNS

    def __iter__(self) -> Iterator[pa.RecordBatch]:
        return iter(self.batches)


def some(
    number: int, seed: int = 1, nulls: float = 0.2, columns: Sequence[ColumnModel] = COLUMNS
) -> pa.RecordBatch:
    """Seeded values of all types, some of them NULL."""
    rng = np.random.default_rng(seed)

    def numbers(dtype: str, size: int) -> list[object]:
        if dtype == "bool":
            values: list[object] = list(rng.random(size) < 0.5)
        elif dtype.startswith("float"):
            kind = np.dtype(dtype).type
            values = [kind(v) for v in rng.normal(size=size) * 10.0 ** rng.integers(-30, 30, size)]
        else:
            limits = np.iinfo(dtype)
            values = rng.integers(limits.min + 1, limits.max, size, dtype=dtype).tolist()
        return [None if rng.random() < nulls else v for v in values]

    arrays = []
    for c in columns:
        if c.dtype == "str":
            words = ["", "a", "T-00012", "a <tag> & more", 'quote "'] * number
            if c.name == "remark":
                words = ["", "año", "光", "x😀y", "plain"] * number
            texts = [None if rng.random() < nulls else w for w in words[:number]]
            arrays.append(pa.array(texts, pa.string()))
        elif c.length > 1:
            kind = getattr(pa, c.dtype)()
            vectors = [numbers(c.dtype, c.length) for _ in range(number)]
            rows = [None if rng.random() < nulls else v for v in vectors]
            arrays.append(pa.array(rows, pa.list_(kind, c.length)))
        else:
            kind = pa.bool_() if c.dtype == "bool" else getattr(pa, c.dtype)()
            values = numbers(c.dtype, number)
            arrays.append(pa.array(list(range(number)) if c.name == "id" else values, kind))
    return pa.RecordBatch.from_arrays(arrays, names=[c.name for c in columns])


def written(rows: Rows, serialisation: str = "BINARY2", **options: object) -> bytes:
    head = votable.Head("things", "Of <any> kind", (("release", 'dr "1"'),), "id")
    return b"".join(votable.stream(rows, head, serialisation=serialisation, **options))


def assert_equal(document: bytes, batches: Sequence[pa.RecordBatch]) -> None:
    """The table in the document has the values of the batches, and NULL where they have it."""
    table = read(document).get_first_table().array
    expected = pa.Table.from_batches(batches)
    assert len(table) == len(expected)
    for c in COLUMNS:
        values = expected.column(c.name).to_pylist()
        found = table[c.name]
        if c.dtype == "str":
            assert [str(v) for v in found] == [v or "" for v in values], c.name
        elif c.length > 1:
            absent = [[v is None or v[k] is None for k in range(3)] for v in values]
            plain = [[0 if v is None or x is None else x for x in (v or [0] * 3)] for v in values]
            assert same(np.ma.getmaskarray(found), absent), c.name
            assert same(np.where(absent, 0, np.ma.getdata(found)), plain), c.name
        else:
            absent_rows = [v is None for v in values]
            assert same(np.ma.getmaskarray(found), absent_rows), c.name
            plain_rows = np.array([0 if v is None else v for v in values])
            assert same(np.where(absent_rows, 0, np.ma.getdata(found)), plain_rows), c.name


@BOTH
@pytest.mark.parametrize("sizes", [(1,), (7, 1, 4), (0, 5), (40,)])
def test_what_is_written_is_read_back(serialisation: str, sizes: tuple[int, ...]) -> None:
    batches = [some(n, seed) for seed, n in enumerate(sizes, 1)]
    # Row 0 has all kinds of characters, so the first batch declares what later ones need.
    batches[0] = pa.RecordBatch.from_pylist(
        [{**row, "remark": "é"} for row in batches[0].to_pylist()], batches[0].schema
    )
    if not batches[0].num_rows:
        batches[1] = batches[1].set_column(
            9, "remark", pa.array(["é"] * batches[1].num_rows, pa.string())
        )
    assert_equal(written(Rows(batches), serialisation), batches)


@BOTH
def test_stilts_finds_nothing_wrong(serialisation: str, lint: Callable[[bytes], str]) -> None:
    assert lint(written(Rows([some(30)]), serialisation)) == ""
    assert lint(written(Rows([]), serialisation)) == ""
    assert lint(votable.error_document('a < b & "c"')) == ""


@BOTH
def test_slices_and_lists_of_any_length_give_the_same_bytes(serialisation: str) -> None:
    whole = some(20)
    expected = written(Rows([pa.RecordBatch.from_pylist(whole.to_pylist()[5:12], whole.schema)]),
                       serialisation)  # fmt: skip
    assert written(Rows([whole.slice(5, 7)]), serialisation) == expected
    loose = pa.schema(
        [
            pa.field(f.name, pa.list_(f.type.value_type))
            if pa.types.is_fixed_size_list(f.type)
            else f
            for f in whole.schema
        ]
    )
    lists = pa.RecordBatch.from_pylist(whole.to_pylist()[5:12], loose)
    assert written(Rows([lists]), serialisation) == expected


@BOTH
def test_numbers_that_are_not_finite(serialisation: str, lint: Callable[[bytes], str]) -> None:
    columns = (column("f", "float32"), column("d", "float64"), column("v", "float64", 2))
    values = [np.nan, np.inf, -np.inf, 0.1, 1e-300, -0.0]
    batch = pa.record_batch(
        [
            pa.array(np.array(values, "f4")),
            pa.array(values),
            pa.array([[v, 1.0] for v in values], pa.list_(pa.float64(), 2)),
        ],
        names=["f", "d", "v"],
    )
    document = written(Rows([batch], columns), serialisation)
    table = read(document).get_first_table().array
    assert same(np.ma.getdata(table["d"]), np.array(values))
    assert same(np.ma.getdata(table["f"]), np.array(values, "f4"))
    assert same(np.ma.getdata(table["v"])[:, 0], np.array(values))
    assert lint(document) == ""


def test_large_batches_are_cut_and_join_without_a_seam() -> None:
    number = 40_000
    columns = (column("id", "int64"), column("name", "str"))
    batch = pa.record_batch(
        [pa.array(range(number)), pa.array([f"n{i}" for i in range(number)])], names=["id", "name"]
    )
    pieces = list(votable.stream(Rows([batch], columns), votable.Head("many")))
    assert len(pieces) == 4
    table = read(b"".join(pieces)).get_first_table().array
    assert same(table["id"], np.arange(number))
    assert str(table["name"][-1]) == f"n{number - 1}"


@pytest.mark.parametrize("maxrec", [0, 1, 9, 10, 11, 19, 20, 21, None])
def test_overflow_is_told_exactly_when_rows_are_left_out(maxrec: int | None) -> None:
    document = written(Rows([some(10), some(10)]), maxrec=maxrec)
    cut = maxrec is not None and maxrec < 20
    assert status(document) == ["OK", "OVERFLOW"] if cut else ["OK"]
    rows = read(document).get_first_table().array
    assert len(rows) == (20 if maxrec is None else min(maxrec, 20))
    assert cut == document.endswith(
        b'</TABLE>\n<INFO name="QUERY_STATUS" value="OVERFLOW"></INFO>\n</RESOURCE>\n</VOTABLE>\n'
    )


class Broken(Rows):
    """Rows that fail after their batches."""

    error: Exception = ProductError("/secret/place/file", found="truncated")

    def __iter__(self) -> Iterator[pa.RecordBatch]:
        yield from self.batches
        raise self.error


def test_a_failure_before_the_first_rows_is_raised_and_nothing_is_written() -> None:
    pieces = votable.stream(Broken([]), votable.Head("things"))
    with pytest.raises(ProductError):
        next(pieces)


@BOTH
def test_a_later_failure_ends_the_document_well_formed(
    serialisation: str, lint: Callable[[bytes], str]
) -> None:
    document = written(Broken([some(5), some(4)]), serialisation)
    assert status(document) == ["OK", "ERROR"]
    assert len(read(document).get_first_table().array) == 9
    assert b"secret" not in document
    assert lint(document) == ""
    told = Broken([some(5)])
    told.error = BadInput("time", found="too much & more")
    assert b"time: too much &amp; more" in written(told, serialisation)


def test_rows_are_asked_for_only_when_their_piece_is() -> None:
    asked: list[int] = []

    class Counted(Rows):
        def __iter__(self) -> Iterator[pa.RecordBatch]:
            for number in range(100):
                asked.append(number)
                yield some(2)

    pieces = votable.stream(Counted([]), votable.Head("things"))
    next(pieces)
    assert asked == [0]
    next(pieces)
    assert asked == [0, 1]


@BOTH
def test_text_from_anywhere_cannot_break_the_document(serialisation: str) -> None:
    evil = "</TD></DESCRIPTION>\"&<x a='1'>]]>"
    columns = (ColumnModel(evil, "str", "", "", evil), ColumnModel("1 2", "int16", "", "", ""))
    texts = pa.array([evil, "line\nbreak\r", "null\0byte \x1b \uffff"])
    batch = pa.RecordBatch.from_arrays([texts, pa.array([1, 2, 3], pa.int16())], names=["a", "b"])
    head = votable.Head(evil, evil, ((evil, evil),))
    document = b"".join(votable.stream(Rows([batch], columns), head, serialisation=serialisation))
    root = ET.fromstring(document)  # noqa: S314 - our own document
    space = {"v": "http://www.ivoa.net/xml/VOTable/v1.3"}
    field, other = root.findall(".//v:FIELD", space)
    assert field.get("name") == evil
    assert field.findtext("v:DESCRIPTION", namespaces=space) == evil
    assert other.get("ID") == "_1_2"
    if serialisation == "TABLEDATA":
        cells = [cell.text for cell in root.findall(".//v:TD", space)[::2]]
        assert cells == [evil, "line\nbreak\r", "null\ufffdbyte \ufffd \ufffd"]


def test_unicode_after_an_ascii_beginning_is_not_lost() -> None:
    columns = (column("name", "str"),)
    batches = [pa.record_batch([pa.array([t])], names=["name"]) for t in ("plain", "año")]
    table = read(written(Rows(batches, columns), "TABLEDATA"), strict=False).get_first_table()
    names = table.array["name"]
    assert [str(n) for n in names] == ["plain", "año"]
    refused = written(Rows(batches, columns), "BINARY2")
    assert status(refused) == ["OK", "ERROR"]
    assert len(read(refused).get_first_table().array) == 1
    assert b"votable/td" in refused


def test_identifiers_of_fields_are_unique() -> None:
    names = ("a b", "a_b", "a-b", "a/b", fields.COOSYS)
    ids = [f.id for f in fields.fields([column(n, "int16") for n in names])]
    assert len(set(ids)) == len(ids)
    assert fields.COOSYS not in ids
    assert all(re.fullmatch(r"[A-Za-z_][\w.-]*", i) for i in ids)


def test_published_columns_have_units_and_ucds_of_the_standards() -> None:
    for table in published_tables(filters.names()):
        for field in fields.fields(table.columns):
            units.Unit(field.unit, format="vounit", parse_strict="raise")
            assert check_ucd(field.ucd, check_controlled_vocabulary=True), field.name


def test_old_ucds_stand_on_the_three_fields_of_cone_search() -> None:
    declared = fields.fields(COLUMNS, id_column="id", ucd1=True)
    assert [(f.ucd, f.datatype) for f in declared[:3]] == [
        ("ID_MAIN", "char"), ("POS_EQ_RA_MAIN", "double"), ("POS_EQ_DEC_MAIN", "double"),
    ]  # fmt: skip
    assert all(f.ucd == c.ucd for f, c in zip(declared[3:], COLUMNS[3:], strict=True))
    document = b"".join(
        votable.stream(Rows([some(3)]), votable.Head("things", id_column="id", ucd1=True))
    )
    table = read(document, strict=False).get_first_table().array
    assert [str(v) for v in table["id"]] == ["0", "1", "2"]


def test_bad_columns_are_refused() -> None:
    short = pa.record_batch([pa.array([[1.0]], pa.list_(pa.float32(), 1))], names=["mag"])
    with pytest.raises(ProductError, match=r"column mag: a vector of 1; expected 2 elements"):
        written(Rows([short], (column("mag", "float32", 2),)))
    loose = pa.record_batch([pa.array([[1.0], [1.0, 2.0]])], names=["mag"])
    with pytest.raises(ProductError, match="column mag: a vector of 1"):
        written(Rows([loose], (column("mag", "float64", 2),)))
    with pytest.raises(ProductError, match="type complex64"):
        written(Rows([], (column("z", "complex64"),)))
    with pytest.raises(BadInput, match="BINARY2, TABLEDATA"):
        written(Rows([]), "FITS")
