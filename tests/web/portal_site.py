"""A small site for the pages of the portal: toy frames in every state, a few real images."""

from __future__ import annotations

import datetime as dt
import hashlib
from pathlib import Path
from typing import Any

import numpy as np

from flow import toys
from tesela.ledger import products, schema, verdicts
from tesela.ledger.engine import Ledger
from tesela.products import files, paths
from tesela.products.files import Hdu
from tesela.products.images import Psf, ReducedImage

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
    ledger = Ledger.open(paths.ledger_file(folder))
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
