"""Questions about what was made, and from what."""

from __future__ import annotations

from sqlalchemy import bindparam, text

CURRENT = text("SELECT * FROM product WHERE kind = :kind AND key = :key AND is_current")
VERSION = text("SELECT * FROM product WHERE kind = :kind AND key = :key AND version = :version")
ALL_CURRENT = text("SELECT * FROM product WHERE kind = :kind AND is_current ORDER BY key")

ALL_PAST = text("""
    SELECT * FROM product WHERE kind = :kind AND NOT is_current AND dropped_mjd IS NULL
    ORDER BY key, version
""")

METRICS_OF = text("""
    SELECT product_id, metrics_json FROM quality WHERE product_id IN :keys
""").bindparams(bindparam("keys", expanding=True))

LAST_VERSION = text("""
    SELECT COALESCE(MAX(version), 0) FROM product WHERE kind = :kind AND key = :key
""")

INPUTS = text("""
    SELECT e.role, p.id, p.kind, p.key, p.version, p.state, p.is_current, p.path, p.data_hash,
           p.dropped_mjd
    FROM edge e JOIN product p ON p.id = e.source
    WHERE e.product = :product
    ORDER BY e.role, p.kind, p.key, p.version
""")

SETTINGS_NOW = text("""
    SELECT s.code_version, COALESCE(o.settings_hash, s.settings_hash) AS settings_hash
    FROM step s LEFT JOIN step_settings o ON o.step = s.name AND o.scope = :scope
    WHERE s.kind = :kind
""")
