"""Whether anything may be begun: there is room on the disk, and it may be written."""

from __future__ import annotations

import shutil
from pathlib import Path

from tesela.products.disk import is_read_only

_GIB = 2.0**30
_WRITTEN = ("products", "work")


def closed(site: Path, keep_free_gb: float) -> tuple[str, str] | None:
    """Return the sort of an alert and a sentence if nothing may be begun, None if all is well."""
    shut = [part for part in _WRITTEN if is_read_only(site / part)]
    if shut:
        said = f"{' and '.join(shut)} may only be read: nothing is begun until that ends"
        return "archive read-only", said
    free = shutil.disk_usage(site).free / _GIB
    if free < keep_free_gb:
        return "disk low", (
            f"{free:.1f} GiB free on the disk of the site, {keep_free_gb:g} are kept"
            " (keep_free_gb): nothing is begun until there is room"
        )
    return None
