"""Masters of full-size frames: wall time, processor time and memory against the number of frames.

    python benchmarks/combine_masters.py [--frames 10,20,40] [--camera t80cam] [--peer 10] [--write]

Writes raw frames of random numbers into a temporary folder ($TMPDIR; 0.36 GB for each bias with its
flat) and builds a bias and a flat of the first n of them, each in a process of its own. `--peer`
frames are combined by ccdproc as well, which here neither levels nor judges them. With --write the
table goes to docs/benchmarks.md, between the marks `combine`.
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
from tesela.products.frame import FrameFacts
from tesela.products.images import Master
from tesela.stages import masters

_LEVEL_ADU, _LIGHT_ADU = 1200.0, 20000.0
_PEER = "ccdproc"


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
    size = f"{camera.raw_nx} x {camera.raw_ny} raw"
    yield Result("machine", f"{os.cpu_count()} cores", f"{platform.machine()}, {size} frames")
    for kind in ("bias", "flat"):
        seconds = []
        for n in numbers:
            _say(f"{kind} of {n}")
            cost = _run(kind, n, folder, options)
            _say(f"{cost['wall']:.1f} s, {_note(cost)}")
            seconds.append(cost["wall"])
            yield Result(f"master {kind} of {n} frames", f"{cost['wall']:.1f} s", _note(cost))
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
    """Frames of noise that is drawn once and moved about; flats are lit unevenly."""
    rng = np.random.default_rng(1)
    shape = camera.raw_ny, camera.raw_nx
    noise = rng.standard_normal(shape, dtype=np.float32)
    light = np.zeros(shape, np.float32)
    for amp in camera.amplifiers:
        y, x = np.ogrid[amp.dest.y0 : amp.dest.y1, amp.dest.x0 : amp.dest.x1]
        r2 = (x / camera.nx - 0.5) ** 2 + (y / camera.ny - 0.5) ** 2
        light[amp.data.slices] = _LIGHT_ADU * (1 - 0.2 * r2)
    width = np.sqrt(13.0 + light)
    for i in range(n):
        moved = np.roll(noise, tuple(rng.integers(0, shape)), axis=(0, 1))
        _write(folder / f"bias{i:02d}.fits", _LEVEL_ADU + 3.6 * moved)
        moved = np.roll(noise, tuple(rng.integers(0, shape)), axis=(0, 1))
        _write(folder / f"flat{i:02d}.fits", _LEVEL_ADU + light + width * moved)


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
    paths = sorted(Path(options.folder).glob(f"{kind}*.fits"))[: int(options.frames)]
    camera = cameras.load(options.camera)
    if not peer:
        _warm(kind)
    wall, cpu = time.perf_counter(), time.process_time()
    if peer:
        _theirs(paths, Path(options.folder) / "combined.fits")
    else:
        _ours(kind, paths, camera)
    return {
        "wall": time.perf_counter() - wall,
        "cpu": time.process_time() - cpu,
        "rss_gib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20,
    }


def _ours(kind: str, paths: list[Path], camera: Camera) -> None:
    with ExitStack() as stack:
        opened = [stack.enter_context(rawfile.open_rows(path)) for path in paths]
        headers = [rows.header for rows in opened]
        made = _build(kind, camera, headers, opened)
        assert made.metrics["n_combined"] == len(paths), made.rejected
        made.master.write(paths[0].parent / f"master-{kind}-{len(paths)}.fits")


def _build(kind: str, camera: Camera, headers: list[dict[str, Any]], rows: Any) -> Any:
    facts = [_facts(f"{kind}{i}", kind, camera) for i in range(len(rows))]
    settings = masters.MastersSettings()
    inputs = masters.RawInputs(
        f"{kind.upper()}.benchmark", camera, facts=facts, headers=headers, pixels=rows
    )
    if kind == "bias":
        return masters.build_bias(inputs, settings.bias)
    image = np.zeros(camera.shape, np.float32)
    inputs.masters = {"BIAS": Master("BIAS", image, np.zeros(camera.shape, np.uint8))}
    return masters.build_flat(inputs, settings.flat)


def _warm(kind: str) -> None:
    camera = cameras.load("mini80")
    rng = np.random.default_rng(1)
    level = _LEVEL_ADU if kind == "bias" else _LEVEL_ADU + _LIGHT_ADU
    frames = []
    for _ in range(3):
        frame = rng.normal(_LEVEL_ADU, 3.6, (camera.raw_ny, camera.raw_nx))
        for amp in camera.amplifiers:
            frame[amp.data.slices] += level - _LEVEL_ADU
        frames.append(np.rint(frame).astype(np.uint16))
    _build(kind, camera, [{}] * 3, frames)


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
        0.0 if kind == "bias" else 5.0, None, None, None, "", "", "2017-07-03", camera.nx,
        camera.ny, None,
    )  # fmt: skip


def _say(what: str) -> None:
    print(f"... {what}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
