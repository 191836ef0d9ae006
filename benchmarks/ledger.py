"""The administrative database at the size of a survey: `make bench-ledger`.

    python benchmarks/ledger.py [--frames 160000,1000000,8000000] [--sqlite 200000] [--quick]
                                [--folder F] [--json F] [--earlier F ...] [--write]

A synthetic ledger of each size is built, checked to have exactly the program's schema, measured
through the program's own functions, and removed. PostgreSQL is a private server in a folder of its
own, with settings that lose nothing in a power cut; 8 million frames need 35 GB there. What is
asked stands beside what was measured, and the exit code is 1 if anything asked was not met.

--quick is for a machine that checks every change: one size of each database, parts of a night,
three kills, and the exit code is 1 only if something is wrong, or four times slower
than asked. Sizes may be measured one by one, each with --json, and be joined by --earlier with
--frames 0 --sqlite 0. With --write the table goes to docs/benchmarks.md, between the marks
`ledger`.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import platform
import signal
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import ledger_build
import ledger_flags
import ledger_kills
import ledger_nights
import ledger_plot
import ledger_queue
import ledger_server
import ledger_survey as survey
import pages
from ledger_measure import Case, Measured, say

from tesela.ledger.engine import Ledger

_GRACE = 4.0
_PICTURE = pages.ROOT / "docs" / "pictures" / "ledger_cost.svg"


@dataclass(frozen=True)
class Plan:
    """What is measured, and how thoroughly."""

    nights: int
    share: survey.Share
    """Of each night that comes."""
    kills: int
    killed: survey.Share
    """Of the night during which controllers are killed."""
    a_night: int
    """Frames that are flagged at once."""
    load: ledger_queue.Load
    parts: tuple[str, ...] = ("flags", "nights", "kills", "queue")


FULL = Plan(3, survey.Share(), 20, survey.Share(192, 10), 5000, ledger_queue.Load())
QUICK = Plan(
    1, survey.Share(64), 3, survey.Share(64, 5), 5000, ledger_queue.Load(20_000, seconds=8.0)
)
_LITTLE = survey.Share(16, 5, ccds=2)
TINY = Plan(1, _LITTLE, 1, _LITTLE, 200, ledger_queue.Load(600, 2, seconds=1.0))
"""So that a test can run everything that is here."""


def measure_one(case: Case, place: Path | str, plan: Plan) -> Iterator[Measured]:
    """Yield everything that is asked of one ledger; the queue comes last, it leaves work behind."""
    if "flags" in plan.parts:
        yield from ledger_flags.measure(case, plan.a_night)
    if "nights" in plan.parts:
        yield ledger_nights.status(case)
        yield from ledger_nights.measure(case, plan.nights, plan.share)
        yield ledger_nights.status(case)
    if "kills" in plan.parts:
        yield from ledger_kills.measure(case, place, plan.kills, plan.killed)
    if "queue" in plan.parts:
        yield from ledger_queue.measure(case, place, plan.load)


def on_sqlite(frames: int, folder: Path, plan: Plan) -> Iterator[Measured]:
    """Build a ledger in a file, and measure it."""
    with tempfile.TemporaryDirectory(prefix="tesela-bench-", dir=folder) as scratch:
        place = Path(scratch) / "ledger.sqlite"
        yield from _built(place, "SQLite", frames, Path(scratch), plan)


def on_postgresql(
    sizes: list[int], folder: Path, shared_buffers: str, plan: Plan
) -> Iterator[Measured]:
    """Build one ledger after the other on a server of our own, and measure each."""
    with (
        ledger_server.server(folder, shared_buffers) as server,
        tempfile.TemporaryDirectory(prefix="tesela-bench-", dir=folder) as scratch,
    ):
        for frames in sizes:
            server.start(ledger_server.LOADING)
            place = server.new_database(f"ledger_{frames}")
            yield from _built(place, "PostgreSQL", frames, Path(scratch), plan, server)
            server.drop_database(f"ledger_{frames}")


def _built(
    place: Path | str,
    database: str,
    frames: int,
    scratch: Path,
    plan: Plan,
    server: ledger_server.Server | None = None,
) -> Iterator[Measured]:
    say(f"{database}: a ledger of {frames} frames is built")
    built = ledger_build.build(place, frames, scratch)
    if server is not None:
        server.start(ledger_server.DURABLE)
    ledger = Ledger.open(place)
    case = Case(database, built.frames, ledger)
    edges = built.rows["edge"]
    yield case.measured(
        "built", built.seconds, "s",
        note=f"{built.bytes / 1e9:.1f} GB, {edges / 1e6:.1f} M edges,"
        f" {built.rows['product'] / 1e6:.1f} M products",
    )  # fmt: skip
    yield ledger_nights.again(case)
    yield from measure_one(case, place, plan)
    ledger.close()


def measure(options: argparse.Namespace, plan: Plan) -> Iterator[Measured]:
    """Yield everything that is asked for."""
    if options.sqlite:
        yield from on_sqlite(options.sqlite, options.folder, plan)
    sizes = [int(size) for size in options.frames.split(",") if int(size)]
    if sizes and ledger_server.binary("initdb") is None:
        say("no PostgreSQL server here: install postgresql to measure with it")
    elif sizes:
        yield from on_postgresql(sizes, options.folder, options.shared_buffers, plan)


def flatness(found: list[Measured]) -> list[Measured]:
    """How much more the next work costs in the largest ledger than in the smallest."""
    costs = [
        one for one in found if one.what.startswith("next work") and one.database == "PostgreSQL"
    ]
    sizes = sorted({one.frames for one in costs})
    if len(sizes) < 2:
        return []
    small = max(one.value for one in costs if one.frames == sizes[0])
    large = max(one.value for one in costs if one.frames == sizes[-1])
    note = f"from {sizes[0]:,} to {sizes[-1]:,} frames, each before and after the claims"
    what = "next work, the largest against the smallest"
    return [Measured(what, "PostgreSQL", sizes[-1], large / small, "times", at_most=2.0, note=note)]


def table(found: list[Measured]) -> str:
    """What was asked and measured, as Markdown."""
    lines = [
        "| database | frames | what | asked | measured | met | note |",
        "|---|--:|---|---|--:|---|---|",
    ]
    words = {True: "yes", False: "**no**", None: ""}
    for one in found:
        value = f"{one.value:,.3g}" if one.value < 1000 else f"{one.value:,.0f}"
        lines.append(
            f"| {one.database} | {one.frames:,} | {one.what} | {one.asked} | {value} {one.unit}"
            f" | {words[one.is_met]} | {one.note} |"
        )
    machine = f"{os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}"
    return "\n".join([*lines, "", machine, ""])


def main() -> int:
    """Measure, print, and write if asked to."""
    options = _options()
    plan = TINY if options.tiny else QUICK if options.quick else FULL
    chosen = {name: getattr(options, name) for name in ("nights", "kills", "parts")}
    plan = dataclasses.replace(plan, **{name: v for name, v in chosen.items() if v is not None})
    if options.science is not None:
        plan = dataclasses.replace(plan, share=survey.Share(options.science))
    found = [
        Measured.from_dict(one) for file in options.earlier for one in json.loads(file.read_text())
    ]
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        found.extend(measure(options, plan))
    except KeyboardInterrupt:
        print(table(found))  # the server and its folder are gone by now
        return 130
    found += flatness(found)
    text = table(found)
    print(text)
    if options.json:
        options.json.write_text(json.dumps([one.as_dict() for one in found], indent=1))
    if options.plot or options.write:
        ledger_plot.draw(found, options.plot or _PICTURE)
    if options.write:
        pages.write("ledger", text)
    # How fast a machine is that checks every change nobody knows; what is wrong is wrong on it too.
    factor = _GRACE if options.quick or options.tiny else 1.0
    return int(any(one.is_within(factor) is False for one in found))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--frames", help="sizes on PostgreSQL, 0 for none")
    parser.add_argument("--sqlite", type=int, help="size on SQLite, 0 for none")
    parser.add_argument("--quick", action="store_true", help="sizes for every change")
    parser.add_argument("--tiny", action="store_true", help="so little that it says nothing")
    parser.add_argument(
        "--parts", type=lambda text: tuple(text.split(",")), help="of flags,nights,kills,queue"
    )
    parser.add_argument("--nights", type=int, help="that are scheduled to the end")
    parser.add_argument("--science", type=int, help="exposures of the sky in each of them")
    parser.add_argument("--kills", type=int, help="of controllers")
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()))
    parser.add_argument("--shared-buffers", default="2GB")
    parser.add_argument("--json", type=Path)
    parser.add_argument(
        "--earlier", type=Path, action="append", default=[], help="JSON of a run before, joined"
    )
    parser.add_argument("--plot", type=Path, help="draw what it costs against size")
    parser.add_argument("--write", action="store_true")
    options = parser.parse_args()
    frames = "1" if options.tiny else "200000" if options.quick else "160000,1000000,8000000"
    options.frames = frames if options.frames is None else options.frames
    if options.sqlite is None:
        options.sqlite = 1 if options.tiny else 200_000
    return options


if __name__ == "__main__":
    sys.exit(main())
