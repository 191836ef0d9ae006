"""One frame from raw file to everything written, beside the tools that do the same today.

    python benchmarks/frame.py [--parts 4,2,1] [--peers 1] [--folder F] [--write]

For each part n a camera of T80Cam's layout with 1/n of its pixels in each direction is simulated
(--folder keeps the nights for the next run), its masters are made, and the reduction of the science
frame is done twice by a worker's own function in a fresh process: the first time its kernels are
loaded and the calset read, the second time it is as in the middle of a night. Peers run on the same
frame, of part `--peers` (0: none): source-extractor with the columns of J-PLUS, scamp, psfex,
astroscrappy and ccdproc, each where it is installed. CPU is user and system time. With --write the
table goes to docs/benchmarks.md, between the marks `frame`.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import functools
import importlib
import io
import json
import pickle
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import frame_cut
import frame_peers
import pages
from pages import Result

from tesela.cli import ingest, init, refcat, simulate
from tesela.flow.run import worker
from tesela.flow.run.bodies import registry
from tesela.flow.run.controller import Controller
from tesela.flow.run.engines import LocalEngine, Run
from tesela.flow.run.site import open_site
from tesela.flow.run.steps import Order
from tesela.products import files, paths

T = TypeVar("T")
_DENSITY = 0.25  # of the simulator's sky: 29,000 detections in the r band of a full frame
_STAGES = {
    "tesela.products.rawfile": ("read",),
    "tesela.flow.run.calibrations": ("calset_of",),
    "tesela.stages.reduce.detector": ("remove_signature", "fill_bad_pixels", "measure_noise"),
    "tesela.stages.reduce.sky": ("find_objects", "subtract"),
    "tesela.stages.reduce.contaminants": ("mask_cosmics", "mask_trails"),
    "tesela.stages.reduce.measure": ("detect_sources", "model_psf", "fit_psf_fluxes"),
    "tesela.stages.reduce.astrometry": ("solve_frame",),
    "tesela.stages.reduce.photometry": ("calibrate",),
    "tesela.stages.reduce.recipe": ("assemble",),
    "tesela.flow.run.bodies": ("_written",),
}
"""Functions of the reduction that are timed, by module."""


def main() -> None:
    """Measure, print, and write if asked to."""
    options = _options()
    if options.child:
        print(json.dumps(_child(Path(options.child), options.threads)))
        return
    with tempfile.TemporaryDirectory(prefix="tesela-frame-") as temporary:
        folder = Path(options.folder or temporary)
        text = pages.table(measure(folder, [int(n) for n in options.parts.split(",")], options))
    print(text)
    if options.write:
        pages.write("frame", text)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--parts", default="4,2,1")
    parser.add_argument("--peers", type=int, default=1)
    parser.add_argument("--folder", default="")
    parser.add_argument("--write", action="store_true")
    parser.add_argument("--threads", type=int, default=1, help=argparse.SUPPRESS)
    parser.add_argument("--child", default="", help=argparse.SUPPRESS)
    return parser.parse_args()


def measure(folder: Path, parts: list[int], options: argparse.Namespace) -> Iterator[Result]:
    """Yield the results one after the other."""
    for part in parts:
        _say(f"part 1/{part} in each direction")
        order = prepare(folder, part)
        of_threads = {}
        for threads in (1, 2):
            of_threads[threads] = _run_child(order, threads)
        yield from _ours(part, of_threads)
        if part == options.peers:
            yield from frame_peers.results(order, of_threads[1], _say)


def _ours(part: int, of_threads: dict[int, dict[str, Any]]) -> Iterator[Result]:
    one, two = of_threads[1], of_threads[2]
    size = f"{one['nx']} x {one['ny']} px, {one['sources']} sources"
    yield Result(
        f"1/{part**2}: a frame", f"{one['cpu']:.1f} CPU s", f"{size}; {one['wall']:.1f} s wall"
    )
    yield Result(
        f"1/{part**2}: on two threads", f"{two['wall']:.1f} s wall", f"{two['cpu']:.1f} CPU s"
    )
    yield Result(
        f"1/{part**2}: memory", f"{max(one['peak_mb'], two['peak_mb']) / 1024:.2f} GiB", "peak"
    )
    yield Result(
        f"1/{part**2}: first frame of a worker",
        f"{one['first_cpu']:.1f} CPU s",
        "kernels loaded from their cache, masters read",
    )
    yield Result(
        f"1/{part**2}: start of a worker",
        f"{one['first_done'] - one['begun'] - one['wall']:.1f} s wall",
        "from the start of its process to its first frame done, less a frame: limit 10 s",
    )
    for name, (cpu, wall) in one["stages"].items():
        note = f"{wall:.2f} s wall; two threads {two['stages'][name][1]:.2f} s"
        yield Result(f"1/{part**2}: `{name}`", f"{cpu:.2f} CPU s", note)


class _Enough(Exception):
    """The order that was waited for is there."""


class _Taken(LocalEngine):
    """Makes the masters, and keeps the order of the reduction instead of doing it."""

    def __init__(self, place: Path) -> None:
        super().__init__(1)
        self.place = place

    def submit(self, run: Run, order: Order) -> Any:
        if order.step != "reduce":
            return super().submit(run, order)
        self.place.write_bytes(pickle.dumps((run, order)))
        raise _Enough


def prepare(folder: Path, part: int) -> Path:
    """A night of one science frame with its masters; returns the file of the order to reduce it."""
    place = folder / f"order-{part}.pickle"
    if place.is_file():
        return place
    night, site = folder / "night", folder / f"site-{part}"
    if not night.is_dir():
        _say("simulate a full frame")
        with contextlib.redirect_stdout(io.StringIO()):
            simulate.simulate(
                night, camera="t80cam", bands="rSDSS", seed=1, date="2017-07-03", tiles=1,
                dithers=1, biases=3, flats=3, density=_DENSITY, workers=2, as_json=True,
            )  # fmt: skip
    raw, survey = night / "raw", night / "survey.toml"
    if part > 1:
        full, amps = frame_cut.choose(part)
        raw, survey = folder / f"raw-{part}", folder / f"survey-{part}.toml"
        frame_cut.cut_frames(night / "raw", raw, full, amps)
        text = (night / "survey.toml").read_text(encoding="utf-8")
        survey.write_text(text.replace("t80cam", f"t80part{part}"), encoding="utf-8")
        own = paths.cameras_folder(folder)
        own.mkdir(exist_ok=True)
        toml = frame_cut.camera_toml(full, amps, f"t80part{part}")
        (own / f"t80part{part}.toml").write_text(toml, encoding="utf-8")
    _say("make its masters")
    with contextlib.redirect_stdout(io.StringIO()):
        init.init(site, survey, as_json=True)
        refcat.add("simulated", night / "refcat.parquet", site, as_json=True)
        ingest.ingest([raw], site, as_json=True)
    opened = open_site(site)
    steps = registry(opened.survey)
    controller = Controller(site, opened.ledger, opened.rules, steps, _Taken(place))
    with contextlib.suppress(_Enough):
        controller.run()
    return place


def _run_child(order: Path, threads: int) -> dict[str, Any]:
    command = [sys.executable, __file__, "--child", str(order), "--threads", str(threads)]
    begun = time.time()
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(done.stderr)
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found | {"begun": begun}


def _child(place: Path, threads: int) -> dict[str, Any]:
    """Reduce twice as a worker does, and tell what the second time cost."""
    run, order = pickle.loads(place.read_bytes())  # noqa: S301 - a file of our own
    order = dataclasses.replace(order, cores=threads)
    stages = _time_stages()
    found: dict[str, Any] = {}
    for name in ("first_", ""):
        stages.clear()
        shutil.rmtree(order.out_dir, ignore_errors=True)
        cpu, wall = _cpu(), time.perf_counter()
        report = worker.perform(run, order)
        if report.outcome is None:
            raise RuntimeError(report.log)
        found[f"{name}cpu"], found[f"{name}wall"] = _cpu() - cpu, time.perf_counter() - wall
        found[f"{name}done"] = time.time()
    found["peak_mb"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    found["sources"] = report.outcome.metrics["n_sources"]
    image = report.outcome.files[0][0]
    shape = files.image_shapes(Path(image))["IMAGE"]
    rest = [
        found[key] - sum(one[n] for one in stages.values()) for n, key in enumerate(("cpu", "wall"))
    ]
    return found | {
        "image": image, "ny": shape[0], "nx": shape[1],
        "stages": {**stages, "flush, checksum": rest},
    }  # fmt: skip


def _time_stages() -> dict[str, tuple[float, float]]:
    """Let the functions of the reduction say what they cost, (CPU s, wall s), by name."""
    stages: dict[str, tuple[float, float]] = {}
    for module_name, names in _STAGES.items():
        module = importlib.import_module(module_name)
        for name in names:
            setattr(module, name, _timed(getattr(module, name), name, stages))
    return stages


def _timed(
    function: Callable[..., T], name: str, stages: dict[str, tuple[float, float]]
) -> Callable[..., T]:
    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> T:
        cpu, wall = _cpu(), time.perf_counter()
        result = function(*args, **kwargs)
        before = stages.get(name, (0.0, 0.0))
        stages[name] = before[0] + _cpu() - cpu, before[1] + time.perf_counter() - wall
        return result

    return call


def _cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def _say(what: str) -> None:
    print(f"... {what}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
