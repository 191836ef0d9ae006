"""Releases of a site: built from what is current, validated, entered in the ledger, published.

A release is built under a hidden name and gets its own when it is whole. The shelf of releases is
all that a public server needs; the ledger remembers what each was made from.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy.engine import Connection

from tesela import config
from tesela.errors import BadInput, NotFound, QualityError
from tesela.flow.run import publication, release_choice
from tesela.flow.run.lock import only_one
from tesela.flow.run.release_choice import Choice
from tesela.flow.run.site import Site
from tesela.ledger import events, products, provenance
from tesela.products import paths
from tesela.products.environment import environment_now
from tesela.products.files import sha256_of, sync
from tesela.sciencedb.model import FILE, ReleaseModel
from tesela.sciencedb.shelf import Shelf, check_name
from tesela.stages import release as release_stage
from tesela.stages.release import Validation
from tesela.stages.release.settings import Progress

KIND = "release"


@dataclass(frozen=True)
class Built:
    """A release that was built."""

    name: str
    folder: Path
    model: ReleaseModel
    validation: Validation


def build(
    site: Site,
    name: str,
    *,
    title: str = "",
    without: Sequence[str] = (),
    progress: Progress | None = None,
) -> Built:
    """Freeze everything current into the release `name`, and validate it.

    Raises `BadInput` if the name is taken or not allowed, `QualityError` if a tile is missing,
    unfinished or not of this survey.toml, or if the release does not pass; nothing of it is kept
    then but the reasons. `Busy` if another release is being built.
    """
    shelf = shelf_of(site)
    _check_new(shelf, name)
    shelf.folder.mkdir(exist_ok=True)
    with only_one(shelf.folder / ".building.lock", "one build of a release at a time"):
        return _build(site, name, title, without, progress)


def rehearse(site: Site, name: str, without: Sequence[str] = ()) -> Choice:
    """Choose as `build` would, and write nothing: tiles that would be frozen, and refusals."""
    _check_new(shelf_of(site), name)
    with site.ledger.read() as conn:
        return release_choice.choose(conn, site, without)


def _build(
    site: Site, name: str, title: str, without: Sequence[str], progress: Progress | None
) -> Built:
    shelf = shelf_of(site)
    choice = rehearse(site, name, without)
    choice.require(name)
    for left in shelf.folder.glob(".*.building"):  # of builds that were killed
        shutil.rmtree(left)
    folder = shelf.folder / f".{name}.building"
    folder.mkdir()
    try:
        model, found = _make(site, name, title, choice, folder, progress)
        final = folder.replace(shelf.folder / name)
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    sync(shelf.folder)
    _enter(site, name, final, model, made_with=config.as_table(_settings(site)))
    return Built(name, final, model, found)


def _make(
    site: Site, name: str, title: str, choice: Choice, folder: Path, progress: Progress | None
) -> tuple[ReleaseModel, Validation]:
    """Fill the folder of a release; raises `QualityError` if it does not pass."""
    inputs = release_choice.inputs(site, name, title, choice.tiles)
    model = release_stage.build(inputs, _settings(site), folder, progress)
    found = release_stage.validate(folder, progress)
    shelf = shelf_of(site)
    publication.write_validation(shelf, name, folder, found)
    if not found.passed:
        failed = [check for check in found.checks if check.passed is False]
        raise QualityError(
            f"release {name}",
            found="; ".join(f"{c.name}: {c.found}" for c in failed[:3]),
            expected="a release that passes its validation",
            do=f"all reasons are in {paths.validation(shelf.folder / name)}",
        )
    return model, found


def _settings(site: Site) -> release_stage.ReleaseSettings:
    stated = site.survey.steps.get(KIND, {})
    return config.build(release_stage.ReleaseSettings, stated, "steps.release")


def validate(site: Site, name: str, progress: Progress | None = None) -> Validation:
    """Check a release from its files, and keep the outcome beside it."""
    found = publication.validate(shelf_of(site), name, progress)
    with site.ledger.write() as conn:
        verdict = "passed" if found.passed else "did not pass"
        events.record(conn, "validated", kind=KIND, key=name, detail=verdict)
    return found


def publish(site: Site, name: str, who: str) -> list[str]:
    """Serve a release that passed its validation; returns the names now served, latest first."""
    shelf = shelf_of(site)
    folder = shelf.path(name)
    publication.require_valid(shelf, name)
    _enter(site, name, folder, ReleaseModel.read(folder))
    served = shelf.publish(name)
    _record(site, "published", name, who, f"served now: {', '.join(served)}")
    return served


def withdraw(site: Site, name: str, who: str) -> list[str]:
    """Serve a release no longer; its files stay. Returns the names still served."""
    served = publication.withdraw(shelf_of(site), name)
    _record(site, "withdrawn", name, who, f"served now: {', '.join(served) or 'none'}")
    return served


def listed(site: Site) -> list[dict[str, Any]]:
    """Every release of the site, as `publication.listed` gives them."""
    return publication.listed(shelf_of(site))


def newest_of_current(site: Site) -> str | None:
    """Return the newest release that holds exactly what is current now, or None."""
    shelf = shelf_of(site)
    with site.ledger.read() as conn:
        current = {row["key"]: row["version"] for row in products.all_current(conn, "science")}
    for name in reversed(shelf.names()):
        model = ReleaseModel.read(shelf.path(name))
        if {tile.name: tile.version for tile in model.tiles} == current:
            return name
    return None


def shelf_of(site: Site) -> Shelf:
    """The releases of a site."""
    return Shelf(paths.releases_folder(site.folder))


def _check_new(shelf: Shelf, name: str) -> None:
    check_name(name)
    if name in shelf.names():
        raise BadInput(
            f"release {name}",
            found="a release of that name",
            expected="another name: a release is never changed",
        )
    if (shelf.folder / name).exists():
        raise BadInput(
            str(shelf.folder / name),
            found=f"something without {FILE}",
            expected="no such folder, or a whole release",
            do="look what it is and move it away, or choose another name",
        )


def _enter(
    site: Site,
    name: str,
    folder: Path,
    model: ReleaseModel,
    made_with: Mapping[str, Any] | None = None,
) -> None:
    """Give the release its row, once, with edges to the tables and images that it holds.

    A release that another site made has no edges: its tiles are not those of this ledger.
    `made_with` are the settings of one that was made here and now.
    """
    file = folder / FILE
    relative = str(file.relative_to(site.folder))
    with site.ledger.write() as conn:
        if products.current(conn, KIND, name) is not None:
            return
        checksum = sha256_of(file)
        sources = _sources(conn, model)
        settings_hash = environment = ""
        if made_with is not None:
            settings_hash = config.fingerprint(made_with)
            provenance.put_settings(conn, settings_hash, made_with)
            environment = provenance.put_environment(conn, environment_now().versions)
        new = products.NewProduct(
            kind=KIND,
            key=name,
            version=1,
            path=relative,
            files=((relative, checksum, file.stat().st_size),),
            checksum=checksum,
            data_hash=checksum,
            code_version=model.code_version,
            settings_hash=settings_hash,
            environment=environment,
        )
        products.insert(conn, new, [(source, "input") for source in sources])
        what = "built" if sources else "entered, made by another site"
        events.record(conn, what, kind=KIND, key=name, detail=model.title)


def _sources(conn: Connection, model: ReleaseModel) -> list[int]:
    """Products of this ledger that a release holds; none if it was made from others."""
    sources = []
    for tile in model.tiles:
        try:
            science = products.version(conn, "science", tile.name, tile.version)
        except NotFound:
            return []
        if science["data_hash"] != tile.data_hash:
            return []
        used = release_choice.coadds_of(conn, science)
        sources += [science["id"], *(row["id"] for row in used.values())]
    return sources


def _record(site: Site, what: str, name: str, who: str, detail: str) -> None:
    with site.ledger.write() as conn:
        events.record(conn, what, kind=KIND, key=name, detail=detail, who=who)
