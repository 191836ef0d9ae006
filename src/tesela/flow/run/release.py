"""Releases of a site: built from what is current, validated, entered in the ledger, published.

A release is built under a hidden name and gets its own when it is whole. The shelf of releases is
all that a public server needs; the ledger remembers what each was made from.
"""

from __future__ import annotations

import datetime as dt
import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy.engine import Connection

import tesela
from tesela import config
from tesela.errors import BadInput, QualityError
from tesela.flow.plan import coadds
from tesela.flow.plan.tile_products import KINDS
from tesela.flow.run.lock import only_one
from tesela.flow.run.site import Site
from tesela.ledger import events, frames, products, tasks, tiles
from tesela.ledger.keys import coadd_key
from tesela.products import paths
from tesela.products.columns import band_order
from tesela.products.files import replace_text, sha256_of, sync
from tesela.sciencedb.model import FILE, ReleaseModel
from tesela.sciencedb.shelf import Shelf, check_name
from tesela.stages import release as release_stage
from tesela.stages.release import Validation

KIND = "release"
Progress = Callable[[str, int, int], None]
"""(what is being done, done, of how many)."""


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

    Raises `BadInput` if the name is taken or not allowed, `QualityError` if a tile is missing or
    unfinished, or if the release does not pass; nothing of it is kept then but the reasons. `Busy`
    if another release is being built.
    """
    check_name(name)
    shelf = _shelf(site)
    shelf.folder.mkdir(exist_ok=True)
    with only_one(shelf.folder / ".building.lock", "one build of a release at a time"):
        return _build(site, name, title, without, progress)


def _build(
    site: Site, name: str, title: str, without: Sequence[str], progress: Progress | None
) -> Built:
    shelf = _shelf(site)
    _check_new(shelf, name)
    with site.ledger.read() as conn:
        chosen = _choose(conn, site, without)
    if not chosen:
        raise QualityError(
            f"release {name}",
            found="no tile in the science database",
            expected="one at least",
            do="run `tesela run`, then look at `tesela status`",
        )
    for left in shelf.folder.glob(".*.building"):  # of builds that were killed
        shutil.rmtree(left)
    folder = shelf.folder / f".{name}.building"
    folder.mkdir()
    inputs = _inputs(site, name, title, chosen)
    settings = release_stage.ReleaseSettings
    stated = config.build(settings, site.survey.steps.get(KIND, {}), "steps.release")
    model = release_stage.build(inputs, stated, folder, progress)
    found = release_stage.validate(folder, progress)
    _write_validation(shelf, name, folder, found)
    if not found.passed:
        shutil.rmtree(folder)
        failed = [check for check in found.checks if check.passed is False]
        raise QualityError(
            f"release {name}",
            found="; ".join(f"{c.name}: {c.found}" for c in failed[:3]),
            expected="a release that passes its validation",
            do=f"all reasons are in {paths.validation(shelf.folder / name)}",
        )
    final = folder.replace(shelf.folder / name)
    sync(shelf.folder)
    _enter(site, name, final, model)
    return Built(name, final, model, found)


def validate(site: Site, name: str, progress: Progress | None = None) -> Validation:
    """Check a release from its files, and keep the outcome beside it."""
    shelf = _shelf(site)
    folder = shelf.path(name)
    found = release_stage.validate(folder, progress)
    _write_validation(shelf, name, folder, found)
    with site.ledger.write() as conn:
        verdict = "passed" if found.passed else "did not pass"
        events.record(conn, "validated", kind=KIND, key=name, detail=verdict)
    return found


def publish(site: Site, name: str, who: str) -> list[str]:
    """Serve a release that passed its validation; returns the names now served, latest first."""
    shelf = _shelf(site)
    folder = shelf.path(name)
    _require_valid(shelf, name, folder)
    _enter(site, name, folder, ReleaseModel.read(folder))
    served = shelf.publish(name)
    _record(site, "published", name, who, f"served now: {', '.join(served)}")
    return served


def withdraw(site: Site, name: str, who: str) -> list[str]:
    """Serve a release no longer; its files stay. Returns the names still served."""
    shelf = _shelf(site)
    shelf.path(name)
    served = shelf.withdraw(name)
    _record(site, "withdrawn", name, who, f"served now: {', '.join(served) or 'none'}")
    return served


def listed(site: Site) -> list[dict[str, Any]]:
    """Every release of the site: what it holds, whether it passed, whether it is served."""
    shelf = _shelf(site)
    served = shelf.published()
    rows = []
    for name in shelf.names():
        model = ReleaseModel.read(shelf.path(name))
        known = _read_validation(shelf, name)
        rows.append(
            {
                "name": name,
                "title": model.title,
                "created": model.created,
                "tiles": len(model.tiles),
                "objects": model.rows.get("objects", 0),
                "validation": "not done" if known is None else _word(known),
                "served": name in served,
                "latest": name in served[:1],
            }
        )
    return rows


def newest_of_current(site: Site) -> str | None:
    """Return the newest release that holds exactly what is current now, or None."""
    shelf = _shelf(site)
    with site.ledger.read() as conn:
        current = {row["key"]: row["version"] for row in products.all_current(conn, "science")}
    for name in reversed(shelf.names()):
        model = ReleaseModel.read(shelf.path(name))
        if {tile.name: tile.version for tile in model.tiles} == current:
            return name
    return None


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


def _word(known: Mapping[str, Any]) -> str:
    return "passed" if known.get("passed") else "did not pass"


def _shelf(site: Site) -> Shelf:
    return Shelf(paths.releases_folder(site.folder))


@dataclass(frozen=True)
class _Chosen:
    """What is current of a tile."""

    tile: str
    science: dict[str, Any]
    coadds: dict[str, dict[str, Any]]


def _choose(conn: Connection, site: Site, without: Sequence[str]) -> list[_Chosen]:
    """Take every observed tile; each that is not ready is a reason to refuse."""
    observed = tiles.observed(conn)
    unknown = sorted(set(without) - set(observed))
    if unknown:
        raise BadInput(
            f"--without {', '.join(unknown)}", found="no such tile", expected=", ".join(observed)
        )
    chosen, problems = [], []
    for tile in observed:
        if tile in without:
            continue
        science = products.current(conn, "science", tile)
        unfinished = _unfinished(conn, tile)
        if unfinished:
            problems.append(f"{tile}: {unfinished}")
        elif science is None:
            problems.append(f"{tile}: not in the science database")
        else:
            chosen.append(_Chosen(tile, science, _coadds(conn, science)))
    if problems:
        more = f" and {len(problems) - 5} more" if len(problems) > 5 else ""
        raise QualityError(
            "the release",
            found="; ".join(problems[:5]) + more,
            expected="every observed tile ready",
            do="run `tesela run`, ask `tesela why TILE`, or leave tiles out with --without TILE",
        )
    return chosen


def _unfinished(conn: Connection, tile: str) -> str:
    """Say what keeps a tile from being what its frames, masters and verdicts ask for."""
    for kind in KINDS:
        if tasks.is_pending(conn, kind, tile):
            return f"{kind} is due"
    for band in frames.bands_of(conn, tile):
        key = coadd_key(tile, band)
        for kind in ("coadd", "catalogue"):
            if tasks.is_pending(conn, kind, key):
                return f"{kind} {key} is due"
        awaited = next((c for c in coadds.candidates(conn, key) if c.awaited), None)
        if awaited is not None:
            return f"frame {awaited.name}: {awaited.awaited}"
    for kind in KINDS:
        task = tasks.get(conn, kind, tile)
        if task is not None and task["state"] in ("dead", "skipped"):
            return f"{kind} is {task['state']}, {task['reason']}"
    return ""


def _coadds(conn: Connection, science: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """The very coadds that the tile's tables were made from."""
    rows = [row for row in products.inputs(conn, science["id"]) if row["kind"] == "coadd"]
    full = {row["key"]: products.version(conn, "coadd", row["key"], row["version"]) for row in rows}
    return {key.rpartition(".")[2]: row for key, row in full.items()}


def _inputs(
    site: Site, name: str, title: str, chosen: Sequence[_Chosen]
) -> release_stage.ReleaseInputs:
    now = dt.datetime.now(dt.UTC).replace(microsecond=0)
    return release_stage.ReleaseInputs(
        name=name,
        title=title or f"{site.survey.name} {name}",
        survey=site.survey.name,
        detection_band=site.survey.detects_in,
        bands=band_order(site.survey.filters),
        created=now.isoformat().replace("+00:00", "Z"),
        code_version=tesela.__version__,
        tiles=tuple(_tile(site, one) for one in chosen),
    )


def _tile(site: Site, one: _Chosen) -> release_stage.TileInput:
    version = one.science["version"]
    ra, dec = site.grid.centre(one.tile)
    corners_ra, corners_dec = site.grid.wcs(one.tile).footprint()

    def table(which: str) -> Path:
        return site.folder / paths.science(one.tile, version, which)

    return release_stage.TileInput(
        name=one.tile,
        version=version,
        ra_deg=ra,
        dec_deg=dec,
        corners_deg=tuple(zip(map(float, corners_ra), map(float, corners_dec))),
        data_hash=one.science["data_hash"],
        objects=table("objects"),
        detections=table("detections"),
        tiles=table("tiles"),
        coadds={band: site.folder / row["path"] for band, row in one.coadds.items()},
        checksums={band: row["checksum"] for band, row in one.coadds.items()},
    )


def _enter(site: Site, name: str, folder: Path, model: ReleaseModel) -> None:
    """Give the release its row, once, with edges to the tables and images that it holds."""
    file = folder / FILE
    relative = str(file.relative_to(site.folder))
    with site.ledger.write() as conn:
        if products.current(conn, KIND, name) is not None:
            return
        checksum = sha256_of(file)
        sources = []
        for tile in model.tiles:
            science = products.version(conn, "science", tile.name, tile.version)
            sources.append((science["id"], "input"))
            sources += [(row["id"], "input") for row in _coadds(conn, science).values()]
        new = products.NewProduct(
            kind=KIND,
            key=name,
            version=1,
            path=relative,
            files=((relative, checksum, file.stat().st_size),),
            checksum=checksum,
            data_hash=checksum,
            code_version=model.code_version,
        )
        products.insert(conn, new, sources)
        events.record(conn, "built", kind=KIND, key=name, detail=model.title)


def _record(site: Site, what: str, name: str, who: str, detail: str) -> None:
    with site.ledger.write() as conn:
        events.record(conn, what, kind=KIND, key=name, detail=detail, who=who)


def _write_validation(shelf: Shelf, name: str, folder: Path, found: Validation) -> None:
    content = {"release": name, "sha256": sha256_of(folder / FILE), **found.as_dict()}
    replace_text(paths.validation(shelf.folder / name), json.dumps(content, indent=1) + "\n")


def _read_validation(shelf: Shelf, name: str) -> dict[str, Any] | None:
    """The outcome of the last validation, if it was of the release as it is now."""
    path = paths.validation(shelf.folder / name)
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):  # a damaged one says nothing
        return None
    same = isinstance(content, dict) and content.get("sha256") == sha256_of(shelf.path(name) / FILE)
    return content if same else None


def _require_valid(shelf: Shelf, name: str, folder: Path) -> None:
    known = _read_validation(shelf, name)
    if known is None or not known.get("passed"):
        raise QualityError(
            f"release {name}",
            found="no validation of it" if known is None else "a validation that it did not pass",
            expected="a release that passed",
            do=f"`tesela release validate {name}` lists the reasons",
        )
    bad = release_stage.changed_files(folder)
    if bad:
        raise QualityError(
            f"release {name}",
            found=f"{len(bad)} files changed or gone: {', '.join(bad[:3])}",
            expected="the files that were validated",
            do="restore them from a copy, or build the release anew under another name",
        )
