"""Releases on a shelf: validated, listed, published, withdrawn. No site and no ledger is needed.

A public archive has nothing but this; `release` does the same for a site and tells its ledger.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tesela.errors import QualityError
from tesela.products import paths
from tesela.products.files import replace_text, sha256_of
from tesela.sciencedb.model import FILE, ReleaseModel
from tesela.sciencedb.shelf import Shelf
from tesela.stages import release as release_stage
from tesela.stages.release import Validation
from tesela.stages.release.settings import Progress


def validate(shelf: Shelf, name: str, progress: Progress | None = None) -> Validation:
    """Check a release from its files, and keep the outcome beside it."""
    folder = shelf.path(name)
    found = release_stage.validate(folder, progress)
    write_validation(shelf, name, folder, found)
    return found


def require_valid(shelf: Shelf, name: str) -> None:
    """Raise `QualityError` unless the release passed its validation and is as it was then."""
    folder = shelf.path(name)
    known = read_validation(shelf, name)
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


def publish(shelf: Shelf, name: str, *, dry_run: bool = False) -> list[str]:
    """Serve a release that passed its validation; returns the names served, latest first.

    With `dry_run` nothing changes: the names are those that would be served.
    """
    require_valid(shelf, name)
    return shelf.with_published(name) if dry_run else shelf.publish(name)


def withdraw(shelf: Shelf, name: str, *, dry_run: bool = False) -> list[str]:
    """Serve a release no longer; returns the names still served, as `publish` does."""
    shelf.path(name)
    return shelf.without_published(name) if dry_run else shelf.withdraw(name)


def listed(shelf: Shelf) -> list[dict[str, Any]]:
    """Every release: what it holds, whether it passed, whether it is served."""
    served = shelf.published()
    rows = []
    for name in shelf.names():
        model = ReleaseModel.read(shelf.path(name))
        known = read_validation(shelf, name)
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


def _word(known: Mapping[str, Any]) -> str:
    return "passed" if known.get("passed") else "did not pass"


def write_validation(shelf: Shelf, name: str, folder: Path, found: Validation) -> None:
    """Keep what a validation of the release in `folder` found, under the release's name."""
    content = {"release": name, "sha256": sha256_of(folder / FILE), **found.as_dict()}
    replace_text(paths.validation(shelf.folder / name), json.dumps(content, indent=1) + "\n")


def read_validation(shelf: Shelf, name: str) -> dict[str, Any] | None:
    """Return the outcome of the last validation, if it was of the release as it is now."""
    path = paths.validation(shelf.folder / name)
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):  # a damaged one says nothing
        return None
    same = isinstance(content, dict) and content.get("sha256") == sha256_of(shelf.path(name) / FILE)
    return content if same else None
