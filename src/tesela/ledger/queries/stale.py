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
