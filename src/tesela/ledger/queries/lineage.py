"""Questions about what was made from what, through all versions; each bounded in number."""

from __future__ import annotations

from sqlalchemy import bindparam, text

# What a version was made from, the nearest first. Evidence is not walked.
MADE_FROM = text("""
    WITH RECURSIVE part(id) AS (
        SELECT id FROM product WHERE id = :id
      UNION
        SELECT e.source FROM part JOIN edge e ON e.product = part.id WHERE e.role = 'input'
    )
    SELECT id, 0 AS steps FROM part LIMIT :most
""")

MADE_WITH = text("""
    WITH RECURSIVE part(id) AS (
        SELECT id FROM product WHERE id = :id
      UNION
        SELECT e.product FROM part JOIN edge e ON e.source = part.id WHERE e.role = 'input'
    )
    SELECT id, 0 AS steps FROM part LIMIT :most
""")

# The same up to so many steps away.
MADE_FROM_NEAR = text("""
    WITH RECURSIVE part(id, steps) AS (
        SELECT id, 0 FROM product WHERE id = :id
      UNION
        SELECT e.source, part.steps + 1 FROM part JOIN edge e ON e.product = part.id
        WHERE e.role = 'input' AND part.steps < :depth
    )
    SELECT id, MIN(steps) AS steps FROM (SELECT id, steps FROM part LIMIT 8 * :most) near
    GROUP BY id ORDER BY MIN(steps), id LIMIT :most
""")

MADE_WITH_NEAR = text("""
    WITH RECURSIVE part(id, steps) AS (
        SELECT id, 0 FROM product WHERE id = :id
      UNION
        SELECT e.product, part.steps + 1 FROM part JOIN edge e ON e.source = part.id
        WHERE e.role = 'input' AND part.steps < :depth
    )
    SELECT id, MIN(steps) AS steps FROM (SELECT id, steps FROM part LIMIT 8 * :most) near
    GROUP BY id ORDER BY MIN(steps), id LIMIT :most
""")

# Those near the start first: a source is older than its product.
EDGES_FROM = text("""
    SELECT product, source, role FROM edge WHERE product IN :ids
    ORDER BY product DESC, source LIMIT :most
""").bindparams(bindparam("ids", expanding=True))

EDGES_TO = text("""
    SELECT product, source, role FROM edge WHERE source IN :ids
    ORDER BY source, product LIMIT :most
""").bindparams(bindparam("ids", expanding=True))

VERSIONS = text("""
    SELECT p.id, p.kind, p.key, p.version, p.state, p.is_current, p.stale, p.dropped_mjd,
           m.state AS master_state, v.reason AS flagged
    FROM product p
    LEFT JOIN master m ON m.product_id = p.id
    LEFT JOIN verdict v ON v.kind = p.kind AND v.key = p.key AND v.withdrawn_mjd IS NULL
    WHERE p.id IN :ids
    ORDER BY p.kind, p.key, p.version
""").bindparams(bindparam("ids", expanding=True))

VERSIONS_OF_KEY = text("""
    SELECT id, kind, version, is_current FROM product WHERE key = :key
    ORDER BY kind, version DESC
""")
