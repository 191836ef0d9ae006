"""Lists for people: each is cut short in the question, and found by an index."""

from __future__ import annotations

from sqlalchemy import text

# Verdicts that stand for themselves: on groups, and on products that are no frames.
FLAGGED = text("""
    SELECT kind, key, reason, comment, who FROM verdict
    WHERE withdrawn_mjd IS NULL AND kind <> 'raw'
    ORDER BY kind, key LIMIT :limit
""")

# Of the latest verdicts on frames, those that came with none on a group.
FLAGGED_FRAMES = text("""
    SELECT v.kind, v.key, v.reason, v.comment, v.who
    FROM (SELECT * FROM verdict WHERE withdrawn_mjd IS NULL AND kind = 'raw'
          ORDER BY id DESC LIMIT :among) v
    LEFT JOIN frame f ON f.name = v.key
    LEFT JOIN exposure x ON x.id = f.exposure_id
    WHERE NOT EXISTS (
        SELECT 1 FROM verdict h
        WHERE h.withdrawn_mjd IS NULL AND h.reason = v.reason AND h.who = v.who
          AND ((h.kind = 'exposure' AND h.key = x.key) OR (h.kind = 'night' AND h.key = x.night)
               OR (h.kind = 'where' AND h.set_mjd = v.set_mjd)))
    ORDER BY v.key LIMIT :limit
""")

REFUSED = text("SELECT path, reason, at_mjd FROM refused ORDER BY id DESC LIMIT :limit")

ENDED_BADLY = text("""
    SELECT step, kind, key, state, attempts, reason FROM task
    WHERE state = :state AND state IN ('dead', 'skipped') ORDER BY state, step, key LIMIT :limit
""")

PROPOSED = text("""
    SELECT m.master_kind, p.key, p.version, m.reason
    FROM master m CROSS JOIN product p
    WHERE m.state = 'proposed' AND p.id = m.product_id AND p.is_current
      AND NOT EXISTS (SELECT 1 FROM verdict v
                      WHERE v.kind = 'master' AND v.key = p.key AND v.withdrawn_mjd IS NULL)
    ORDER BY p.key LIMIT :limit
""")

# Frames of a night with a quick look and no reduction yet: those that did not pass, then the
# others, of each the latest first.
LOOKED_AT = text("""
    SELECT f.name, x.night, x.obstype, f.band, q.passed, q.reason, q.fwhm_arcsec, q.ellipticity,
           q.sky_e, q.zeropoint_mag
    FROM exposure x
    CROSS JOIN frame f
    CROSS JOIN product p
    CROSS JOIN quality q
    WHERE x.night = :night AND f.exposure_id = x.id
      AND p.kind = 'quicklook' AND p.key = f.name AND p.is_current AND q.product_id = p.id
      AND NOT EXISTS (SELECT 1 FROM product r
                      WHERE r.kind = 'reduced' AND r.key = f.name AND r.is_current)
    ORDER BY q.passed, x.mjd_start DESC, f.name LIMIT :limit
""")

CONTROLLERS = text("""
    SELECT id, host, pid, engine, started_mjd, seen_mjd FROM controller
    WHERE ended_mjd IS NULL ORDER BY started_mjd, id
""")

# The oldest first.
RUNNING = text("""
    SELECT t.step, t.key, a.number, a.host, a.controller, a.started_mjd, s.memory_mb,
           t.memory_faults
    FROM attempt a
    JOIN task t ON t.id = a.task_id
    LEFT JOIN step s ON s.name = t.step
    WHERE a.outcome = 'running'
    ORDER BY a.started_mjd, a.id LIMIT :limit
""")
COUNT_RUNNING = text("SELECT COUNT(*) FROM attempt WHERE outcome = 'running'")
