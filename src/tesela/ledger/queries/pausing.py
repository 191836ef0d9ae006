"""Questions about what is paused."""

from __future__ import annotations

from sqlalchemy import TextClause, bindparam, text


def _of_ids(query: str) -> TextClause:
    return text(query).bindparams(bindparam("ids", expanding=True))


PAUSES = text("SELECT step, project, reason, who, at_mjd FROM paused ORDER BY step, project")

# The project of each task that makes an image of a frame.
PROJECTS_OF_TASKS = _of_ids("""
    SELECT t.id, x.project
    FROM task t
    JOIN frame f ON f.name = t.key
    JOIN exposure x ON x.id = f.exposure_id
    WHERE t.id IN :ids AND t.kind IN ('reduced', 'detrended')
""")

MOVE = _of_ids("UPDATE task SET priority = priority + :by WHERE id IN :ids AND state = 'ready'")

# Tasks below the floor, with their projects, from one place of the queue on.
LOWERED = text("""
    SELECT t.id, t.step, t.priority, x.project
    FROM task t
    LEFT JOIN frame f ON f.name = t.key
    LEFT JOIN exposure x ON x.id = f.exposure_id
    WHERE t.state = 'ready' AND t.step = :step AND t.priority < :floor
      AND (t.priority < :priority OR (t.priority = :priority AND t.id > :last))
    ORDER BY t.priority DESC, t.id LIMIT :limit
""")

COUNT_LOWERED = text("""
    SELECT COUNT(*) FROM (
        SELECT 1 FROM task
        WHERE state = 'ready' AND step = :step AND priority < :floor LIMIT :limit) held
""")
