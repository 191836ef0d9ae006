"""The questions asked of the ledger, each one readable statement.

They run unchanged on SQLite and PostgreSQL: no dialect's own functions, upserts in the form both
know, and booleans never compared with numbers.
"""

from __future__ import annotations

from sqlalchemy import text

# ---------------------------------------------------------------- frames

FRAME_BY_NAME = text("""
    SELECT f.*, x.key AS exposure, x.telescope, x.camera, x.night, x.obstype, x.flat_kind,
           x.readout_mode, x.mjd_start, x.exptime_s, x.ra_deg, x.dec_deg, x.airmass, x.object,
           x.project, p.path, p.version
    FROM frame f
    JOIN exposure x ON x.id = f.exposure_id
    JOIN product p ON p.id = f.product_id
    WHERE f.name = :name
""")

FRAMES_BY_SHA = text("""
    SELECT name, sha256, data_sha256 FROM frame
    WHERE sha256 = :sha256 OR data_sha256 = :data_sha256
    ORDER BY name
""")

FRAMES_OF_MASTER = text("""
    SELECT f.product_id, f.name, f.nx, f.ny, x.flat_kind, x.mjd_start,
           v.reason AS flagged
    FROM frame f
    JOIN exposure x ON x.id = f.exposure_id
    LEFT JOIN verdict v ON v.kind = 'raw' AND v.key = f.name AND v.withdrawn_mjd IS NULL
    WHERE f.configuration = :configuration AND x.night = :night AND x.obstype = :obstype
    ORDER BY f.name
""")

TILES_OF_FRAME = text("""
    SELECT tile, band, source FROM frame_tile WHERE frame_id = :frame_id ORDER BY tile
""")

OBSERVED_TILES = text("SELECT DISTINCT tile FROM frame_tile ORDER BY tile")

BANDS_OF_TILE = text("SELECT DISTINCT band FROM frame_tile WHERE tile = :tile ORDER BY band")

FRAMES_OF_TILE = text("""
    SELECT f.name, f.product_id AS raw_id, f.nx, f.ny, x.mjd_start,
           v.reason AS flagged, v.comment AS flag_comment,
           r.id AS reduced_id, r.version AS reduced_version,
           q.passed, q.reason AS quality_reason,
           t.state AS task_state, t.reason AS task_reason,
           d.why AS dirty_why,
           w.reason AS waiting_reason, w.pending AS waiting_pending,
           (SELECT MIN(mp.key) FROM edge e
            JOIN product c ON c.id = e.source AND c.kind = 'calset'
            JOIN edge ce ON ce.product = c.id
            JOIN master m ON m.product_id = ce.source
            JOIN product mp ON mp.id = m.product_id
            WHERE e.product = r.id AND m.state NOT IN ('certified', 'superseded')) AS unsound
    FROM frame_tile ft
    JOIN frame f ON f.product_id = ft.frame_id
    JOIN exposure x ON x.id = f.exposure_id
    LEFT JOIN verdict v ON v.kind = 'raw' AND v.key = f.name AND v.withdrawn_mjd IS NULL
    LEFT JOIN product r ON r.kind = 'reduced' AND r.key = f.name AND r.is_current
    LEFT JOIN quality q ON q.product_id = r.id
    LEFT JOIN task t ON t.kind = 'reduced' AND t.key = f.name
    LEFT JOIN dirty d ON d.kind = 'reduced' AND d.key = f.name
    LEFT JOIN waiting w ON w.kind = 'reduced' AND w.key = f.name
    WHERE ft.tile = :tile AND ft.band = :band
    ORDER BY f.name
""")

EVERY_FRAME = text("""
    SELECT f.name, f.configuration, x.obstype, x.night
    FROM frame f JOIN exposure x ON x.id = f.exposure_id
""")

# Frames with a reduced image that a master of this configuration and time could concern.
REDUCED_NEAR = text("""
    SELECT f.name FROM frame f
    JOIN exposure x ON x.id = f.exposure_id
    JOIN product r ON r.kind = 'reduced' AND r.key = f.name AND r.is_current
    WHERE x.obstype = 'science' AND x.mjd_start >= :begin AND x.mjd_start < :end
      AND (f.configuration = :configuration
           OR (f.configuration >= :low AND f.configuration < :high))
    ORDER BY f.name
""")

# ---------------------------------------------------------------- products and edges

CURRENT = text("SELECT * FROM product WHERE kind = :kind AND key = :key AND is_current")
VERSION = text("SELECT * FROM product WHERE kind = :kind AND key = :key AND version = :version")
ALL_CURRENT = text("SELECT * FROM product WHERE kind = :kind AND is_current ORDER BY key")

LAST_VERSION = text("""
    SELECT COALESCE(MAX(version), 0) FROM product WHERE kind = :kind AND key = :key
""")

INPUTS = text("""
    SELECT e.role, p.id, p.kind, p.key, p.version, p.state, p.is_current, p.path
    FROM edge e JOIN product p ON p.id = e.source
    WHERE e.product = :product
    ORDER BY e.role, p.kind, p.key, p.version
""")

# Every current product made, directly or not, from a product of this kind and key.
USERS = text("""
    WITH RECURSIVE used(id) AS (
        SELECT id FROM product WHERE kind = :kind AND key = :key
      UNION
        SELECT e.product FROM edge e JOIN used u ON e.source = u.id WHERE e.role = 'input'
    )
    SELECT DISTINCT p.kind, p.key
    FROM used u JOIN product p ON p.id = u.id
    WHERE p.is_current AND NOT (p.kind = :kind AND p.key = :key)
    ORDER BY p.kind, p.key
""")

# The same, for products that any past version of them was made from.
PAST_USERS = text("""
    WITH RECURSIVE used(id) AS (
        SELECT id FROM product WHERE kind = :kind AND key = :key
      UNION
        SELECT e.product FROM edge e JOIN used u ON e.source = u.id WHERE e.role = 'input'
    )
    SELECT DISTINCT p.kind, p.key
    FROM used u JOIN product p ON p.id = u.id
    WHERE NOT (p.kind = :kind AND p.key = :key)
    ORDER BY p.kind, p.key
""")

STALE = text("""
    SELECT p.kind, p.key, p.version,
           CASE WHEN p.stale <> '' THEN p.stale
                WHEN p.code_version <> s.code_version
                THEN 'made by code ' || p.code_version || ', now ' || s.code_version
                ELSE 'made with other settings' END AS why
    FROM product p JOIN step s ON s.kind = p.kind
    WHERE p.is_current
      AND (p.stale <> '' OR p.code_version <> s.code_version
           OR p.settings_hash <> s.settings_hash)
    ORDER BY p.kind, p.key
""")

# ---------------------------------------------------------------- masters

# The certified master that holds at an instant, and the nearest on either side.
CERTIFIED_AROUND = text("""
    SELECT * FROM (
        SELECT m.*, p.key, p.version, p.path FROM master m JOIN product p ON p.id = m.product_id
        WHERE m.configuration = :configuration AND m.master_kind = :master_kind
          AND m.state = 'certified' AND p.is_current AND m.valid_begin <= :mjd
        ORDER BY m.valid_begin DESC LIMIT 1) before
    UNION ALL
    SELECT * FROM (
        SELECT m.*, p.key, p.version, p.path FROM master m JOIN product p ON p.id = m.product_id
        WHERE m.configuration = :configuration AND m.master_kind = :master_kind
          AND m.state = 'certified' AND p.is_current AND m.valid_begin > :mjd
        ORDER BY m.valid_begin LIMIT 1) after
""")

PREVIOUS_CERTIFIED = text("""
    SELECT m.product_id FROM master m JOIN product p ON p.id = m.product_id
    WHERE m.configuration = :configuration AND m.master_kind = :master_kind
      AND m.state = 'certified' AND p.is_current AND m.night < :night
    ORDER BY m.night DESC LIMIT 1
""")

CERTIFIED = text("""
    SELECT product_id, valid_begin, valid_end, natural_end FROM master
    WHERE configuration = :configuration AND master_kind = :master_kind AND state = 'certified'
    ORDER BY valid_begin
""")

# Every master of a telescope's camera, whatever its state: what `why` goes through.
MASTER_CANDIDATES = text("""
    SELECT m.*, p.key, p.version, p.is_current, p.path
    FROM master m JOIN product p ON p.id = m.product_id
    WHERE m.master_kind = :master_kind
      AND m.configuration >= :prefix || '.' AND m.configuration < :prefix || '/'
    ORDER BY p.key, p.version
""")

MASTERS_PENDING = text("""
    SELECT key FROM dirty WHERE kind = 'master' AND key >= :low AND key < :high
  UNION
    SELECT key FROM task
    WHERE kind = 'master' AND key >= :low AND key < :high AND state IN ('ready', 'running')
  UNION
    SELECT key FROM waiting WHERE kind = 'master' AND key >= :low AND key < :high AND pending
    ORDER BY key
""")

# Masters that nothing under way will make or certify, and why.
MASTERS_GIVEN_UP = text("""
    SELECT key, CASE state WHEN 'dead' THEN 'is dead' ELSE 'was skipped' END AS how, reason
    FROM task
    WHERE kind = 'master' AND key >= :low AND key < :high AND state IN ('dead', 'skipped')
  UNION
    SELECT key, 'waits' AS how, reason FROM waiting
    WHERE kind = 'master' AND key >= :low AND key < :high AND NOT pending
  UNION
    SELECT p.key, 'is not certified' AS how, m.reason
    FROM product p JOIN master m ON m.product_id = p.id
    WHERE p.kind = 'master' AND p.key >= :low AND p.key < :high
      AND p.is_current AND m.state = 'proposed'
    ORDER BY key
""")

# ---------------------------------------------------------------- what is to be done

MARK_DIRTY = text("""
    INSERT INTO dirty (kind, key, not_before, why, fresh)
    VALUES (:kind, :key, :not_before, :why, :fresh)
    ON CONFLICT (kind, key) DO UPDATE
    SET not_before = excluded.not_before, why = excluded.why,
        fresh = dirty.fresh OR excluded.fresh
""")

WAKE = """
    INSERT INTO dirty (kind, key, not_before, why, fresh)
    SELECT kind, key, :not_before, :why, fresh FROM waiting WHERE {which}
    ON CONFLICT (kind, key) DO UPDATE SET fresh = dirty.fresh OR excluded.fresh
"""
WAKE_KEY = text(WAKE.format(which="kind = :kind AND key = :key"))
WAKE_FAMILY = text(WAKE.format(which="configuration = :family"))
WAKE_FAMILY_PENDING = text(WAKE.format(which="configuration = :family AND pending"))
WAKE_KIND = text(WAKE.format(which="kind = :kind"))
WAKE_PENDING = text(WAKE.format(which="pending"))

DUE = text("""
    SELECT kind, key, why, fresh FROM dirty
    WHERE not_before <= :now
    ORDER BY CASE kind WHEN 'master' THEN 0 WHEN 'reduced' THEN 1 WHEN 'coadd' THEN 2
                       WHEN 'catalogue' THEN 3 WHEN 'dual' THEN 4 WHEN 'zeropoints' THEN 4
                       WHEN 'valueadded' THEN 5 ELSE 6 END, key
    LIMIT :limit
""")

IS_PENDING = text("""
    SELECT EXISTS (SELECT 1 FROM dirty WHERE kind = :kind AND key = :key)
        OR EXISTS (SELECT 1 FROM task
                   WHERE kind = :kind AND key = :key AND state IN ('ready', 'running'))
        OR EXISTS (SELECT 1 FROM waiting WHERE kind = :kind AND key = :key AND pending)
""")

SET_WAITING = text("""
    INSERT INTO waiting (kind, key, since_mjd, reason, pending, fresh, configuration)
    VALUES (:kind, :key, :now, :reason, :pending, :fresh, :configuration)
    ON CONFLICT (kind, key) DO UPDATE
    SET reason = excluded.reason, pending = excluded.pending, fresh = excluded.fresh
""")

PUT_TASK = text("""
    INSERT INTO task (step, kind, key, state, priority, wanted_hash, why, megapixels, not_before)
    VALUES (:step, :kind, :key, 'ready', :priority, :wanted_hash, :why, :megapixels, :not_before)
    ON CONFLICT (step, key) DO UPDATE
    SET state = 'ready', priority = excluded.priority, wanted_hash = excluded.wanted_hash,
        why = excluded.why, megapixels = excluded.megapixels, not_before = excluded.not_before,
        faults = 0, interruptions = 0, memory_faults = 0, reason = '', attempt_id = NULL,
        lease_until = NULL
""")

NEXT_READY = text("""
    SELECT id, step, kind, key, attempts, wanted_hash, megapixels, memory_faults, why FROM task
    WHERE state = 'ready' AND not_before <= :now
    ORDER BY priority DESC, id
    LIMIT :limit
""")

CLAIM = text("""
    UPDATE task SET state = 'running', attempt_id = :attempt_id, attempts = attempts + 1,
                    lease_until = :lease_until
    WHERE id = :task_id AND state = 'ready'
""")

# The fence: nothing happens if another attempt holds the task by now.
END_TASK = text("""
    UPDATE task SET state = :state, reason = :reason, not_before = :not_before,
                    faults = faults + :fault, interruptions = interruptions + :interruption,
                    memory_faults = memory_faults + :memory, lease_until = NULL, attempt_id = NULL
    WHERE id = :task_id AND attempt_id = :attempt_id AND state = 'running'
""")

INPUTS_OF_TASK = text("""
    SELECT i.role, p.id, p.kind, p.key, p.version, p.path, p.data_hash
    FROM task_input i JOIN product p ON p.id = i.source
    WHERE i.task_id = :task_id
    ORDER BY i.role DESC, p.kind, p.key, p.version
""")

# Tasks that ended badly and were to use, directly or not, a product of this kind and key.
FAILED_USERS = text("""
    WITH RECURSIVE used(id) AS (
        SELECT id FROM product WHERE kind = :kind AND key = :key
      UNION
        SELECT e.product FROM edge e JOIN used u ON e.source = u.id WHERE e.role = 'input'
    )
    SELECT DISTINCT t.kind, t.key
    FROM used u JOIN task_input i ON i.source = u.id JOIN task t ON t.id = i.task_id
    WHERE t.state IN ('dead', 'skipped')
    ORDER BY t.kind, t.key
""")

RUNNING = text("SELECT id, attempt_id, step, key FROM task WHERE state = 'running' ORDER BY id")

# ---------------------------------------------------------------- for people

COUNT_TASKS = text("""
    SELECT step, state, COUNT(*) AS n FROM task GROUP BY step, state ORDER BY step, state
""")

COUNT_PRODUCTS = text("""
    SELECT kind, COUNT(*) AS n FROM product WHERE is_current GROUP BY kind ORDER BY kind
""")

WAITING_REASONS = text("""
    SELECT kind, reason, COUNT(*) AS n, MIN(key) AS example FROM waiting
    GROUP BY kind, reason ORDER BY n DESC, kind, reason
""")

ENDED_BADLY = text("""
    SELECT t.step, t.kind, t.key, t.state, t.attempts, t.reason FROM task t
    WHERE t.state IN ('dead', 'skipped') ORDER BY t.state, t.step, t.key
""")

WARNED = text("""
    SELECT kind, key, warnings_json FROM product
    WHERE is_current AND warnings_json <> '[]' ORDER BY kind, key
""")

# The latest nights, their frames, and how many of these have a reduced image.
NIGHTS = text("""
    SELECT x.night, x.obstype, COUNT(*) AS n, COUNT(r.id) AS reduced
    FROM exposure x
    JOIN frame f ON f.exposure_id = x.id
    LEFT JOIN product r ON r.kind = 'reduced' AND r.key = f.name AND r.is_current
    WHERE x.night IN (SELECT DISTINCT night FROM exposure ORDER BY night DESC LIMIT :limit)
    GROUP BY x.night, x.obstype ORDER BY x.night, x.obstype
""")

# What is due or waits for something under way, and the tiles that follow from it.
_AHEAD = """
    WITH ahead(kind, key) AS (
        SELECT kind, key FROM task WHERE state IN ('ready', 'running')
      UNION SELECT kind, key FROM waiting WHERE pending
      UNION SELECT kind, key FROM dirty
    ),
    touched(key) AS (
        SELECT ft.tile || '.' || ft.band FROM ahead a
        JOIN frame f ON f.name = a.key JOIN frame_tile ft ON ft.frame_id = f.product_id
        WHERE a.kind = 'reduced'
      UNION SELECT key FROM ahead WHERE kind = 'coadd'
    )
"""
FRAMES_AHEAD = text(
    _AHEAD
    + """
    SELECT COUNT(*) AS n, SUM(f.nx * f.ny / 1e6) AS megapixels
    FROM ahead a JOIN frame f ON f.name = a.key WHERE a.kind = 'reduced'
"""
)
MASTERS_AHEAD = text(_AHEAD + "SELECT key FROM ahead WHERE kind = 'master' ORDER BY key")
TILES_AHEAD = text(
    _AHEAD
    + """
    , every_tile(key) AS (
        SELECT key FROM touched UNION SELECT key FROM ahead WHERE kind = 'catalogue'
    ),
    of_tile(key, megapixels) AS (
        SELECT ft.tile || '.' || ft.band, SUM(f.nx * f.ny / 1e6)
        FROM frame_tile ft JOIN frame f ON f.product_id = ft.frame_id
        GROUP BY ft.tile, ft.band
    )
    SELECT COUNT(t.key) AS coadds, COUNT(*) AS catalogues,
           SUM(CASE WHEN t.key IS NULL THEN 0.0 ELSE o.megapixels END) AS coadd_megapixels,
           SUM(o.megapixels) AS megapixels
    FROM every_tile e LEFT JOIN touched t ON t.key = e.key LEFT JOIN of_tile o ON o.key = e.key
"""
)

# Tiles of which a product is ahead, or a band, with the pixels of all their frames.
WHOLE_TILES_AHEAD = text(
    _AHEAD
    + """
    , of_band(tile) AS (
        SELECT DISTINCT ft.tile FROM frame_tile ft
        JOIN (SELECT key FROM touched UNION SELECT key FROM ahead WHERE kind = 'catalogue') e
          ON e.key = ft.tile || '.' || ft.band
    ),
    whole(tile, kind) AS (
        SELECT tile, 'band' FROM of_band
      UNION SELECT key, kind FROM ahead
        WHERE kind IN ('dual', 'zeropoints', 'valueadded', 'science')
    )
    SELECT w.tile, w.kind,
           (SELECT SUM(f.nx * f.ny / 1e6) FROM frame_tile ft
            JOIN frame f ON f.product_id = ft.frame_id WHERE ft.tile = w.tile) AS megapixels
    FROM whole w
"""
)

LATEST_SPEEDS = text("""
    SELECT a.seconds / t.megapixels AS seconds_per_mpix
    FROM attempt a JOIN task t ON t.id = a.task_id
    WHERE t.step = :step AND a.outcome = 'done' AND a.seconds IS NOT NULL AND t.megapixels > 0
    ORDER BY a.id DESC LIMIT :limit
""")

READY_TASKS = text("""
    SELECT step, key, why, state FROM task WHERE state IN ('ready', 'running')
    ORDER BY priority DESC, id
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
    SELECT kind, value, reason, comment, who, set_mjd, withdrawn_mjd, withdrawn_by FROM verdict
    WHERE key = :key ORDER BY id
""")

STANDING_VERDICTS = text("""
    SELECT kind, key, reason, comment, who FROM verdict WHERE withdrawn_mjd IS NULL
    ORDER BY kind, key
""")

REFUSED = text("""
    SELECT path, reason FROM refused ORDER BY id DESC
""")

STANDING_VERDICT = text("""
    SELECT * FROM verdict WHERE kind = :kind AND key = :key AND withdrawn_mjd IS NULL
""")
