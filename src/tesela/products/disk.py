"""The state of a disk."""

from __future__ import annotations

import os
from pathlib import Path


def is_read_only(folder: Path) -> bool:
    """Whether nothing can be written: a disk that the system mounted so after an error, say."""
    try:
        return bool(os.statvfs(folder).f_flag & os.ST_RDONLY) or not os.access(folder, os.W_OK)
    except OSError:
        return False  # not there yet
