"""From a frame that is closed to its numbers in the ledger: the quick look as an observer has it.

    python benchmarks/quicklook.py [--part 1] [--frames 4] [--folder F] [--write]

A night of one frame of T80Cam's layout is made as in `frame.py` (--part n cuts it to 1/n of its
pixels in each direction, --folder keeps it for the next run), with its masters. `tesela quicklook
--watch` runs on an empty folder, and frames are written into it piece by piece. Each differs from
the others by its time and one pixel. The numbers are compared with those of the full reduction of
the same frame. With --write the table goes to docs/benchmarks.md, between the marks `quicklook`.
"""

from __future__ import annotations

import argparse
import datetime as dt
import json
import os
import pickle
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import frame
import pages
from astropy.io import fits
from pages import Result

from tesela.flow.run import worker
from tesela.flow.run.site import open_site
from tesela.ledger import products

_PIECES = 16
_WRITE_S = 2.0
_COMPARED = (
    ("fwhm_arcsec", "seeing", "arcsec", 4),
    ("ellipticity", "ellipticity", "", 4),
    ("sky_e", "sky", "e-", 1),
    ("zeropoint_mag", "zero point", "mag", 4),
)


def main() -> None:
    """Measure, print, and write if asked to."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--part", type=int, default=1)
    parser.add_argument("--frames", type=int, default=4)
    parser.add_argument("--folder", default="")
    parser.add_argument("--write", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="tesela-quicklook-") as temporary:
        folder = Path(options.folder or temporary)
        text = pages.table(measure(folder, options.part, options.frames))
    print(text)
    if options.write:
        pages.write("quicklook", text)


def measure(folder: Path, part: int, n_frames: int) -> Iterator[Result]:
    """Yield the results one after the other."""
    run, order = pickle.loads(frame.prepare(folder, part).read_bytes())  # noqa: S301 - our own file
    shutil.rmtree(order.out_dir, ignore_errors=True)  # of a run before
    report = worker.perform(run, order)
    if report.outcome is None:
        raise RuntimeError(report.log)
    raw = Path(order.of_kind("raw")[0].path)
    site = folder / f"site-quicklook-{part}"
    shutil.rmtree(site, ignore_errors=True)
    shutil.copytree(order.site, site)
    load = os.getloadavg()[0]
    used = _cpu_of_children()
    seen = _watch(site, raw, folder / f"frames-{part}", n_frames)
    cpu = (_cpu_of_children() - used) / n_frames
    yield Result("machine", f"{os.cpu_count()} cores", f"load {load:.1f} before it began")
    memory_mb = _peak_memory_mb(site, seen[-1]["frame"])
    size = f"{raw.stat().st_size / 1e6:.0f} MB"
    closed = [one["since_closed_s"] for one in seen]
    yield Result("first frame", f"{closed[0]:.1f} s", f"{size}; kernels loaded, masters read")
    warm = closed[1:]
    yield Result("from closed to ledger", f"{statistics.median(warm):.1f} s", "median, warm")
    yield Result("slowest of them", f"{max(warm):.1f} s", f"of {len(warm)}")
    waited = statistics.median(one["since_closed_s"] - one["seconds"] for one in seen[1:])
    yield Result("of which waiting", f"{waited:.1f} s", "until the file has settled")
    yield Result("CPU", f"{cpu:.1f} CPU s", "a frame; with the start of the program")
    yield Result("memory of the worker", f"{memory_mb / 1024:.2f} GiB", "peak")
    yield from _differences(seen[-1]["metrics"], dict(report.outcome.metrics))


def _cpu_of_children() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _differences(quick: dict[str, Any], full: dict[str, Any]) -> Iterator[Result]:
    for name, word, unit, digits in _COMPARED:
        found, other = quick[name], full[name]
        note = f"quick {found:.{digits}f}, reduction {other:.{digits}f}"
        yield Result(f"{word}: quick - reduction", f"{found - other:+.{digits}f} {unit}", note)


def _watch(site: Path, raw: Path, folder: Path, n_frames: int) -> list[dict[str, Any]]:
    """Write frames into a folder that is watched; returns what was said of each."""
    shutil.rmtree(folder, ignore_errors=True)
    watched, ready = folder / "watched", folder / "ready"
    watched.mkdir(parents=True)
    ready.mkdir()
    variants = [_variant(raw, ready, n) for n in range(n_frames)]
    command = [
        sys.executable, "-m", "tesela.cli.main", "quicklook", "--watch", str(watched),
        "--site", str(site), "--json",
    ]  # fmt: skip
    seen = []
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        if process.stdout is None:
            raise RuntimeError("no output")
        time.sleep(1)
        for path in variants:
            writer = threading.Thread(target=_write_slowly, args=(path, watched / path.name))
            writer.start()
            seen.append(json.loads(process.stdout.readline()))
            writer.join()
            if seen[-1]["outcome"] != "passed":
                raise RuntimeError(json.dumps(seen[-1]))
        process.terminate()
    return seen


def _variant(raw: Path, folder: Path, n: int) -> Path:
    """The same frame some minutes later, with one pixel changed."""
    with fits.open(raw) as file:
        hdu = next(hdu for hdu in file if hdu.data is not None)
        start = dt.datetime.fromisoformat(str(hdu.header["DATE-OBS"]).rstrip("Z"))
        later = start + dt.timedelta(minutes=3 * (n + 1))
        hdu.header["DATE-OBS"] = later.isoformat(timespec="seconds")
        for card in ("MJD-OBS", "MJD"):
            if card in hdu.header:
                hdu.header[card] += 3 * (n + 1) / 1440
        hdu.data[0, 0] += n + 1
        path = folder / f"{raw.stem.rsplit('-', 1)[0]}x{n}-{raw.stem.rsplit('-', 1)[-1]}.fits"
        fits.HDUList([type(hdu)(hdu.data, hdu.header)]).writeto(path, checksum=True)
    return path


def _write_slowly(source: Path, target: Path) -> None:
    """As a camera writes: piece by piece, the name there from the first."""
    content = source.read_bytes()
    step = -(-len(content) // _PIECES)
    with target.open("wb") as handle:
        for place in range(0, len(content), step):
            handle.write(content[place : place + step])
            handle.flush()
            time.sleep(_WRITE_S / _PIECES)


def _peak_memory_mb(folder: Path, name: str) -> float:
    site = open_site(folder)
    with site.ledger.read() as conn:
        current = products.current(conn, "quicklook", name)
        quality = products.quality_of(conn, current["id"]) if current else None
    site.ledger.close()
    return float(quality["peak_memory_mb"]) if quality else float("nan")


if __name__ == "__main__":
    main()
