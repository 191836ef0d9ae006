"""What a product says of its making, through files and back."""

from __future__ import annotations

from importlib import metadata
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits

from tesela.errors import ProductError
from tesela.products import environment
from tesela.products.catalogue import read_parquet, write_parquet
from tesela.products.environment import LIBRARIES, environment_now, hash_of
from tesela.products.files import Hdu, read_fits, write_fits
from tesela.products.making import Making, Source

LONG = (
    "JAST80.t80cam.01.rSDSS_a-filter-with-a-very-long-serial-0123456789.fast.reduced.0123456789ab"
)
MADE = Making(
    kind="reduced",
    key="j02-20170703T213000-01",
    version=12,
    code="1.2.3",
    settings="0123456789abcdef",
    environment="fedcba9876543210",
    scope="t80cam.survey.science",
    sources=(
        Source("input", "raw", "a frame with spaces v3", 1),
        Source("input", "calset", LONG, 1),
        Source("member", "master", f"FLAT.{LONG}", 123),
        Source("evidence", "master", "BIAS.t.c.01.-.fast.20170703", 2),
    ),
)


@pytest.mark.parametrize("compress", [False, True])
def test_it_comes_back_from_a_header(tmp_path: Path, compress: bool) -> None:
    path = tmp_path / "a.fits"
    pixels = np.zeros((4, 4), np.uint8)
    write_fits(path, [Hdu("IMAGE", pixels, MADE.cards(), compress=compress)])
    assert Making.read(read_fits(path, []).cards["IMAGE"]) == MADE
    with fits.open(path) as hdus:
        (header,) = (hdu.header for hdu in hdus if hdu.name == "IMAGE")
        assert Making.read(header) == MADE, "other readers see the same"


def test_it_comes_back_from_a_table(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    write_parquet(path, {"x": np.zeros(3)}, {"provenance": MADE.facts()})
    assert Making.read(read_parquet(path)[1]["provenance"]) == MADE


def test_what_has_no_scope_and_no_source() -> None:
    bare = Making("coadd", "T.r", 1, "1", "s", "e")
    assert Making.read(bare.facts()) == bare
    assert "TSL SCOPE" not in bare.facts()


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"TSL CODE": None}, "TSL CODE"),
        ({"TSL VERSION": "one"}, "one"),
        ({"TSL SOURCE1": "raw"}, "TSL SOURCE"),
        ({"TSL SOURCE1": "input raw x vone"}, "TSL SOURCE"),
    ],
)
def test_a_header_without_it_is_told(changes: dict[str, object], said: str) -> None:
    facts = {name: v for name, v in {**MADE.facts(), **changes}.items() if v is not None}
    with pytest.raises(ProductError, match=said):
        Making.read(facts)


def test_the_environment_is_that_of_this_process() -> None:
    now = environment_now()
    assert now.versions["numpy"] == np.__version__
    assert set(LIBRARIES) < set(now.versions)
    assert now.versions["python"].count(".") == 2
    assert now.hash == hash_of(now.versions)
    assert environment_now() is now, "found out once"


def test_the_hash_changes_with_any_version_and_with_nothing_else() -> None:
    versions = dict(environment_now().versions)
    backwards = dict(reversed(versions.items()))
    assert hash_of(backwards) == hash_of(versions)
    for name in versions:
        assert hash_of({**versions, name: "0"}) != hash_of(versions)


def test_a_library_that_is_not_there_is_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def version(name: str) -> str:
        if name == "mocpy":
            raise metadata.PackageNotFoundError(name)
        return "1"

    monkeypatch.setattr(environment.metadata, "version", version)
    environment_now.cache_clear()
    try:
        assert environment_now().versions["mocpy"] == "absent"
    finally:
        environment_now.cache_clear()


def test_every_library_that_touches_numbers_is_a_dependency_of_ours() -> None:
    import tomllib

    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())
    named = {one.split(">")[0].split("[")[0].lower() for one in project["project"]["dependencies"]}
    assert set(LIBRARIES) - {"llvmlite"} <= named
    untouched = {"sqlalchemy", "alembic", "typer", "rich", "matplotlib", "starlette", "jinja2",
                 "uvicorn"}  # fmt: skip
    assert named - untouched <= set(LIBRARIES), "a new one: does it touch numbers?"


@pytest.mark.parametrize("name", ["TSL SOURCE1", "TSL PRODUCT", "TSL SCOPE"])
@pytest.mark.parametrize("letters", [30, 57, 58, 59, 60, 68, 69, 90, 150])
def test_texts_of_any_length_are_kept(tmp_path: Path, name: str, letters: int) -> None:
    text = "".join(chr(ord("a") + k % 26) for k in range(letters))
    path = tmp_path / "a.fits"
    write_fits(path, [Hdu("IMAGE", np.zeros((2, 2), np.uint8), [(name, text, "a comment")])])
    assert read_fits(path, []).cards["IMAGE"][name] == text
    assert fits.getheader(path, "IMAGE")[name] == text


def test_a_text_that_the_library_would_break_is_not_written(tmp_path: Path) -> None:
    """Of keywords with a space and eight letters or less it keeps the first card only."""
    for letters in range(40, 59):
        path = tmp_path / f"{letters}.fits"
        write_fits(
            path, [Hdu("IMAGE", np.zeros((2, 2), np.uint8), [("TSL SRC1", "x" * letters, "")])]
        )
        assert read_fits(path, []).cards["IMAGE"]["TSL SRC1"] == "x" * letters
    with pytest.raises(ProductError, match="card TSL SRC1"):
        write_fits(
            tmp_path / "long.fits",
            [Hdu("IMAGE", np.zeros((2, 2), np.uint8), [("TSL SRC1", "x" * 59, "")])],
        )
