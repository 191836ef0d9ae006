"""Make a whole simulated night: raw frames, reference catalogue, truth.

Cost, measured on one core: 1.4 s a science frame of the demonstration camera and 0.1 s a flat or
bias, so two minutes for the whole demonstration (140 frames), shared by the workers. A full
T80Cam science frame with 42 000 objects takes 40 s and 4.3 GB.
"""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict
from pathlib import Path

import galsim
import numpy as np
import pyarrow.parquet as pq

from tesela.bands import filters
from tesela.simulate import detector, frames, reference, schedule, truth
from tesela.simulate import universe as universe_of
from tesela.simulate.light import true_curve, zeropoint_mag
from tesela.simulate.schedule import Exposure
from tesela.simulate.settings import NightSettings, tile_centres, tile_size_arcsec
from tesela.simulate.universe import Universe

Progress = Callable[[int, int, str], None]
_shared: dict[str, object] = {}


def make(
    out_dir: Path,
    settings: NightSettings | None = None,
    *,
    progress: Progress | None = None,
    workers: int = 1,
) -> list[Path]:
    """Simulate a night into a folder.

    Writes ``raw/<frame>.fits``, ``refcat.parquet`` and ``truth/``: ``objects.parquet``,
    ``<frame>.npz`` a science frame, ``camera.npz``, ``reference.json``, ``night.json``. The same
    settings give the same bytes, whatever the number of workers.

    Parameters
    ----------
    out_dir : Path
        Made if missing; files in it are replaced.
    settings : NightSettings, optional
        Default: the demonstration night.
    progress : callable, optional
        Called with (frames done, frames in all, name of the frame).
    workers : int
        Processes.

    Returns
    -------
    list of Path
        The raw frames in order of time.
    """
    settings = settings or NightSettings()
    out_dir = Path(out_dir)
    for folder in ("raw", "truth"):
        (out_dir / folder).mkdir(parents=True, exist_ok=True)
    exposures = schedule.plan(settings)
    sky = universe_of.make(settings)
    _write_truth(out_dir, settings, sky)
    jobs = _by_band(exposures)
    done: dict[str, Path] = {}
    for batch in _run(jobs, settings, sky, out_dir, workers):
        for path in batch:
            done[path.stem] = path
            if progress is not None:
                progress(len(done), len(exposures), path.stem)
    return [done[exposure.name] for exposure in exposures]


def _by_band(exposures: list[Exposure]) -> list[list[Exposure]]:
    """Small batches of one band each: a worker makes the response of a band once for several."""
    batches: list[list[Exposure]] = []
    bands = sorted({exposure.band for exposure in exposures})
    for band in bands:
        frames_of = [exposure for exposure in exposures if exposure.band == band]
        batches += [frames_of[i : i + 6] for i in range(0, len(frames_of), 6)]
    return batches


def _run(
    jobs: list[list[Exposure]], settings: NightSettings, sky: Universe, out_dir: Path, workers: int
) -> Iterator[list[Path]]:
    """Yield the paths of each batch, as they are done."""
    if workers <= 1:
        _start(settings, sky, out_dir)
        yield from map(_make_batch, jobs)
        return
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(
        workers, mp_context=context, initializer=_start, initargs=(settings, sky, out_dir)
    ) as pool:
        yield from pool.map(_make_batch, jobs)


def _start(settings: NightSettings, sky: Universe, out_dir: Path) -> None:
    galsim.set_omp_threads(1)  # one frame a core
    _shared.update(settings=settings, sky=sky, out_dir=out_dir)


def _make_batch(batch: list[Exposure]) -> list[Path]:
    settings, sky, out_dir = _shared["settings"], _shared["sky"], _shared["out_dir"]
    return [frames.make(e, settings, sky, out_dir) for e in batch]  # type: ignore[arg-type]


def _write_truth(out_dir: Path, settings: NightSettings, sky: Universe) -> None:
    folder = out_dir / "truth"
    pq.write_table(sky.table(), folder / "objects.parquet")
    stated = reference.write(out_dir / "refcat.parquet", settings, sky)
    truth.write_json(folder / "reference.json", stated)
    truth.write_json(
        folder / "night.json",
        {
            "settings": asdict(settings),
            "tile_size_arcsec": tile_size_arcsec(settings),
            "tiles": [
                {"name": name, "ra_deg": ra, "dec_deg": dec}
                for name, ra, dec in tile_centres(settings)
            ],
            "bands": {
                name: {
                    "zeropoint_mag": zeropoint_mag(true_curve(settings, name)),
                    "curve_shift_A": true_curve(settings, name).pivot_A
                    - filters.load(name).pivot_A,
                }
                for name in settings.band_names
            },
        },
    )
    unit = detector.build(settings)
    np.savez_compressed(
        folder / "camera.npz",
        gain=unit.gain,
        header_gain=unit.header_gain,
        readnoise_e=unit.readnoise_e,
        bias_adu=unit.bias_adu,
        crosstalk=unit.crosstalk,
        hot_y=unit.hot_y,
        hot_x=unit.hot_x,
        hot_e_per_s=unit.hot_e_per_s,
        bad_columns=np.array([(c.x, c.y0, c.y1, c.response, c.charge_e) for c in unit.bad_columns]),
    )
