"""Which code and settings the steps of a site have now, without loading the stages.

To know them takes the settings of every stage, and loading these takes seconds. So what they came
to is kept in the site's folder `cache` with a fingerprint of all that it depends on: the program,
survey.toml and the cameras. Whoever only looks is told in milliseconds; the file may be removed.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import tesela
from tesela.errors import ConfigError
from tesela.ledger.stale import Now
from tesela.products import paths

Scopes = dict[str, list[str]]
"""Scopes by kind in which something was made."""


def settings_now(site: Path, scopes: Scopes) -> tuple[dict[str, Now] | None, str]:
    """Return the steps by kind as a run would have them now, and ''; or None, and what is wrong
    with the settings.

    Parameters
    ----------
    site : Path
        Its folder.
    scopes : mapping
        The scopes by kind for which the settings are asked.
    """
    of = _fingerprint(site)
    kept = _read(site, of)
    if kept is None or not _knows(kept, scopes):
        try:
            kept = _ask_the_stages(site, scopes)
        except ConfigError as error:
            return None, str(error)
        _keep(site, {"of": of, "steps": kept})
    return {
        kind: Now(step["code"], step["settings"], step["scopes"]) for kind, step in kept.items()
    }, ""


def _ask_the_stages(site: Path, scopes: Scopes) -> dict[str, Any]:
    from tesela.flow.run.bodies import steps_of
    from tesela.flow.run.site import open_site
    from tesela.ledger.keys import Scope

    opened = open_site(site)
    steps = steps_of(opened)
    opened.ledger.close()
    return {
        spec.kind: {
            "code": spec.code_version,
            "settings": spec.settings_hash,
            "is_same_everywhere": not spec.overrides,
            "scopes": {
                scope: spec.settings_hash_in(Scope.parse(scope))
                for scope in scopes.get(spec.kind, [])
            },
        }
        for spec in steps.specs.values()
    }


def _knows(kept: dict[str, Any], scopes: Scopes) -> bool:
    return all(
        kind not in kept or kept[kind]["is_same_everywhere"] or scope in kept[kind]["scopes"]
        for kind, some in scopes.items()
        for scope in some
    )


def _fingerprint(site: Path) -> str:
    """Of all that the settings come from. An edited program shows in the times of its files."""
    digest = hashlib.sha256(tesela.__version__.encode())
    digest.update(repr(sorted(_sources(str(Path(tesela.__file__).parent)))).encode())
    cameras = paths.cameras_folder(site)
    own = sorted(cameras.glob("*.toml")) if cameras.is_dir() else []
    for file in (paths.survey_file(site), *own):
        digest.update(file.name.encode() + b"\0" + file.read_bytes() + b"\0")
    return digest.hexdigest()


def _sources(folder: str) -> Iterator[tuple[str, int]]:
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                if entry.name != "__pycache__":
                    yield from _sources(entry.path)
            elif entry.name.endswith((".py", ".toml")):
                yield entry.path, entry.stat().st_mtime_ns


def _read(site: Path, of: str) -> dict[str, Any] | None:
    try:
        found = json.loads(paths.settings_now_file(site).read_text())
        return dict(found["steps"]) if found["of"] == of else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _keep(site: Path, data: dict[str, Any]) -> None:
    """Written whole or not at all; a site that may only be looked at keeps nothing."""
    file = paths.settings_now_file(site)
    unfinished = file.with_name(f".{file.name}.{os.getpid()}.part")
    with contextlib.suppress(OSError):
        file.parent.mkdir(parents=True, exist_ok=True)
        unfinished.write_text(json.dumps(data))
        unfinished.replace(file)
