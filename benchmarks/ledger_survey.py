"""A synthetic survey like J-PAS in DuckDB: what the ledgers of the benchmark are built of.

14 CCDs, 59 bands, a grid of 25,200 tiles. A night has 511 exposures: 23 biases, 10 flats in each of
four filter trays, and 28 pointings seen four times through each of these trays. Fifteen nights take
the same 28 fields through all 59 trays, then others follow. A frame touches two tiles, so a coadd
has eight frames, and 16 once its field is seen again.

One frame in a thousand was skipped, one is flagged, one in two hundred did not pass, and one in a
hundred has a warning. Everything follows from a frame's number alone, so the same survey is made of
any size, and the nights that come after it, too.
"""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Iterator, Sequence
from pathlib import Path

import duckdb

from tesela.config import Calibration
from tesela.flow.plan.rules import Rules
from tesela.products.frame import FrameFacts
from tesela.products.masterkind import KINDS

CCDS, TRAYS, FIELDS, COLUMNS = 14, 59, 1800, 252
TILES = FIELDS * CCDS
EXPOSURES, BIASES, FLATS = 511, 23, 40
A_NIGHT = EXPOSURES * CCDS
"""Frames of a night: 7154."""
SCIENCE = (EXPOSURES - BIASES - FLATS) * CCDS
WIDTH_DEG, HEIGHT_DEG, SOUTH_DEG = 1.4, 0.9, -20.0
REFCAT, DETECTION_BAND = "gaia", "J6200"
CODE, SETTINGS = "1", "s"

# What is said of a frame by its number i. The tray of exposure x of night n, the place of its field
# and CCD on the grid; a band is met once by each CCD in the 59 trays, as 14 and 59 have no divisor.
_FRAMES = f"""
    CREATE VIEW numbered AS
    SELECT i, i // {A_NIGHT} AS n, (i % {A_NIGHT}) // {CCDS} AS x, i % {CCDS} AS c
    FROM range(?, ?) t(i);

    CREATE VIEW pointed AS
    SELECT *, CASE WHEN x < {BIASES} THEN 'bias' WHEN x < {BIASES + FLATS} THEN 'flat'
                   ELSE 'science' END AS obstype,
           CASE WHEN x < {BIASES + FLATS} THEN (x - {BIASES}) // 10
                ELSE (x - {BIASES + FLATS}) // 4 % 4 END AS slot,
           ((n // 15) * 28 + (x - {BIASES + FLATS}) // 16) % {FIELDS} AS field,
           x % 4 AS dither,
           strftime(DATE '2016-01-01' + n::INTEGER, '%Y-%m-%d') AS night,
           strftime(DATE '2016-01-01' + n::INTEGER, '%Y%m%d') AS ymd,
           ((DATE '2016-01-01' + n::INTEGER) - DATE '1858-11-17' + 0.5)::DOUBLE AS noon
    FROM numbered;

    CREATE VIEW frames AS
    SELECT *, i + 1 AS id, printf('%02d', c + 1) AS ccd,
           field * {CCDS} + c AS tile,
           (14 * ((4 * (n % 15) + slot) % {TRAYS}) + c) % {TRAYS} AS band_number,
           printf('jpcam-%s-%04d', ymd, x) AS exposure,
           printf('jpcam-%s-%04d-%02d', ymd, x, c + 1) AS name,
           CASE obstype WHEN 'bias' THEN '' ELSE printf('J%04d', 3500 + 100 * band_number) END
             AS band,
           CASE obstype WHEN 'bias' THEN '' ELSE printf('JPC%02d', band_number) END AS serial,
           printf('JST.jpcam.%02d.%s.fast', c + 1,
                  CASE obstype WHEN 'bias' THEN '-' ELSE printf('J%04d_JPC%02d',
                       3500 + 100 * band_number, band_number) END) AS configuration,
           noon + 0.25 + x * 0.001 AS mjd_start,
           obstype = 'science' AND i % 1009 = 500 AS is_skipped,
           obstype = 'science' AND i % 1013 = 7 AND i % 1009 <> 500 AS is_flagged,
           i % 211 <> 9 AS passed,
           i % 101 = 3 AS is_warned
    FROM pointed;
"""
_CORNER = f"""
    printf('[%.6f, %.6f]', (tile % {COLUMNS} + {{x}} + 0.02 * dither) * {WIDTH_DEG},
           {SOUTH_DEG} + (tile // {COLUMNS} + {{y}}) * {HEIGHT_DEG})"""
FOOTPRINT = "CASE obstype WHEN 'science' THEN '[' || {} || ']' ELSE 'null' END".format(
    " || ', ' || ".join(
        _CORNER.format(x=x, y=y) for x, y in ((0.3, 0.1), (1.2, 0.1), (1.2, 0.8), (0.3, 0.8))
    )
)
POINTING = {
    "ra_deg": "CASE obstype WHEN 'science'"
    f" THEN field * {CCDS} % {COLUMNS} * {WIDTH_DEG}::DOUBLE END",
    "dec_deg": f"CASE obstype WHEN 'science' THEN {SOUTH_DEG}::DOUBLE"
    f" + field * {CCDS} // {COLUMNS} * {HEIGHT_DEG} END",
}


def nights_of(frames: int) -> int:
    """Whole nights with at least so many frames."""
    return max(1, math.ceil(frames / A_NIGHT))


def open_survey(nights: int, folder: Path, first: int = 0) -> duckdb.DuckDBPyConnection:
    """Give a database with the view `frames` of some nights; it spills into the folder."""
    made = duckdb.connect(config={"temp_directory": str(folder / "duckdb")})
    made.execute("SET threads = 2")
    made.execute("SET memory_limit = '4GB'")
    numbers = (str(first * A_NIGHT), str((first + nights) * A_NIGHT))
    made.execute(_FRAMES.replace("?, ?", ", ".join(numbers)))
    return made


@dataclasses.dataclass(frozen=True)
class Share:
    """How much of a night is observed."""

    science: int = EXPOSURES - BIASES - FLATS
    """Exposures of the sky; 16 are a pointing in four bands."""
    calibrations: int = BIASES
    """Biases, and flats in each tray, at the most."""
    ccds: int = CCDS

    @property
    def condition(self) -> str:
        """It, said of the view `frames`."""
        return (
            f"c < {self.ccds} AND (x < {min(self.calibrations, BIASES)} OR x >= {BIASES + FLATS}"
            f" AND x < {BIASES + FLATS + self.science}"
            f" OR x >= {BIASES} AND x < {BIASES + FLATS} AND (x - {BIASES}) % 10"
            f" < {self.calibrations})"
        )


def facts_of_night(night: int, share: Share) -> Iterator[FrameFacts]:
    """Yield the frames of a night in their order, as ingest describes them."""
    made = open_survey(1, Path("/nonexistent"), night)
    rows = made.execute(
        f"SELECT *, {FOOTPRINT} AS footprint, sha256(name) AS sha256,"
        f" sha256('pixels of ' || name) AS data_sha256,"
        f" {', '.join(f'{sql} AS {name}' for name, sql in POINTING.items())}"
        f" FROM frames WHERE {share.condition} ORDER BY i"
    )
    names = [column[0] for column in rows.description]
    for values in rows.fetchall():
        yield _facts(dict(zip(names, values)))


def _facts(row: dict[str, object]) -> FrameFacts:
    corners = json.loads(str(row["footprint"]))
    same = ("name", "ccd", "band", "obstype", "night", "sha256", "data_sha256", "ra_deg", "dec_deg",
            "exposure", "mjd_start")  # fmt: skip
    is_science = row["obstype"] == "science"
    return FrameFacts(
        **{name: row[name] for name in same},  # type: ignore[arg-type]
        path=f"raw/{row['night']}/{row['name']}.fits",
        telescope="JST",
        camera="jpcam",
        filter_serial=str(row["serial"]),
        flat_kind="sky" if row["obstype"] == "flat" else "",
        readout_mode="fast",
        exptime_s=60.0 if is_science else 0.0,
        airmass=1.2 if is_science else None,
        object=f"F{row['field']}" if is_science else "",
        project="survey",
        nx=9600,
        ny=9600,
        footprint=None if corners is None else tuple((x, y) for x, y in corners),
        ccds=tuple(f"{c + 1:02d}" for c in range(CCDS)),
    )


def tile_name(number: int) -> str:
    """A tile of the grid."""
    return f"T{number:05d}"


def tiles_touching(corners: Sequence[tuple[float, float]], margin_deg: float) -> list[str]:
    """The tiles that lie under a frame: cells of equal size in right ascension and declination."""
    ra = [ra for ra, _ in corners]
    dec = [dec for _, dec in corners]
    columns = _cells(min(ra) - margin_deg, max(ra) + margin_deg, WIDTH_DEG, COLUMNS)
    south = min(dec) - margin_deg - SOUTH_DEG
    rows = _cells(south, max(dec) + margin_deg - SOUTH_DEG, HEIGHT_DEG, TILES // COLUMNS)
    return [tile_name(row * COLUMNS + column) for row in rows for column in columns]


def _cells(low: float, high: float, size: float, most: int) -> range:
    return range(max(0, int(low // size)), min(most - 1, int(high // size)) + 1)


def rules(quiet_s: float = 3600.0) -> Rules:
    """How the survey plans: masters of each night, tiles an hour after their last frame."""
    return Rules(
        calibration=Calibration(
            unused=tuple(set(KINDS) - {"BIAS", "FLAT"}),
            minimum={"BIAS": 5, "FLAT": 5},
            wanted={"BIAS": 20, "FLAT": 10},
        ),
        tiles_touching=tiles_touching,
        refcat=REFCAT,
        quiet_s=quiet_s,
        bands=tuple(f"J{3500 + 100 * number:04d}" for number in range(TRAYS)),
        detection_band=DETECTION_BAND,
    )
