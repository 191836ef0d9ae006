"""Cone searches over HTTP: what is found, how much of it, and what is refused."""

import shutil
from collections.abc import Callable
from pathlib import Path

import httpx
import numpy as np
import pytest
from starlette.applications import Starlette

from tesela.errors import ProductError
from tesela.sciencedb.release import Release
from tesela.sciencedb.shelf import Served, Shelf
from tesela.vo.routes import routes
from tesela.vo.settings import VoSettings
from vo.conftest import SETTINGS, read, status

pytestmark = pytest.mark.usefixtures("loopback_only")

RA, DEC = 210.0, 57.0


@pytest.fixture(scope="module")
def release(shelf: Shelf) -> Release:
    return Served(shelf).get("dr1")


@pytest.fixture(scope="module")
def ask(address: str) -> Callable[..., httpx.Response]:
    with httpx.Client(base_url=address, timeout=60) as client:

        def get(path: str = "dr1/vo/cone", **parameters: object) -> httpx.Response:
            return client.get(f"/{path}", params=[*_flat(parameters)])

        yield get


def _flat(parameters: dict[str, object]) -> list[tuple[str, str]]:
    return [
        (name, str(value))
        for name, values in parameters.items()
        for value in (values if isinstance(values, list) else [values])
    ]


def positions(release: Release, table: str, radius_deg: float) -> set[tuple[float, float]]:
    """Positions within a radius of the centre, by the angle between unit vectors."""
    rows = release.scan(table, ["ra", "dec"]).table()
    ra, dec = (np.radians(rows.column(name).to_numpy()) for name in ("ra", "dec"))
    vectors = np.stack([np.cos(dec) * np.cos(ra), np.cos(dec) * np.sin(ra), np.sin(dec)])
    ra0, dec0 = np.radians([RA, DEC])
    centre = np.array([np.cos(dec0) * np.cos(ra0), np.cos(dec0) * np.sin(ra0), np.sin(dec0)])
    inside = 2 * np.arcsin(np.linalg.norm(vectors - centre[:, None], axis=0) / 2)
    chosen = np.degrees(inside) <= radius_deg
    return set(zip(np.degrees(ra[chosen]).round(9), np.degrees(dec[chosen]).round(9)))


@pytest.mark.parametrize("radius_deg", [0.01, 0.06, 0.2])
@pytest.mark.parametrize(
    ("table", "path"), [("objects", "dr1/vo/cone"), ("detections", "latest/vo/cone/detections")]
)
@pytest.mark.parametrize("form", ["votable/td", "votable/b2"])
def test_a_cone_has_the_rows_within_its_radius(
    release: Release,
    ask: Callable[..., httpx.Response],
    radius_deg: float,
    table: str,
    path: str,
    form: str,
) -> None:
    answer = ask(path, RA=RA, DEC=DEC, SR=radius_deg, RESPONSEFORMAT=form, MAXREC=900)
    assert answer.status_code == 200
    found = read(answer.content, strict=False).get_first_table().array
    wanted = positions(release, table, radius_deg)
    assert wanted
    if len(wanted) <= SETTINGS.max_records:
        assert set(zip(found["ra"].data.round(9), found["dec"].data.round(9))) == wanted
        assert status(answer.content) == ["OK"]
    else:
        assert status(answer.content) == ["OK", "OVERFLOW"]


def test_verbosity_chooses_columns_and_all_validate(
    release: Release, ask: Callable[..., httpx.Response], lint: Callable[[bytes], str]
) -> None:
    names = {}
    for verbosity in ("1", "2", "3"):
        answer = ask(RA=RA, DEC=DEC, SR=0.05, VERB=verbosity, UCD="1+")
        names[verbosity] = [f.name for f in read(answer.content).get_first_table().fields]
        assert lint(answer.content) == ""
    columns = release.model.table("objects").columns
    assert names["3"] == [c.name for c in columns]
    assert names["2"] == [c.name for c in columns if c.family == "core"]
    assert {"source_id", "ra", "dec"} < set(names["1"]) < set(names["2"]) < set(names["3"])
    default = ask(RA=RA, DEC=DEC, SR=0.05)
    assert [f.name for f in read(default.content, strict=False).get_first_table().fields] == names[
        "2"
    ]


def test_values_are_those_of_the_release(
    release: Release, ask: Callable[..., httpx.Response]
) -> None:
    answer = ask(RA=RA, DEC=DEC, SR=0.02, VERB=3, UCD="1+")
    found = read(answer.content).get_first_table().array
    assert len(found)
    for row in found:
        expected = release.by_id("objects", int(row["source_id"]))
        assert expected is not None
        for column in release.model.table("objects").columns:
            value, cell = expected[column.name], row[column.name]
            if column.length > 1:
                number = np.where(np.ma.getmaskarray(cell), np.nan, np.ma.getdata(cell))
                np.testing.assert_array_equal(number, np.asarray(value, float))
            elif value is None:
                assert np.ma.is_masked(cell) or cell == "", column.name
            else:
                assert cell == value, column.name


@pytest.mark.parametrize(
    ("parameters", "ending"),
    [({"SR": 0}, []), ({"SR": 0, "MAXREC": 5}, []), ({"SR": 1, "MAXREC": 0}, ["OVERFLOW"])],
)
def test_metadata_alone(
    ask: Callable[..., httpx.Response],
    lint: Callable[[bytes], str],
    parameters: dict[str, object],
    ending: list[str],
) -> None:
    answer = ask(RA=RA, DEC=DEC, **parameters)
    table = read(answer.content, strict=False).get_first_table()
    assert len(table.array) == 0
    assert len(table.fields) > 10
    assert status(answer.content) == ["OK", *ending]
    assert lint(answer.content) == ""


def test_overflow_is_exact_and_limits_hold(
    release: Release, ask: Callable[..., httpx.Response]
) -> None:
    inside = len(positions(release, "objects", 0.1))
    for maxrec in (inside - 1, inside, inside + 1):
        answer = ask(RA=RA, DEC=DEC, SR=0.1, MAXREC=maxrec)
        found = len(read(answer.content, strict=False).get_first_table().array)
        assert found == min(maxrec, inside)
        assert status(answer.content) == (["OK", "OVERFLOW"] if maxrec < inside else ["OK"])
    for asked, limit in ((None, SETTINGS.default_records), (10**30, SETTINGS.max_records)):
        answer = ask(RA=RA, DEC=DEC, SR=180, **({} if asked is None else {"MAXREC": asked}))
        assert len(read(answer.content, strict=False).get_first_table().array) == limit
        assert status(answer.content) == ["OK", "OVERFLOW"]


def test_an_empty_cone_is_a_table_without_rows(ask: Callable[..., httpx.Response]) -> None:
    answer = ask(RA=0, DEC=-90, SR=1)
    assert len(read(answer.content, strict=False).get_first_table().array) == 0
    assert status(answer.content) == ["OK"]


def test_names_of_parameters_do_not_mind_their_case(ask: Callable[..., httpx.Response]) -> None:
    one = ask(ra=RA, Dec=DEC, sr=0.05, maxrec=3, unknown="ignored")
    assert one.content == ask(RA=RA, DEC=DEC, SR=0.05, MAXREC=3).content


def test_ucds_of_both_vocabularies(ask: Callable[..., httpx.Response]) -> None:
    old = read(ask(RA=RA, DEC=DEC, SR=0.05).content, strict=False).get_first_table().fields
    for ucd in ("ID_MAIN", "POS_EQ_RA_MAIN", "POS_EQ_DEC_MAIN"):
        assert [f.ucd for f in old].count(ucd) == 1
    new = read(ask(RA=RA, DEC=DEC, SR=0.05, UCD="1+").content).get_first_table().fields
    for ucd in ("meta.id;meta.main", "pos.eq.ra;meta.main", "pos.eq.dec;meta.main"):
        assert [f.ucd for f in new].count(ucd) == 1


WRONG = {
    "no position": ({"SR": 1}, "RA: nothing; expected right ascension"),
    "no radius": ({"RA": 1, "DEC": 1}, "SR: nothing; expected radius"),
    "sexagesimal": ({"RA": "12:30:00", "DEC": 1, "SR": 1}, "RA: '12:30:00'"),
    "nan": ({"RA": "nan", "DEC": 1, "SR": 1}, "RA: 'nan'"),
    "infinite": ({"RA": 1, "DEC": 1, "SR": "inf"}, "SR: 'inf'"),
    "beyond the pole": ({"RA": 1, "DEC": 91, "SR": 1}, "DEC: '91'"),
    "beyond the circle": ({"RA": 361, "DEC": 1, "SR": 1}, "0 &lt;= ra &lt; 360"),
    "negative ra": ({"RA": -1, "DEC": 1, "SR": 1}, "359?"),
    "negative radius": ({"RA": 1, "DEC": 1, "SR": -0.1}, "SR: '-0.1'; expected radius"),
    "more than the sky": ({"RA": 1, "DEC": 1, "SR": 181}, "0 to 180"),
    "repeated": ({"RA": [1, 2], "DEC": 1, "SR": 1}, "RA: 2 values"),
    "negative maxrec": ({"RA": 1, "DEC": 1, "SR": 1, "MAXREC": -1}, "MAXREC: '-1'"),
    "verbosity": ({"RA": 1, "DEC": 1, "SR": 1, "VERB": 9}, "VERB: '9'"),
    "format": ({"RA": 1, "DEC": 1, "SR": 1, "RESPONSEFORMAT": "fits"}, "expected votable"),
    "script": ({"RA": "<script>", "DEC": 1, "SR": 1}, "RA: '&lt;script&gt;'"),
    "metadata of nonsense": ({"RA": "x", "DEC": 1, "SR": 0}, "RA: 'x'"),
}


@pytest.mark.parametrize("case", WRONG)
def test_wrong_requests_are_told_as_the_standard_wants(
    ask: Callable[..., httpx.Response], case: str
) -> None:
    parameters, message = WRONG[case]
    answer = ask(**parameters)
    assert answer.status_code == 200
    assert message in answer.text
    document = read(answer.content)
    (error,) = (info for info in document.infos if info.name == "Error")
    assert error.value == document.resources[0].infos[0].content
    assert status(answer.content) == ["ERROR"]


@pytest.mark.parametrize("name", ["dr9", "..", "DR1", "dr1%2f..%2fdr1", "x" * 500])
def test_an_unknown_release_is_not_found_and_the_known_are_named(
    ask: Callable[..., httpx.Response], name: str
) -> None:
    answer = ask(f"{name}/vo/cone", RA=1, DEC=1, SR=1)
    assert answer.status_code == 404
    if name == "dr9":
        assert "expected dr1" in answer.text
        assert status(answer.content) == ["ERROR"]


def test_media_types(ask: Callable[..., httpx.Response], address: str) -> None:
    cone = {"RA": RA, "DEC": DEC, "SR": 0.01}
    assert ask(**cone).headers["content-type"].startswith("text/xml;content=x-votable")
    modern = ask(**cone, RESPONSEFORMAT="votable")
    assert modern.headers["content-type"] == "application/x-votable+xml"
    assert modern.headers["access-control-allow-origin"] == "*"
    head = httpx.head(f"{address}/dr1/vo/cone", params=cone)
    assert head.status_code == 200
    assert head.content == b""
    assert httpx.post(f"{address}/dr1/vo/cone", data=cone).status_code == 405


def test_a_damaged_release_is_told_without_its_paths(
    shelf: Shelf, tmp_path: Path, serve: Callable[[Starlette], str]
) -> None:
    shutil.copytree(shelf.folder, tmp_path / "shelf")
    damaged = next((tmp_path / "shelf").glob("dr1/serve/objects.core.duckdb"))
    damaged.write_bytes(damaged.read_bytes()[:5000])
    address = serve(Starlette(routes=routes(Served(Shelf(tmp_path / "shelf")), VoSettings())))
    answer = httpx.get(f"{address}/dr1/vo/cone", params={"RA": 1, "DEC": 1, "SR": 1})
    assert answer.status_code == 500
    assert "cannot be read" in answer.text
    assert str(tmp_path) not in answer.text
    assert "duckdb" not in answer.text
    available = httpx.get(f"{address}/dr1/vo/availability")
    assert "<available>false</available>" in available.text
    assert httpx.get(f"{address}/dr1/vo/tables").status_code == 500
    assert httpx.get(f"{address}/dr1/moc.fits").status_code == 500


def test_damage_that_a_query_finds_is_told_without_its_paths(
    shelf: Shelf, serve: Callable[[Starlette], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise ProductError("/secret/objects.core.duckdb", found="checksum")

    monkeypatch.setattr(Release, "cone", broken)
    address = serve(Starlette(routes=routes(Served(shelf), VoSettings())))
    answer = httpx.get(f"{address}/dr1/vo/cone", params={"RA": 1, "DEC": 1, "SR": 1})
    assert answer.status_code == 500
    assert status(answer.content) == ["ERROR"]
    assert "secret" not in answer.text


@pytest.mark.parametrize("table", ["tiles", "nothing", "OBJECTS"])
def test_a_table_that_cannot_be_searched_is_not_found(
    ask: Callable[..., httpx.Response], table: str
) -> None:
    answer = ask(f"dr1/vo/cone/{table}", RA=1, DEC=1, SR=1)
    assert answer.status_code == 404
    assert f"table '{table}': not searchable; expected objects, detections" in answer.text
    assert status(answer.content) == ["ERROR"]


@pytest.mark.parametrize("given", [{}, {"RA": "x"}])
def test_a_missing_right_ascension_is_told_its_range(
    ask: Callable[..., httpx.Response], given: dict[str, str]
) -> None:
    answer = ask(**given, DEC=1, SR=1).text
    assert "0 to 360" in answer
    assert "-inf" not in answer
