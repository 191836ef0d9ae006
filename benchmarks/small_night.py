"""A small simulated night: what each step costs, and cosmic rays beside astroscrappy."""

from __future__ import annotations

import contextlib
import importlib.util
import io
import sqlite3
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pages import Result

from tesela.cli import ingest, init, refcat, run, simulate
from tesela.pixels import cosmics
from tesela.products.images import ReducedImage, card_dict
from tesela.products.maskbit import MaskBit
from tesela.score import contaminants
from tesela.simulate.truth import FrameTruth, read_frame

_REPEATS = 3


def make(folder: Path) -> Path:
    """Simulate a band of one tile and process it; returns the site."""
    night, site = folder / "night", folder / "site"
    with contextlib.redirect_stdout(io.StringIO()):
        simulate.simulate(
            night, camera="mini80", bands="rSDSS", seed=1, date="2017-07-03", tiles=1, dithers=3,
            biases=5, flats=5, density=1.0, workers=1, as_json=True,
        )  # fmt: skip
        init.init(site, night / "survey.toml", as_json=True)
        refcat.add("simulated", night / "refcat.parquet", site, as_json=True)
        ingest.ingest([night / "raw"], site, as_json=True)
        run.run(site, 1, as_json=True, dry_run=False)
    return site


def steps(site: Path) -> Iterator[Result]:
    """Seconds and memory of one task of each step, on one core."""
    query = """
        SELECT step.name, min(attempt.seconds), count(*), max(attempt.peak_memory_mb)
        FROM attempt JOIN task ON task.id = attempt.task_id JOIN step ON step.name = task.step
        WHERE attempt.outcome = 'done' GROUP BY step.name ORDER BY min(task.id)
    """
    with contextlib.closing(sqlite3.connect(site / "ledger.sqlite")) as ledger:
        for name, seconds, number, memory in ledger.execute(query):
            note = f"quickest of {number}, 1.33 Mpix a frame; worker at most {memory:.0f} MB"
            yield Result(f"step `{name}`", f"{seconds:.2f} s", note)


def cosmic_rays(site: Path) -> Iterator[Result]:
    """Recall, false pixels and time on the frames of that night, ours and the peer's."""
    frames = [_Frame(path, site.parent) for path in sorted(site.glob("products/reduced/*/*.fits"))]
    yield from _judge("cosmic rays, tesela", frames, _ours)
    if importlib.util.find_spec("astroscrappy") is None:
        yield Result("cosmic rays, astroscrappy", "-", "not installed: pip install astroscrappy")
        return
    yield from _judge("cosmic rays, astroscrappy", frames, _peer)


class _Frame:
    """A reduced frame with its truth, and without the masks that are to be found."""

    def __init__(self, path: Path, folder: Path) -> None:
        reduced = ReducedImage.read(path)
        cards = card_dict(reduced.cards)
        self.image, self.variance = reduced.image, reduced.variance
        self.known = reduced.mask & np.uint8(MaskBit.BAD | MaskBit.SATURATED)
        self.sky_e, self.readnoise_e = float(cards["SKYLEVEL"]), float(cards["RDNOISE"])
        scale = 3600 * float(np.hypot(cards["CD1_1"], cards["CD2_1"]))
        self.fwhm_px = float(cards["FWHM"]) / scale
        self.truth: FrameTruth = read_frame(folder / "night" / "truth" / f"{cards['FRAME']}.npz")


def _ours(frame: _Frame) -> NDArray[np.bool_]:
    return cosmics.find(
        frame.image, frame.readnoise_e, frame.known > 0, sky=frame.sky_e, fwhm_px=frame.fwhm_px
    )


def _peer(frame: _Frame) -> NDArray[np.bool_]:
    import astroscrappy

    found, _ = astroscrappy.detect_cosmics(
        frame.image, inmask=frame.known > 0, inbkg=np.full_like(frame.image, 0),
        invar=frame.variance, gain=1.0, readnoise=frame.readnoise_e, sigclip=4.5, sigfrac=0.3,
        objlim=5.0,
    )  # fmt: skip
    return np.asarray(found, bool)


def _judge(
    what: str, frames: list[_Frame], find: Callable[[_Frame], NDArray[np.bool_]]
) -> Iterator[Result]:
    find(frames[0])  # compiled or loaded
    true = found = false = 0
    megapixels = seconds = 0.0
    for frame in frames:
        times = []
        for _ in range(_REPEATS):
            started = time.perf_counter()
            hits = find(frame)
            times.append(time.perf_counter() - started)
        seconds += min(times)
        mask = frame.known | np.where(hits, np.uint8(MaskBit.COSMIC_RAY), np.uint8(0))
        counted = contaminants.count(mask, frame.variance, frame.truth)
        true, found = true + counted.cosmic_true, found + counted.cosmic_found
        false, megapixels = false + counted.cosmic_false, megapixels + frame.image.size / 1e6
    note = (
        f"of {true} pixels above 5 sigma; {false / megapixels:.0f} false a Mpix; "
        f"{seconds / megapixels:.2f} s a Mpix"
    )
    yield Result(what, f"{100 * found / max(true, 1):.1f} %", note)
