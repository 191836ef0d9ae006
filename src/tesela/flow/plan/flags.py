"""Setting verdicts and taking them back: what would be remade, then having it remade."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass, replace

from sqlalchemy.engine import Connection

from tesela.errors import LedgerError
from tesela.flow.plan import consequences, retired, subjects
from tesela.flow.plan.consequences import Consequences
from tesela.flow.plan.rules import Rules
from tesela.flow.plan.subjects import FLAGGABLE, Subject
from tesela.ledger import tasks, verdicts
from tesela.ledger.clock import now_mjd
from tesela.ledger.engine import Ledger
from tesela.ledger.parts import ask
from tesela.ledger.queries import judging
from tesela.ledger.where import Condition

__all__ = [
    "FLAGGABLE",
    "Consequences",
    "flag",
    "flag_all",
    "of_flag",
    "of_unflag",
    "unflag",
    "unflag_all",
]

Target = tuple[str, str]
"""(kind, key) of a product."""

PART = 5000
"""Frames of one transaction: a controller that wants to commit waits some seconds for it."""

Told = Callable[[int, int], None]
"""Is told how many products were judged, and of how many."""


def of_flag(
    conn: Connection,
    rules: Rules,
    kind: str,
    keys: str | Collection[str],
    where: Condition | None = None,
    *,
    reason: str = "",
    who: str = "",
) -> Consequences:
    """Say what condemning products of a kind makes due: all current products that used them, and
    which of them will be retired.

    Raises as `flag` does.
    """
    about = subjects.to_flag(conn, kind, _several(keys), where, reason=reason, who=who)
    found = consequences.of_flag(conn, rules, about)
    gone, waiting = retired.by_flag(conn, rules, about, found.targets)
    return replace(found, retired=gone, waiting=waiting)


def of_unflag(
    conn: Connection,
    rules: Rules,
    kind: str,
    keys: str | Collection[str],
    where: Condition | None = None,
) -> Consequences:
    """Say what taking verdicts back makes due: also where the frame was never used yet.

    Raises as `unflag` does.
    """
    about = subjects.to_unflag(conn, kind, _several(keys), where)
    _check_places(conn, about)
    return consequences.of_unflag(conn, rules, about)


def flag(
    conn: Connection,
    rules: Rules,
    kind: str,
    keys: str | Collection[str],
    where: Condition | None = None,
    *,
    reason: str,
    who: str,
    comment: str = "",
) -> Consequences:
    """Condemn products of a kind and mark what used them, in the caller's transaction.

    An exposure or a night is condemned with all its frames, also those that are still to come; a
    frame that was flagged before keeps its own verdict.

    Raises
    ------
    NotFound
        If something of the name is not known, or nothing meets the condition.
    LedgerError
        If it is flagged already.
    """
    about = subjects.to_flag(conn, kind, _several(keys), where, reason=reason, who=who)
    return _flag(conn, rules, about, _Act.of(about, reason, comment, who))


def unflag(
    conn: Connection,
    rules: Rules,
    kind: str,
    keys: str | Collection[str],
    where: Condition | None = None,
    *,
    who: str,
) -> Consequences:
    """Take verdicts back and mark what may use the products again.

    With that of an exposure or a night go those of its frames that came from it.

    Raises
    ------
    NotFound
        If nothing is known of that name, or no verdict is in force.
    LedgerError
        If another frame has taken the place of one in its exposure.
    """
    about = subjects.to_unflag(conn, kind, _several(keys), where)
    return _unflag(conn, rules, about, who)


def flag_all(
    ledger: Ledger,
    rules: Rules,
    kind: str,
    keys: Collection[str],
    where: Condition | None = None,
    *,
    reason: str,
    who: str,
    comment: str = "",
    told: Told | None = None,
) -> Consequences:
    """Do what `flag` does in transactions of `PART` products.

    Interrupted, it is finished by doing it again.
    """
    with ledger.read() as conn:
        about = subjects.to_flag(conn, kind, keys, where, reason=reason, who=who)
    act = _Act.of(about, reason, comment, who)
    heads = about.heads

    def judge(conn: Connection, part: Subject, is_last: bool) -> Consequences:
        nonlocal heads
        done, heads = _flag(conn, rules, _still(conn, part, heads, flagged=False), act), ()
        return done

    return _in_parts(ledger, about, judge, told)


def unflag_all(
    ledger: Ledger,
    rules: Rules,
    kind: str,
    keys: Collection[str],
    where: Condition | None = None,
    *,
    who: str,
    told: Told | None = None,
) -> Consequences:
    """Do what `unflag` does in transactions of `PART` products.

    The verdict on a group is taken back with the last: interrupted, it is finished by doing it
    again.
    """
    with ledger.read() as conn:
        about = subjects.to_unflag(conn, kind, keys, where)
        _check_places(conn, about)

    def judge(conn: Connection, part: Subject, is_last: bool) -> Consequences:
        heads = about.heads if is_last else ()
        return _unflag(conn, rules, _still(conn, part, heads, flagged=True), who)

    return _in_parts(ledger, about, judge, told)


# ---------------------------------------------------------------- acts


@dataclass(frozen=True)
class _Act:
    """What all verdicts of one act share."""

    reason: str
    comment: str
    who: str
    at: float

    @classmethod
    def of(cls, about: Subject, reason: str, comment: str, who: str) -> _Act:
        """A new one, or that which was interrupted."""
        if about.act is None:
            return cls(reason, comment, who, now_mjd())
        return cls(*(about.act[name] for name in ("reason", "comment", "who", "set_mjd")))


def _flag(conn: Connection, rules: Rules, about: Subject, act: _Act) -> Consequences:
    found = consequences.of_flag(conn, rules, about)
    for kind, keys in (*((kind, [key]) for kind, key in about.heads), (about.kind, about.keys)):
        verdicts.set_bad(
            conn, kind, keys, reason=act.reason, comment=act.comment, who=act.who, at=act.at
        )
    _mark(conn, found, f"{about.name} flagged: {act.reason}")
    return found


def _unflag(conn: Connection, rules: Rules, about: Subject, who: str) -> Consequences:
    _check_places(conn, about)
    found = consequences.of_unflag(conn, rules, about)
    verdicts.withdraw(conn, about.kind, about.keys, who=who)
    for kind, key in about.heads:
        verdicts.withdraw(conn, kind, key, who=who)
    _mark(conn, found, f"{about.name} unflagged")
    return found


def _mark(conn: Connection, found: Consequences, why: str) -> None:
    tasks.mark_dirty(conn, found.targets, why, fresh=True)
    tasks.mark_dirty(conn, found.looked_at, why)


def _in_parts(
    ledger: Ledger,
    about: Subject,
    judge: Callable[[Connection, Subject, bool], Consequences],
    told: Told | None,
) -> Consequences:
    done: list[Consequences] = []
    if about.kind == "raw" and len(about.keys) > PART:
        with ledger.read() as conn:
            # Science comes first: what calibrations make due depends on which frames are good.
            rows = list(ask(conn, judging.FRAMES_NAMED, about.keys))
        rows.sort(key=lambda row: row["obstype"] != "science")
        about = replace(about, keys=tuple(row["name"] for row in rows))
    parts = list(about.parts(PART))
    for i, part in enumerate(parts, 1):
        with ledger.write() as conn:
            done.append(judge(conn, part, i == len(parts)))
        if told is not None:
            told(min(i * PART, len(about.keys)), len(about.keys))
    return consequences.together(done)


def _still(conn: Connection, part: Subject, heads: Collection[Target], *, flagged: bool) -> Subject:
    """What of a part, and of the groups, nobody judged since it was looked up."""
    here = verdicts.standing_of(conn, part.kind, part.keys)
    keys = tuple(key for key in part.keys if (key in here) is flagged)
    left = tuple(
        (kind, key)
        for kind, key in heads
        if (verdicts.standing(conn, kind, key) is not None) is flagged
    )
    return Subject(part.kind, keys, left)


def _several(keys: str | Collection[str]) -> Collection[str]:
    return [keys] if isinstance(keys, str) else keys


def _check_places(conn: Connection, about: Subject) -> None:
    """Refuse to use a frame again whose place in its exposure another one has taken."""
    if about.kind != "raw":
        return
    good_again = set(about.keys)
    for row in ask(conn, judging.RIVALS, about.keys):
        if row["is_flagged"] and row["rival"] not in good_again:
            continue
        raise LedgerError(
            row["name"],
            found=f"CCD {row['ccd']} of its exposure is there as {row['rival']}",
            expected="one frame a CCD",
            do=f"flag {row['rival']} first, if {row['name']} is the right one",
        )
