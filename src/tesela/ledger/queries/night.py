"""Questions about one night. The night leads and each row is looked up from it: CROSS JOIN keeps
the order."""

from __future__ import annotations

from sqlalchemy import text

from tesela.ledger.queries.monitors import GOOD

LATEST = text("SELECT MAX(night) AS night FROM exposure")

OBSERVED = text("""
    SELECT x.obstype, f.band, COUNT(*) AS frames, COUNT(DISTINCT x.id) AS exposures,
           MIN(x.mjd_start) AS first, MAX(x.mjd_start + x.exptime_s / 86400.0) AS last
    FROM exposure x
    CROSS JOIN frame f
    WHERE x.night = :night AND f.exposure_id = x.id
    GROUP BY x.obstype, f.band ORDER BY x.obstype, f.band
""")
OPEN_SECONDS = text("""
    SELECT SUM(exptime_s) FROM exposure WHERE night = :night AND obstype = 'science'
""")

# What became of each science frame, the same reasons together.
OUTCOMES = text("""
    SELECT state, reason, COUNT(*) AS n, MIN(name) AS example FROM (
        SELECT f.name,
               CASE WHEN v.id IS NOT NULL THEN 'flagged'
                    WHEN t.state IN ('ready', 'running') OR d.key IS NOT NULL THEN 'under way'
                    WHEN r.id IS NOT NULL AND COALESCE(q.passed, true) THEN 'passed'
                    WHEN r.id IS NOT NULL THEN 'rejected'
                    WHEN w.key IS NOT NULL THEN 'waiting'
                    WHEN t.state IN ('dead', 'skipped') THEN t.state
                    ELSE 'not begun' END AS state,
               CASE WHEN v.id IS NOT NULL THEN v.reason
                    WHEN t.state IN ('ready', 'running') OR d.key IS NOT NULL THEN ''
                    WHEN r.id IS NOT NULL THEN COALESCE(q.reason, '')
                    WHEN w.key IS NOT NULL THEN w.reason
                    ELSE COALESCE(t.reason, '') END AS reason
        FROM exposure x
        CROSS JOIN frame f
        LEFT JOIN verdict v ON v.kind = 'raw' AND v.key = f.name AND v.withdrawn_mjd IS NULL
        LEFT JOIN product r ON r.kind = 'reduced' AND r.key = f.name AND r.is_current
        LEFT JOIN quality q ON q.product_id = r.id
        LEFT JOIN task t ON t.kind = 'reduced' AND t.key = f.name
        LEFT JOIN dirty d ON d.kind = 'reduced' AND d.key = f.name
        LEFT JOIN waiting w ON w.kind = 'reduced' AND w.key = f.name
        WHERE x.night = :night AND f.exposure_id = x.id AND x.obstype = 'science') each_frame
    GROUP BY state, reason ORDER BY state, n DESC, reason
""")

MEASURED = text("""
    SELECT f.band, q.fwhm_arcsec, q.sky_e, q.zeropoint_mag
    FROM exposure x
    CROSS JOIN frame f
    CROSS JOIN product r
    CROSS JOIN quality q
    WHERE x.night = :night AND f.exposure_id = x.id AND x.obstype = 'science'
      AND r.kind = 'reduced' AND r.key = f.name AND r.is_current AND q.product_id = r.id
""")

# Images of the whole survey, evenly spread over the order in which they were made.
SAMPLE = text("""
    WITH RECURSIVE n(i) AS (
        SELECT 1 UNION ALL SELECT i + CAST(:step AS INTEGER) FROM n WHERE i + :step <= :last
    )
    SELECT f.band, q.fwhm_arcsec, q.sky_e, q.zeropoint_mag
    FROM n
    CROSS JOIN quality q
    CROSS JOIN product r
    CROSS JOIN frame f
    WHERE q.product_id = n.i AND q.passed AND r.id = n.i AND r.kind = 'reduced' AND r.is_current
      AND f.name = r.key
""")

# The last version of each, and one that serves still.
MASTERS = text("""
    SELECT m.master_kind, CASE WHEN v.id IS NULL THEN m.state ELSE 'flagged' END AS state,
           CASE WHEN v.id IS NULL THEN m.reason ELSE v.reason END AS reason,
           COUNT(*) AS n, MIN(p.key) AS example
    FROM master m
    CROSS JOIN product p
    LEFT JOIN verdict v ON v.kind = 'master' AND v.key = p.key AND v.withdrawn_mjd IS NULL
    WHERE m.night = :night AND p.id = m.product_id
      AND (m.state = 'certified'
           OR p.version = (SELECT MAX(l.version) FROM product l
                           WHERE l.kind = 'master' AND l.key = p.key))
    GROUP BY 1, 2, 3 ORDER BY 1, 2, 3
""")
# Masters that were not made. Their keys end with the night.
MASTERS_FAILED = text("""
    SELECT key, state, reason FROM task
    WHERE state IN ('dead', 'skipped') AND step = 'master' AND key LIKE :like
    UNION ALL
    SELECT key, 'waiting' AS state, reason FROM waiting WHERE kind = 'master' AND key LIKE :like
    ORDER BY key
""")

# Coadds that the frames of a night may go into, and where each stands.
TILES = text("""
    SELECT touched.tile, touched.band, p.id AS coadd_id, n.frames AS planned,
           (d.key IS NOT NULL OR t.state IN ('ready', 'running') OR w.key IS NOT NULL) AS is_open
    FROM (SELECT DISTINCT ft.tile, ft.band
          FROM exposure x
          CROSS JOIN frame f
          CROSS JOIN frame_tile ft
          WHERE x.night = :night AND f.exposure_id = x.id AND ft.frame_id = f.product_id) touched
    LEFT JOIN product p ON p.kind = 'coadd' AND p.key = touched.tile || '.' || touched.band
         AND p.is_current
    LEFT JOIN planned n ON n.tile = touched.tile AND n.band = touched.band
    LEFT JOIN task t ON t.kind = 'coadd' AND t.key = touched.tile || '.' || touched.band
    LEFT JOIN dirty d ON d.kind = 'coadd' AND d.key = touched.tile || '.' || touched.band
    LEFT JOIN waiting w ON w.kind = 'coadd' AND w.key = touched.tile || '.' || touched.band
""")
FRAMES_OF_COADD = text("""
    SELECT COUNT(*) FROM edge e CROSS JOIN product r
    WHERE e.product = :coadd AND e.role = 'input' AND r.id = e.source AND r.kind = 'reduced'
""")

_ATTEMPTS = """
    SELECT t.step, a.outcome, a.fault_class, COUNT(*) AS n, SUM(a.seconds * s.cores) AS seconds,
           MIN(a.started_mjd) AS first, MAX(a.ended_mjd) AS last, MIN(t.key) AS example,
           MIN(SUBSTR(a.log, 1, 300)) AS log
    FROM {tasks}
    CROSS JOIN attempt a
    CROSS JOIN step s
    WHERE {which} AND a.task_id = t.id AND s.name = t.step
    GROUP BY t.step, a.outcome, a.fault_class
"""
ATTEMPTS_OF_FRAMES = text(
    _ATTEMPTS.format(
        tasks="exposure x CROSS JOIN frame f CROSS JOIN task t",
        which="x.night = :night AND f.exposure_id = x.id"
        " AND t.kind IN ('reduced', 'detrended') AND t.key = f.name",
    )
)
ATTEMPTS_OF_MASTERS = text(
    _ATTEMPTS.format(
        tasks="(SELECT DISTINCT p.key FROM master m CROSS JOIN product p"
        " WHERE m.night = :night AND p.id = m.product_id) made CROSS JOIN task t",
        which="t.kind = 'master' AND t.key = made.key",
    )
)

ALERTS = text(f"""
    SELECT a.* {GOOD} AND a.night = :night AND a.level >= 1
    ORDER BY a.level DESC, a.detector, a.metric, a.filter, a.source, a.amp
""")
