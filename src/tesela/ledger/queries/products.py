"""Questions about what was made, and from what."""

from __future__ import annotations

from sqlalchemy import bindparam, text

CURRENT = text("SELECT * FROM product WHERE kind = :kind AND key = :key AND is_current")
CURRENT_OF_KEYS = text("""
    SELECT * FROM product WHERE kind = :kind AND key IN :keys AND is_current
""").bindparams(bindparam("keys", expanding=True))
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
LAST_VERSIONS = text("""
    SELECT key, MAX(version) AS last FROM product WHERE kind = :kind AND key IN :keys GROUP BY key
""").bindparams(bindparam("keys", expanding=True))

_INPUTS = """
    SELECT e.product, e.role, p.id, p.kind, p.key, p.version, p.state, p.is_current, p.path,
           p.data_hash, p.dropped_mjd
    FROM edge e JOIN product p ON p.id = e.source
    WHERE {which}
    ORDER BY e.role, p.kind, p.key, p.version
"""
INPUTS = text(_INPUTS.format(which="e.product = :product"))
INPUTS_OF_MANY = text(_INPUTS.format(which="e.product IN :keys")).bindparams(
    bindparam("keys", expanding=True)
)

SETTINGS_NOTED = text("""
    SELECT settings_hash FROM step_settings WHERE step = :step AND scope = :scope
""")

SETTINGS_NOW = text("""
    SELECT s.code_version, COALESCE(o.settings_hash, s.settings_hash) AS settings_hash
    FROM step s LEFT JOIN step_settings o ON o.step = s.name AND o.scope = :scope
    WHERE s.kind = :kind
""")
