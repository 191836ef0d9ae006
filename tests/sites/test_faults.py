"""What goes wrong between sites, a fault a test: nothing is lost or doubled, all is told."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from tesela.errors import ConfigError, SiteAway, TransferError
from tesela.ledger import events, frames, products, shipments
from tesela.products import paths
from tesela.sites import receive as receiving
from tesela.sites import rounds, rsync
from tesela.sites import send as sending
from tesela.sites.send import Sender

from . import three
from .conftest import Three
from .disks import for_reading_only, small


def go_all_the_way(sites: Three) -> None:
    """Whatever is due goes to the core, and its receipt back."""
    three.send(sites.obs, "core")
    three.receive(sites.core)
    three.send(sites.obs, "core")


# -- the way --------------------------------------------------------------------------------------


def test_an_inbox_that_is_away_is_told_and_tried_again(sites: Three) -> None:
    three.observe(sites.obs, "sci1")
    sites.core.inbox.rename(sites.core.folder / "away")
    with pytest.raises(SiteAway, match="no folder"):
        three.send(sites.obs, "core")
    assert not sites.core.inbox.exists()  # a disk that is not mounted is not filled
    (sites.core.folder / "away").rename(sites.core.inbox)
    go_all_the_way(sites)
    assert three.replicas(sites.obs) == {("sci1", "core")}


def test_a_remote_site_that_does_not_answer_is_told_in_a_sentence(sites: Three) -> None:
    (way,) = sites.obs.settings.send
    nobody = replace(way, where="host:/inbox", shell="false")  # noqa: S604
    three.observe(sites.obs, "sci1")
    with (
        Sender(sites.obs, nobody).at_work() as sender,
        pytest.raises(SiteAway, match=r"site core: .*\("),
    ):
        sender.once()


def test_a_failure_is_one_event_until_it_ends(sites: Three) -> None:
    three.observe(sites.obs, "sci1")
    away = sites.core.folder / "away"
    sites.core.inbox.rename(away)
    (way,) = sites.obs.settings.send
    said = []
    with Sender(sites.obs, way).at_work() as sender:
        for one in rounds.rounds(sites.obs, [sender], 0.01, stopped=lambda: len(said) > 3):
            said.append((one.sent is not None, one.is_news))
            if len(said) == 2:
                away.rename(sites.core.inbox)
    assert said[:3] == [(False, True), (False, False), (True, True)]
    with three.ledger_of(sites.obs).read() as conn:
        last = events.last_of(conn, ("transfer failed", "transfer goes on"), "core")
    assert last is not None
    assert (last["what"], last["detail"]) == ("transfer goes on", "after 2 tries")


def test_waiting_patiently_helps_a_single_call(
    sites: Three, monkeypatch: pytest.MonkeyPatch
) -> None:
    three.observe(sites.obs, "sci1")
    away = sites.core.folder / "away"
    sites.core.inbox.rename(away)
    waits = []

    def sleep(seconds: float) -> None:
        waits.append(seconds)
        if len(waits) == 2:
            away.rename(sites.core.inbox)

    monkeypatch.setattr(sending.time, "sleep", sleep)
    (way,) = sites.obs.settings.send
    with Sender(sites.obs, way).at_work() as sender:
        assert sender.once(patience_s=(1.0, 4.0, 16.0)).files == 1
    assert waits == [1.0, 4.0]


def test_an_inbox_for_reading_only_is_told(sites: Three) -> None:
    three.observe(sites.obs, "sci1")
    with (
        for_reading_only(sites.core.inbox),
        pytest.raises(SiteAway, match=r"it cannot write .*Read-only file system"),
    ):
        three.send(sites.obs, "core")
    go_all_the_way(sites)
    assert three.replicas(sites.obs) == {("sci1", "core")}


def test_a_full_disk_under_the_inbox_is_told_and_the_transfer_goes_on(sites: Three) -> None:
    three.observe(sites.obs, "sci1", size=300_000)
    with (
        small(sites.core.inbox, "200k"),
        pytest.raises(SiteAway, match=r"it cannot write .*No space left"),
    ):
        three.send(sites.obs, "core")
    go_all_the_way(sites)
    assert three.replicas(sites.obs) == {("sci1", "core")}


def test_a_command_that_rsync_does_not_know_is_not_tried_again(sites: Three) -> None:
    (way,) = sites.obs.settings.send
    with pytest.raises(TransferError) as caught:
        rsync._run(["--no-such-option"], way)
    assert not isinstance(caught.value, SiteAway)
    assert "rsync ended with 1" in str(caught.value)


def test_a_machine_without_rsync_says_so(sites: Three, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    with pytest.raises(ConfigError, match="no such program"):
        three.send(sites.obs, "core")


def test_a_full_disk_of_our_own_does_not_end_a_watch(
    sites: Three, monkeypatch: pytest.MonkeyPatch
) -> None:
    three.observe(sites.obs, "sci1")
    (way,) = sites.obs.settings.send

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with Sender(sites.obs, way).at_work() as sender:
        with monkeypatch.context() as patched:
            patched.setattr("tesela.sites.outbox.replace_text", full)
            first = next(rounds.rounds(sites.obs, [sender], 0.01))
        assert "No space left" in first.error
        assert sender.once().files == 1


# -- the files we send ----------------------------------------------------------------------------


def test_a_file_that_is_gone_stops_no_other(sites: Three) -> None:
    three.observe(sites.obs, "sci1", "sci2")
    (sites.obs.folder / three.raw("sci1")).unlink()
    sent = three.send(sites.obs, "core")
    assert sent.files == 1
    assert "No such file" in sent.problems[0]
    assert "audit --repair" in sent.problems[0]
    three.receive(sites.core)
    assert three.send(sites.obs, "core").problems == []  # told once, tried again later
    assert three.replicas(sites.obs) == {("sci2", "core")}


def test_a_file_that_goes_while_it_is_sent_is_left_out(
    sites: Three, monkeypatch: pytest.MonkeyPatch
) -> None:
    three.observe(sites.obs, "sci1", "sci2")
    push = rsync.push

    def lose_one(source, send, sender):  # type: ignore[no-untyped-def]
        (sites.obs.folder / three.raw("sci1")).unlink(missing_ok=True)
        return push(source, send, sender)

    monkeypatch.setattr(rsync, "push", lose_one)
    sent = three.send(sites.obs, "core")
    assert "went while it was sent" in sent.problems[0]
    assert [one.key for one in three.receive(sites.core)] == ["sci2"]
    three.send(sites.obs, "core")
    assert three.replicas(sites.obs) == {("sci2", "core")}


def test_a_file_that_changes_while_it_is_sent_is_not_believed(
    sites: Three, monkeypatch: pytest.MonkeyPatch
) -> None:
    three.observe(sites.obs, "sci1")
    file = sites.obs.folder / three.raw("sci1")
    push = rsync.push

    def change(source, send, sender):  # type: ignore[no-untyped-def]
        file.write_bytes(b"X" + file.read_bytes()[1:])
        return push(source, send, sender)

    monkeypatch.setattr(rsync, "push", change)
    three.send(sites.obs, "core")
    assert [one.outcome for one in three.receive(sites.core)] == ["damaged"]
    (problem,) = three.send(sites.obs, "core").problems
    assert "ours has" in problem
    assert "audit --repair" in problem
    assert three.replicas(sites.obs) == set()
    with three.ledger_of(sites.obs).read() as conn:
        (failed,) = shipments.latest(conn, "out", "core", "failed")
    assert "sci1" in failed["detail"]


def test_bytes_that_go_wrong_on_their_way_are_sent_again(
    sites: Three, monkeypatch: pytest.MonkeyPatch
) -> None:
    three.observe(sites.obs, "sci1")
    three.send(sites.obs, "core")
    (came,) = sites.core.inbox.glob("obs/*/files/raw/*/sci1.fits")
    came.write_bytes(b"X" + came.read_bytes()[1:])
    three.receive(sites.core)
    (problem,) = three.send(sites.obs, "core").problems
    assert "ours is sound" in problem
    monkeypatch.setattr("tesela.sites.outbox.now_mjd", lambda: 1e6)  # its time has come
    go_all_the_way(sites)
    assert three.replicas(sites.obs) == {("sci1", "core")}


def test_a_frame_that_was_replaced_before_it_went_is_forgotten(sites: Three) -> None:
    three.add_product(sites.core, "coadd", "T.r", [b"one"])
    (sites.core.folder / "products/coadd/T.r.v1.0.txt").unlink()
    assert three.send(sites.core, "archive").problems
    three.add_product(sites.core, "coadd", "T.r", [b"two"], version=2)
    assert three.send(sites.core, "archive").files == 1


# -- who receives ---------------------------------------------------------------------------------


def test_a_full_disk_at_the_receiver_holds_it_up_and_loses_nothing(sites: Three) -> None:
    three.observe(sites.obs, "sci1", size=300_000)
    three.send(sites.obs, "core")
    shutil.rmtree(sites.core.folder / "raw", ignore_errors=True)
    with small(sites.core.folder / "raw", "200k"):
        (told,) = three.receive(sites.core)
        assert told.outcome == "later"
        assert "No space left" in told.reason
        assert not list((sites.core.folder / "raw").rglob("*.fits"))
        with three.ledger_of(sites.core).read() as conn:
            assert frames.by_name(conn, "sci1") is None
    (told,) = three.receive(sites.core)
    assert told.outcome == "verified"


def test_a_disk_with_little_room_takes_nothing_new(sites: Three) -> None:
    three.observe(sites.obs, "sci1")
    three.send(sites.obs, "core")
    full = replace(sites.core, settings=replace(sites.core.settings, keep_free_gb=1e9))
    (told,) = three.receive(full)
    assert told.outcome == "later"
    assert "keep_free_gb" in told.reason
    assert [one.outcome for one in three.receive(sites.core)] == ["verified"]


def test_an_archive_for_reading_only_holds_it_up_and_loses_nothing(sites: Three) -> None:
    three.observe(sites.core, "sci1")
    three.send(sites.core, "archive")
    raw = sites.archive.folder / "raw"
    raw.mkdir()
    with for_reading_only(raw):
        (told,) = three.receive(sites.archive)
        assert told.outcome == "later"
        assert "Read-only file system" in told.reason
    assert [one.outcome for one in three.receive(sites.archive)] == ["verified"]


def test_what_cannot_be_kept_now_is_told_once_and_tried_ever_later(
    sites: Three, monkeypatch: pytest.MonkeyPatch
) -> None:
    three.observe(sites.obs, "sci1")
    three.send(sites.obs, "core")
    full = replace(sites.core, settings=replace(sites.core.settings, keep_free_gb=1e9))
    clock = [1000.0]
    monkeypatch.setattr(receiving.time, "monotonic", lambda: clock[0])
    told = []
    with three.receiver(full).at_work() as at_work:
        for _ in range(600):
            told += list(at_work.once())
            clock[0] += 1.0
        tries = at_work._later[next(iter(at_work._later))][0]
    assert [one.outcome for one in told] == ["later"]
    assert 5 <= tries <= 9


def test_a_receiver_that_dies_before_its_receipt_says_the_same_again(
    sites: Three, monkeypatch: pytest.MonkeyPatch
) -> None:
    three.observe(sites.obs, "sci1", "sci2")
    three.send(sites.obs, "core")

    def die(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(receiving.receipt, "leave", die)
        with pytest.raises(KeyboardInterrupt):
            three.receive(sites.core)
    assert three.receive(sites.core) == []  # all was said; only the receipt was missing
    assert three.send(sites.obs, "core").verified == 2


def test_a_receiver_that_dies_between_two_frames_goes_on(sites: Three) -> None:
    three.observe(sites.obs, "sci1", "sci2")
    three.send(sites.obs, "core")
    with three.receiver(sites.core).at_work() as at_work:
        assert next(at_work.once()).key == "sci1"
    assert [one.key for one in three.receive(sites.core)] == ["sci2"]
    assert three.send(sites.obs, "core").verified == 2


def test_half_a_line_of_a_journal_is_nothing(sites: Three) -> None:
    three.observe(sites.obs, "sci1", "sci2")
    three.send(sites.obs, "core")
    with three.receiver(sites.core).at_work() as at_work:
        next(at_work.once())
    (journal,) = (sites.core.folder / "transfer" / "in").rglob("*.jsonl")
    journal.write_bytes(journal.read_bytes()[:-20])
    assert {one.outcome for one in three.receive(sites.core)} == {"verified"}
    assert three.send(sites.obs, "core").verified == 2


# -- who sends ------------------------------------------------------------------------------------


def test_a_sender_that_dies_while_it_packs_leaves_nothing_half(
    sites: Three, monkeypatch: pytest.MonkeyPatch
) -> None:
    three.observe(sites.obs, "sci1")

    def die(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(Path, "symlink_to", die)
        with pytest.raises(KeyboardInterrupt):
            three.send(sites.obs, "core")
    go_all_the_way(sites)
    assert three.replicas(sites.obs) == {("sci1", "core")}
    box = paths.outbox(sites.obs.folder, "core")
    assert sorted(path.name for path in box.iterdir()) == ["receipts", "state.json"]


def test_a_sender_that_dies_with_a_receipt_in_hand_takes_it_in_again(
    sites: Three, monkeypatch: pytest.MonkeyPatch
) -> None:
    three.observe(sites.obs, "sci1")
    three.send(sites.obs, "core")
    three.receive(sites.core)

    def die(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(Sender, "_settle", die)
        with pytest.raises(KeyboardInterrupt):
            three.send(sites.obs, "core")
    assert three.replicas(sites.obs) == set()
    assert three.send(sites.obs, "core").verified == 1


def test_a_receipt_that_was_lost_is_given_again(
    sites: Three, monkeypatch: pytest.MonkeyPatch
) -> None:
    three.observe(sites.obs, "sci1")
    three.send(sites.obs, "core")
    three.receive(sites.core)
    shutil.rmtree(sites.core.inbox / "obs" / "receipts")
    monkeypatch.setattr(sending, "_PUSH_AGAIN_S", 0.0)
    three.send(sites.obs, "core")
    assert [one.outcome for one in three.receive(sites.core)] == ["verified"]
    assert three.send(sites.obs, "core").verified == 1


def test_a_frame_that_the_core_refuses_is_told_with_its_reason(sites: Three) -> None:
    three.observe(sites.core, "sci1", size=50)
    three.observe(sites.obs, "sci1", size=60)
    go_all_the_way(sites)
    with three.ledger_of(sites.obs).read() as conn:
        past = events.history(conn, "sci1")["events"]
    (event,) = [one for one in past if one["what"] == "not at core"]
    assert "other content" in event["detail"]
    assert three.send(sites.obs, "core").files == 0  # not again and again


# -- damage behind our back -----------------------------------------------------------------------


def test_a_core_whose_copy_is_damaged_takes_the_sound_one(
    sites: Three, monkeypatch: pytest.MonkeyPatch
) -> None:
    three.observe(sites.obs, "sci1")
    three.send(sites.obs, "core")
    three.receive(sites.core)
    copy = sites.core.folder / three.raw("sci1")
    copy.write_bytes(b"rotten")
    shutil.rmtree(sites.core.inbox / "obs" / "receipts")
    monkeypatch.setattr(sending, "_PUSH_AGAIN_S", 0.0)
    three.send(sites.obs, "core")
    assert [one.outcome for one in three.receive(sites.core)] == ["verified"]
    assert copy.read_bytes() == three.content("sci1")
    assert [p.read_bytes() for p in sites.core.folder.glob("quarantine/*/raw/*/*")] == [b"rotten"]


def test_a_frame_removed_on_purpose_does_not_come_back_by_itself(sites: Three) -> None:
    import sqlalchemy as sa

    three.observe(sites.core, "sci1")
    with three.ledger_of(sites.core).write() as conn:
        conn.execute(sa.text("UPDATE product SET dropped_mjd = 58000.0 WHERE key = 'sci1'"))
    (sites.core.folder / three.raw("sci1")).unlink()
    three.observe(sites.obs, "sci1")
    three.send(sites.obs, "core")
    (told,) = three.receive(sites.core)
    assert (told.outcome, "on purpose" in told.reason) == ("refused", True)
    with three.ledger_of(sites.core).read() as conn:
        row = products.current(conn, "raw", "sci1")
    assert row is not None and not (sites.core.folder / row["path"]).exists()
