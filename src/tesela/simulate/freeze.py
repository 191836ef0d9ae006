"""A night that is frozen: nobody can change it unseen."""

from __future__ import annotations

import hashlib
from pathlib import Path

SUMS = "SHA256SUMS"
READ_ONLY = 0o444


def freeze(folder: Path) -> Path:
    """Write the checksums of all files below a folder, and make them read-only.

    ``sha256sum -c SHA256SUMS`` in the folder verifies it. Returns the path of the checksums.
    """
    files = sorted(path for path in folder.rglob("*") if path.is_file() and path.name != SUMS)
    sums = folder / SUMS
    lines = []
    for path in files:
        with path.open("rb") as stream:
            digest = hashlib.file_digest(stream, "sha256").hexdigest()
        lines.append(f"{digest}  {path.relative_to(folder).as_posix()}\n")
    sums.write_text("".join(lines), encoding="utf-8")
    for path in (*files, sums):
        path.chmod(READ_ONLY)
    return sums
