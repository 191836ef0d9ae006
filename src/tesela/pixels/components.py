"""Sets that are joined: which of them an element belongs to (Tarjan 1975, JACM 22, 215)."""

from __future__ import annotations

from numba import njit


@njit(cache=True, nogil=True)
def find_root(parent, k):  # type: ignore[no-untyped-def]  # pragma: no cover
    """Root of element k in `parent` (n,) int64, whose paths are halved on the way."""
    while parent[k] != k:
        parent[k] = parent[parent[k]]
        k = parent[k]
    return k
