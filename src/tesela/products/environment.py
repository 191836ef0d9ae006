"""What computes: Python, the libraries that touch numbers, the machine."""

from __future__ import annotations

import functools
import hashlib
import json
import platform
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import metadata
from typing import Final

LIBRARIES: Final = (
    "astropy",
    "cdshealpix",
    "duckdb",
    "fitsio",
    "llvmlite",
    "mocpy",
    "numba",
    "numpy",
    "pillow",
    "pyarrow",
    "scipy",
    "sep",
)
"""Those through which pixels and columns go."""
ABSENT: Final = "absent"


@dataclass(frozen=True)
class Environment:
    """Versions by name, and a hash that changes when, and only when, one of them does."""

    hash: str
    versions: Mapping[str, str]


@functools.cache
def environment_now() -> Environment:
    """Return what this process computes with; found out once."""
    versions = {
        "python": platform.python_version(),
        "implementation": platform.python_implementation(),
        "system": platform.system(),
        "machine": platform.machine(),
    }
    for name in LIBRARIES:
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            versions[name] = ABSENT
    return Environment(hash_of(versions), versions)


def hash_of(versions: Mapping[str, str]) -> str:
    """Sixteen hexadecimal digits of some versions, in whatever order they are."""
    canonical = json.dumps(dict(versions), sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()[:16]
