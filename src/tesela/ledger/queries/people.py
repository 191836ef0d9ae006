"""Counts, lists and histories for people, and what is ahead."""

from __future__ import annotations

from sqlalchemy import text

# What is due or waits for something under way, and the tiles that follow from it.
_AHEAD = """
    WITH ahead(kind, key) AS (
        SELECT kind, key FROM task WHERE state IN ('ready', 'running')
      UNION SELECT kind, key FROM waiting WHERE pending
      UNION SELECT kind, key FROM dirty
    )
"""
FRAMES_AHEAD = text(
    _AHEAD
    + """
    SELECT COUNT(*) AS n, SUM(f.nx * f.ny / 1e6) AS megapixels
    FROM ahead a JOIN frame f ON f.name = a.key WHERE a.kind = :kind
"""
)
MASTERS_AHEAD = text(_AHEAD + "SELECT key FROM ahead WHERE kind = 'master' ORDER BY key")
TOUCHED_AHEAD = text(
    _AHEAD
    + """
    SELECT ft.tile || '.' || ft.band AS key FROM ahead a
    JOIN frame f ON f.name = a.key JOIN frame_tile ft ON ft.frame_id = f.product_id
    WHERE a.kind = 'reduced'
    UNION SELECT key FROM ahead WHERE kind = 'coadd'
"""
)
TILES_AHEAD = text(
    _AHEAD
    + """
    SELECT kind, key FROM ahead
    WHERE kind IN ('catalogue', 'dual', 'zeropoints', 'valueadded', 'science')
"""
)

# Among the latest attempts of all steps, the latest first.
LATEST_SPEEDS = text("""
    SELECT t.step, a.seconds / t.megapixels AS seconds_per_mpix
    FROM (SELECT id, task_id, outcome, seconds FROM attempt ORDER BY id DESC LIMIT :window) a
    CROSS JOIN task t
    WHERE t.id = a.task_id AND a.outcome = 'done' AND a.seconds IS NOT NULL AND t.megapixels > 0
    ORDER BY a.id DESC
""")
ANY_SPEEDS = text("""
    SELECT a.seconds / t.megapixels AS seconds_per_mpix
    FROM task t CROSS JOIN attempt a
    WHERE t.step = :step AND a.task_id = t.id AND a.outcome = 'done' AND a.seconds IS NOT NULL
      AND t.megapixels > 0
    LIMIT :limit
""")

# Of one step and state, each by its partial index.
OPEN_TASKS = text("""
    SELECT step, key, why, state, priority, id FROM task WHERE state = :state AND step = :step
    ORDER BY priority DESC, id LIMIT :limit
""")

EVENTS_OF_KEY = text("""
    SELECT at_mjd, what, kind, key, detail, who FROM event WHERE key = :key ORDER BY id
""")

ATTEMPTS_OF_KEY = text("""
    SELECT t.step, t.key, a.number, a.host, a.started_mjd, a.ended_mjd, a.outcome, a.fault_class,
           a.seconds, a.peak_memory_mb, a.log
    FROM attempt a JOIN task t ON t.id = a.task_id
    WHERE t.key = :key ORDER BY a.id
""")

PRODUCTS_OF_KEY = text("""
    SELECT p.*, q.passed, q.reason AS quality_reason, q.metrics_json, m.state AS master_state
    FROM product p
    LEFT JOIN quality q ON q.product_id = p.id
    LEFT JOIN master m ON m.product_id = p.id
    WHERE p.key = :key ORDER BY p.kind, p.version
""")

VERDICTS_OF_KEY = text("""
    SELECT kind, key, value, reason, comment, who, set_mjd, withdrawn_mjd, withdrawn_by FROM verdict
    WHERE key = :key ORDER BY id
""")

REFUSED = text("""
    SELECT path, reason, at_mjd FROM refused ORDER BY id DESC
""")

STANDING_VERDICT = text("""
    SELECT * FROM verdict WHERE kind = :kind AND key = :key AND withdrawn_mjd IS NULL
""")
