"""New files come once, whole, and never while they are written."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits

from tesela.flow.run.arrivals import Arrival, Arrivals, Waits, newest_first


@dataclass
class Clock:
    """Time that passes when it is told to."""

    now: float = 0.0

    def __call__(self) -> float:
        return self.now


def whole(n: int = 0) -> bytes:
    pixels = np.full((40, 60), n, np.uint16)
    hdu = fits.PrimaryHDU(pixels)
    return hdu.header.tostring().encode() + pixels.astype(">i2").tobytes().ljust(5760, b"\0")


CONTENT = whole()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def watching(tmp_path: Path, clock: Clock) -> Arrivals:
    return Arrivals(tmp_path, waits=Waits(settle_s=1, give_up_s=60), clock=clock)


def after(arrivals: Arrivals, clock: Clock, seconds: float) -> list[str]:
    """Names that come when so much time has passed, `!` with those that were given up."""
    clock.now += seconds
    return [one.path.name + "!" * bool(one.problem) for one in arrivals.poll()]


def test_a_whole_file_comes_once_when_it_has_settled(
    watching: Arrivals, clock: Clock, tmp_path: Path
) -> None:
    (tmp_path / "a.fits").write_bytes(CONTENT)
    assert after(watching, clock, 0) == []
    assert watching.waiting == 1
    assert after(watching, clock, 0.5) == []
    assert after(watching, clock, 0.5) == ["a.fits"]
    assert after(watching, clock, 100) == []
    assert watching.waiting == 0


def test_a_part_is_waited_for_however_slowly_it_grows(
    watching: Arrivals, clock: Clock, tmp_path: Path
) -> None:
    path = tmp_path / "a.fits"
    path.touch()
    for end in range(0, len(CONTENT), 320):
        with path.open("ab") as file:
            file.write(CONTENT[end : end + 320])
        assert after(watching, clock, 0) == []
        if end + 320 < len(CONTENT):
            assert after(watching, clock, 50) == [], "unchanged for long, and not whole"
    assert after(watching, clock, 1) == ["a.fits"]


def test_a_whole_file_that_changes_still_is_not_given(
    watching: Arrivals, clock: Clock, tmp_path: Path
) -> None:
    path = tmp_path / "a.fits"
    path.write_bytes(CONTENT)  # as long as it is to be, and filled later
    for n in range(20):
        os.utime(path, (n, n))
        assert after(watching, clock, 0.9) == []
    assert after(watching, clock, 1) == ["a.fits"]


def test_a_file_that_is_open_for_writing_is_not_given(
    watching: Arrivals, clock: Clock, tmp_path: Path
) -> None:
    with (tmp_path / "a.fits").open("wb") as file:
        file.write(CONTENT)
        file.flush()
        after(watching, clock, 0)
        assert after(watching, clock, 5) == []
    assert after(watching, clock, 5) == ["a.fits"]


def test_names_that_appear_by_renaming_are_seen(
    watching: Arrivals, clock: Clock, tmp_path: Path
) -> None:
    part = tmp_path / ".a.fits.part"
    part.write_bytes(CONTENT)
    (tmp_path / "a.fits.tmp").write_bytes(CONTENT)
    after(watching, clock, 0)
    assert after(watching, clock, 9) == []
    part.rename(tmp_path / "a.fits")
    (tmp_path / "a.fits.tmp").rename(tmp_path / "b.fits.fz")
    after(watching, clock, 0)
    assert after(watching, clock, 1) == ["a.fits", "b.fits.fz"]


def test_folders_below_are_watched_too(watching: Arrivals, clock: Clock, tmp_path: Path) -> None:
    after(watching, clock, 0)
    night = tmp_path / "2017-07-03"
    night.mkdir()
    (night / "a.fits").write_bytes(CONTENT)
    (tmp_path / ".hidden").mkdir()
    (tmp_path / ".hidden" / "b.fits").write_bytes(CONTENT)
    (tmp_path / "loop").symlink_to(tmp_path)
    after(watching, clock, 0)
    assert after(watching, clock, 1) == ["a.fits"]


def test_one_that_never_gets_whole_is_told_once_and_stops_nothing(
    watching: Arrivals, clock: Clock, tmp_path: Path
) -> None:
    (tmp_path / "half.fits").write_bytes(CONTENT[:4000])
    (tmp_path / "junk.fits").write_bytes(b"no frame")
    after(watching, clock, 0)
    (tmp_path / "next.fits").write_bytes(CONTENT)
    after(watching, clock, 10)
    assert after(watching, clock, 1) == ["next.fits"]
    assert after(watching, clock, 60) == ["half.fits!", "junk.fits!"]
    assert after(watching, clock, 600) == []
    assert watching.waiting == 0
    (tmp_path / "half.fits").write_bytes(CONTENT)  # it goes on after all
    after(watching, clock, 0)
    assert after(watching, clock, 1) == ["half.fits"]


def test_a_file_that_vanishes_never_was(watching: Arrivals, clock: Clock, tmp_path: Path) -> None:
    path = tmp_path / "a.fits"
    path.write_bytes(CONTENT)
    after(watching, clock, 0)
    path.unlink()
    assert after(watching, clock, 5) == []
    assert watching.waiting == 0
    path.write_bytes(CONTENT)
    assert after(watching, clock, 0) == [], "it settles anew"
    assert after(watching, clock, 1) == ["a.fits"]


@pytest.mark.timeout(20)
def test_only_regular_files_are_opened(watching: Arrivals, clock: Clock, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.fits")
    (tmp_path / "b.fits").write_bytes(CONTENT)
    (tmp_path / "c.fits").symlink_to(tmp_path / "b.fits")
    (tmp_path / "d.fits").symlink_to(tmp_path / "nothing")
    assert after(watching, clock, 0) == []
    assert after(watching, clock, 1) == ["b.fits", "c.fits"]
    assert after(watching, clock, 100) == []
    assert watching.waiting == 0
    named = Arrivals(files=(tmp_path / "a.fits",), clock=clock)
    assert [one.problem for one in named.poll()] == ["not a regular file"]


def test_a_folder_that_is_away_is_waited_for(clock: Clock, tmp_path: Path) -> None:
    night = tmp_path / "disk"
    night.mkdir()
    arrivals = Arrivals(night, waits=Waits(1, 60), clock=clock)
    after(arrivals, clock, 0)
    night.rename(tmp_path / "away")
    assert after(arrivals, clock, 1) == []
    (tmp_path / "away").rename(night)
    (night / "a.fits").write_bytes(CONTENT)
    after(arrivals, clock, 0)
    assert after(arrivals, clock, 1) == ["a.fits"]


def test_what_is_in_the_ledger_costs_nothing_twice(
    clock: Clock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for n in range(3000):
        (tmp_path / f"old{n}.fits").touch()
    asked: list[int] = []

    def known(paths: list[Path]) -> set[Path]:
        asked.append(len(paths))
        return {path for path in paths if path.name.startswith("old")}

    looked: list[Path] = []
    stat: Callable[..., os.stat_result] = Path.stat

    def counted(self: Path, **options: bool) -> os.stat_result:
        looked.append(self)
        return stat(self, **options)

    arrivals = Arrivals(tmp_path, (), known, Waits(1, 60), clock)
    monkeypatch.setattr(Path, "stat", counted)
    for _ in range(5):
        assert after(arrivals, clock, 10) == []
    assert asked == [3000]
    assert not [path for path in looked if path.name.startswith("old")]
    (tmp_path / "new.fits").write_bytes(CONTENT)
    after(arrivals, clock, 0)
    started = time.perf_counter()
    assert after(arrivals, clock, 1) == ["new.fits"]
    assert time.perf_counter() - started < 1


def test_named_files_are_given_whether_known_or_not(clock: Clock, tmp_path: Path) -> None:
    path = tmp_path / "a.fits"
    path.write_bytes(CONTENT)
    gone = tmp_path / "gone.fits"
    arrivals = Arrivals(None, (path, gone), set, Waits(1, 60), clock)
    assert after(arrivals, clock, 0) == ["gone.fits!"]
    assert after(arrivals, clock, 1) == ["a.fits"]
    assert arrivals.waiting == 0


def test_the_newest_is_looked_at_first() -> None:
    old, new = Arrival(Path("b"), 1.0), Arrival(Path("a"), 2.0)
    assert newest_first([old, new]) == [new, old]


def test_a_slow_writer_is_never_half_read(tmp_path: Path) -> None:
    """In real time: whatever is given must be whole at that moment."""
    arrivals = Arrivals(tmp_path, waits=Waits(settle_s=0.05, give_up_s=60))

    def write(n: int) -> None:
        content = whole(n)
        with (tmp_path / f"f{n}.fits").open("wb") as file:
            for place in range(0, len(content), 700):
                file.write(content[place : place + 700])
                file.flush()
                time.sleep(0.03 * (1 + n % 3))

    writers = [threading.Thread(target=write, args=(n,)) for n in range(5)]
    for writer in writers:
        writer.start()
    given: dict[str, bytes] = {}
    while any(writer.is_alive() for writer in writers) or len(given) < 5:
        for one in arrivals.poll():
            assert one.path.name not in given
            given[one.path.name] = one.path.read_bytes()
        time.sleep(0.01)
    assert given == {f"f{n}.fits": whole(n) for n in range(5)}
