"""Questions about copies at other sites, and about every file that should be here."""

from __future__ import annotations

from sqlalchemy import bindparam, text

# Windows of ids, and not pages with a LIMIT: whatever a planner thinks of, a window is all that it
# can read. An index on the kind would read every product of it, so the kind is compared as an
# expression, which no index has: p.kind || ''.

# Current products of some kinds that a site has no verified copy of, in the order of their ids.
UNSENT = text("""
    SELECT p.id, p.kind, p.key, p.version, p.path, p.checksum, p.files_json, x.night
    FROM product p
    LEFT JOIN frame f ON f.product_id = p.id
    LEFT JOIN exposure x ON x.id = f.exposure_id
    WHERE p.id > :after AND p.id <= :upto AND p.kind || '' IN :kinds
      AND p.is_current AND p.dropped_mjd IS NULL AND p.path <> ''
      AND NOT EXISTS (SELECT 1 FROM replica r WHERE r.product_id = p.id AND r.site = :site)
    ORDER BY p.id
""").bindparams(bindparam("kinds", expanding=True))

# The same rows by their ids, whatever copies there are.
SENDABLE = text("""
    SELECT p.id, p.kind, p.key, p.version, p.path, p.checksum, p.files_json, x.night
    FROM product p
    LEFT JOIN frame f ON f.product_id = p.id
    LEFT JOIN exposure x ON x.id = f.exposure_id
    WHERE p.id IN :ids AND p.is_current AND p.dropped_mjd IS NULL AND p.path <> ''
    ORDER BY p.id
""").bindparams(bindparam("ids", expanding=True))

LAST_ID = text("SELECT COALESCE(MAX(id), 0) FROM product")

VERSIONS_OF_KEYS = text("""
    SELECT id, key, version, path, checksum, files_json, dropped_mjd
    FROM product WHERE kind = :kind AND key IN :keys
""").bindparams(bindparam("keys", expanding=True))

PUT_REPLICA = text("""
    INSERT INTO replica (product_id, site, checksum, verified_mjd, shipment, path)
    VALUES (:product_id, :site, :checksum, :verified_mjd, :shipment, :path)
    ON CONFLICT (product_id, site) DO UPDATE SET checksum = excluded.checksum,
        verified_mjd = excluded.verified_mjd, shipment = excluded.shipment,
        path = CASE WHEN excluded.path = '' THEN replica.path ELSE excluded.path END
    WHERE excluded.verified_mjd >= replica.verified_mjd
""")

REPLICAS_OF_PRODUCT = text("""
    SELECT site, checksum, verified_mjd, path FROM replica
    WHERE product_id = :product_id ORDER BY verified_mjd DESC, site
""")

REPLICAS_OF_KEY = text("""
    SELECT p.kind, p.version, r.site, r.verified_mjd, r.checksum = p.checksum AS is_ours
    FROM product p JOIN replica r ON r.product_id = p.id
    WHERE p.key = :key ORDER BY p.kind, p.version, r.site
""")

# Copies that were looked at last before some instant: to be asked about again.
OLD_REPLICAS = text("""
    SELECT p.id, p.kind, p.key, p.version, p.path, p.checksum, p.files_json, x.night
    FROM replica r
    JOIN product p ON p.id = r.product_id
    LEFT JOIN frame f ON f.product_id = p.id
    LEFT JOIN exposure x ON x.id = f.exposure_id
    WHERE r.site = :site AND r.verified_mjd < :before AND p.kind IN :kinds
      AND p.dropped_mjd IS NULL
    ORDER BY r.verified_mjd, p.id LIMIT :limit
""").bindparams(bindparam("kinds", expanding=True))

_COPIES = """
    SELECT COUNT(*) FROM replica r
    WHERE r.product_id = p.id AND r.site <> :own AND r.checksum = p.checksum
      AND r.verified_mjd >= :fresh
"""

# Raw frames of before some instant with enough sound copies elsewhere.
FREEABLE = text(f"""
    SELECT p.id, p.key, p.path, p.checksum, ({_COPIES}) AS copies
    FROM product p
    WHERE p.id > :after AND p.id <= :upto AND p.kind || '' = 'raw'
      AND p.dropped_mjd IS NULL AND p.made_mjd < :before
      AND p.path <> '' AND p.checksum <> '' AND ({_COPIES}) >= :copies
    ORDER BY p.id
""")

# Says that a file goes, if there still are enough copies at this very moment.
DROP = text(f"""
    UPDATE product AS p SET dropped_mjd = :now
    WHERE p.id = :id AND p.kind = 'raw' AND p.dropped_mjd IS NULL AND p.checksum = :checksum
      AND ({_COPIES}) >= :copies
""")

KEPT_AFTER_ALL = text("UPDATE product SET dropped_mjd = NULL WHERE id = :id")

SHIPMENTS_UNDER_WAY = text("""
    SELECT direction, site, state, COUNT(*) AS shipments, SUM(files) AS files,
           SUM(bytes) AS bytes, MIN(packed_mjd) AS oldest_mjd
    FROM shipment WHERE state IN ('packed', 'sent')
    GROUP BY direction, site, state ORDER BY direction, site, state
""")

LATEST_SHIPMENTS = text("""
    SELECT * FROM shipment
    WHERE direction = :direction AND site = :site AND state = :state
    ORDER BY id DESC LIMIT :limit
""")

# Everything that should have files, window by window. A version that was superseded has them too.
EVERY_FILE = text("""
    SELECT id, kind, key, version, path, checksum, files_json, made_mjd, dropped_mjd
    FROM product WHERE id > :after AND id <= :upto AND made_mjd >= :since ORDER BY id
""")

FILES_OF_KINDS = text("""
    SELECT id, kind, key, version, path, checksum, files_json, made_mjd, dropped_mjd
    FROM product WHERE id > :after AND id <= :upto AND made_mjd >= :since AND kind || '' IN :kinds
    ORDER BY id
""").bindparams(bindparam("kinds", expanding=True))

COUNT_EVERY = text("SELECT COUNT(*) FROM product")

COUNT_OF_KINDS = text("SELECT COUNT(*) FROM product WHERE kind IN :kinds").bindparams(
    bindparam("kinds", expanding=True)
)

IDS_WITH_FILES = text("""
    SELECT id FROM product
    WHERE id > :after AND id <= :upto AND made_mjd >= :since AND path <> '' AND dropped_mjd IS NULL
    ORDER BY id
""")

IDS_OF_KINDS = text("""
    SELECT id FROM product
    WHERE id > :after AND id <= :upto AND made_mjd >= :since AND path <> '' AND dropped_mjd IS NULL
      AND kind || '' IN :kinds
    ORDER BY id
""").bindparams(bindparam("kinds", expanding=True))

FILES_OF_IDS = text("""
    SELECT id, kind, key, version, path, checksum, files_json, made_mjd, dropped_mjd
    FROM product WHERE id IN :ids ORDER BY id
""").bindparams(bindparam("ids", expanding=True))
