"""Masters of full-size frames: wall time, processor time and memory against the number of frames.

    python benchmarks/combine_masters.py [--frames 10,20,40] [--camera t80cam] [--peer 10] [--write]

Writes raw frames of random numbers and the masters that they need into a temporary folder ($TMPDIR;
0.36 GB for each bias with its flat, 2 GB for the masters). Then it does, in a process of its own
for each, what a worker does for a bias and a flat of the first n frames: read from the disk the
predecessor and the reference, for a flat also bias, dark, linearity and bad pixels; build; draw the
pages; write all. `--peer` frames are combined by ccdproc as well, which here neither levels nor
judges them. With --write the table goes to docs/benchmarks.md, between the marks `combine`.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import platform
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import fitsio
import numpy as np
import pages
from numpy.typing import NDArray
from pages import Result

from tesela import cameras
from tesela.cameras import Camera
from tesela.products import rawfile
from tesela.products.files import Card
from tesela.products.frame import FrameFacts
from tesela.products.images import Master
from tesela.products.maskbit import MaskBit
from tesela.simulate import structure
from tesela.simulate.settings import NightSettings
from tesela.stages import masters

Floats = NDArray[np.float32]
_LEVEL_ADU, _LIGHT_ADU, _NOISE_ADU, _EXPTIME_S = 1200.0, 20000.0, 3.6, 5.0
_HOT = 1e-4
"""Fraction of pixels that are bad."""
_NEEDED = {"bias": (), "flat": ("BIAS", "DARK", "LINEARITY", "BADPIXEL")}
"""Masters that the frames need first."""
_PEER = "ccdproc"
_PARTS = ("masters read in", "built in", "pages in", "written in")


def main() -> None:
    """Measure, print, and write if asked to."""
    options = _options()
    if options.child:
        print(json.dumps(_child(options)))
        return
    with tempfile.TemporaryDirectory(prefix="tesela-combine-") as folder:
        text = pages.table(measure(Path(folder), options))
    print(text)
    if options.write:
        pages.write("combine", text)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--frames", default="10,20,40")
    parser.add_argument("--camera", default="t80cam")
    parser.add_argument("--peer", type=int, default=10)
    parser.add_argument("--write", action="store_true")
    parser.add_argument("--child", default="", help=argparse.SUPPRESS)
    parser.add_argument("--folder", default="", help=argparse.SUPPRESS)
    return parser.parse_args()


def measure(folder: Path, options: argparse.Namespace) -> Iterator[Result]:
    """Yield the results one after the other."""
    numbers = [int(n) for n in options.frames.split(",")]
    camera = cameras.load(options.camera)
    _say(f"write {max(numbers)} biases and flats of {camera.raw_nx} x {camera.raw_ny}")
    write(folder, max(numbers), camera)
    write_masters(folder, camera)
    size = f"{camera.raw_nx} x {camera.raw_ny} raw"
    yield Result("machine", f"{os.cpu_count()} cores", f"{platform.machine()}, {size} frames")
    for kind in ("bias", "flat"):
        seconds = []
        for n in numbers:
            _say(f"{kind} of {n}")
            cost = _run(kind, n, folder, options)
            parts = ", ".join(f"{part} {cost[part]:.1f} s" for part in _PARTS)
            note = f"{_note(cost)}, {cost['built_gib']:.2f} GiB when built; {parts}"
            _say(f"{cost['wall']:.1f} s, {note}")
            seconds.append(cost["wall"])
            yield Result(f"master {kind} of {n} frames", f"{cost['wall']:.1f} s", note)
        if len(numbers) > 1:
            yield _line(kind, numbers, seconds)
    if options.peer and importlib.util.find_spec(_PEER):
        n = min(options.peer, max(numbers))
        for kind in ("bias", "flat"):
            _say(f"{kind} of {n}, {_PEER}")
            cost = _run(f"{_PEER}-{kind}", n, folder, options)
            _say(f"{cost['wall']:.1f} s, {_note(cost)}")
            note = f"{_note(cost)}; mean within 3 sigma of the raw frames alone, limit 2 GB"
            yield Result(f"{_PEER}.combine, {n} frames ({kind})", f"{cost['wall']:.1f} s", note)
    elif options.peer:
        yield Result(f"{_PEER}.combine", "-", f"not installed: pip install {_PEER}")


def _line(kind: str, numbers: list[int], seconds: list[float]) -> Result:
    slope, start = np.polyfit(numbers, seconds, 1)
    off = np.max(np.abs(np.polyval([slope, start], numbers) / seconds - 1))
    note = f"{start:+.1f} s; largest deviation from the line {100 * off:.0f} %"
    return Result(f"master {kind}, seconds a frame", f"{slope:.2f} s", note)


def _note(cost: dict[str, float]) -> str:
    return f"processor {cost['cpu']:.0f} s, memory {cost['rss_gib']:.2f} GiB at most"


def write(folder: Path, n: int, camera: Camera) -> None:
    """Frames of noise that is drawn once and moved about, on the bias; flats are lit unevenly."""
    rng = np.random.default_rng(1)
    shape = camera.raw_ny, camera.raw_nx
    noise = rng.standard_normal(shape, dtype=np.float32)
    dark = np.full(shape, _LEVEL_ADU, np.float32)
    light = np.zeros(shape, np.float32)
    for raw, image in ((dark, _bias(camera)), (light, _LIGHT_ADU * _response(camera))):
        for amp in camera.amplifiers:
            raw[amp.data.slices] += image[amp.dest.slices]
    width = np.sqrt(_NOISE_ADU**2 + light)
    for i in range(n):
        moved = np.roll(noise, tuple(rng.integers(0, shape)), axis=(0, 1))
        _write(folder / f"bias{i:02d}.fits", dark + np.float32(_NOISE_ADU) * moved)
        moved = np.roll(noise, tuple(rng.integers(0, shape)), axis=(0, 1))
        _write(folder / f"flat{i:02d}.fits", dark + light + width * moved)


def _bias(camera: Camera) -> Floats:
    """Structure of a bias, ADU: glows and columns of a simulated detector."""
    return structure.bias_image(NightSettings(camera=camera.name))


def _response(camera: Camera) -> Floats:
    """Vignetting, median about 1."""
    y, x = (np.linspace(-0.5, 0.5, n, dtype=np.float32) for n in camera.shape)
    return (1 - np.float32(0.2) * (y * y - 0.08))[:, None] - np.float32(0.2) * (x * x - 0.08)


def write_masters(folder: Path, camera: Camera) -> None:
    """What the worker reads: one after the other, so that a few planes are in memory."""
    for name, master in _masters(camera):
        master.write(folder / f"{name}.fits")


def _masters(camera: Camera) -> Iterator[tuple[str, Master]]:
    """By name: those that frames need, and two of each kind to be compared with."""
    rng = np.random.default_rng(2)
    none, no_mask = np.empty((0, 0), np.float32), np.empty((0, 0), np.uint8)
    bad = np.where(rng.random(camera.shape, np.float32) < _HOT, np.uint8(MaskBit.BAD), np.uint8(0))
    noise_adu = _NOISE_ADU / np.sqrt(20)
    for name in ("BIAS", "bias-previous", "bias-reference"):
        image = _bias(camera) + np.float32(noise_adu) * _noise(rng, camera)
        yield name, Master("BIAS", image, bad, _cards("BIAS", noise_adu))
    dark = np.float32(0.001) + np.float32(1e-4) * _noise(rng, camera)
    yield "DARK", Master("DARK", dark, bad, _cards("DARK", 1e-4))
    curve = np.tile([0.005, 0.001], (len(camera.amplifiers), 1))
    arrays = {"coefficients": curve, "pivot_adu": np.array([60000.0])}
    yield "LINEARITY", Master("LINEARITY", none, no_mask, _cards("LINEARITY", 0.0), arrays)
    yield "BADPIXEL", Master("BADPIXEL", none, bad, _cards("BADPIXEL", 0.0))
    for name in ("flat-previous", "flat-reference"):
        image = _response(camera) * (1 + np.float32(0.0017) * _noise(rng, camera))
        yield name, Master("FLAT", image, bad, _cards("FLAT", 0.0017))


def _noise(rng: np.random.Generator, camera: Camera) -> Floats:
    return rng.standard_normal(camera.shape, dtype=np.float32)


def _cards(kind: str, noise: float) -> list[Card]:
    return [
        ("MSTKIND", kind, ""), ("FILTER", "rSDSS", ""), ("NCOMBINE", 20, ""),
        ("MSTNOISE", noise, ""), ("NBAD", 0, ""),
    ]  # fmt: skip


def _write(path: Path, frame: NDArray[np.float32]) -> None:
    with fitsio.FITS(str(path), "rw") as file:
        file.write(np.rint(frame, out=frame).astype(np.uint16), header={"BUNIT": "adu"})
        file[-1].write_checksum()


def _run(what: str, n: int, folder: Path, options: argparse.Namespace) -> dict[str, float]:
    command = [
        sys.executable, __file__, "--child", what, "--frames", str(n), "--folder", str(folder),
        "--camera", options.camera,
    ]  # fmt: skip
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    cost: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return cost


def _child(options: argparse.Namespace) -> dict[str, float]:
    """Build one master here and tell what it cost. Kernels are loaded on a small camera first."""
    *peer, kind = options.child.split("-")
    paths = sorted(Path(options.folder).glob(f"{kind}[0-9]*.fits"))[: int(options.frames)]
    camera = cameras.load(options.camera)
    if not peer:
        _warm(kind)
    wall, cpu, parts = time.perf_counter(), time.process_time(), {}
    if peer:
        _theirs(paths, Path(options.folder) / "combined.fits")
    else:
        parts = _ours(kind, paths, camera)
    return {
        **parts,
        "wall": time.perf_counter() - wall,
        "cpu": time.process_time() - cpu,
        "rss_gib": _peak_gib(),
    }


def _ours(kind: str, paths: list[Path], camera: Camera) -> dict[str, float]:
    """As the flow's `run_master`; seconds of each part."""
    folder, started = paths[0].parent, [time.perf_counter()]
    with ExitStack() as stack:
        wanted = (*_NEEDED[kind], f"{kind}-previous", f"{kind}-reference")
        others = {name: Master.read(folder / f"{name}.fits") for name in wanted}
        opened = [stack.enter_context(rawfile.open_rows(path)) for path in paths]
        headers = [rows.header for rows in opened]
        started.append(time.perf_counter())
        inputs = _inputs(kind, camera, headers, opened, others)
        made = _build(kind, inputs)
        assert made.metrics["n_combined"] == len(paths), made.rejected
        started.append(time.perf_counter())
        built_gib = _peak_gib()
        about = _about(kind, inputs, made)
    started.append(time.perf_counter())
    made.master.write(folder / f"master-{kind}-{len(paths)}.fits")
    made.master.data_hash()
    for name, content in about.pages.items():
        (folder / f"page-{name}").write_bytes(content)
    started.append(time.perf_counter())
    return {"built_gib": built_gib, **dict(zip(_PARTS, np.diff(started).tolist()))}


def _peak_gib() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


def _inputs(
    kind: str,
    camera: Camera,
    headers: list[dict[str, Any]],
    rows: Any,
    others: dict[str, Master],
) -> masters.RawInputs:
    return masters.RawInputs(
        f"{kind.upper()}.{camera.telescope}.{camera.name}.01.rSDSS_-.SLOW.20170703",
        camera,
        masters={name: others[name] for name in _NEEDED[kind]},
        previous=others[f"{kind}-previous"],
        reference=others[f"{kind}-reference"],
        facts=[_facts(f"{kind}{i}", kind, camera) for i in range(len(rows))],
        headers=headers,
        pixels=rows,
    )


def _build(kind: str, inputs: masters.RawInputs) -> masters.MasterOutputs:
    settings = masters.MastersSettings()
    if kind == "bias":
        return masters.build_bias(inputs, settings.bias)
    return masters.build_flat(inputs, settings.flat)


def _about(kind: str, inputs: masters.RawInputs, made: masters.MasterOutputs) -> masters.About:
    settings = masters.MastersSettings()
    own = settings.bias if kind == "bias" else settings.flat
    return masters.about(inputs, made, own, settings.stability)


def _warm(kind: str) -> None:
    camera = cameras.load("mini80")
    rng = np.random.default_rng(1)
    image = _bias(camera) + (0 if kind == "bias" else _LIGHT_ADU * _response(camera))
    frames = []
    for _ in range(3):
        frame = rng.normal(_LEVEL_ADU, _NOISE_ADU, (camera.raw_ny, camera.raw_nx))
        for amp in camera.amplifiers:
            frame[amp.data.slices] += image[amp.dest.slices]
        frames.append(np.rint(frame).astype(np.uint16))
    inputs = _inputs(kind, camera, [{}] * 3, frames, dict(_masters(camera)))
    _about(kind, inputs, _build(kind, inputs))


def _theirs(paths: list[Path], output: Path) -> None:
    import ccdproc

    ccdproc.combine(
        [str(path) for path in paths],
        output_file=str(output),
        overwrite_output=True,
        method="average",
        unit="adu",
        sigma_clip=True,
        sigma_clip_low_thresh=3,
        sigma_clip_high_thresh=3,
        mem_limit=2e9,
        dtype=np.float32,
    )


def _facts(name: str, kind: str, camera: Camera) -> FrameFacts:
    return FrameFacts(
        name, "", "", "", camera.telescope, camera.name, "01", "rSDSS", "-", kind, "", "-", 57937.9,
        0.0 if kind == "bias" else _EXPTIME_S, None, None, None, "", "", "2017-07-03", camera.nx,
        camera.ny, None,
    )  # fmt: skip


def _say(what: str) -> None:
    print(f"... {what}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
