"""Questions of those who look through the masters: lists of them, and what was observed last."""

from __future__ import annotations

from sqlalchemy import text

# Every version of every master: '' asks for any kind, state or key. A verdict is of a key, and
# until the next run the version that is served is still certified: it is called flagged at once.
MASTER_VERSIONS = text("""
    SELECT * FROM (
        SELECT p.key, p.version, p.is_current, p.path, p.made_mjd, p.stale, m.master_kind,
               m.configuration, m.night, m.valid_begin, m.valid_end,
               CASE WHEN v.id IS NULL THEN m.state ELSE 'flagged' END AS state,
               CASE WHEN v.id IS NULL THEN m.reason ELSE v.reason END AS reason, m.n_frames
        FROM master m JOIN product p ON p.id = m.product_id
        LEFT JOIN verdict v ON v.kind = 'master' AND v.key = p.key AND v.withdrawn_mjd IS NULL
             AND p.is_current
        WHERE (:master_kind = '' OR m.master_kind = :master_kind) AND (:key = '' OR p.key = :key)
    ) listed
    WHERE :state = '' OR state = :state
    ORDER BY key, version
""")

PIXELS_OF_CCD = text("""
    SELECT nx * ny FROM frame WHERE configuration >= :low AND configuration < :high LIMIT 1
""")

LATEST_SCIENCE_NIGHT = text("SELECT MAX(night) FROM exposure WHERE obstype = 'science'")
