"""A ledger of many frames, filled by SQL alone: nothing in it has a file.

Everything follows by arithmetic from the number of a frame. A night has twenty exposures of biases,
five flats of each of six bands, and science. A science frame touches two tiles, and its neighbours
in the exposure the next ones. Of a hundred frames one was skipped, of fifty one did not pass, of a
thousand one is dead and one flagged.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from tesela.ledger import schema

FIRST_NIGHT = dt.date(2015, 1, 1)
BIASES, FLATS, SLOTS = 20, 5, 6
CALIBRATIONS = BIASES + FLATS * SLOTS
"""Exposures of a night before the first science."""


@dataclass(frozen=True)
class Size:
    """How much there is of everything."""

    nights: int = 4
    exposures: int = 90
    """A night, of biases, flats and science."""
    ccds: int = 14
    bands: int = 12
    tiles: int = 100

    @property
    def frames(self) -> int:
        return self.nights * self.exposures * self.ccds

    @property
    def science(self) -> int:
        return self.nights * (self.exposures - CALIBRATIONS) * self.ccds

    @property
    def night(self) -> int:
        """Frames a night."""
        return self.exposures * self.ccds


def night(n: int) -> str:
    """The name of the night of a number."""
    return (FIRST_NIGHT + dt.timedelta(days=n)).isoformat()


def frame(i: int) -> str:
    """The name of the frame of a number."""
    return f"f{10_000_000 + i}"


def science(size: Size, k: int) -> str:
    """The name of the science frame of a number."""
    ccd, j = k % size.ccds, k // size.ccds
    n, s = divmod(j, size.exposures - CALIBRATIONS)
    return frame((n * size.exposures + CALIBRATIONS + s) * size.ccds + ccd)


def fill(conn: Connection, size: Size) -> None:
    """Fill an empty ledger."""
    names = _names(conn, size)
    for statement in _STATEMENTS:
        conn.execute(sa.text(statement.format(**names)))
    if conn.dialect.name == "postgresql":
        _restart_numbers(conn)
    conn.execute(sa.text("ANALYZE"))


def _restart_numbers(conn: Connection) -> None:
    """Rows that come later are numbered after ours."""
    for name in ("product", "exposure", "task", "attempt", "verdict"):
        conn.execute(
            sa.text(
                f"SELECT setval(pg_get_serial_sequence('{name}', 'id'),"
                f" (SELECT COALESCE(MAX(id), 1) FROM {name}))"
            )
        )


def _names(conn: Connection, size: Size) -> dict[str, object]:
    """What the statements are filled in with, and a table of the nights."""
    conn.execute(sa.text("CREATE TEMP TABLE a_night (n INTEGER PRIMARY KEY, night TEXT, mjd REAL)"))
    rows = [{"n": n, "night": night(n), "mjd": 57023.5 + n} for n in range(size.nights)]
    conn.execute(sa.text("INSERT INTO a_night VALUES (:n, :night, :mjd)"), rows)
    conn.execute(schema.project.insert(), [{"name": name} for name in ("survey", "open")])
    tiles = [{"name": f"T{10_000 + t}", "ra_deg": 0.0, "dec_deg": 0.0} for t in range(size.tiles)]
    conn.execute(schema.tile.insert(), tiles)
    first = size.frames + 1
    counts = {
        "refcat": 1,
        "bias": size.nights * size.ccds,
        "flat": size.nights * SLOTS * size.ccds,
        "calset": size.nights * SLOTS * size.ccds,
        "reduced": size.science,
        "coadd": size.tiles * size.bands,
        "catalogue": size.tiles * size.bands,
        **dict.fromkeys(("dual", "zeropoints", "valueadded", "science"), size.tiles),
    }
    ids = {}
    for name, n in counts.items():
        ids[f"{name}0"] = first
        first += n
    sizes = {
        "N": size.frames,
        "K": size.science,
        "E": size.exposures,
        "C": size.ccds,
        "B": size.bands,
        "T": size.tiles,
        "Q": size.exposures - CALIBRATIONS,
        "X": size.nights * size.exposures,
        "M": size.nights * size.ccds,
        "ccds": "[" + ", ".join(f'"{10 + c}"' for c in range(size.ccds)) + "]",
    }
    postgresql = conn.dialect.name == "postgresql"
    series = {
        f"upto_{name}": f"generate_series(0, {sizes[name]} - 1) AS s(i)"
        if postgresql
        else f"(WITH RECURSIVE c(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM c"
        f" WHERE i + 1 < {sizes[name]}) SELECT i FROM c) AS s"
        for name in ("N", "K", "X", "M", "T")
    }
    truth = {"yes": "true" if postgresql else "1"}
    return {**ids, **sizes, **series, **truth}


_PRODUCT = (
    "INSERT INTO product (id, kind, key, version, state, is_current, made_mjd, code_version,"
    " settings_hash, scope, attempt_id, stale, warnings_json)"
)
_MADE = "1, 'valid', {yes}, 58000.0"
_BY = "'1', 's'"

# Of the science frame i: exposure j of all science exposures, CCD c, night n and slot of its band.
_SCIENCE = """
    SELECT i, i % {C} AS c, i / {C} AS j, i / {C} / {Q} AS n,
           ({CALIBRATIONS} + i / {C} % {Q}) AS s,
           (i / {C} / {Q} * {E} + {CALIBRATIONS} + i / {C} % {Q}) * {C} + i % {C} AS frame
    FROM {upto_K}
""".replace("{CALIBRATIONS}", str(CALIBRATIONS))
_MADE_OF = "k.i % 100 <> 1 AND k.i % 1000 <> 2"
_USED = f"{_MADE_OF} AND k.i % 50 <> 0 AND k.i % 1000 <> 3"

_STATEMENTS = (
    # ---- what exists
    f"""
    INSERT INTO exposure (id, key, name, telescope, camera, ccds_json, night, obstype, flat_kind,
                          readout_mode, mjd_start, exptime_s, airmass, object, project)
    SELECT i + 1, 'J.cam.e' || (1000000 + i), 'e' || (1000000 + i), 'J', 'cam', '{{ccds}}', night,
           CASE WHEN i % {{E}} < {BIASES} THEN 'bias' WHEN i % {{E}} < {CALIBRATIONS} THEN 'flat'
                ELSE 'science' END,
           CASE WHEN i % {{E}} BETWEEN {BIASES} AND {CALIBRATIONS} - 1 THEN 'sky' ELSE '' END,
           'fast', mjd + 0.3 + (i % {{E}}) * 0.001, 60.0, 1.1, 'field',
           CASE WHEN i % 10 = 9 THEN 'open' ELSE 'survey' END
    FROM {{upto_X}} JOIN a_night ON n = i / {{E}}
    """,
    f"""
    {_PRODUCT}
    SELECT i + 1, 'raw', 'f' || (10000000 + i), {_MADE}, '', '', '', NULL, '', '[]' FROM {{upto_N}}
    """,
    f"""
    INSERT INTO frame (product_id, exposure_id, name, ccd, band, filter_serial, configuration, nx,
                       ny, sha256, data_sha256)
    SELECT i + 1, x + 1, 'f' || (10000000 + i), 10 + c,
           CASE WHEN slot < 0 THEN '' ELSE 'b' || (100 + (n * {SLOTS} + slot) % {{B}}) END,
           CASE WHEN slot < 0 THEN '' ELSE 'S' END,
           'J.cam.' || (10 + c) || '.' || CASE WHEN slot < 0 THEN '-'
               ELSE 'b' || (100 + (n * {SLOTS} + slot) % {{B}}) || '_S' END || '.fast',
           2000, 1000, 'sha' || i, 'data' || i
    FROM (SELECT i, i % {{C}} AS c, i / {{C}} AS x, i / {{C}} / {{E}} AS n,
                 CASE WHEN i / {{C}} % {{E}} < {BIASES} THEN -1
                      WHEN i / {{C}} % {{E}} < {CALIBRATIONS}
                      THEN (i / {{C}} % {{E}} - {BIASES}) / {FLATS}
                      ELSE i / {{C}} % {{E}} % {SLOTS} END AS slot
          FROM {{upto_N}}) one
    """,
    f"""
    INSERT INTO frame_tile (frame_id, tile, band, source)
    SELECT k.frame + 1, 'T' || (10000 + (k.j * 3 + k.c + t.i) % {{T}}),
           'b' || (100 + (k.n * {SLOTS} + k.s % {SLOTS}) % {{B}}), 'wcs'
    FROM ({_SCIENCE}) k CROSS JOIN (SELECT 0 AS i UNION ALL SELECT 1) t
    """,
    # ---- what was made
    f"""
    {_PRODUCT} VALUES ({{refcat0}}, 'refcat', 'stars', {_MADE}, '', '', '', NULL, '', '[]')
    """,
    f"""
    {_PRODUCT}
    SELECT {{bias0}} + i, 'master',
           'BIAS.J.cam.' || (10 + i % {{C}}) || '.-.fast.' || REPLACE(night, '-', ''),
           {_MADE}, {_BY}, 'cam.-.bias', {{bias0}} + i, '', '[]'
    FROM {{upto_M}} JOIN a_night ON n = i / {{C}}
    """,
    f"""
    {_PRODUCT}
    SELECT {{flat0}} + (n * {SLOTS} + w.i) * {{C}} + s.i % {{C}}, 'master',
           'FLAT.J.cam.' || (10 + s.i % {{C}}) || '.b' || (100 + (n * {SLOTS} + w.i) % {{B}})
           || '_S.fast.' || REPLACE(night, '-', ''),
           {_MADE}, {_BY}, 'cam.-.flat', {{flat0}} + (n * {SLOTS} + w.i) * {{C}} + s.i % {{C}},
           '', '[]'
    FROM {{upto_M}} JOIN a_night ON n = s.i / {{C}}
    CROSS JOIN (SELECT 0 AS i UNION ALL SELECT 1 UNION ALL SELECT 2 UNION ALL SELECT 3
                UNION ALL SELECT 4 UNION ALL SELECT 5) w
    """,
    f"""
    {_PRODUCT}
    SELECT id - {{flat0}} + {{calset0}}, 'calset', 'full.' || id, {_MADE}, '', '', '', NULL,
           '', '[]'
    FROM product WHERE id >= {{flat0}} AND id < {{calset0}}
    """,
    """
    INSERT INTO master (product_id, master_kind, configuration, night, valid_begin, valid_end,
                        natural_end, state, n_frames)
    SELECT p.id, CASE WHEN p.id < {flat0} THEN 'BIAS' ELSE 'FLAT' END,
           SUBSTR(p.key, 6, LENGTH(p.key) - 14), a.night, a.mjd, a.mjd + 1.0, a.mjd + 1.0,
           'certified', 5
    FROM product p JOIN a_night a
      ON a.n = CASE WHEN p.id < {flat0} THEN (p.id - {bias0}) / {C}
                    ELSE (p.id - {flat0}) / {C} / 6 END
    WHERE p.id >= {bias0} AND p.id < {calset0}
    """,
    f"""
    {_PRODUCT}
    SELECT {{reduced0}} + k.i, 'reduced', 'f' || (10000000 + k.frame), {_MADE}, {_BY},
           'cam.' || CASE k.frame / {{C}} % 10 WHEN 9 THEN 'open' ELSE 'survey' END || '.science',
           {{reduced0}} + k.i,
           CASE WHEN k.i % 400 = 5 THEN 'a better FLAT exists' ELSE '' END,
           CASE WHEN k.i % 10 = 3 THEN '["2 days outside the validity of its FLAT"]' ELSE '[]' END
    FROM ({_SCIENCE}) k WHERE {_MADE_OF}
    """,
    """
    CREATE TEMP TABLE a_coadd AS
    SELECT ROW_NUMBER() OVER (ORDER BY tile, band) - 1 AS i, tile, band
    FROM (SELECT DISTINCT tile, band FROM frame_tile) t
    """,
    f"""
    {_PRODUCT}
    SELECT {{coadd0}} + i, 'coadd', tile || '.' || band, {_MADE}, {_BY}, '', {{coadd0}} + i,
           '', '[]'
    FROM a_coadd
    """,
    f"""
    {_PRODUCT}
    SELECT {{catalogue0}} + i, 'catalogue', tile || '.' || band, {_MADE}, {_BY}, '',
           {{catalogue0}} + i, '', '[]'
    FROM a_coadd
    """,
    *(
        f"""
        {_PRODUCT}
        SELECT {{{kind}0}} + i, '{kind}', 'T' || (10000 + i), {_MADE}, {_BY}, '', {{{kind}0}} + i,
               '', '[]'
        FROM {{upto_T}}
        """
        for kind in ("dual", "zeropoints", "valueadded", "science")
    ),
    # ---- what from
    f"""
    INSERT INTO edge (product, source, role)
    SELECT {{bias0}} + i / {{C}} / {{E}} * {{C}} + i % {{C}}, i + 1, 'input' FROM {{upto_N}}
    WHERE i / {{C}} % {{E}} < {BIASES}
    """,
    f"""
    INSERT INTO edge (product, source, role)
    SELECT {{flat0}} + i % {{C}}
           + (i / {{C}} / {{E}} * {SLOTS} + (i / {{C}} % {{E}} - {BIASES}) / {FLATS}) * {{C}},
           i + 1, 'input' FROM {{upto_N}}
    WHERE i / {{C}} % {{E}} BETWEEN {BIASES} AND {CALIBRATIONS} - 1
    """,
    f"""
    INSERT INTO edge (product, source, role)
    SELECT p.id, {{bias0}} + (p.id - {{flat0}}) / {{C}} / {SLOTS} * {{C}}
           + (p.id - {{flat0}}) % {{C}}, 'input'
    FROM product p WHERE p.id >= {{flat0}} AND p.id < {{calset0}}
    """,
    f"""
    INSERT INTO edge (product, source, role)
    SELECT p.id, p.id - {{calset0}} + {{flat0}}, 'input' FROM product p
    WHERE p.id >= {{calset0}} AND p.id < {{reduced0}}
    UNION ALL
    SELECT p.id, {{bias0}} + (p.id - {{calset0}}) / {{C}} / {SLOTS} * {{C}}
           + (p.id - {{calset0}}) % {{C}}, 'input'
    FROM product p WHERE p.id >= {{calset0}} AND p.id < {{reduced0}}
    """,
    f"""
    INSERT INTO edge (product, source, role)
    SELECT {{reduced0}} + k.i, CASE what.i WHEN 0 THEN k.frame + 1 WHEN 1 THEN {{refcat0}}
           ELSE {{calset0}} + (k.n * {SLOTS} + k.s % {SLOTS}) * {{C}} + k.c END, 'input'
    FROM ({_SCIENCE}) k
    CROSS JOIN (SELECT 0 AS i UNION ALL SELECT 1 UNION ALL SELECT 2) what
    WHERE {_MADE_OF}
    """,
    f"""
    INSERT INTO edge (product, source, role)
    SELECT {{coadd0}} + a.i, {{reduced0}} + k.i, 'input'
    FROM ({_SCIENCE}) k JOIN frame_tile t ON t.frame_id = k.frame + 1
    JOIN a_coadd a ON a.tile = t.tile AND a.band = t.band
    WHERE {_USED}
    """,
    """
    INSERT INTO edge (product, source, role)
    SELECT {catalogue0} + i, {coadd0} + i, 'input' FROM a_coadd
    """,
    *(
        f"""
        INSERT INTO edge (product, source, role)
        SELECT {{{kind}0}} + CAST(SUBSTR(tile, 2) AS INTEGER) - 10000, {{coadd0}} + i, 'input'
        FROM a_coadd
        UNION ALL
        SELECT {{{kind}0}} + CAST(SUBSTR(tile, 2) AS INTEGER) - 10000, {{catalogue0}} + i, 'input'
        FROM a_coadd
        """
        for kind in ("dual", "zeropoints", "science")
    ),
    f"""
    INSERT INTO edge (product, source, role)
    SELECT {{zeropoints0}} + CAST(SUBSTR(t.tile, 2) AS INTEGER) - 10000, {{reduced0}} + k.i, 'input'
    FROM ({_SCIENCE}) k JOIN frame_tile t ON t.frame_id = k.frame + 1
    WHERE {_USED}
    """,
    """
    INSERT INTO edge (product, source, role)
    SELECT {zeropoints0} + i, {refcat0}, 'input' FROM {upto_T}
    UNION ALL SELECT {valueadded0} + i, {dual0} + i, 'input' FROM {upto_T}
    UNION ALL SELECT {valueadded0} + i, {zeropoints0} + i, 'input' FROM {upto_T}
    UNION ALL SELECT {science0} + i, {dual0} + i, 'input' FROM {upto_T}
    UNION ALL SELECT {science0} + i, {zeropoints0} + i, 'input' FROM {upto_T}
    UNION ALL SELECT {science0} + i, {valueadded0} + i, 'input' FROM {upto_T}
    """,
    # ---- what is known of it
    f"""
    INSERT INTO quality (product_id, passed, reason, fwhm_arcsec, ellipticity, sky_e, zeropoint_mag,
                         depth_psf_mag, seconds)
    SELECT {{reduced0}} + k.i, k.i % 50 <> 0,
           CASE WHEN k.i % 50 = 0 THEN 'FWHM above 3 arcsec' ELSE '' END,
           0.8 + (k.i % 997) / 500.0, 0.05, 100.0 + k.i % 89, 23.0 + (k.i % 101) / 500.0, 22.0, 60.0
    FROM ({_SCIENCE}) k WHERE {_MADE_OF}
    """,
    f"""
    INSERT INTO verdict (id, kind, key, value, reason, comment, who, set_mjd)
    SELECT k.i + 1, 'raw', 'f' || (10000000 + k.frame), 'bad', 'trail', '', 'ann', 58100.0
    FROM ({_SCIENCE}) k WHERE k.i % 1000 = 3
    """,
    # ---- what was to be done
    """
    INSERT INTO step (name, kind, code_version, settings_hash, cores, memory_mb, seconds_per_mpix)
    VALUES ('master', 'master', '1', 's', 1, 500.0, 1.0),
           ('detrend', 'detrended', '1', 's', 1, 500.0, 1.0),
           ('reduce', 'reduced', '1', 's', 1, 500.0, 1.0),
           ('coadd', 'coadd', '1', 's', 1, 500.0, 1.0),
           ('catalog', 'catalogue', '1', 's', 1, 500.0, 1.0),
           ('dual', 'dual', '1', 's', 1, 500.0, 1.0),
           ('calibrate', 'zeropoints', '1', 's', 1, 500.0, 1.0),
           ('valueadded', 'valueadded', '1', 's', 1, 500.0, 1.0),
           ('load', 'science', '1', 's', 1, 500.0, 1.0)
    """,
    """
    INSERT INTO task (id, step, kind, key, state, priority, wanted_hash, megapixels, not_before,
                      attempts)
    SELECT p.id, t.name, p.kind, p.key, 'done', 0, 'w', 2.0, 0.0, 1
    FROM product p JOIN step t ON t.kind = p.kind
    """,
    f"""
    INSERT INTO task (id, step, kind, key, state, priority, wanted_hash, megapixels, not_before,
                      attempts, reason)
    SELECT {{reduced0}} + k.i, 'reduce', 'reduced', 'f' || (10000000 + k.frame),
           CASE WHEN k.i % 100 = 1 THEN 'skipped' ELSE 'dead' END, 0, 'w', 2.0, 0.0, 1,
           CASE WHEN k.i % 100 = 1 THEN '3 stars; expected 8' ELSE 'ZeroDivisionError' END
    FROM ({_SCIENCE}) k WHERE NOT ({_MADE_OF})
    """,
    f"""
    INSERT INTO task_input (task_id, source, role)
    SELECT {{reduced0}} + k.i, CASE what.i WHEN 0 THEN k.frame + 1 WHEN 1 THEN {{refcat0}}
           ELSE {{calset0}} + (k.n * {SLOTS} + k.s % {SLOTS}) * {{C}} + k.c END, 'input'
    FROM ({_SCIENCE}) k
    CROSS JOIN (SELECT 0 AS i UNION ALL SELECT 1 UNION ALL SELECT 2) what
    WHERE NOT ({_MADE_OF})
    """,
    """
    INSERT INTO attempt (id, task_id, number, host, started_mjd, ended_mjd, outcome, fault_class,
                         seconds, peak_memory_mb)
    SELECT id, id, 1, 'node1', 58000.0, 58000.001,
           CASE WHEN state = 'done' THEN 'done' ELSE 'failed' END,
           CASE state WHEN 'done' THEN '' WHEN 'skipped' THEN 'quality' ELSE 'fault' END,
           86.4, 900.0
    FROM task
    """,
)
