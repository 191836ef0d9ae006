"""`tesela doctor`: is everything here, and are the compiled kernels warm?"""

from __future__ import annotations

import functools
import importlib.metadata
import os
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tesela.cli.common import HERE, JsonOption, SiteOption, emit, progress_bar
from tesela.errors import TeselaError

if TYPE_CHECKING:
    from tesela.config import Cluster

PACKAGES = (
    "numpy", "scipy", "numba", "astropy", "fitsio", "sep", "pyarrow", "duckdb", "mocpy",
    "cdshealpix", "SQLAlchemy", "alembic", "typer", "rich", "matplotlib", "Pillow", "starlette",
    "Jinja2", "uvicorn",
)  # fmt: skip
PYTHONS = ((3, 11), (3, 14))
_FREE_GB = 5.0


def add_to(app: typer.Typer) -> None:
    """Add the verb."""
    app.command("doctor")(doctor)


def doctor(
    site: SiteOption = HERE,
    warm: Annotated[bool, typer.Option(help="Compile the kernels (kept for next time).")] = True,
    as_json: JsonOption = False,
) -> None:
    """Check the installation, the site and its clusters if there are any, and compile what has to
    be compiled. Of a cluster it looks whether jobs can be submitted from here; none is.

    Ends with 1 if a check failed.
    """
    checks: list[tuple[str, Callable[[], str]]] = [
        ("python", _python),
        ("packages", _packages),
        ("extras", _extras),
        ("browser packages", _browser_packages),
        ("machine", _machine),
        ("site", lambda: _site(site)),
        *_clusters(site),
    ]
    if warm:
        checks.append(("rehearsal", lambda: _rehearse(as_json)))
    data = [_examine(name, check) for name, check in checks]
    emit(data, as_json, lambda: _lines(data))
    if not all(row["ok"] for row in data):
        raise typer.Exit(1)


def _examine(name: str, check: Callable[[], str]) -> dict[str, Any]:
    try:
        return {"check": name, "ok": True, "found": check()}
    except TeselaError as error:
        return {"check": name, "ok": False, "found": str(error)}
    except Exception as error:  # noqa: BLE001 - whatever is broken is what this verb looks for
        return {"check": name, "ok": False, "found": f"{type(error).__name__}: {error}"}


def _lines(data: list[dict[str, Any]]) -> Iterator[str]:
    for row in data:
        yield f"{'ok  ' if row['ok'] else 'FAIL'} {row['check']}: {row['found']}"


def _python() -> str:
    found = sys.version.split()[0]
    if not PYTHONS[0] <= sys.version_info[:2] < PYTHONS[1]:
        raise TeselaError("Python", found=found, expected="3.11 to 3.13", do="use one of those")
    return found


def _packages() -> str:
    missing, found = [], []
    for name in PACKAGES:
        try:
            found.append(f"{name} {importlib.metadata.version(name)}")
        except importlib.metadata.PackageNotFoundError:
            missing.append(name)
    if missing:
        raise TeselaError(
            "packages", found=f"no {', '.join(missing)}", do="install tesela with its dependencies"
        )
    return ", ".join(found)


def _extras() -> str:
    try:
        return f"galsim {importlib.metadata.version('galsim')}"
    except importlib.metadata.PackageNotFoundError:
        return "no GalSim: `simulate` and `demo` need the extra simulate"


def _browser_packages() -> str:
    from tesela.web.shared import assets

    wanted = {file.name for pin in assets.PAGES for file in pin.files}
    if set(assets.available()) == wanted:
        return f"in {assets.folder()}"
    return "not here: pages use their plain forms; `tesela serve setup` fetches them"


def _machine() -> str:
    return f"{os.cpu_count()} cores, {os.uname().sysname} {os.uname().machine}"


def _site(folder: Path) -> str:
    from tesela.config import load_site
    from tesela.config.site import ARCHIVE
    from tesela.flow.run.site import open_site
    from tesela.products import paths

    folder = folder.resolve()
    if paths.survey_file(folder).is_file():
        opened = open_site(folder)
        opened.ledger.close()
        return f"{folder}, survey {opened.survey.name}, {_room(paths.work_folder(folder))}"
    settings = load_site(paths.site_file(folder))
    if settings.role == ARCHIVE:
        return f"{folder}, {settings.name}, an archive, {_room(folder)}"
    return f"none in {folder} (pass --site to check one)"


def _room(folder: Path) -> str:
    """Say how much is free on the disk of a folder, which must be writable."""
    folder.mkdir(parents=True, exist_ok=True)
    free_gb = shutil.disk_usage(folder).free / 1e9
    probe = folder / f".doctor-{os.getpid()}"
    probe.touch()
    probe.unlink()
    if free_gb < _FREE_GB:
        raise TeselaError(
            str(folder), found=f"{free_gb:.1f} GB free", expected=f"at least {_FREE_GB:g} GB"
        )
    return f"{free_gb:.0f} GB free"


def _clusters(folder: Path) -> list[tuple[str, Callable[[], str]]]:
    """A check a cluster of the site."""
    from tesela.config import load_site
    from tesela.products import paths

    try:
        settings = load_site(paths.site_file(folder.resolve()))
    except TeselaError:  # the check of the site tells of it
        return []
    return [
        (f"cluster {name}", functools.partial(_cluster, cluster))
        for name, cluster in settings.clusters.items()
    ]


def _cluster(cluster: Cluster) -> str:
    from tesela.flow.run.engines.choice import SUBMITS, lacks

    missing = lacks(cluster)
    if missing:
        raise TeselaError("\n  ".join(missing))
    return f"{cluster.kind}, jobs by {shutil.which(SUBMITS[cluster.kind])}"


def _rehearse(as_json: bool) -> str:
    from tesela.flow.run import rehearsal

    started = time.perf_counter()
    with progress_bar(as_json) as bar:
        line = bar.add_task("rehearsal", total=None) if bar else None

        def show(done: int, total: int, what: str) -> None:
            if bar is not None and line is not None:
                bar.update(line, completed=done, total=total, description=f"compile: {what}")

        made = rehearsal.run(show)
    seconds = time.perf_counter() - started
    error_mmag = 1000 * made.zeropoint_error_mag
    return (
        f"the chain gives back a drawn field: zero point {error_mmag:+.1f} mmag"
        f"; kernels compiled or loaded in {seconds:.1f} s"
    )
