"""Files of a release: what is served, and what is not reached."""

from dataclasses import replace
from pathlib import Path

import httpx
import pytest

from tesela.errors import BadInput
from tesela.sciencedb.model import ReleaseModel
from tesela.sciencedb.shelf import Shelf
from tesela.vo import files

pytestmark = pytest.mark.usefixtures("loopback_only")

TILE = "hips/colour/Norder3/Dir0/Npix1.jpg"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "secret.txt").write_text("secret")
    release = tmp_path / "dr1"
    (release / "hips" / ".hidden").mkdir(parents=True)
    (release / "hips" / "properties").write_text("a = b")
    (release / "hips" / ".hidden" / "file").write_text("hidden")
    (release / "hips" / "out").symlink_to(tmp_path / "secret.txt")
    (release / "hips" / "way").symlink_to(tmp_path)
    (release / "hips" / "in").symlink_to(release / "hips" / "properties")
    return release


def test_a_file_of_the_release_is_found(folder: Path) -> None:
    assert files.locate(folder, "hips/properties").read_text() == "a = b"
    assert files.locate(folder, "hips/in").read_text() == "a = b"


@pytest.mark.parametrize(
    "path",
    [
        "", "hips", "hips/", "/hips/properties", "hips//properties", "hips/./properties",
        "../secret.txt", "hips/../../secret.txt", "hips/../hips/properties", "hips/.hidden/file",
        "hips/out", "hips/way/secret.txt", "hips\\properties", "hips/prop\0erties", "hips/nothing",
        "hips/properties/more", "/etc/passwd", "hips/é", "hips/" + "a" * 5000, "a/" * 600,
    ],
)  # fmt: skip
def test_nothing_else_is_reached(folder: Path, path: str) -> None:
    with pytest.raises(BadInput, match="no such file"):
        files.locate(folder, path)


@pytest.mark.parametrize(
    ("name", "media_type"),
    [
        ("properties", "text/plain; charset=utf-8"),
        ("Npix12.jpg", "image/jpeg"),
        ("Npix12.png", "image/png"),
        ("Moc.fits", "application/fits"),
        ("Npix1.parquet", "application/vnd.apache.parquet"),
        ("_metadata", "application/octet-stream"),
        ("partition_info.csv", "text/csv; charset=utf-8"),
    ],
)
def test_media_types(name: str, media_type: str) -> None:
    assert files.media_type(name) == media_type


def test_a_tile_is_served_whole_in_part_or_not_again(address: str) -> None:
    whole = httpx.get(f"{address}/dr1/{TILE}")
    assert whole.content == bytes(range(100))
    assert whole.headers["content-type"] == "image/jpeg"
    assert whole.headers["access-control-allow-origin"] == "*"
    assert whole.headers["cache-control"] == "no-cache"
    part = httpx.get(f"{address}/dr1/{TILE}", headers={"Range": "bytes=10-19"})
    assert part.status_code == 206
    assert part.content == bytes(range(10, 20))
    assert part.headers["content-range"] == "bytes 10-19/100"
    assert httpx.get(f"{address}/dr1/{TILE}", headers={"Range": "bytes=200-"}).status_code == 416
    again = httpx.get(f"{address}/dr1/{TILE}", headers={"If-None-Match": whole.headers["etag"]})
    assert again.status_code == 304
    assert again.content == b""
    weak = {"If-None-Match": f'"x", W/{whole.headers["etag"]}'}
    assert httpx.get(f"{address}/dr1/{TILE}", headers=weak).status_code == 304
    other = httpx.get(f"{address}/dr1/{TILE}", headers={"If-None-Match": '"other"'})
    assert other.status_code == 200
    assert httpx.head(f"{address}/dr1/{TILE}").headers["content-length"] == "100"


def test_only_an_address_with_the_right_version_is_kept_unasked(address: str, shelf: Shelf) -> None:
    stamp = files.stamp(ReleaseModel.read(shelf.folder / "dr1"))
    assert "immutable" in httpx.get(f"{address}/dr1/{TILE}?v={stamp}").headers["cache-control"]
    for path in (f"/dr1/{TILE}?v=other", f"/latest/{TILE}?v={stamp}", f"/latest/{TILE}"):
        answer = httpx.get(f"{address}{path}")
        assert answer.status_code == 200
        assert answer.headers["cache-control"] == "no-cache"
        assert answer.headers["etag"]


def test_a_release_built_anew_has_another_stamp(shelf: Shelf) -> None:
    model = ReleaseModel.read(shelf.folder / "dr1")
    assert files.stamp(model) == files.stamp(replace(model))
    assert files.stamp(model) != files.stamp(replace(model, created="2031-01-01T00:00:00Z"))


def test_hats_and_coverage_are_served(address: str) -> None:
    assert httpx.get(f"{address}/dr1/moc.fits").content == b"SIMPLE"
    information = httpx.get(f"{address}/dr1/hats/objects/partition_info.csv")
    assert information.status_code == 200
    assert "Norder" in information.text


@pytest.mark.parametrize(
    "path",
    [
        "dr1/release.json", "dr1/serve/objects.core.duckdb", "dr1/hips/%2e%2e/release.json",
        "dr1/hips/..%2frelease.json", "dr1/hips/%2e%2e%2f%2e%2e%2fpublished.json", "dr1/hips/",
        "dr1/hips/colour", "dr1/hips/%00", "dr9/moc.fits", "published.json",
    ],
)  # fmt: skip
def test_nothing_else_is_served(address: str, path: str) -> None:
    assert httpx.get(f"{address}/{path}").status_code == 404
