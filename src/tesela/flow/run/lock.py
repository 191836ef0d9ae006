"""One controller at a time on a site with SQLite; one build of a release."""

from __future__ import annotations

import contextlib
from pathlib import Path

from tesela.products.lock import only_one

__all__ = ["only_controller", "only_one"]


def only_controller(path: Path) -> contextlib.AbstractContextManager[None]:
    """Hold the lock file of a site's controller, as `only_one` does."""
    return only_one(path, "one controller at a time on SQLite")
