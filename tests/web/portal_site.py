"""A small site for the pages of the portal: toy frames in every state, a few real images."""

from __future__ import annotations

import dataclasses
import datetime as dt
import hashlib
import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from sqlalchemy.engine import Connection

from flow import toys
from tesela.flow.plan import flags
from tesela.ledger import amp_quality, masters, products, schema, verdicts
from tesela.ledger.amp_quality import Judged
from tesela.ledger.engine import Ledger
from tesela.ledger.keys import Configuration, MasterKey
from tesela.ledger.place import place_of
from tesela.products import files, paths
from tesela.products.files import Hdu
from tesela.products.frame import night_span
from tesela.products.images import Psf, ReducedImage
from tesela.products.monitor import WHOLE_CCD, AmpValue

NIGHT = "2017-07-03"
NX, NY = 60, 48

SURVEY = """
name = "toy"
cameras = ["mini80"]
refcat = "stars"

[grid]
scheme = "list"
pixel_scale_arcsec = 1.0
size_px = [100, 100]

[grid.centres]
"T10" = [10.5, 0.0]
"T11" = [11.5, 0.0]
"T20" = [20.5, 0.0]
"T99" = [99.5, 0.0]

[filters.J0378.reference]
mag = "mag"

[filters.r.reference]
mag = "mag"
"""


def make(folder: Path) -> Path:
    """A night whose frames are in every state:

    sci1 reduced, with images; sci2 did not pass; sci3 flagged after its reduction; sci4 dead;
    sci5 skipped; sci6 waits for a flat of its band; sci7 due; biases and flats in masters, but for
    a lone bias two nights later. Other products are files of text: damaged, for who reads images.
    """
    ledger = toys.new_site(folder)
    rules = toys.rules()
    (folder / "survey.toml").write_text(SURVEY)
    with ledger.write() as conn:
        for name, ra in (("T10", 10.5), ("T11", 11.5), ("T20", 20.5), ("T99", 99.5)):
            conn.execute(schema.tile.insert().values(name=name, ra_deg=ra, dec_deg=0.0))
    toys.add_frames(ledger, folder, toys.small_night(), rules)
    odd = toys.facts("sci6", "science", ra=10.4, band="J0378", filter_serial="J1", object="<b>M 31")
    toys.add_frames(ledger, folder, [odd], rules)
    settings = {"faults": {"sci4": "fault", "sci5": "quality"}, "rejections": {"sci2": "too wide"}}
    toys.controller(ledger, folder, rules, settings=settings).run()
    with ledger.write() as conn:
        verdicts.set_bad(conn, "raw", "sci3", reason="trail", comment="bright", who="ana")
    toys.add_frames(ledger, folder, [toys.facts("sci7", "science", ra=20.3)], rules)
    toys.add_frames(ledger, folder, [toys.facts("bias9", "bias", night="2017-07-05")], rules)
    _put_images(ledger, folder)
    ledger.close()
    return folder


def _put_images(ledger: Ledger, folder: Path) -> None:
    """Give sci1, its raw frame and a bias real pixels, with a saturated block."""
    rng = np.random.default_rng(20170703)
    image = rng.normal(0, 3, (NY, NX)).astype(np.float32)
    image[10:14, 20:24] += 500
    mask = np.zeros((NY, NX), np.uint8)
    mask[30:40, 40:50] = 2
    mask[10:14, 20:24] = 64
    psf = Psf({"core": np.ones((3, 3), np.float32)}, {"beta": 3.0})
    reduced = ReducedImage(
        image, mask, np.ones_like(image), np.zeros((2, 2, 2), np.float32), psf,
        {"x": np.zeros(1)}, [("OBJECT", "field", ""), ("MAGZP", 25.0, "")],
    )  # fmt: skip
    path = folder / "products" / "reduced" / "sci1.v1.fits"
    path.parent.mkdir(exist_ok=True)
    reduced.write(path)
    _point_to(ledger, folder, "reduced", "sci1", path)
    for name in ("sci1", "bias1-20170703"):
        raw = folder / "raw" / NIGHT / f"{name}.fits"
        raw.unlink()
        counts = rng.integers(990, 1010, (NY, NX)).astype(np.uint16)
        files.write_fits(raw, [Hdu("RAW", counts)])
        _point_to(ledger, folder, "raw", name, raw)
    metrics = {"fwhm_arcsec": 1.25, "sky_e": 120.0, "zeropoint_mag": 24.5, "ellipticity": 0.04}
    with ledger.write() as conn:
        current = products.current(conn, "reduced", "sci1")
        assert current is not None
        table = schema.quality
        conn.execute(table.delete().where(table.c.product_id == current["id"]))
        products.add_quality(conn, current["id"], {**metrics, "n_sources": 12})


def _point_to(ledger: Ledger, folder: Path, kind: str, key: str, path: Path) -> None:
    """Let the served version of a product be this file."""
    table = schema.product
    sha = hashlib.sha256(path.read_bytes()).hexdigest()
    with ledger.write() as conn:
        conn.execute(
            table.update()
            .where(table.c.kind == kind, table.c.key == key, table.c.is_current)
            .values(path=str(path.relative_to(folder)), checksum=sha)
        )


def add_many(folder: Path, nights: int, frames: int, *, first: str = "2018-01-01") -> list[str]:
    """Fill a ledger with science frames of consecutive nights, all reduced; gives the nights."""
    begin = dt.date.fromisoformat(first)
    names = [(begin + dt.timedelta(days=n)).isoformat() for n in range(nights)]
    rows: dict[str, list[dict[str, Any]]] = {
        "product": [], "exposure": [], "frame": [], "quality": [], "task": [], "edge": [],
    }  # fmt: skip
    for n in range(nights * frames):
        night, bands = names[n // frames], ("J0378", "r")
        _add_rows(rows, n, night, bands[n % 2], 58119.8 + n // frames + (n % frames) * 5e-4)
    ledger = Ledger.open(place_of(folder))
    with ledger.write() as conn:
        for name, values in rows.items():
            conn.execute(schema.metadata.tables[name].insert(), values)
    ledger.close()
    return names


def _add_rows(rows: dict[str, list[dict[str, Any]]], n: int, night: str, band: str,
              mjd: float) -> None:  # fmt: skip
    name, raw, reduced = f"many{n:06d}", 100_000 + 2 * n, 100_001 + 2 * n
    digest = hashlib.sha256(name.encode()).hexdigest()
    for product_id, kind in ((raw, "raw"), (reduced, "reduced")):
        rows["product"].append({
            "id": product_id, "kind": kind, "key": name, "version": 1, "state": "valid",
            "is_current": True, "checksum": digest, "path": f"none/{name}", "made_mjd": mjd,
        })  # fmt: skip
    rows["edge"].append({"product": reduced, "source": raw, "role": "input"})
    rows["exposure"].append({
        "id": raw, "key": name, "telescope": "t", "camera": "c", "night": night,
        "obstype": "science", "readout_mode": "fast", "mjd_start": mjd, "exptime_s": 30.0,
        "object": "field", "project": "survey", "airmass": 1.2,
    })  # fmt: skip
    rows["frame"].append({
        "product_id": raw, "exposure_id": raw, "name": name, "ccd": "01", "band": band,
        "configuration": "t.c.01.r.fast", "nx": 100, "ny": 100, "sha256": digest,
        "data_sha256": digest,
    })  # fmt: skip
    rows["quality"].append({
        "product_id": reduced, "passed": True, "fwhm_arcsec": 1 + n % 7 / 10,
        "sky_e": 100.0 + n % 5, "zeropoint_mag": 24.0 + n % 3 / 10,
    })  # fmt: skip
    rows["task"].append({
        "step": "reduce", "kind": "reduced", "key": name, "state": "done", "priority": 0,
        "wanted_hash": "h", "not_before": 0.0,
    })  # fmt: skip


DETECTOR = "JAST80.mini80.01.-.fast"
CALENDAR = """
[calibration.wanted]
FLAT = 12

[[calibration.interventions]]
at = "2017-06-16"
what = "baffle <work>"
"""
FIRST_FOLLOWED = dt.date(2017, 6, 4)
LEFT_OUT = {"flat1-20170703": "saturated <b>half</b>"}


def add_calibrations(folder: Path, nights: int = 30) -> dict[str, str]:
    """Masters of a detector that is followed, up to the night of `make`; gives keys by name.

    Of every night a bias and a flat with its pages and values; amplifier 5 loses 2 % in the last
    three nights. Two illuminations, either side of an intervention; a bias that waits for a person;
    a linearity that was rejected.
    """
    with (folder / "survey.toml").open("a") as survey:
        survey.write(CALENDAR)
    rng = np.random.default_rng(20170604)
    ledger = Ledger.open(place_of(folder))
    found = {}
    for n in range(nights):
        night = (FIRST_FOLLOWED + dt.timedelta(days=n)).isoformat()
        is_last = n == nights - 1
        found["bias"] = _add_master(
            ledger, folder, "BIAS", "-", night, 1.0, _biases(rng, n),
            certified=not is_last, amplifiers=[{"amp": 1, "level_adu": 0.25, "note": "<i>"}],
        )  # fmt: skip
        found["flat"] = _add_master(
            ledger, folder, "FLAT", "r_R1", night, 1.0, _flats(rng, n, nights),
            files={"ratio.png": _png(n), "ratio.json": b'{"scatter": 0.01}\n'},
            rejected=LEFT_OUT if is_last else {},
            frames=("flat1-20170703", "flat2-20170703") if is_last else (),
        )  # fmt: skip
    for name, night in (("before", "2017-06-04"), ("after", "2017-06-16")):
        found[name] = _add_master(
            ledger, folder, "ILLUMINATION", "r_R1", night, 12.0 if name == "before" else 300.0, [],
            files={
                "map.png": _png(1), "map.json": b"{}", "trumpet.png": _png(2),
                "trumpet.csv": b"mag,before_mmag\n15,2.5\n",
                "images.csv": b'image,used,rejected\nsci1,True,\nsci2,False,"<script>clouds"\n',
                "coefficients.csv": b"term,mmag,error_mmag\nP1(x) P0(y),3.5000,0.1000\n",
                "characterisation.json": b"{}",
            },
            metrics={"change_previous_mag": 0.0123, "n_stars": 20000},
        )  # fmt: skip
    key = MasterKey("LINEARITY", Configuration.of("JAST80", "mini80", "01", "-", "fast"), NIGHT)
    with ledger.write() as conn:
        rejected = _insert(conn, key, 365.0, {}, [])
        masters.set_state(conn, rejected, "rejected", "lamp faded")
    found["linearity"] = str(key)
    ledger.close()
    return found


def _biases(rng: np.random.Generator, n: int) -> list[Judged]:
    levels = 1000.0 + 10 * np.arange(1, 17) + rng.normal(0, 0.5, 16)
    found: list[Judged] = [
        (AmpValue(amp, "bias_level", levels[amp - 1], 0.3, 30), 0, "") for amp in range(1, 17)
    ]
    return [*found, (AmpValue(WHOLE_CCD, "temperature", -100 + 0.01 * n), 0, "")]


def _flats(rng: np.random.Generator, n: int, nights: int) -> list[Judged]:
    found: list[Judged] = []
    for amp in range(1, 17):
        lost = amp == 5 and n >= nights - 3
        value = 1.0 + rng.normal(0, 0.0007) - 0.02 * lost
        level = (1 if n == nights - 3 else 2) if lost else 0
        reason = f"amplifier {amp}: flat_ratio <lost> 2 %" if lost else ""
        found.append((AmpValue(amp, "flat_ratio", value, 0.001, 10), level, reason))
    return found


def _png(seed: int) -> bytes:
    """A picture of noise, wider than a small copy."""
    noise = np.random.default_rng(seed).integers(0, 255, (340, 600, 3)).astype(np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(noise).save(buffer, "PNG")
    return buffer.getvalue()


def _add_master(
    ledger: Ledger,
    folder: Path,
    kind: str,
    through: str,
    night: str,
    days: float,
    values: list[Judged],
    *,
    files: Mapping[str, bytes] | None = None,
    rejected: Mapping[str, str] | None = None,
    metrics: Mapping[str, Any] | None = None,
    amplifiers: list[dict[str, Any]] | None = None,
    certified: bool = True,
    frames: tuple[str, ...] = (),
) -> str:
    configuration = Configuration("JAST80", "mini80", "01", through, "fast")
    key = MasterKey(kind, configuration, night)
    contents = {paths.master(str(key), 1): b"not a FITS file"}
    contents |= {paths.master_page(str(key), 1, n): c for n, c in (files or {}).items()}
    for path, content in contents.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(content)
    measured = {**(metrics or {}), "rejected": dict(rejected or {}), "n_combined": 9}
    if amplifiers:
        measured["amplifiers"] = amplifiers
    with ledger.write() as conn:
        made = _insert(conn, key, days, {str(p): c for p, c in contents.items()}, [
            f"{name} left out: {why}" for name, why in (rejected or {}).items()
        ])  # fmt: skip
        sources = [products.current(conn, "raw", name) for name in frames]
        edges = [{"product": made, "source": raw["id"], "role": "input"} for raw in sources if raw]
        if edges:
            conn.execute(schema.edge.insert(), edges)
        products.add_quality(conn, made, measured)
        amp_quality.put(conn, made, configuration, night, values)
        if certified:
            masters.certify(conn, made)
    return str(key)


def _insert(
    conn: Connection,
    key: MasterKey,
    days: float,
    contents: Mapping[str, bytes],
    warnings: list[str],
) -> int:
    listed = tuple(
        (path, hashlib.sha256(content).hexdigest(), len(content))
        for path, content in contents.items()
    )
    new = products.NewProduct(
        "master", str(key), 1, path=listed[0][0] if listed else "", files=listed,
        checksum=listed[0][1] if listed else "", warnings=(*warnings, "9 frames, 12 wanted"),
        code_version="1.0", settings_hash="abc", operations=("overscan", "combine"),
    )  # fmt: skip
    made = products.insert(conn, new)
    begin, _ = night_span(key.night, -1.0)
    interval = masters.Interval(begin, begin + days)
    masters.add(conn, made, key, interval, n_frames=9)
    return made


MANY = tuple(f"{n:02d}" for n in range(1, 15))
EXPOSURE = "m14-20170703T220000"
EXPOSURE_KEY = f"JAST80.mini14.{EXPOSURE}"


def add_exposures(folder: Path) -> None:
    """Two exposures of a camera of 14 CCDs, filters with their own serials.

    The first lacks CCD 07; its CCD 03 is dead, 05 flagged for its header and replaced. The second
    is whole, and flagged with all its frames.
    """
    survey = folder / "survey.toml"
    survey.write_text(survey.read_text().replace('["mini80"]', '["mini80", "mini14"]'))
    ledger = Ledger.open(place_of(folder))
    rules = toys.rules()
    shared: dict[str, Any] = {"camera": "mini14", "ccds": MANY}
    calibrations = [
        toys.facts(
            f"{kind}{n}-{ccd}", kind, ccd=ccd, exposure=f"{kind}{n}",
            filter_serial=f"r-{ccd}" if kind == "flat" else "", **shared,
        )
        for kind in ("bias", "flat") for n in (7, 8) for ccd in MANY
    ]  # fmt: skip

    def science(exposure: str, ccd: str, minutes: float) -> Any:
        begin, _ = night_span(NIGHT, 0.0)
        return toys.facts(
            f"{exposure}-{ccd}", "science", ccd=ccd, exposure=exposure, ra=99.2,
            filter_serial=f"r-{ccd}", mjd_start=begin + 0.45 + minutes / 1440, **shared,
        )  # fmt: skip

    second = EXPOSURE.replace("2200", "2210")
    frames = [science(EXPOSURE, ccd, 20) for ccd in MANY if ccd != "07"]
    frames += [science(second, ccd, 30) for ccd in MANY]
    toys.add_frames(ledger, folder, [*calibrations, *frames], rules)
    settings = {"faults": {f"{EXPOSURE}-03": "fault"}}
    toys.controller(ledger, folder, rules, settings=settings).run()
    with ledger.write() as conn:
        flags.flag(conn, rules, "exposure", second, reason="guiding", who="ana", comment="<lost>")
        flags.flag(conn, rules, "raw", f"{EXPOSURE}-05", reason="header", who="ana")
    again = dataclasses.replace(
        science(EXPOSURE, "05", 20), name=f"{EXPOSURE}b-05", sha256="5" * 64, data_sha256="5" * 64
    )
    toys.add_frames(ledger, folder, [again], rules)
    toys.controller(ledger, folder, rules, settings=settings).run()
    ledger.close()
