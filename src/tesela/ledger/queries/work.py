"""Questions about what is to be done."""

from __future__ import annotations

from sqlalchemy import bindparam, text

RANKS = {
    "master": 0, "detrended": 1, "reduced": 2, "coadd": 3, "catalogue": 4, "dual": 5,
    "zeropoints": 5, "valueadded": 6,
}  # fmt: skip
"""What is planned first among what is equally urgent: what others are made from."""
LAST_RANK = 7
_RANK = (
    "CASE kind "
    + " ".join(f"WHEN '{kind}' THEN {rank}" for kind, rank in RANKS.items())
    + f" ELSE {LAST_RANK} END"
)
_MORE_URGENT = """
    CASE WHEN excluded.priority > {table}.priority THEN excluded.priority
         ELSE {table}.priority END
"""

MARK_DIRTY = text(f"""
    INSERT INTO dirty (kind, key, not_before, why, fresh, priority, rank)
    VALUES (:kind, :key, :not_before, :why, :fresh, :priority, :rank)
    ON CONFLICT (kind, key) DO UPDATE
    SET not_before = excluded.not_before, why = excluded.why,
        fresh = dirty.fresh OR excluded.fresh,
        priority = {_MORE_URGENT.format(table="dirty")}
""")

WAKE = f"""
    INSERT INTO dirty (kind, key, not_before, why, fresh, priority, rank)
    SELECT kind, key, :not_before, :why, fresh, priority, {_RANK} FROM waiting WHERE {{which}}
    ORDER BY kind, key
    ON CONFLICT (kind, key) DO UPDATE
    SET fresh = dirty.fresh OR excluded.fresh, priority = {_MORE_URGENT.format(table="dirty")}
"""
WAKE_KEY = text(WAKE.format(which="kind = :kind AND key = :key"))
WAKE_FAMILY = text(WAKE.format(which="configuration = :family"))
WAKE_FAMILY_PENDING = text(WAKE.format(which="configuration = :family AND pending"))
WAKE_KIND = text(WAKE.format(which="kind = :kind"))
WAKE_PENDING = text(WAKE.format(which="pending"))

DUE = text("""
    SELECT kind, key, why, fresh, priority FROM dirty
    WHERE not_before <= :now
    ORDER BY priority DESC, rank, key
    LIMIT :limit
""")

CLEAR_DIRTY = text("""
    DELETE FROM dirty WHERE kind = :kind AND key = :key AND fresh = :fresh AND priority = :priority
""")

WAITING_OF_KEYS = text("""
    SELECT key, reason, fresh, priority FROM waiting WHERE kind = :kind AND key IN :keys
""").bindparams(bindparam("keys", expanding=True))
TASKS_OF_KEYS = text("SELECT * FROM task WHERE kind = :kind AND key IN :keys").bindparams(
    bindparam("keys", expanding=True)
)

IS_PENDING = text("""
    SELECT EXISTS (SELECT 1 FROM dirty WHERE kind = :kind AND key = :key)
        OR EXISTS (SELECT 1 FROM task
                   WHERE kind = :kind AND key = :key AND state IN ('ready', 'running'))
        OR EXISTS (SELECT 1 FROM waiting WHERE kind = :kind AND key = :key AND pending)
""")

SET_WAITING = text("""
    INSERT INTO waiting (kind, key, since_mjd, reason, pending, fresh, configuration, priority)
    VALUES (:kind, :key, :now, :reason, :pending, :fresh, :configuration, :priority)
    ON CONFLICT (kind, key) DO UPDATE
    SET reason = excluded.reason, pending = excluded.pending, fresh = excluded.fresh,
        priority = excluded.priority
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

# Each step by itself, for each has its own limit: ten looks into the partial index.
NEXT_READY = """
    SELECT id, step, kind, key, attempts, wanted_hash, megapixels, memory_faults, why, priority
    FROM task
    WHERE state = 'ready' AND step = :step AND priority >= :floor AND not_before <= :now
    ORDER BY priority DESC, id
    LIMIT :limit
"""
# What another controller is about to take is passed over.
NEXT_READY_OF_MANY = text(NEXT_READY + " FOR UPDATE SKIP LOCKED")
NEXT_READY_ALONE = text(NEXT_READY)

STEPS_RUNNING = text("""
    SELECT step, COUNT(*) AS n FROM task WHERE state = 'running' GROUP BY step
""")

# On PostgreSQL only. What another transaction holds, because it ends the attempt or takes it for
# lost, is left for the next time: waiting for one while holding others could be a deadlock.
RENEW = text("""
    UPDATE task SET lease_until = :until WHERE id IN (
        SELECT t.id FROM attempt a JOIN task t ON t.id = a.task_id AND t.attempt_id = a.id
        WHERE a.controller = :controller AND a.outcome = 'running' AND t.state = 'running'
        FOR UPDATE OF t SKIP LOCKED)
""")

# Leases that ran out although the database was there to renew them.
LOST = text("""
    SELECT id, attempt_id, step, key FROM task
    WHERE state = 'running' AND lease_until < :now ORDER BY id
""")

OF_CONTROLLER = text("""
    SELECT t.id, t.attempt_id FROM task t JOIN attempt a ON a.id = t.attempt_id
    WHERE t.state = 'running' AND a.controller = :controller AND a.outcome = 'running'
    ORDER BY t.id
""")

# After the clock was set back: what should have been due long ago would wait for that long.
UNDO_CLOCK_TASKS = text("""
    UPDATE task SET not_before = :latest WHERE state = 'ready' AND not_before > :latest
""")
UNDO_CLOCK_DIRTY = text("UPDATE dirty SET not_before = :latest WHERE not_before > :latest")

RUNNING_OF_TASKS = text("""
    SELECT id, task_id FROM attempt WHERE task_id IN :keys AND outcome = 'running' ORDER BY id
""").bindparams(bindparam("keys", expanding=True))

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

CLOSE_ATTEMPT = text("""
    UPDATE attempt SET ended_mjd = :ended_mjd, outcome = :outcome, fault_class = :fault_class,
                       seconds = :seconds, peak_memory_mb = :peak_memory_mb, log = :log
    WHERE id = :id AND outcome = 'running'
""")

IS_HELD = text("""
    SELECT 1 FROM task WHERE id = :task_id AND attempt_id = :attempt_id AND state = 'running'
""")

INPUTS_OF_TASKS = text("""
    SELECT i.task_id, i.role, p.id, p.kind, p.key, p.version, p.path, p.data_hash, p.dropped_mjd
    FROM task_input i JOIN product p ON p.id = i.source
    WHERE i.task_id IN :keys
    ORDER BY i.role DESC, p.kind, p.key, p.version
""").bindparams(bindparam("keys", expanding=True))

EDGES_OF_TASK = text("""
    INSERT INTO edge (product, source, role)
    SELECT :product, source, role FROM task_input WHERE task_id = :task_id
""")

# Tasks under way that are to use a product.
OPEN_USERS = text("""
    SELECT t.id FROM task_input i JOIN task t ON t.id = i.task_id
    WHERE i.source = :id AND t.state IN ('ready', 'running') LIMIT 1
""")

RUNNING = text("SELECT id, attempt_id, step, key FROM task WHERE state = 'running' ORDER BY id")
