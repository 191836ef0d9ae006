"""Whom a verdict is about: products, or the frames of an exposure, of a night, of a condition.

What stands on a group stands on its frames; the verdict on the group is its *head*.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy.engine import Connection

from tesela.errors import LedgerError, NotFound
from tesela.ledger import chosen, exposures, frames, verdicts
from tesela.ledger.parts import ask, followed_by_index
from tesela.ledger.queries import judging
from tesela.ledger.verdicts import EXPOSURE, NIGHT, WHERE
from tesela.ledger.where import Condition, parse
from tesela.ledger.where_columns import ABOUT_FRAMES, ABOUT_PRODUCTS

FLAGGABLE = ("raw", EXPOSURE, NIGHT, "master", "detrended", "reduced", "coadd")
"""Kinds that a person may judge."""

_NOUNS = {
    "raw": "raw frame", "master": "master", "detrended": "detrended image",
    "reduced": "reduced image", "coadd": "coadd",
}  # fmt: skip


@dataclass(frozen=True)
class Subject:
    """What gets a verdict, or loses one."""

    kind: str
    """Of the products: raw for frames, also for those of a group."""
    keys: tuple[str, ...]
    heads: tuple[tuple[str, str], ...] = ()
    """(kind, key) of the groups that are judged with them."""
    act: Mapping[str, Any] | None = None
    """The verdict that stands on the group: an act that was interrupted goes on as it began."""

    @property
    def name(self) -> str:
        """For a sentence."""
        if self.heads:
            return ", ".join(f"{kind} {key}" for kind, key in self.heads)
        some = ", ".join(self.keys[:3]) + (" ..." * (len(self.keys) > 3))
        return f"{self.kind} {some}"

    def parts(self, most: int) -> Iterable[Subject]:
        """Give it in parts of at most so many products; heads belong to the whole."""
        for i in range(0, max(len(self.keys), 1), most):
            yield replace(self, keys=self.keys[i : i + most])


def condition(kind: str, text: str) -> Condition:
    """Read the condition by which products of a kind are chosen; see `ledger.where`."""
    if kind in (EXPOSURE, NIGHT):
        raise LedgerError(
            f"--kind {kind}",
            found="a condition besides",
            expected=f"names, or a condition on frames such as `{kind} = ...`",
            do=f"leave out --kind {kind}",
        )
    _check_kind(kind)
    return parse(text, ABOUT_FRAMES if kind == "raw" else ABOUT_PRODUCTS)


def to_flag(
    conn: Connection,
    kind: str,
    names: Collection[str],
    where: Condition | None = None,
    *,
    reason: str = "",
    who: str = "",
) -> Subject:
    """Say which products a new verdict is about; what was flagged before keeps its own.

    Raises `NotFound` if one is not known, `LedgerError` if there is nothing left to flag, or if one
    was flagged by somebody else or for another reason.
    """
    if where is not None:
        return _condition_to_flag(conn, kind, where, reason, who)
    _check_kind(kind)
    if kind in (EXPOSURE, NIGHT):
        return _group_to_flag(conn, kind, names, reason, who)
    _check_known(conn, kind, names)
    before = verdicts.standing_of(conn, kind, names)
    _check_same(kind, before, reason, who, is_all=len(before) == len(set(names)))
    return Subject(kind, tuple(name for name in dict.fromkeys(names) if name not in before))


def to_unflag(
    conn: Connection, kind: str, names: Collection[str], where: Condition | None = None
) -> Subject:
    """Say which verdicts are taken back.

    With that of a group go those on its frames that came with it. A condition that was flagged as
    such takes back exactly what came with it, any other one the verdicts on what meets it.
    """
    if where is not None:
        return _condition_to_unflag(conn, kind, where)
    _check_kind(kind)
    if kind in (EXPOSURE, NIGHT):
        return _group_to_unflag(conn, kind, names)
    _check_known(conn, kind, names)
    before = verdicts.standing_of(conn, kind, names)
    for name in names:
        if name not in before and not before.keys() & set(names):
            raise verdicts.not_judged(kind, name)
    return Subject(kind, tuple(name for name in dict.fromkeys(names) if name in before))


# ---------------------------------------------------------------- groups


def _group_to_flag(
    conn: Connection, kind: str, names: Collection[str], reason: str, who: str
) -> Subject:
    keys = _group_keys(conn, kind, names)
    sound = [row["name"] for row in _members(conn, kind, keys) if row["set_mjd"] is None]
    before = verdicts.standing_of(conn, kind, keys)
    _check_same(kind, before, reason, who, is_all=len(before) == len(keys) and not sound)
    act = next(iter(before.values()), None)
    heads = tuple((kind, key) for key in keys if key not in before)
    return Subject("raw", tuple(sound), heads, act)


def _group_to_unflag(conn: Connection, kind: str, names: Collection[str]) -> Subject:
    keys = _group_keys(conn, kind, names)
    heads = verdicts.standing_of(conn, kind, keys)
    for key in keys:
        if key not in heads:
            raise verdicts.not_judged(kind, key)
    found: dict[str, None] = {}
    for key in keys:
        members = _members(conn, kind, [key])
        mine = [row["name"] for row in members if verdicts.came_with(heads[key], row)]
        found.update(dict.fromkeys(mine))
    return Subject("raw", tuple(found), tuple((kind, key) for key in keys))


def _group_keys(conn: Connection, kind: str, names: Collection[str]) -> list[str]:
    if kind == EXPOSURE:
        return list(dict.fromkeys(exposures.get(conn, name)["key"] for name in names))
    known = {row["night"] for row in ask(conn, judging.NIGHTS_KNOWN, names)}
    for name in names:
        if name not in known:
            raise NotFound(
                name, found="no frame of that night", expected="a night such as 2017-07-03",
                do="see `tesela status` for the latest nights",
            )  # fmt: skip
    return list(dict.fromkeys(names))


def _members(conn: Connection, kind: str, keys: Collection[str]) -> list[Mapping[str, Any]]:
    """Frames of exposures or nights: name, and who, reason and set_mjd of the verdict, or None."""
    query = judging.FRAMES_OF_EXPOSURES if kind == EXPOSURE else judging.FRAMES_OF_NIGHTS
    with followed_by_index(conn):
        return list(ask(conn, query, keys))


# ---------------------------------------------------------------- conditions


def _condition_to_flag(
    conn: Connection, kind: str, where: Condition, reason: str, who: str
) -> Subject:
    _check_kind(kind)
    head = f"{kind} where {where}"
    found = _meeting(conn, kind, where)
    before = verdicts.standing_of(conn, kind, found)
    sound = [key for key in found if key not in before]
    standing = verdicts.standing_of(conn, WHERE, [head])
    if not found:
        raise NotFound(
            f"--where {where}", found=f"no {_NOUNS[kind]} meets it", do="correct the condition"
        )
    if not sound:
        raise verdicts.already(kind, found[0], before[found[0]])
    _check_same(WHERE, standing, reason, who)
    heads = () if standing else ((WHERE, head),)
    return Subject(kind, tuple(sound), heads, standing.get(head))


def _condition_to_unflag(conn: Connection, kind: str, where: Condition) -> Subject:
    _check_kind(kind)
    key = f"{kind} where {where}"
    head = verdicts.standing(conn, WHERE, key)
    if head is not None:
        return Subject(kind, tuple(verdicts.judged_at_once(conn, kind, head)), ((WHERE, key),))
    found = _meeting(conn, kind, where)
    flagged = verdicts.standing_of(conn, kind, found)
    if not flagged:
        raise NotFound(
            f"--where {where}",
            found=f"no {_NOUNS[kind]} meets it"
            if not found
            else f"the {_NOUNS[kind]}s that meet it ({len(found)}), none of them flagged",
            expected="a condition that flagged ones meet",
            do="see `tesela status` for what is flagged",
        )
    return Subject(kind, tuple(sorted(flagged)))


def _meeting(conn: Connection, kind: str, where: Condition) -> list[str]:
    if kind == "raw":
        return chosen.frames(conn, where)
    return [key for _, key in chosen.products(conn, [kind], where)]


# ---------------------------------------------------------------- checks


def _check_kind(kind: str) -> None:
    if kind not in FLAGGABLE:
        raise LedgerError(kind, found="no such kind", expected=", ".join(FLAGGABLE))


def _check_same(
    kind: str, before: Mapping[str, dict[str, Any]], reason: str, who: str, *, is_all: bool = False
) -> None:
    """Only an act that was interrupted is begun again: by the same person, for the same reason."""
    for key, found in before.items():
        if is_all or (found["reason"], found["who"]) != (reason, who):
            raise verdicts.already(kind, key, found)


def _check_known(conn: Connection, kind: str, names: Collection[str]) -> None:
    known = {row["key"] for row in ask(conn, judging.KNOWN_KEYS, names, kind=kind)}
    for name in names:
        if name in known:
            continue
        if kind == "raw" and exposures.find(conn, name) is not None:
            raise NotFound(
                name, found="an exposure", expected="a frame", do="flag it with --kind exposure"
            )
        if kind == "raw":
            frames.get(conn, name)
        raise NotFound(f"{kind} {name}", found="no version of it", do="check the key")
