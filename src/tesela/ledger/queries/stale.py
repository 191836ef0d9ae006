"""Questions about what is stale."""

from __future__ import annotations

from sqlalchemy import text

# The next of few groups among many products: a look into the index, not a walk along it.
NEXT_GROUP = text("""
    SELECT kind, scope, code_version, settings_hash FROM product
    WHERE is_current
      AND (kind, scope, code_version, settings_hash) > (:kind, :scope, :code, :set)
    ORDER BY kind, scope, code_version, settings_hash LIMIT 1
""")

_DOES_NOT_WAIT = """
    NOT EXISTS (SELECT 1 FROM waiting w WHERE w.kind = p.kind AND w.key = p.key)
"""

OF_GROUP = text(f"""
    SELECT p.kind, p.key, p.version FROM product p
    WHERE p.is_current AND p.kind = :kind AND p.scope = :scope AND p.code_version = :code
      AND p.settings_hash = :set AND {_DOES_NOT_WAIT}
""")

# Of which the planner found that a newer choice exists.
NOTED = text(f"""
    SELECT p.kind, p.key, p.version, p.stale AS why FROM product p
    WHERE p.is_current AND p.stale <> '' AND {_DOES_NOT_WAIT}
""")
