"""Questions about what is to be done."""

from __future__ import annotations

from sqlalchemy import text

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
    ORDER BY CASE kind WHEN 'master' THEN 0 WHEN 'detrended' THEN 1 WHEN 'reduced' THEN 2
                       WHEN 'coadd' THEN 3 WHEN 'catalogue' THEN 4 WHEN 'dual' THEN 5
                       WHEN 'zeropoints' THEN 5 WHEN 'valueadded' THEN 6 ELSE 7 END, key
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
