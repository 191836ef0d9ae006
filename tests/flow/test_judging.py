"""Judging in bulk: exactly what a walk by hand finds and a run remakes; nights and conditions."""

from __future__ import annotations

import random
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from tesela.errors import LedgerError, NotFound
from tesela.flow.plan import flags, subjects
from tesela.flow.plan.downstream import PLANNED
from tesela.ledger import events, schema, verdicts
from tesela.ledger.engine import Ledger
from tesela.products.frame import FrameFacts

from . import toys

Target = tuple[str, str]
NIGHTS = ("2017-07-03", "2017-07-04", "2017-07-05")
FIRST = NIGHTS[0]


@dataclass
class Site:
    """A ledger of three nights where all that can be made is made; some of it could not be."""

    folder: Path
    ledger: Ledger
    frames: list[FrameFacts]
    settings: dict[str, Any]

    @classmethod
    def of(cls, seed: int, folder: Path, *, trouble: float = 0.15) -> Site:
        rng = random.Random(seed)
        frames = []
        for night in NIGHTS:
            for kind in ("bias", "flat"):
                frames += [
                    toys.facts(f"{kind}{i}-{night[-2:]}", kind, night=night)
                    for i in range(rng.randint(2, 4))
                ]
            frames += [
                toys.facts(f"sci{i}-{night[-2:]}", "science", night=night, ra=10 + 3 * rng.random())
                for i in range(rng.randint(2, 5))
            ]
        science = [f.name for f in frames if f.obstype == "science"]
        settings = {
            "faults": {
                n: rng.choice(["quality", "fault"]) for n in science if rng.random() < trouble
            },
            "rejections": {n: "seeing" for n in science if rng.random() < trouble},
        }
        site = cls(folder, toys.new_site(folder), frames, settings)
        toys.add_frames(site.ledger, folder, frames, toys.rules())
        site.run()
        return site

    def of_night(self, night: str) -> set[str]:
        return {f.name for f in self.frames if f.night == night}

    def run(self) -> set[Target]:
        """Run, and return what was made or retired."""
        last = self.ask("SELECT COALESCE(MAX(id), 0) FROM event")[0][0]
        control = toys.controller(self.ledger, self.folder, settings=self.settings)
        control.run()
        retired = self.ask(f"SELECT kind, key FROM event WHERE what = 'retired' AND id > {last}")
        return {(order.kind, order.key) for order in control.engine.orders} | set(retired)

    def ask(self, query: str) -> list[tuple[Any, ...]]:
        with self.ledger.read() as conn:
            return [tuple(row) for row in conn.execute(sa.text(query))]

    def flag(self, kind: str, *names: str, where: str = "", reason: str = "clouds") -> set[Target]:
        condition = subjects.condition(kind, where) if where else None
        with self.ledger.read() as conn:
            said = flags.of_flag(
                conn, toys.rules(), kind, names, condition, reason=reason, who="eva"
            )
        done = flags.flag_all(
            self.ledger, toys.rules(), kind, names, condition, reason=reason, who="eva"
        )
        assert (done.targets, done.own, done.judged) == (said.targets, said.own, said.judged)
        return set(done.due)

    def unflag(self, kind: str, *names: str, where: str = "") -> set[Target]:
        condition = subjects.condition(kind, where) if where else None
        with self.ledger.read() as conn:
            said = flags.of_unflag(conn, toys.rules(), kind, names, condition)
        done = flags.unflag_all(self.ledger, toys.rules(), kind, names, condition, who="eva")
        assert (done.targets, done.own, done.judged) == (said.targets, said.own, said.judged)
        return set(done.due)

    def flagged(self, kind: str = "raw") -> set[str]:
        rows = self.ask(f"SELECT key FROM verdict WHERE kind = '{kind}' AND withdrawn_mjd IS NULL")
        return {key for (key,) in rows}

    def reached(self, names: Collection[str]) -> set[Target]:
        """By hand: what was made with frames, or was to be and failed; images of flagged frames
        stay as they are."""
        kinds = {i: (kind, key) for i, kind, key in self.ask("SELECT id, kind, key FROM product")}
        sources: dict[int, set[int]] = {}
        for made, source in self.ask("SELECT product, source FROM edge WHERE role = 'input'"):
            sources.setdefault(made, set()).add(source)

        def behind(one: int) -> set[int]:
            direct = sources.get(one, set())
            return direct.union({one}, *map(behind, direct))

        bad = {i for i, (kind, key) in kinds.items() if kind == "raw" and key in names}
        found = {
            kinds[i]
            for (i,) in self.ask("SELECT id FROM product WHERE is_current")
            if bad & behind(i)
        }
        failed = self.ask(
            "SELECT t.kind, t.key, i.source FROM task t JOIN task_input i ON i.task_id = t.id"
            " WHERE t.state IN ('dead', 'skipped')"
        )
        found |= {(kind, key) for kind, key, source in failed if bad & behind(source)}
        out = self.flagged() | {n for n in names if n.startswith("sci")}
        return {
            (kind, key)
            for kind, key in found
            if kind in PLANNED and not (kind == "reduced" and key in out)
        }


def judge_at_random(rng: random.Random, site: Site) -> tuple[str, list[str], str, set[str]]:
    """A kind, names or a condition, and the frames it comes to."""
    night = rng.choice(NIGHTS)
    some = rng.sample([f.name for f in site.frames], 3)
    condition = f"night = {night} and obstype in (flat, science)"
    meeting = {f.name for f in site.frames if f.night == night and f.obstype != "bias"}
    return rng.choice(
        [
            ("raw", some[:1], "", set(some[:1])),
            ("raw", some, "", set(some)),
            ("exposure", some[:1], "", set(some[:1])),
            ("night", [night], "", site.of_night(night)),
            ("raw", [], condition, meeting),
        ]
    )


@pytest.mark.parametrize("seed", range(5))
def test_a_verdict_reaches_what_a_walk_by_hand_finds_and_a_run_remakes(
    tmp_path: Path, seed: int
) -> None:
    site = Site.of(seed, tmp_path / "site")
    rng = random.Random(seed)
    at_first, acts = toys.served(site.ledger), []
    while len(acts) < 3:
        kind, names, where, frames = judge_at_random(rng, site)
        if frames & site.flagged():
            continue  # what was flagged before keeps its verdict: another test
        expected = site.reached(frames)
        assert site.flag(kind, *names, where=where) == expected
        assert site.flagged() >= frames
        assert site.run() == expected
        acts.append((kind, names, where, frames))
    for kind, names, where, frames in reversed(acts):
        due = site.unflag(kind, *names, where=where)
        assert not site.flagged() & frames
        assert site.run() <= due
    assert site.flagged() == site.flagged("night") == site.flagged("where") == set()
    assert toys.served(site.ledger) == at_first


def test_in_parts_it_is_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = Site.of(2, tmp_path / "whole")
    expected = [whole.flag("night", FIRST), whole.run(), whole.unflag("night", FIRST), whole.run()]
    assert all(expected)
    monkeypatch.setattr(flags, "PART", 2)
    parts = Site.of(2, tmp_path / "parts")
    assert [
        parts.flag("night", FIRST), parts.run(), parts.unflag("night", FIRST), parts.run(),
    ] == expected  # fmt: skip
    assert toys.served(parts.ledger) == toys.served(whole.ledger)


@pytest.mark.parametrize(
    ("kind", "names", "where"),
    [("night", [FIRST], ""), ("raw", [], f"night = {FIRST}")],
    ids=["night", "where"],
)
def test_interrupted_it_is_finished_by_doing_it_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, names: list[str], where: str
) -> None:
    monkeypatch.setattr(flags, "PART", 3)
    site = Site.of(3, tmp_path / "site")
    at_first = toys.served(site.ledger)
    condition = subjects.condition(kind, where) if where else None

    def stop(done: int, total: int) -> None:
        assert 0 < done < total
        raise KeyboardInterrupt

    expected = site.reached(site.of_night(FIRST))
    with pytest.raises(KeyboardInterrupt):
        flags.flag_all(
            site.ledger, toys.rules(), kind, names, condition, reason="clouds", who="eva", told=stop
        )
    assert len(site.flagged()) == 3
    made = site.run()
    site.flag(kind, *names, where=where)
    assert site.flagged() == site.of_night(FIRST)
    assert made | site.run() == expected
    with pytest.raises(LedgerError, match="flagged already by eva"):
        site.flag(kind, *names, where=where)

    with pytest.raises(KeyboardInterrupt):
        flags.unflag_all(site.ledger, toys.rules(), kind, names, condition, who="eva", told=stop)
    assert len(site.flagged()) == len(site.of_night(FIRST)) - 3
    site.run()
    site.unflag(kind, *names, where=where)
    assert site.flagged() == set()
    site.run()
    assert toys.served(site.ledger) == at_first


def test_another_reason_does_not_go_on_with_an_act(tmp_path: Path) -> None:
    site = Site.of(1, tmp_path / "site", trouble=0)
    site.flag("night", FIRST)
    site.unflag("raw", "sci0-03")
    with pytest.raises(LedgerError, match=r"flagged already by eva \(clouds\)"):
        site.flag("night", FIRST, reason="guiding")
    site.flag("night", FIRST)
    assert site.flagged() == site.of_night(FIRST)


def test_a_late_frame_of_a_flagged_night_is_used_nowhere(tmp_path: Path) -> None:
    site = Site.of(1, tmp_path / "site", trouble=0)
    site.flag("night", FIRST)
    site.run()
    late = toys.facts("late", "science", night=FIRST, ra=50.2)
    toys.add_frames(site.ledger, site.folder, [late], toys.rules())
    assert site.run() == set()
    assert "late" in site.flagged()
    assert site.unflag("night", FIRST) >= toys.of_tiles(50) | {("reduced", "late")}
    assert site.run() >= toys.of_tiles(50)


def test_a_frames_own_verdict_outlives_that_of_its_night(tmp_path: Path) -> None:
    site = Site.of(1, tmp_path / "site", trouble=0)
    with site.ledger.write() as conn:
        flags.flag(conn, toys.rules(), "raw", "sci0-03", reason="trail", who="bob")
    site.run()
    site.flag("night", FIRST)
    site.unflag("night", FIRST)
    assert site.flagged() == {"sci0-03"}


def test_a_condition_is_taken_back_as_one(tmp_path: Path) -> None:
    site = Site.of(1, tmp_path / "site", trouble=0)
    where = f"night={FIRST} and obstype = science"
    science = {n for n in site.of_night(FIRST) if n.startswith("sci")}
    with site.ledger.write() as conn:
        flags.flag(conn, toys.rules(), "raw", "sci0-03", reason="trail", who="bob")
    site.flag("raw", where=where)
    assert site.flagged() == science
    assert site.flagged("where") == {f"raw where night = {FIRST} and obstype = science"}
    with site.ledger.read() as conn:
        (event,) = events.history(conn, next(iter(site.flagged("where"))))["events"]
    assert (event["what"], event["detail"], event["who"]) == ("flagged", "clouds", "eva")
    # It is a judgement of what was there: what comes later and meets it is not flagged.
    late = toys.facts("sci-late", "science", night=FIRST, ra=50.2)
    toys.add_frames(site.ledger, site.folder, [late], toys.rules())
    site.unflag("raw", where=where)
    assert site.flagged() == {"sci0-03"}
    assert site.flagged("where") == set()


def test_any_other_condition_takes_back_the_verdicts_of_what_meets_it(tmp_path: Path) -> None:
    site = Site.of(1, tmp_path / "site", trouble=0)
    site.flag("raw", "sci0-03", "sci1-04")
    site.unflag("raw", where="name ~ sci*-03")
    assert site.flagged() == {"sci1-04"}
    with pytest.raises(NotFound, match=r"that meet it .*none of them flagged"):
        site.unflag("raw", where="name ~ sci*-03")


def test_reduced_images_are_judged_apart_from_their_frames(tmp_path: Path) -> None:
    site = Site.of(1, tmp_path / "site", trouble=0)
    images = {("reduced", n) for n in site.of_night(FIRST) if n.startswith("sci")}
    due = site.flag("reduced", where=f"night = {FIRST} and passed = yes")
    assert {target for target in due if target[0] == "reduced"} == images
    assert site.flagged() == set()
    assert site.flagged("reduced") == {key for _, key in images}
    assert site.run() == due
    assert not images & toys.served(site.ledger).keys()
    assert site.unflag("reduced", where=f"night = {FIRST} and passed = yes") >= images
    assert site.run() >= images


@pytest.mark.parametrize(
    ("kind", "names", "where", "words"),
    [
        ("night", ["2017-07-09"], "", "2017-07-09: no frame of that night"),
        ("night", ["now"], "", "expected a night such as 2017-07-03"),
        ("raw", [], "night = 2017-07-09", "no raw frame meets it"),
        ("coadd", [], "key = T99.r", "no coadd meets it"),
        ("night", [], "night = 2017-07-03", "leave out --kind night"),
        ("calset", [], "night = 2017-07-03", "no such kind; expected raw, exposure, night"),
        ("raw", ["sci0-03", "nothing"], "", "nothing: no frame of that name"),
    ],
)
def test_what_cannot_be_judged_says_so(
    tmp_path: Path, kind: str, names: list[str], where: str, words: str
) -> None:
    site = Site.of(1, tmp_path / "site", trouble=0)
    with pytest.raises(LedgerError, match=words):
        site.flag(kind, *names, where=where)
    assert site.flagged() == set()


def test_unflagging_a_night_that_nobody_flagged_says_so(tmp_path: Path) -> None:
    site = Site.of(1, tmp_path / "site", trouble=0)
    with pytest.raises(NotFound, match=f"night {FIRST}: no verdict in force"):
        site.unflag("night", FIRST)


def test_all_verdicts_of_an_act_share_their_time(tmp_path: Path) -> None:
    site = Site.of(1, tmp_path / "site", trouble=0)
    site.flag("night", FIRST)
    times = {at for (at,) in site.ask("SELECT set_mjd FROM verdict")}
    assert len(times) == 1
    with site.ledger.read() as conn:
        standing = verdicts.standing_of(conn, "raw", site.of_night(FIRST))
        assert standing.keys() == site.of_night(FIRST)
        table = schema.event
        rows = conn.execute(table.select().where(table.c.what == "flagged")).all()
    assert {row.key for row in rows} == site.of_night(FIRST) | {FIRST}
