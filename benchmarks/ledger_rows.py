"""The rows of a synthetic ledger, a query a table, over the survey of `ledger_survey`.

Every product has the edges that the planner would choose today, so that planning it again makes
nothing due. Ids follow from the numbers of nights, frames and tiles; a task and its attempt have
the id of the product that they made.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import duckdb
import ledger_survey as survey
from ledger_survey import CCDS, CODE, COLUMNS, DETECTION_BAND, REFCAT, SETTINGS

from tesela.flow.plan.rules import STEPS

_A_SHA = "sha256(kind || key)"


@dataclass(frozen=True)
class Ids:
    """Where the ids of each kind begin, minus one; in the order in which they are made."""

    nights: int

    @property
    def refcat(self) -> int:
        """The only one."""
        return self.nights * survey.A_NIGHT + 1

    @property
    def master(self) -> int:
        """14 biases and 56 flats a night."""
        return self.refcat

    @property
    def calset(self) -> int:
        """56 of the images and 56 of the flats a night."""
        return self.master + 70 * self.nights

    @property
    def reduced(self) -> int:
        """One a science frame, and a gap for each that was skipped."""
        return self.calset + 112 * self.nights

    @property
    def coadd(self) -> int:
        """One a tile and band that has frames."""
        return self.reduced + survey.SCIENCE * self.nights


# Frames with their images; what goes into coadds; masters and sets of them; tiles and bands.
_WORK = """
    CREATE VIEW science AS
    SELECT *, {reduced} + n * {science} + (x - {first}) * {ccds} + c + 1 AS image_id,
           {calset} + n * 112 + slot * {ccds} + c + 1 AS calset_id,
           {coadded} AS is_used
    FROM frames WHERE obstype = 'science';

    CREATE VIEW touched AS
    SELECT *, tile + away AS touches FROM science, (VALUES (0), (1)) v(away)
    WHERE away = 0 OR tile % {columns} < {columns} - 1;

    CREATE TABLE tile_bands AS
    SELECT touches AS tile, band, printf('T%05d.%s', touches, band) AS key, frames, night, noon,
           {coadd} + row_number() OVER (ORDER BY last, touches, band) AS id
    FROM (SELECT touches, band, COUNT(*) AS frames, MAX(i) AS last, MAX(night) AS night,
                 MAX(noon) AS noon
          FROM touched WHERE is_used GROUP BY touches, band);
    SET VARIABLE n_bands = (SELECT COUNT(*) FROM tile_bands);

    CREATE TABLE whole_tiles AS
    SELECT *, printf('T%05d', tile) AS key,
           {coadd} + 2 * getvariable('n_bands') + row_number() OVER (ORDER BY last, tile) AS id
    FROM (SELECT tile, COUNT(*) AS bands, bool_or(band = '{detection}') AS is_dual, MAX(id) AS last,
                 MAX(night) AS night, MAX(noon) AS noon
          FROM tile_bands GROUP BY tile);
    SET VARIABLE n_tiles = (SELECT COUNT(*) FROM whole_tiles);

    CREATE TABLE masters AS
    SELECT n, slot, c, kind, configuration, night, ymd, noon, n_frames, id,
           kind || '.' || configuration || '.' || ymd AS key,
           first_value(id) OVER of_kind AS first_id, lag(id) OVER of_kind AS last_id
    FROM (
        SELECT n, -1 AS slot, c, 'BIAS' AS kind, configuration, night, ymd, noon,
               COUNT(*) AS n_frames, {master} + n * 70 + c + 1 AS id
        FROM frames WHERE obstype = 'bias' GROUP BY ALL
        UNION ALL
        SELECT n, slot, c, 'FLAT', configuration, night, ymd, noon, COUNT(*),
               {master} + n * 70 + (slot + 1) * {ccds} + c + 1
        FROM frames WHERE obstype = 'flat' GROUP BY ALL
    )
    WINDOW of_kind AS (PARTITION BY kind, configuration ORDER BY n);

    CREATE TABLE calsets AS
    SELECT f.n, f.night, f.noon, b.id AS bias_id, f.id AS flat_id, profile,
           {calset} + f.n * 112 + off + f.slot * {ccds} + f.c + 1 AS id,
           f.configuration || '.' || profile || '.' || left(sha256(
               b.key || '#1' || CASE profile WHEN 'reduced' THEN chr(10) || f.key || '#1'
                                ELSE '' END), 16) AS key
    FROM masters f JOIN masters b ON b.n = f.n AND b.c = f.c AND b.kind = 'BIAS',
         (VALUES ('reduced', 0), ('flat', 56)) p(profile, off)
    WHERE f.kind = 'FLAT';
"""

_PRODUCTS = """
    SELECT {refcat} AS id, 'refcat' AS kind, '{refcat_name}' AS key,
           'refcat/{refcat_name}.v1' AS path, '' AS scope, false AS is_warned,
           57388.0 AS made_mjd, false AS is_ours
    UNION ALL
    SELECT id, 'raw', name, printf('raw/%s/%s.fits', night, name), '', false, noon + 1, false
    FROM frames
    UNION ALL
    SELECT id, 'master', key, printf('products/master/%s/%s.v1.fits', night, key),
           CASE kind WHEN 'BIAS' THEN 'jpcam.-.bias' ELSE 'jpcam.-.flat' END, false, noon + 1, true
    FROM masters
    UNION ALL
    SELECT id, 'calset', key, '', '', false, noon + 1, false FROM calsets
    UNION ALL
    SELECT image_id, 'reduced', name, printf('products/reduced/%s/%s.v1.fits', night, name),
           'jpcam.survey.science', is_warned, noon + 1, true
    FROM science WHERE NOT is_skipped
    UNION ALL
    SELECT id, 'coadd', key, printf('products/coadd/T%05d/%s.v1.fits', tile, key), '', id % 101 = 3,
           noon + 1, true
    FROM tile_bands
    UNION ALL
    SELECT id + getvariable('n_bands'), 'catalogue', key,
           printf('products/catalogue/T%05d/%s.v1.parquet', tile, key), '', false, noon + 1, true
    FROM tile_bands
    UNION ALL
    SELECT id + k * getvariable('n_tiles'), kind, key,
           printf('products/%s/%s/%s.v1.parquet', kind, key, key), '', false, noon + 1, true
    FROM whole_tiles,
         (VALUES ('zeropoints', 0), ('dual', 1), ('valueadded', 2), ('science', 3)) v(kind, k)
    WHERE kind = 'zeropoints' OR is_dual
"""

_EDGES = """
    SELECT m.id AS product, f.id AS source, 'input' AS role
    FROM masters m JOIN frames f ON f.n = m.n AND f.c = m.c
     AND ((m.kind = 'BIAS' AND f.obstype = 'bias')
          OR (m.kind = 'FLAT' AND f.obstype = 'flat' AND f.slot = m.slot))
    UNION ALL
    SELECT flat_id, id, 'input' FROM calsets WHERE profile = 'flat'
    UNION ALL
    SELECT DISTINCT id, unnest([first_id, last_id]), 'evidence' FROM masters
    WHERE last_id IS NOT NULL
    UNION ALL
    SELECT id, bias_id, 'input' FROM calsets
    UNION ALL
    SELECT id, flat_id, 'input' FROM calsets WHERE profile = 'reduced'
    UNION ALL
    SELECT image_id, unnest([id, calset_id, {refcat}]), 'input' FROM science WHERE NOT is_skipped
    UNION ALL
    SELECT b.id, t.image_id, 'input' FROM touched t
    JOIN tile_bands b ON b.tile = t.touches AND b.band = t.band
    WHERE t.is_used
    UNION ALL
    SELECT id + getvariable('n_bands'), id, 'input' FROM tile_bands
    UNION ALL
    SELECT w.id + k * getvariable('n_tiles'), unnest([b.id, b.id + getvariable('n_bands')]), 'input'
    FROM tile_bands b JOIN whole_tiles w ON w.tile = b.tile, (VALUES (0), (1), (3)) v(k)
    WHERE k = 0 OR w.is_dual
    UNION ALL
    SELECT w.id, t.image_id, 'input'
    FROM touched t JOIN whole_tiles w ON w.tile = t.touches WHERE t.is_used
    UNION ALL
    SELECT id, {refcat}, 'input' FROM whole_tiles
    UNION ALL
    SELECT id + k * getvariable('n_tiles'), id + s * getvariable('n_tiles'), 'input'
    FROM whole_tiles, (VALUES (2, 0), (2, 1), (3, 0), (3, 1), (3, 2)) v(k, s) WHERE is_dual
"""

_QUALITY = """'fwhm_arcsec', 0.8 + p.id % 97 / 100.0, 'ellipticity', 0.05, 'sky_e', 120.5,
    'sky_rms_e', 11.0, 'zeropoint_mag', 24 + p.id % 31 / 100.0, 'n_psf_stars', 200 + p.id % 50"""


def prepare(made: duckdb.DuckDBPyConnection, ids: Ids) -> None:
    """Make what the queries read."""
    made.execute(
        "CREATE TABLE steps (name TEXT, kind TEXT, code_version TEXT, settings_hash TEXT,"
        " cores INTEGER, memory_mb DOUBLE, seconds_per_mpix DOUBLE)"
    )
    known = [(name, kind, CODE, SETTINGS, 1, 500.0, 1.0) for kind, name in STEPS.items()]
    made.executemany("INSERT INTO steps VALUES (?, ?, ?, ?, ?, ?, ?)", known)
    words = {
        "reduced": ids.reduced, "calset": ids.calset, "coadd": ids.coadd, "master": ids.master,
        "science": survey.SCIENCE, "first": survey.BIASES + survey.FLATS, "ccds": CCDS,
        "columns": COLUMNS, "detection": DETECTION_BAND,
        "coadded": "NOT is_skipped AND NOT is_flagged AND passed",
    }  # fmt: skip
    made.execute(_WORK.format(**words))
    made.execute(f"CREATE VIEW made AS {_PRODUCTS.format(refcat=ids.refcat, refcat_name=REFCAT)}")
    made.execute(f"CREATE VIEW edges AS {_EDGES.format(refcat=ids.refcat)}")


def tables(ids: Ids) -> Iterator[tuple[str, str]]:
    """Yield (table, query) of every table with rows; the query's columns are the table's."""
    yield (
        "product",
        f"""
        SELECT id, kind, key, 1 AS version, 'valid' AS state, true AS is_current, path,
               CASE path WHEN '' THEN '[]'
                    ELSE '[["' || path || '", "' || {_A_SHA} || '", 9437184]]' END AS files_json,
               CASE path WHEN '' THEN '' ELSE {_A_SHA} END AS checksum,
               CASE path WHEN '' THEN '' ELSE sha256(key || kind) END AS data_hash,
               CASE WHEN is_ours THEN '{CODE}' ELSE '' END AS code_version,
               CASE WHEN is_ours THEN '{SETTINGS}' ELSE '' END AS settings_hash, scope,
               CASE WHEN is_ours THEN id END AS attempt_id, made_mjd,
               CASE WHEN is_warned THEN '["the sky is bright"]' ELSE '[]' END AS warnings_json,
               '[]' AS operations_json
        FROM made""",
    )
    yield "edge", "SELECT product, source, role FROM edges"
    yield "project", "SELECT 'survey' AS name"
    yield (
        "exposure",
        f"""
        SELECT n * {survey.EXPOSURES} + x + 1 AS id, 'JST.jpcam.' || exposure AS key,
               exposure AS name, 'JST' AS telescope, 'jpcam' AS camera,
               '["{'", "'.join(f"{c + 1:02d}" for c in range(CCDS))}"]' AS ccds_json, night,
               obstype, CASE obstype WHEN 'flat' THEN 'sky' ELSE '' END AS flat_kind,
               'fast' AS readout_mode, mjd_start,
               CASE obstype WHEN 'science' THEN 60.0 ELSE 0.0 END AS exptime_s,
               {survey.POINTING["ra_deg"]} AS ra_deg, {survey.POINTING["dec_deg"]} AS dec_deg,
               CASE obstype WHEN 'science' THEN 1.2 END AS airmass,
               CASE obstype WHEN 'science' THEN 'F' || field ELSE '' END AS object,
               'survey' AS project
        FROM frames WHERE c = 0""",
    )
    yield (
        "frame",
        f"""
        SELECT id AS product_id, n * {survey.EXPOSURES} + x + 1 AS exposure_id, name, ccd, band,
               serial AS filter_serial, configuration, 9600 AS nx, 9600 AS ny,
               sha256(name) AS sha256, sha256('pixels of ' || name) AS data_sha256,
               {survey.FOOTPRINT} AS footprint_json
        FROM frames""",
    )
    yield (
        "tile",
        f"""
        SELECT printf('T%05d', t) AS name, (t % {COLUMNS} + 0.5) * {survey.WIDTH_DEG} AS ra_deg,
               {survey.SOUTH_DEG} + (t // {COLUMNS} + 0.5) * {survey.HEIGHT_DEG} AS dec_deg
        FROM range({survey.TILES}) r(t)""",
    )
    yield (
        "frame_tile",
        """
        SELECT id AS frame_id, printf('T%05d', touches) AS tile, band, 'wcs' AS source
        FROM touched""",
    )
    yield (
        "refcat",
        f"""
        SELECT {ids.refcat} AS product_id, '{REFCAT}' AS name, 1000000 AS "rows",
               'gaia' AS origin""",
    )
    yield (
        "master",
        """
        SELECT id AS product_id, kind AS master_kind, configuration, night, noon AS valid_begin,
               noon + 1 AS valid_end, noon + 1 AS natural_end, 'certified' AS state, n_frames
        FROM masters""",
    )
    yield (
        "quality",
        f"""
        SELECT p.id AS product_id, passed, CASE WHEN passed THEN '' ELSE 'fwhm' END AS reason,
               0.8 + p.id % 97 / 100.0 AS fwhm_arcsec, 0.05 AS ellipticity, 120.5 AS sky_e,
               11.0 AS sky_rms_e, 24 + p.id % 31 / 100.0 AS zeropoint_mag,
               0.01 AS zeropoint_err_mag, 22.5 AS depth_psf_mag, 0.03 AS astrometry_rms_ra_arcsec,
               0.03 AS astrometry_rms_dec_arcsec, 200 + p.id % 50 AS n_psf_stars,
               json_object({_QUALITY}) AS metrics_json, 20.0 AS seconds, 900.0 AS peak_memory_mb
        FROM (SELECT image_id AS id, passed FROM science WHERE NOT is_skipped
              UNION ALL SELECT id, true FROM masters
              UNION ALL SELECT id, true FROM tile_bands) p(id, passed)""",
    )
    yield (
        "amp_quality",
        """
        SELECT configuration AS detector, metric, '-' AS filter, 'BIAS' AS source, night, amp,
               3.0 + amp / 100.0 AS value, 0.01 AS error, 23 AS n, 0 AS level, id AS product_id,
               noon + 1 AS at_mjd
        FROM masters, range(1, 17) a(amp), (VALUES ('read_noise_e'), ('bias_adu')) v(metric)
        WHERE kind = 'BIAS'""",
    )
    yield (
        "verdict",
        """
        SELECT row_number() OVER (ORDER BY i) AS id, 'raw' AS kind, name AS key, 'bad' AS value,
               'trailed' AS reason, 'ana' AS who, noon + 1 AS set_mjd
        FROM science WHERE is_flagged""",
    )
    yield (
        "event",
        """
        SELECT row_number() OVER () AS id, * FROM (
            SELECT noon + 1 AS at_mjd, 'ingested' AS what, 'raw' AS kind, name AS key,
                   printf('raw/%s/%s.fits', night, name) AS detail FROM frames
            UNION ALL
            SELECT noon + 1, 'master certified', 'master', key, '' FROM masters
            UNION ALL
            SELECT noon + 1, 'flagged', 'raw', name, 'trailed' FROM science WHERE is_flagged
            UNION ALL
            SELECT 57388.0, 'calendar read', '', 'calibration',
                   '{"interventions": [], "validity_days": {}}')""",
    )
    yield "step", "SELECT * FROM steps"
    yield (
        "step_settings",
        f"""
        SELECT step, scope, '{SETTINGS}' AS settings_hash
        FROM (VALUES ('reduce', 'jpcam.survey.science'), ('master', 'jpcam.-.bias'),
                     ('master', 'jpcam.-.flat')) v(step, scope)""",
    )
    yield from _work_done(ids)


def _work_done(ids: Ids) -> Iterator[tuple[str, str]]:
    """What was to be done, and how it went."""
    # The planner knows a task that failed by what it was to be made from.
    wanted = f"left(sha256(id || ',{ids.refcat},' || calset_id), 16)"
    yield (
        "task",
        f"""
        SELECT p.id, s.name AS step, p.kind, p.key, 'done' AS state, 0 AS priority,
               left(md5(p.key), 16) AS wanted_hash, 'frame ingested' AS why, 92.16 AS megapixels,
               0.0 AS not_before, 1 AS attempts, 0 AS faults, '' AS reason
        FROM made p JOIN steps s ON s.kind = p.kind WHERE p.is_ours
        UNION ALL
        SELECT image_id, 'reduce', 'reduced', name, 'skipped', 0, {wanted},
               'frame ingested', 92.16, 0.0, 1, 0, '3 stars found, 8 expected'
        FROM science WHERE is_skipped""",
    )
    yield (
        "task_input",
        f"""
        SELECT image_id AS task_id, unnest([id, calset_id, {ids.refcat}]) AS source,
               'input' AS role
        FROM science WHERE is_skipped""",
    )
    yield (
        "attempt",
        """
        SELECT id, id AS task_id, 1 AS number, 'node' || id % 16 AS host, made_mjd AS started_mjd,
               made_mjd + 0.001 AS ended_mjd, 'done' AS outcome, '' AS fault_class,
               20.0 + id % 10 AS seconds, 900.0 AS peak_memory_mb
        FROM made WHERE is_ours
        UNION ALL
        SELECT image_id, image_id, 1, 'node1', noon + 1, noon + 1.001, 'failed', 'quality', 20.0,
               900.0
        FROM science WHERE is_skipped""",
    )
