"""Compiled kernels are kept beside their sources, and must not outlive them."""

from __future__ import annotations

import contextlib
from pathlib import Path


def drop_stale(folder: Path) -> int:
    """Delete the compiled kernels of a package that are older than any of its sources.

    numba looks at the file in which a kernel is written, not at those whose kernels it calls: after
    an upgrade of a few files it would go on with the old code of the others, without a word.

    Kernels that numba keeps elsewhere (`NUMBA_CACHE_DIR`, or a home where the package is
    read-only) are not looked at, and sources that come with old dates are not seen to be new.

    Returns the number of files deleted; those that may not be deleted are left.
    """
    newest, dropped = 0.0, 0
    for source in folder.glob("*.py"):
        with contextlib.suppress(OSError):  # an editor's lock is a link to nowhere
            newest = max(newest, source.stat().st_mtime)
    for compiled in (folder / "__pycache__").glob("*.nb?"):
        # Another process may delete the same, or the folder be read-only.
        with contextlib.suppress(OSError):
            if compiled.stat().st_mtime < newest:
                compiled.unlink()
                dropped += 1
    return dropped
