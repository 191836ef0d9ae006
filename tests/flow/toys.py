"""A toy survey: frames of a few bytes and steps that only hash what they are given.

The data hash of a product depends on the contents of its inputs, never on versions or times, so
two ledgers that agree in all current data hashes hold the same archive.
"""

from __future__ import annotations

import functools
import hashlib
import os
import signal
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from postgres import is_wanted, new_database
from tesela.config import Calibration
from tesela.errors import QualityError
from tesela.flow.plan import downstream, tile_products
from tesela.flow.plan.rules import STEPS, Rules
from tesela.flow.run import fallback
from tesela.flow.run.controller import Controller
from tesela.flow.run.engines import LocalEngine
from tesela.flow.run.steps import InputRef, Order, Outcome, Registry, StepSpec
from tesela.ledger import frames, leases, products, refcats
from tesela.ledger.engine import Ledger
from tesela.ledger.place import place_of
from tesela.products import paths
from tesela.products.frame import FrameFacts, night_span

TILE_DEG = 1.0


def tiles_touching(corners: Sequence[tuple[float, float]], margin_deg: float) -> list[str]:
    """Tiles are one-degree columns of right ascension: T10 holds 10 <= ra < 11."""
    low = min(ra for ra, _ in corners) - margin_deg
    high = max(ra for ra, _ in corners) + margin_deg
    return [f"T{column}" for column in range(int(low // TILE_DEG), int(high // TILE_DEG) + 1)]


def rules(**changes: object) -> Rules:
    """Two frames a master, masters for one night, a reach of ten days; biases and flats alone."""
    values: dict[str, object] = {
        "calibration": Calibration(
            unused=("BADPIXEL",),
            minimum={"BIAS": 2, "FLAT": 2},
            wanted={"BIAS": 2, "FLAT": 2},
            fallback_days={"BIAS": 10.0, "FLAT": 10.0},
        ),
        "tiles_touching": tiles_touching,
        "refcat": "stars",
        "detection_band": "r",
    }
    return Rules(**{**values, **changes})  # type: ignore[arg-type]


def facts(name: str, obstype: str, *, night: str = "2017-07-03", **changes: object) -> FrameFacts:
    """Facts of a toy frame; hashes follow from the name unless given."""
    begin, _ = night_span(night, 0.0)
    ra = float(changes.pop("ra", 10.2))  # type: ignore[arg-type]
    science = obstype == "science"
    values: dict[str, object] = {
        "name": name,
        "path": f"raw/{night}/{name}.fits",
        "sha256": hashlib.sha256(name.encode()).hexdigest(),
        "data_sha256": hashlib.sha256(b"pixels of " + name.encode()).hexdigest(),
        "telescope": "JAST80",
        "camera": "toycam",
        "ccd": "01",
        "band": "" if obstype == "bias" else "r",
        "filter_serial": "" if obstype == "bias" else "R1",
        "obstype": obstype,
        "flat_kind": "sky" if obstype == "flat" else "",
        "readout_mode": "fast",
        "mjd_start": begin + 0.45,
        "exptime_s": 0.0 if obstype == "bias" else 60.0,
        "ra_deg": ra if science else None,
        "dec_deg": 0.0 if science else None,
        "airmass": 1.1 if science else None,
        "object": "field",
        "project": "survey",
        "night": night,
        "nx": 100,
        "ny": 100,
        "footprint": ((ra, 0.0), (ra + 0.4, 0.0), (ra + 0.4, 0.4), (ra, 0.4)) if science else None,
    }
    return FrameFacts(**{**values, **changes})  # type: ignore[arg-type]


def calibration_night(night: str = "2017-07-03", **changes: object) -> list[FrameFacts]:
    """Two biases and two flats of a night."""
    stem = night.replace("-", "")
    return [
        facts(f"{kind}{n}-{stem}", kind, night=night, **changes)
        for kind in ("bias", "flat")
        for n in (1, 2)
    ]


def small_night() -> list[FrameFacts]:
    """Calibrations, three frames of tile T10 (one also of T11), two of T20."""
    return [
        *calibration_night(),
        facts("sci1", "science", ra=10.1),
        facts("sci2", "science", ra=10.3),
        facts("sci3", "science", ra=10.8),
        facts("sci4", "science", ra=20.1),
        facts("sci5", "science", ra=20.2),
    ]


def add_frames(ledger: Ledger, site: Path, new: Sequence[FrameFacts], the_rules: Rules) -> None:
    """Write each frame's file and take it in, as ingest does."""
    for frame in new:
        file = site / frame.path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"pixels of {frame.name}")
        tiles = the_rules.tiles_touching(frame.footprint, 0.0) if frame.footprint else ()
        with ledger.write() as conn:
            frames.add(conn, frame, tiles)
            downstream.frame_arrived(conn, the_rules, frame)


def of_tiles(*numbers: int) -> set[tuple[str, str]]:
    """(kind, key) of all that is made of tiles T10, T11 ...: a band's, and the whole tile's."""
    bands = {(kind, f"T{n}.r") for kind in ("coadd", "catalogue") for n in numbers}
    return bands | {(kind, f"T{n}") for kind in tile_products.KINDS for n in numbers}


def add_refcat(ledger: Ledger, site: Path, content: str = "stars") -> None:
    """Add a version of the reference catalogue."""
    with ledger.write() as conn:
        version = products.next_version(conn, "refcat", "stars")
        path = paths.refcat("stars", version)
        (site / path).parent.mkdir(parents=True, exist_ok=True)
        (site / path).write_text(content)
        new = products.NewProduct("refcat", "stars", version, path=str(path), data_hash=content)
        refcats.add(conn, "stars", new, rows=1, columns=("ra",), origin="a test")
        downstream.refcat_arrived(conn, "stars")


@functools.cache
def _empty_ledger() -> bytes:
    """The bytes of a ledger just made: making it anew for each test would be most of its time."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "ledger.sqlite"
        Ledger.create(path).close()
        return path.read_bytes()


def new_site(folder: Path) -> Ledger:
    """Make an empty site with its reference catalogue."""
    folder.mkdir(parents=True, exist_ok=True)
    if is_wanted():
        paths.site_file(folder).write_text(f'[ledger]\nurl = "{new_database()}"\n')
    else:
        paths.ledger_file(folder).write_bytes(_empty_ledger())
    ledger = Ledger.open(place_of(folder))
    add_refcat(ledger, folder)
    return ledger


def registry(settings: dict[str, object] | None = None, code_version: str = "1") -> Registry:
    """The steps, all of them the same toy."""
    return Registry(
        StepSpec(name, kind, toy_step, code_version, settings or {}, settings_hash="s")
        for kind, name in STEPS.items()
    )


def controller(
    ledger: Ledger, site: Path, the_rules: Rules | None = None, **options: object
) -> Controller:
    """A controller of toy steps; runs them in this process unless `workers` is given."""
    workers = options.pop("workers", 0)
    engine = LocalEngine(int(workers)) if workers else InlineEngine()  # type: ignore[call-overload]
    manner = options.pop("manner", None)
    steps = registry(**options)  # type: ignore[arg-type]
    return Controller(site, ledger, the_rules or rules(), steps, engine, manner)  # type: ignore[arg-type]


class InlineEngine:
    """Runs each order at once in this process: fast, for tests of decisions."""

    slots = 2

    def __init__(self) -> None:
        self.orders: list[Order] = []

    def submit(self, run, order):  # type: ignore[no-untyped-def]
        """Run now and give a finished future."""
        import concurrent.futures as cf

        from tesela.flow.run import worker

        self.orders.append(order)
        future: cf.Future[object] = cf.Future()
        future.set_result(worker.perform(run, order))
        return future

    def stop(self) -> None:
        """Nothing to end."""


if is_wanted():  # what a dead controller had is free at once, as where one is alone
    leases.LEASE_S, leases.RENEW_S = 1.0, 0.2


def toy_step(order: Order) -> Outcome:
    """Hash the inputs; misbehave where the settings say so."""
    settings = order.settings
    time.sleep(float(settings.get("delay_s", 0.0)))
    _misbehave(order, dict(settings.get("faults", {})).get(order.key, ""))
    content = _content(order)
    temporary = order.out("result")
    temporary.write_text(content)
    final = f"products/{order.kind}/{order.key}.v{order.version}.txt"
    fallbacks = fallback.of_order(order)
    gates = dict(settings.get("rejections", {})).get(order.key)
    corners = dict(settings.get("footprints", {})).get(order.key)
    return Outcome(
        files=((str(temporary), final),),
        data_hash=content,
        metrics={
            "fwhm_arcsec": 1.0,
            "n_inputs": len(order.inputs),
            "fallback_days": fallback.longest_days(fallbacks),
        },
        rejections=(gates,) if gates else (),
        warnings=(*dict(settings.get("warnings", {})).get(order.kind, ()), *map(str, fallbacks)),
        footprint=corners,
    )


class Unreadable:
    """Can be sent, and not received."""

    def __reduce__(self) -> tuple[object, ...]:
        return (int, ("no number",))


def unreadable_step(order: Order) -> Outcome:
    """Report something that the other side cannot read."""
    return Outcome(files=(), data_hash="", metrics={"x": Unreadable()})


def _misbehave(order: Order, how: str) -> None:  # noqa: PLR0912 - a list of ways
    if how == "quality":
        raise QualityError(order.key, found="3 stars", expected="8", do="look at it")
    if how == "fault":
        raise ZeroDivisionError("a defect in the code")
    if how == "disk":
        raise OSError("no space left on device")
    if how == "memory":
        raise MemoryError
    if how == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    if how == "segfault":
        os.kill(os.getpid(), signal.SIGSEGV)
    if how == "exit":
        os._exit(7)
    if how == "hang":
        time.sleep(3600)
    if how == "eat":
        hoard = []
        for _ in range(400):  # 20 MB at a time, 8 GB in all if nobody minds
            hoard.append(np.ones(20 * 2**17))
            time.sleep(0.01)
    if how.startswith("full once ") and not Path(how.removeprefix("full once ")).exists():
        Path(how.removeprefix("full once ")).touch()
        order.out("result").symlink_to("/dev/full")  # a device on which there is never any room
    if how.startswith("mark "):  # when it began and ended
        began = time.time()
        time.sleep(0.3)
        Path(how.removeprefix("mark ")).write_text(f"{began} {time.time()}")
    if how.startswith("kill once "):
        mark = Path(how.removeprefix("kill once "))
        if not mark.exists():
            mark.touch()
            os.kill(os.getpid(), signal.SIGKILL)


def _content(order: Order) -> str:
    digest = hashlib.sha256(f"{order.step} {order.key}".encode())
    for ref in sorted(order.inputs, key=lambda r: (r.kind, r.key)):
        if ref.role == "input":
            for file in ref.members or (ref,):
                digest.update(_bytes(file))
    return digest.hexdigest()


def _bytes(ref: InputRef) -> bytes:
    return Path(ref.path).read_bytes()


def served(ledger: Ledger) -> dict[tuple[str, str], str]:
    """The archive as it is served: (kind, key) -> data hash of every current product."""
    from tesela.ledger import schema

    table = schema.product
    with ledger.read() as conn:
        rows = conn.execute(table.select().where(table.c.is_current, table.c.kind != "calset"))
        return {(row.kind, row.key): row.data_hash for row in rows}
