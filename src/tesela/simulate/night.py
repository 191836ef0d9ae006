"""Make whole simulated nights: raw frames, reference catalogue, truth.

Cost, measured on one core: 1.4 s a science frame of the demonstration camera and 0.1 s a flat or
bias, so two minutes for the whole demonstration (140 frames), shared by the workers. A full
T80Cam science frame with 42 000 objects takes 40 s and 4.3 GB, or 5 GB with all that `campaign`
turns on. The 189 frames of the campaign for masters take two minutes on two cores.
"""

from __future__ import annotations

import itertools
import json
import multiprocessing
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path

import galsim
import numpy as np
import pyarrow.parquet as pq

from tesela import config
from tesela.bands import filters
from tesela.simulate import detector, frames, injections, reference, schedule, truth
from tesela.simulate import universe as universe_of
from tesela.simulate.exposure import Exposure
from tesela.simulate.light import true_curve, zeropoint_mag
from tesela.simulate.settings import (
    NightSettings,
    bands_of,
    campaign_of,
    of_camera,
    one_a_ccd,
    tile_centres,
    tile_size_arcsec,
)
from tesela.simulate.universe import Universe

Progress = Callable[[int, int, str], None]


def make(
    out_dir: Path,
    settings: NightSettings | Sequence[NightSettings] | None = None,
    *,
    truth_dir: Path | None = None,
    progress: Progress | None = None,
    workers: int = 1,
) -> list[Path]:
    """Simulate a night, or the nights of a campaign, into a folder.

    Writes ``raw/<frame>.fits``, ``refcat.parquet`` and the truth: ``objects.parquet``,
    ``<frame>.npz`` a science frame, ``camera.npz`` (of many CCDs ``camera-<CCD>.npz``),
    ``reference.json``, ``night.json``, and ``injected.parquet`` if there are such stars. The same
    settings give the same bytes, whatever the number of workers.

    Parameters
    ----------
    out_dir : Path
        Made if missing; files in it are replaced.
    settings : NightSettings, or a sequence of them; optional
        Default: the demonstration night.
    truth_dir : Path, optional
        Where the truth is written; default: ``truth`` in `out_dir`.
    progress : callable, optional
        Called with (frames done, frames in all, name of the frame).
    workers : int
        Processes.

    Returns
    -------
    list of Path
        The raw frames in order of time.
    """
    nights = campaign_of(NightSettings() if settings is None else settings)
    raw = Path(out_dir) / "raw"
    truths = Path(truth_dir) if truth_dir is not None else Path(out_dir) / "truth"
    for folder in (raw, truths):
        folder.mkdir(parents=True, exist_ok=True)
    units = [unit for night in nights for unit in one_a_ccd(night)]
    plans = [schedule.plan(unit) for unit in units]
    sky = universe_of.make(nights)
    stated = reference.write(Path(out_dir) / "refcat.parquet", nights[0], sky)
    _write_truth(truths, nights, units, plans, sky, stated)
    jobs = [(i, batch) for i, exposures in enumerate(plans) for batch in _by_band(exposures)]
    names = [frame.name for frame in sorted(itertools.chain(*plans), key=lambda f: (f.mjd, f.name))]
    done: dict[str, Path] = {}
    for batch in _run(jobs, _Shared(tuple(units), sky, raw, truths), workers):
        for path in batch:
            done[path.stem] = path
            if progress is not None:
                progress(len(done), len(names), path.stem)
    return [done[name] for name in names]


def _by_band(exposures: list[Exposure]) -> list[list[Exposure]]:
    """Small batches of one band each: a worker makes the response of a band once for several."""
    batches: list[list[Exposure]] = []
    bands = sorted({exposure.band for exposure in exposures})
    for band in bands:
        frames_of = [exposure for exposure in exposures if exposure.band == band]
        batches += [frames_of[i : i + 6] for i in range(0, len(frames_of), 6)]
    return batches


@dataclass(frozen=True)
class _Shared:
    """What each worker needs once."""

    units: tuple[NightSettings, ...]
    """Of each night, or of each of its CCDs."""
    sky: Universe
    raw: Path
    truths: Path


_worker: dict[str, _Shared] = {}


def _run(
    jobs: list[tuple[int, list[Exposure]]], shared: _Shared, workers: int
) -> Iterator[list[Path]]:
    """Yield the paths of each batch, as they are done."""
    if workers <= 1:
        _start(shared)
        yield from map(_make_batch, jobs)
        return
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(
        workers, mp_context=context, initializer=_start, initargs=(shared,)
    ) as pool:
        yield from pool.map(_make_batch, jobs)


def _start(shared: _Shared) -> None:
    galsim.set_omp_threads(1)  # one frame a core
    _worker["shared"] = shared


def _make_batch(job: tuple[int, list[Exposure]]) -> list[Path]:
    (i, batch), shared = job, _worker["shared"]
    settings = shared.units[i]
    return [frames.make(e, settings, shared.sky, shared.raw, shared.truths) for e in batch]


def _write_truth(
    folder: Path,
    nights: tuple[NightSettings, ...],
    units: list[NightSettings],
    plans: list[list[Exposure]],
    sky: Universe,
    stated: dict[str, object],
) -> None:
    pq.write_table(sky.table(), folder / "objects.parquet")
    truth.write_json(folder / "reference.json", stated)
    truth.write_json(folder / "night.json", _night(nights, units, plans))
    injecting = [night for night in nights if night.injected_stars]
    if injecting:
        injections.stars(injecting[0]).write(folder / "injected.parquet")
    for unit in one_a_ccd(nights[0]):
        _write_camera(folder / (f"camera-{unit.ccd}.npz" if unit.ccd else "camera.npz"), unit)


def _write_camera(path: Path, settings: NightSettings) -> None:
    unit = detector.build(of_camera(settings))
    np.savez_compressed(
        path,
        gain=unit.gain,
        header_gain=unit.header_gain,
        readnoise_e=unit.readnoise_e,
        bias_adu=unit.bias_adu,
        crosstalk=unit.crosstalk,
        nonlinearity=unit.nonlinearity,
        hot_y=unit.hot_y,
        hot_x=unit.hot_x,
        hot_e_per_s=unit.hot_e_per_s,
        cold_y=unit.cold_y,
        cold_x=unit.cold_x,
        cold_response=unit.cold_response,
        bad_columns=np.array([(c.x, c.y0, c.y1, c.response, c.charge_e) for c in unit.bad_columns]),
    )


def _night(
    nights: tuple[NightSettings, ...], units: list[NightSettings], plans: list[list[Exposure]]
) -> dict[str, object]:
    """What was asked for, and the frames of each night; `settings` are those of the first."""
    settings = max(nights, key=lambda night: night.tiles)
    return {
        "settings": asdict(nights[0]),
        "nights": [
            {
                "settings": asdict(night),
                "frames": [
                    _frame(exposure)
                    for unit, plan in zip(units, plans)
                    if unit.date == night.date
                    for exposure in plan
                ],
            }
            for night in nights
        ],
        "tile_size_arcsec": tile_size_arcsec(settings),
        "tiles": [
            {"name": name, "ra_deg": ra, "dec_deg": dec} for name, ra, dec in tile_centres(settings)
        ],
        "bands": {
            name: {
                "zeropoint_mag": zeropoint_mag(true_curve(settings, name)),
                "curve_shift_A": true_curve(settings, name).pivot_A - filters.load(name).pivot_A,
            }
            for name in bands_of(nights)
        },
    }


def _frame(exposure: Exposure) -> dict[str, object]:
    return {
        "name": exposure.name,
        "kind": exposure.kind,
        "object": exposure.object,
        "band": exposure.band,
        "mjd": exposure.mjd,
        "exptime_s": exposure.exptime_s,
        "stated_exptime_s": exposure.stated_exptime_s,
        "is_displaced": exposure.is_displaced,
    }


def read_settings(truth_dir: Path) -> tuple[NightSettings, ...]:
    """The settings of the nights whose truth is in a folder, in order of time."""
    content = json.loads((truth_dir / "night.json").read_text(encoding="utf-8"))
    return tuple(
        config.build(NightSettings, night["settings"], "night.json") for night in content["nights"]
    )
