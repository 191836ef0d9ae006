"""A connection may break at any byte: what is there is kept, what comes is verified."""

from __future__ import annotations

import contextlib
import random
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from tesela.config import Send
from tesela.errors import SiteAway
from tesela.sites.installation import Installation
from tesela.sites.send import Sender

from . import three

SIZE = 400_000


@dataclass
class Line:
    """Two sites, and a line between them that breaks where it is told to."""

    obs: Installation
    core: Installation
    counter: Path

    def send(self, cut_at: int = 0) -> None:
        """One round; the line breaks after so many bytes."""
        (way,) = self.obs.settings.send
        shell = f"{sys.executable} {Path(__file__).with_name('cut.py')} {cut_at} {self.counter}"
        with Sender(self.obs, replace(way, shell=shell)).at_work() as sender:
            sender.once()

    def went(self) -> list[int]:
        """Bytes of each connection so far."""
        return [int(line) for line in self.counter.read_text().split()]


@pytest.fixture
def line(tmp_path: Path) -> Iterator[Line]:
    core = three.make(tmp_path / "core", "core", "core")
    send = Send("core", f"host:{core.inbox}")
    obs = three.make(tmp_path / "obs", "obs", "observatory", [send])
    (tmp_path / "went").touch()
    yield Line(obs, core, tmp_path / "went")
    for site in (obs, core):
        three.ledger_of(site).close()


@pytest.mark.parametrize("seed", range(4))
def test_a_transfer_that_breaks_again_and_again_arrives_with_equal_bytes(
    line: Line, seed: int
) -> None:
    rng = random.Random(seed)
    three.observe(line.obs, "sci1", "sci2", "sci3", size=SIZE)
    with pytest.raises(SiteAway):
        line.send(cut_at=rng.randrange(1, 3 * SIZE))
    for _ in range(3):
        with contextlib.suppress(SiteAway):  # the rest may be less than that
            line.send(cut_at=rng.randrange(1, SIZE))
        for told in three.receive(line.core):  # it may look at any time
            assert told.outcome == "verified"
    line.send()
    three.receive(line.core)
    line.send()
    assert three.replicas(line.obs) == {(f"sci{n}", "core") for n in (1, 2, 3)}
    for name in ("sci1", "sci2", "sci3"):
        assert (line.core.folder / three.raw(name)).read_bytes() == three.content(name, SIZE)


def test_what_went_before_the_cut_does_not_go_again(line: Line) -> None:
    three.observe(line.obs, "sci1", size=SIZE)
    with pytest.raises(SiteAway):
        line.send(cut_at=int(0.8 * SIZE))
    before = len(line.went())
    line.send()
    rest = max(line.went()[before:])
    assert rest < 0.4 * SIZE


def test_a_whole_file_that_arrived_does_not_go_again(line: Line) -> None:
    three.observe(line.obs, "sci1", "sci2", size=SIZE)
    with pytest.raises(SiteAway):
        line.send(cut_at=int(1.5 * SIZE))
    three.receive(line.core)
    before = len(line.went())
    line.send()
    assert max(line.went()[before:]) < 0.9 * SIZE


def test_a_frame_is_known_before_its_shipment_is_complete(line: Line) -> None:
    """A night's backlog is sent in large shipments; its first frame must not wait for the last."""
    three.observe(line.obs, "sci1", "sci2", size=SIZE)
    with pytest.raises(SiteAway):
        line.send(cut_at=int(1.5 * SIZE))
    (told,) = three.receive(line.core)
    assert (told.key, told.outcome) == ("sci1", "verified")
    assert three.receive(line.core) == []
