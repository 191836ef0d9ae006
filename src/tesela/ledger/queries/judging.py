"""Questions about judgements and all that they reach, each for many keys at once."""

from __future__ import annotations

from sqlalchemy import TextClause, bindparam, text


def _of_keys(query: str) -> TextClause:
    return text(query).bindparams(bindparam("keys", expanding=True))


# What was made, directly or not, from the products of a kind; of each product once.
_USED = """
    WITH RECURSIVE used(id) AS (
        SELECT id FROM product WHERE kind = :kind AND key IN :keys
      UNION
        SELECT e.product FROM used u CROSS JOIN edge e WHERE e.source = u.id AND e.role = 'input'
    )
"""

STANDING_OF_GROUPS = text("""
    SELECT * FROM verdict
    WHERE withdrawn_mjd IS NULL
      AND (kind = 'exposure' AND key = :exposure OR kind = 'night' AND key = :night)
    ORDER BY kind LIMIT 1
""")

# Every current product made, directly or not, from a product of this kind and these keys.
USERS = _of_keys(
    _USED
    + """
    SELECT p.kind, p.key FROM used u CROSS JOIN product p WHERE p.id = u.id AND p.is_current
"""
)

# The same, for products that any past version of them was made from.
PAST_USERS = _of_keys(
    _USED
    + """
    SELECT DISTINCT p.kind, p.key FROM used u CROSS JOIN product p WHERE p.id = u.id
"""
)

# The users, and the tasks that ended badly and were to use, directly or not, such a product.
REACHED = _of_keys(
    _USED
    + """
    SELECT p.kind, p.key FROM used u CROSS JOIN product p WHERE p.id = u.id AND p.is_current
  UNION
    SELECT t.kind, t.key FROM used u CROSS JOIN task_input i CROSS JOIN task t
    WHERE i.source = u.id AND t.id = i.task_id AND t.state IN ('dead', 'skipped')
"""
)

STANDING_OF_KEYS = _of_keys("""
    SELECT * FROM verdict WHERE kind = :kind AND key IN :keys AND withdrawn_mjd IS NULL
    ORDER BY key
""")

WITHDRAW_OF_KEYS = _of_keys("""
    UPDATE verdict SET withdrawn_mjd = :now, withdrawn_by = :who
    WHERE kind = :kind AND key IN :keys AND withdrawn_mjd IS NULL
""")

KNOWN_KEYS = _of_keys("SELECT DISTINCT key FROM product WHERE kind = :kind AND key IN :keys")

# Frames with what decides into which products they go, and who flagged them.
FRAMES_NAMED = _of_keys("""
    SELECT f.name, f.product_id, f.exposure_id, f.ccd, f.band, f.configuration, x.obstype,
           x.flat_kind, x.night, x.object, v.reason AS flagged
    FROM frame f
    JOIN exposure x ON x.id = f.exposure_id
    LEFT JOIN verdict v ON v.kind = 'raw' AND v.key = f.name AND v.withdrawn_mjd IS NULL
    WHERE f.name IN :keys ORDER BY f.name
""")

# Tiles of science frames, and where the reduced image of each stands: none, not passed, or made
# with a master that was condemned since.
TILES_OF_FRAMES = _of_keys("""
    SELECT f.name, t.tile, t.band, r.id AS image_id, q.passed,
           EXISTS (SELECT 1  -- from the image on: CROSS JOIN keeps the order
                   FROM edge e CROSS JOIN product c CROSS JOIN edge ce CROSS JOIN master m
                   WHERE e.product = r.id AND c.id = e.source AND c.kind = 'calset'
                     AND ce.product = c.id AND m.product_id = ce.source
                     AND m.state NOT IN ('certified', 'superseded')) AS is_unsound
    FROM frame f
    LEFT JOIN frame_tile t ON t.frame_id = f.product_id
    LEFT JOIN product r ON r.kind = 'reduced' AND r.key = f.name AND r.is_current
    LEFT JOIN quality q ON q.product_id = r.id
    WHERE f.name IN :keys
""")

# Frames whose place in their exposure another frame has, which is sound or will be.
RIVALS = _of_keys("""
    SELECT f.name, f.ccd, g.name AS rival, v.id IS NOT NULL AS is_flagged
    FROM frame f
    JOIN frame g ON g.exposure_id = f.exposure_id AND g.ccd = f.ccd AND g.name <> f.name
    LEFT JOIN verdict v ON v.kind = 'raw' AND v.key = g.name AND v.withdrawn_mjd IS NULL
    WHERE f.name IN :keys ORDER BY f.name, g.name
""")

_MEMBERS = """
    SELECT f.name, v.who, v.reason, v.set_mjd
    FROM exposure x
    CROSS JOIN frame f
    LEFT JOIN verdict v ON v.kind = 'raw' AND v.key = f.name AND v.withdrawn_mjd IS NULL
    WHERE f.exposure_id = x.id AND {which}
    ORDER BY f.name
"""
FRAMES_OF_EXPOSURES = _of_keys(_MEMBERS.format(which="x.key IN :keys"))
FRAMES_OF_NIGHTS = _of_keys(_MEMBERS.format(which="x.night IN :keys"))
NIGHTS_KNOWN = _of_keys("SELECT DISTINCT night FROM exposure WHERE night IN :keys")

# What was condemned in one act with a condition.
JUDGED_AT_ONCE = text("""
    SELECT key FROM verdict
    WHERE kind = :kind AND who = :who AND reason = :reason AND set_mjd = :set_mjd
      AND withdrawn_mjd IS NULL
    ORDER BY key
""")

# Size of the work that made products last.
SIZES_OF_TASKS = _of_keys("""
    SELECT key, megapixels FROM task WHERE kind = :kind AND key IN :keys
""")
SIZES_OF_FRAMES = _of_keys("""
    SELECT name AS key, nx * ny / 1e6 AS megapixels FROM frame WHERE name IN :keys
""")
SIZES_OF_TILES = _of_keys("""
    SELECT t.tile, t.band, SUM(f.nx * f.ny / 1e6) AS megapixels
    FROM frame_tile t JOIN frame f ON f.product_id = t.frame_id
    WHERE t.tile IN :keys GROUP BY t.tile, t.band
""")

NOTE_ASKED = text("""
    UPDATE product SET stale = :asked WHERE id IN :ids AND stale = ''
""").bindparams(bindparam("ids", expanding=True))

# Tasks that ended badly, and whether they are wanted still.
RETRIABLE = _of_keys("""
    SELECT kind, key, state, reason FROM task
    WHERE kind = :kind AND key IN :keys AND state IN ('dead', 'skipped') AND wanted_hash <> ''
    ORDER BY key
""")
RETRY = _of_keys("""
    UPDATE task SET state = 'ready', faults = 0, interruptions = 0, memory_faults = 0,
                    not_before = 0.0, reason = '', why = :why
    WHERE kind = :kind AND key IN :keys AND state IN ('dead', 'skipped') AND wanted_hash <> ''
""")

# Frames whose image would go into a coadd now.
GOOD_IMAGES_OF_TILES = _of_keys("""
    SELECT ft.tile, f.name
    FROM frame_tile ft
    JOIN frame f ON f.product_id = ft.frame_id
    JOIN product r ON r.kind = 'reduced' AND r.key = f.name AND r.is_current
    LEFT JOIN quality q ON q.product_id = r.id
    LEFT JOIN verdict v ON v.kind = 'raw' AND v.key = f.name AND v.withdrawn_mjd IS NULL
    WHERE ft.tile IN :keys AND ft.band = :band AND v.key IS NULL AND COALESCE(q.passed, :yes)
""")
BANDS_OF_TILES = _of_keys("SELECT DISTINCT tile, band FROM frame_tile WHERE tile IN :keys")
SERVED_OF_KEYS = _of_keys(
    "SELECT key FROM product WHERE kind = :kind AND key IN :keys AND is_current"
)
