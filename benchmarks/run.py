"""Run every benchmark: `make bench`.

    python benchmarks/run.py [--write]

Prints a line as each begins and a table at the end; with --write the table also goes to
docs/benchmarks.md. What needs a peer or data that are not here is skipped with a sentence.
"""

from __future__ import annotations

import os
import platform
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import cafos
import pages
import small_night
from pages import Result

from tesela.flow.run import rehearsal


def measure(folder: Path) -> Iterator[Result]:
    """Yield the results one after the other."""
    yield Result(
        "machine",
        f"{os.cpu_count()} cores",
        f"{platform.machine()}, Python {platform.python_version()}",
    )
    _say("compile or load the kernels")
    started = time.perf_counter()
    rehearsal.run()
    yield Result(
        "rehearsal", f"{time.perf_counter() - started:.1f} s", "compiles kernels where they are new"
    )
    _say("simulate and process a small night")
    site = small_night.make(folder)
    yield from small_night.steps(site)
    _say("cosmic rays beside astroscrappy")
    yield from small_night.cosmic_rays(site)
    frames = cafos.data()
    if frames is None:
        yield Result("CAFOS", "-", "skipped: set TESELA_REAL_DATA to the folder of the frames")
        return
    _say("NGC 2420 with CAFOS")
    yield from cafos.results(frames, folder)


def _say(what: str) -> None:
    print(f"... {what}", file=sys.stderr, flush=True)


def main() -> None:
    """Measure, print, and write if asked to."""
    with tempfile.TemporaryDirectory(prefix="tesela-bench-") as folder:
        text = pages.table(measure(Path(folder)))
    print(text)
    if "--write" in sys.argv[1:]:
        pages.write("bench", text)


if __name__ == "__main__":
    main()
