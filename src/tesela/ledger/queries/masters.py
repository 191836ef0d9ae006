"""Questions about masters and who may use them."""

from __future__ import annotations

from sqlalchemy import bindparam, text

# The certified master that holds at an instant, and the nearest on either side. A certified version
# serves until a later one is certified, whatever became of that one's gates.
CERTIFIED_AROUND = text("""
    SELECT * FROM (
        SELECT m.*, p.key, p.version, p.path FROM master m JOIN product p ON p.id = m.product_id
        WHERE m.configuration = :configuration AND m.master_kind = :master_kind
          AND m.state = 'certified' AND m.valid_begin <= :mjd
        ORDER BY m.valid_begin DESC LIMIT 1) before
    UNION ALL
    SELECT * FROM (
        SELECT m.*, p.key, p.version, p.path FROM master m JOIN product p ON p.id = m.product_id
        WHERE m.configuration = :configuration AND m.master_kind = :master_kind
          AND m.state = 'certified' AND m.valid_begin > :mjd
        ORDER BY m.valid_begin LIMIT 1) after
""")

MASTERS_OF_IDS = text("SELECT * FROM master WHERE product_id IN :keys").bindparams(
    bindparam("keys", expanding=True)
)

PREVIOUS_CERTIFIED = text("""
    SELECT m.product_id FROM master m JOIN product p ON p.id = m.product_id
    WHERE m.configuration = :configuration AND m.master_kind = :master_kind
      AND m.state = 'certified' AND m.night < :night
    ORDER BY m.night DESC LIMIT 1
""")

# The first one since an instant: what the later ones of an epoch are compared with.
FIRST_CERTIFIED_SINCE = text("""
    SELECT m.product_id FROM master m JOIN product p ON p.id = m.product_id
    WHERE m.configuration = :configuration AND m.master_kind = :master_kind
      AND m.state = 'certified' AND m.valid_begin >= :since AND m.night < :night
    ORDER BY m.night LIMIT 1
""")

# Of a CCD and read-out mode, whatever the filter.
CERTIFIED_OF_CCD = text("""
    SELECT m.product_id, m.master_kind, m.configuration, m.night
    FROM master m JOIN product p ON p.id = m.product_id
    WHERE m.master_kind = :master_kind AND m.configuration BETWEEN :low AND :high
      AND m.state = 'certified' AND m.night >= :first AND m.night < :end
    ORDER BY m.configuration, m.night
""")

CERTIFIED = text("""
    SELECT m.product_id, m.valid_begin, m.valid_end, m.natural_end, p.key
    FROM master m JOIN product p ON p.id = m.product_id
    WHERE m.configuration = :configuration AND m.master_kind = :master_kind
      AND m.state = 'certified'
    ORDER BY m.valid_begin
""")

EVERY_CERTIFIED = text("""
    SELECT m.product_id, m.natural_end, p.key
    FROM master m JOIN product p ON p.id = m.product_id
    WHERE m.state = 'certified' ORDER BY p.key
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
    SELECT p.key,
           CASE m.state WHEN 'proposed' THEN 'is not certified' ELSE 'was rejected' END AS how,
           m.reason
    FROM product p JOIN master m ON m.product_id = p.id
    WHERE p.kind = 'master' AND p.key >= :low AND p.key < :high
      AND p.is_current AND m.state IN ('proposed', 'rejected')
  UNION
    SELECT key, 'is flagged, and made anew only after `tesela unflag --kind master`' AS how, reason
    FROM verdict
    WHERE kind = 'master' AND key >= :low AND key < :high AND withdrawn_mjd IS NULL
    ORDER BY key
""")

# Current masters; '' asks for any.
MASTERS_LISTED = text("""
    SELECT p.key, p.version, p.path, p.made_mjd, p.stale, m.master_kind, m.configuration, m.night,
           m.valid_begin, m.valid_end, m.state, m.reason, m.n_frames
    FROM master m JOIN product p ON p.id = m.product_id
    WHERE p.is_current AND (:master_kind = '' OR m.master_kind = :master_kind)
      AND (:state = '' OR m.state = :state)
    ORDER BY p.key
""")

SCIENCE_CONFIGURATIONS = text("""
    SELECT DISTINCT f.configuration FROM frame f JOIN exposure x ON x.id = f.exposure_id
    WHERE x.obstype = 'science' AND x.night >= :since ORDER BY f.configuration
""")

VERSIONS_IN_STATE = text("""
    SELECT m.product_id, p.version FROM master m JOIN product p ON p.id = m.product_id
    WHERE m.master_kind = :master_kind AND m.configuration = :configuration
      AND m.night = :night AND m.state = :state ORDER BY p.version
""")

MASTER_CONFIGURATIONS = text("""
    SELECT DISTINCT master_kind, configuration FROM master ORDER BY master_kind, configuration
""")
