"""Compiled kernels are kept beside their sources, and must not outlive them."""

from __future__ import annotations

import contextlib
from pathlib import Path


def drop_stale(folder: Path) -> int:
    """Delete the compiled kernels of a package that are older than any of its sources.

    numba looks at the file in which a kernel is written, not at those whose kernels it calls: after
    an upgrade of a few files it would go on with the old code of the others, without a word.

    Returns the number of files deleted; those that may not be deleted are left.
    """
    newest = max(source.stat().st_mtime for source in folder.glob("*.py"))
    dropped = 0
    for compiled in (folder / "__pycache__").glob("*.nb?"):
        # Another process may delete the same, or the folder be read-only.
        with contextlib.suppress(OSError):
            if compiled.stat().st_mtime < newest:
                compiled.unlink()
                dropped += 1
    return dropped
