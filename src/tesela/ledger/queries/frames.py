"""Questions about frames, tiles and bands."""

from __future__ import annotations

from sqlalchemy import bindparam, text

_FRAMES = """
    SELECT f.*, x.name AS exposure, x.ccds_json, x.telescope, x.camera, x.night, x.obstype,
           x.flat_kind, x.readout_mode, x.mjd_start, x.exptime_s, x.ra_deg, x.dec_deg, x.airmass,
           x.object, x.project, p.path, p.version
    FROM frame f
    JOIN exposure x ON x.id = f.exposure_id
    JOIN product p ON p.id = f.product_id
"""
FRAME_BY_NAME = text(_FRAMES + "WHERE f.name = :name")
FRAMES_BY_NAME = text(_FRAMES + "WHERE f.name IN :keys").bindparams(
    bindparam("keys", expanding=True)
)

EXPOSURES_OF_NAME = text("SELECT * FROM exposure WHERE name = :name ORDER BY key")

FRAMES_OF_EXPOSURE = text("""
    SELECT f.name, f.ccd, f.band, f.filter_serial, v.reason AS flagged
    FROM frame f
    LEFT JOIN verdict v ON v.kind = 'raw' AND v.key = f.name AND v.withdrawn_mjd IS NULL
    WHERE f.exposure_id = :exposure_id
    ORDER BY f.ccd, f.name
""")

# The CCDs that are here of each exposure of a night, the first exposure first.
CCDS_OF_NIGHT = text("""
    SELECT x.name, x.ccds_json, f.ccd
    FROM exposure x
    CROSS JOIN frame f
    WHERE x.night = :night AND x.ccds_json <> '[]' AND f.exposure_id = x.id
    ORDER BY x.mjd_start, x.key
""")

# With this file, these pixels or this name.
FRAMES_LIKE = text("""
    SELECT name, sha256, data_sha256 FROM frame
    WHERE sha256 = :sha256 OR data_sha256 = :data_sha256 OR name = :name
    ORDER BY name
""")

# A period is a few nights of the history of a CCD, so the nights lead: CROSS JOIN keeps the order.
FRAMES_OF_MASTER = text("""
    SELECT f.product_id, f.name, f.nx, f.ny, f.configuration, x.flat_kind, x.exptime_s,
           x.mjd_start, x.object, v.reason AS flagged
    FROM exposure x
    CROSS JOIN frame f
    LEFT JOIN verdict v ON v.kind = 'raw' AND v.key = f.name AND v.withdrawn_mjd IS NULL
    WHERE f.exposure_id = x.id AND f.configuration BETWEEN :low AND :high
      AND x.night >= :first AND x.night < :end AND x.obstype = :obstype
    ORDER BY f.name
""")

# Science frames of one filter, and how far their detrended images are.
DETRENDED_OF_PERIOD = text("""
    SELECT f.name, f.nx, f.ny, x.object, x.mjd_start, v.reason AS flagged, r.id AS image_id,
           q.passed, q.reason AS quality_reason, t.state AS task_state, t.reason AS task_reason,
           d.key IS NOT NULL AS is_dirty, w.reason AS waiting_reason, w.pending AS is_pending
    FROM exposure x
    CROSS JOIN frame f
    LEFT JOIN verdict v ON v.kind = 'raw' AND v.key = f.name AND v.withdrawn_mjd IS NULL
    LEFT JOIN product r ON r.kind = 'detrended' AND r.key = f.name AND r.is_current
    LEFT JOIN quality q ON q.product_id = r.id
    LEFT JOIN task t ON t.kind = 'detrended' AND t.key = f.name
    LEFT JOIN dirty d ON d.kind = 'detrended' AND d.key = f.name
    LEFT JOIN waiting w ON w.kind = 'detrended' AND w.key = f.name
    WHERE f.exposure_id = x.id AND f.configuration = :configuration AND x.obstype = 'science'
      AND x.night >= :first AND x.night < :end
    ORDER BY f.name
""")

# Of frames of one configuration, the latest first.
ZERO_POINTS = text("""
    SELECT q.zeropoint_mag
    FROM frame f
    JOIN exposure x ON x.id = f.exposure_id
    JOIN product p ON p.key = f.name AND p.is_current AND p.kind IN ('reduced', 'quicklook')
    JOIN quality q ON q.product_id = p.id
    WHERE f.configuration = :configuration AND x.mjd_start < :mjd AND q.zeropoint_mag IS NOT NULL
    ORDER BY x.mjd_start DESC LIMIT :limit
""")

TILES_OF_FRAME = text("""
    SELECT tile, band, source FROM frame_tile WHERE frame_id = :frame_id ORDER BY tile
""")

OBSERVED_TILES = text("SELECT DISTINCT tile FROM frame_tile ORDER BY tile")

BANDS_OF_TILE = text("SELECT DISTINCT band FROM frame_tile WHERE tile = :tile ORDER BY band")

# Each band that was observed of a tile: what is served of it, and whether that may still change.
BANDS_MADE = text("""
    SELECT b.band, c.id AS coadd, k.id AS catalogue, t.megapixels,
           EXISTS (SELECT 1 FROM dirty d WHERE d.kind IN ('coadd', 'catalogue') AND d.key = b.key)
           OR EXISTS (SELECT 1 FROM task o WHERE o.kind IN ('coadd', 'catalogue')
                      AND o.key = b.key AND o.state IN ('ready', 'running'))
           OR EXISTS (SELECT 1 FROM waiting w WHERE w.kind IN ('coadd', 'catalogue')
                      AND w.key = b.key AND w.pending) AS is_pending
    FROM (SELECT DISTINCT band, tile || '.' || band AS key FROM frame_tile WHERE tile = :tile) b
    LEFT JOIN product c ON c.kind = 'coadd' AND c.key = b.key AND c.is_current
    LEFT JOIN product k ON k.kind = 'catalogue' AND k.key = b.key AND k.is_current
    LEFT JOIN task t ON t.kind = 'coadd' AND t.key = b.key
    ORDER BY b.band
""")

FRAMES_OF_TILE = text("""
    SELECT f.name, f.product_id AS raw_id, f.nx, f.ny, x.mjd_start,
           v.reason AS flagged, v.comment AS flag_comment,
           r.id AS reduced_id, r.version AS reduced_version,
           q.passed, q.reason AS quality_reason,
           t.state AS task_state, t.reason AS task_reason,
           d.why AS dirty_why,
           w.reason AS waiting_reason, w.pending AS waiting_pending,
           (SELECT MIN(mp.key)  -- from the image on: CROSS JOIN keeps the order
            FROM edge e CROSS JOIN product c CROSS JOIN edge ce CROSS JOIN master m
            CROSS JOIN product mp
            WHERE e.product = r.id AND c.id = e.source AND c.kind = 'calset'
              AND ce.product = c.id AND m.product_id = ce.source AND mp.id = m.product_id
              AND m.state NOT IN ('certified', 'superseded')) AS unsound
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

PLANNED_OF_TILES = text("""
    SELECT tile, frames FROM planned WHERE tile IN :keys AND band = :band
""").bindparams(bindparam("keys", expanding=True))

# Frames of a tile and band whose image would go into a coadd now.
GOOD_FRAMES = text("""
    SELECT COUNT(*) AS n
    FROM frame_tile ft
    JOIN frame f ON f.product_id = ft.frame_id
    JOIN product r ON r.kind = 'reduced' AND r.key = f.name AND r.is_current
    LEFT JOIN quality q ON q.product_id = r.id
    LEFT JOIN verdict v ON v.kind = 'raw' AND v.key = f.name AND v.withdrawn_mjd IS NULL
    WHERE ft.tile = :tile AND ft.band = :band AND v.key IS NULL AND COALESCE(q.passed, :yes)
""")

EVERY_FRAME = text("""
    SELECT f.name, f.configuration, x.obstype, x.flat_kind, x.night, x.object
    FROM frame f JOIN exposure x ON x.id = f.exposure_id
""")

# Images of frames that a master of this configuration and time could concern.
IMAGES_NEAR = text("""
    SELECT r.kind, f.name
    FROM exposure x
    CROSS JOIN frame f
    CROSS JOIN product r
    WHERE x.night >= :first AND x.night <= :last AND x.obstype = 'science'
      AND f.exposure_id = x.id AND f.configuration BETWEEN :low AND :high
      AND r.kind IN ('reduced', 'detrended') AND r.key = f.name AND r.is_current
    ORDER BY r.kind, f.name
""")

# Images of a camera of the nights around an intervention.
IMAGES_OF_CAMERA = text("""
    SELECT r.kind, f.name
    FROM exposure x
    CROSS JOIN frame f
    CROSS JOIN product r
    WHERE x.night >= :first AND x.night <= :last AND x.obstype = 'science' AND x.camera = :camera
      AND f.exposure_id = x.id
      AND r.kind IN ('reduced', 'detrended') AND r.key = f.name AND r.is_current
    ORDER BY r.kind, f.name
""")
