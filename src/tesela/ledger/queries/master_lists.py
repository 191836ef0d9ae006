"""Questions of those who look through the masters: lists of them, and what was observed last."""

from __future__ import annotations

from sqlalchemy import text

# Every version of every master: '' asks for any kind or state.
MASTER_VERSIONS = text("""
    SELECT p.key, p.version, p.is_current, p.path, p.made_mjd, p.stale, m.master_kind,
           m.configuration, m.night, m.valid_begin, m.valid_end, m.state, m.reason, m.n_frames
    FROM master m JOIN product p ON p.id = m.product_id
    WHERE (:master_kind = '' OR m.master_kind = :master_kind)
      AND (:state = '' OR m.state = :state)
    ORDER BY p.key, p.version
""")

PIXELS_OF_CCD = text("""
    SELECT nx * ny FROM frame WHERE configuration >= :low AND configuration < :high LIMIT 1
""")

LATEST_SCIENCE_NIGHT = text("SELECT MAX(night) FROM exposure WHERE obstype = 'science'")
