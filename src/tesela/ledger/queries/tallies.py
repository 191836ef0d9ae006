"""Counts over whole tables: what a status page shows and must not count itself.

Texts differ by as much as their writers put into them, so of groups by text only the largest are
asked for.
"""

from __future__ import annotations

from sqlalchemy import text

LAST_PRODUCT = text("SELECT MAX(id) FROM product")

TASKS = text("SELECT step, state, COUNT(*) AS n FROM task GROUP BY step, state")

# What was made alike: read from the index of the same columns.
MADE_BY = text("""
    SELECT kind, scope, code_version, settings_hash, COUNT(*) AS n, MIN(key) AS example
    FROM product WHERE is_current GROUP BY kind, scope, code_version, settings_hash
""")
# What waits is no choice of anybody's: it is listed there, and made again when it can be.
WAITING_MADE_BY = text("""
    SELECT p.kind, p.scope, p.code_version, p.settings_hash, COUNT(*) AS n
    FROM waiting w CROSS JOIN product p
    WHERE p.kind = w.kind AND p.key = w.key AND p.is_current AND p.stale = ''
    GROUP BY p.kind, p.scope, p.code_version, p.settings_hash
""")
STALE = text("""
    SELECT p.kind, p.stale AS why, COUNT(*) AS n, MIN(p.key) AS example
    FROM product p
    WHERE p.is_current AND p.stale <> ''
      AND NOT EXISTS (SELECT 1 FROM waiting w WHERE w.kind = p.kind AND w.key = p.key)
    GROUP BY p.kind, p.stale ORDER BY n DESC, p.kind, p.stale LIMIT :limit
""")
# Those that are stale for another reason, too: not to be counted twice.
STALE_MADE_BY = text("""
    SELECT kind, scope, code_version, settings_hash, COUNT(*) AS n
    FROM product WHERE is_current AND stale <> ''
    GROUP BY kind, scope, code_version, settings_hash
""")
WARNED = text("""
    SELECT kind, warnings_json, COUNT(*) AS n, MIN(key) AS example
    FROM product WHERE is_current AND warnings_json <> '[]'
    GROUP BY kind, warnings_json ORDER BY n DESC, kind, warnings_json LIMIT :limit
""")
WAITING = text("""
    SELECT w.kind, w.reason, COUNT(*) AS n, COUNT(p.id) AS served, MIN(w.key) AS example
    FROM waiting w LEFT JOIN product p ON p.kind = w.kind AND p.key = w.key AND p.is_current
    GROUP BY w.kind, w.reason ORDER BY n DESC, w.kind, w.reason LIMIT :limit
""")
FLAGGED = text("""
    SELECT kind, reason, COUNT(*) AS n, MIN(key) AS example
    FROM verdict WHERE withdrawn_mjd IS NULL
    GROUP BY kind, reason ORDER BY n DESC, kind, reason LIMIT :limit
""")
# Reasons name their keys, so the database cannot group them.
ENDED_BADLY = text("""
    SELECT state, step, key AS example, reason
    FROM task WHERE state IN ('dead', 'skipped') ORDER BY state, step, key LIMIT :limit
""")
REFUSED = text("SELECT COUNT(*) FROM refused")

LATEST_NIGHTS = text("SELECT DISTINCT night FROM exposure ORDER BY night DESC LIMIT :limit")

# The frames of a night, and how many of these have a reduced image.
NIGHT = text("""
    SELECT x.obstype, COUNT(*) AS n, COUNT(DISTINCT x.id) AS exposures, COUNT(r.id) AS reduced
    FROM exposure x
    CROSS JOIN frame f
    LEFT JOIN product r ON r.kind = 'reduced' AND r.key = f.name AND r.is_current
    WHERE x.night = :night AND f.exposure_id = x.id
    GROUP BY x.obstype ORDER BY x.obstype
""")

# The frames of a night that have a quick look and no reduction yet.
QUICK_LOOKS = text("""
    SELECT q.passed, COUNT(*) AS n
    FROM exposure x
    CROSS JOIN frame f
    CROSS JOIN product p
    CROSS JOIN quality q
    WHERE x.night = :night AND f.exposure_id = x.id
      AND p.kind = 'quicklook' AND p.key = f.name AND p.is_current AND q.product_id = p.id
      AND NOT EXISTS (SELECT 1 FROM product r
                      WHERE r.kind = 'reduced' AND r.key = f.name AND r.is_current)
    GROUP BY q.passed
""")

PUT = text("""
    INSERT INTO tally (what, kind, state, n, example, at_mjd)
    VALUES (:what, :kind, :state, :n, :example, :at_mjd)
    ON CONFLICT (what, kind, state) DO UPDATE
    SET n = excluded.n, example = excluded.example, at_mjd = excluded.at_mjd
""")
FORGET = text("DELETE FROM tally WHERE at_mjd < :at_mjd")
EVERY = text("SELECT what, kind, state, n, example, at_mjd FROM tally ORDER BY what, kind, state")
