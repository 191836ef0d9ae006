"""Who may read raw frames: accounts, the projects they are members of, and their tokens.

A token is shown once, to the person who asks for it. Of it only the SHA-256 is kept: it is 32
random bytes, so nobody finds it from its hash, and no salt or slow hash is needed.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy.engine import Connection

from tesela.errors import BadInput, LedgerError, NotFound
from tesela.ledger import events, schema
from tesela.ledger.clock import now_mjd
from tesela.ledger.insert import insert_once
from tesela.ledger.queries import accounts as queries

KIND: Final = "account"
"""What events of an account are filed under."""
MEMBER, OPERATOR = "member", "operator"
ROLES: Final = (MEMBER, OPERATOR)
TOKEN: Final = re.compile(r"tsl_[A-Za-z0-9_-]{43}")
"""What a token looks like: 32 bytes in the alphabet of URLs."""
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@+-]{0,63}")
_BYTES: Final = 32
_LONGEST: Final = 100
_ID_LETTERS: Final = 8


@dataclass(frozen=True)
class Account:
    """Somebody who may ask."""

    name: str
    role: str
    projects: tuple[str, ...]

    @property
    def sees_all(self) -> bool:
        """Whether frames of every project may be read."""
        return self.role == OPERATOR

    def may_read(self, project: str) -> bool:
        """Whether frames of a project may be read."""
        return self.sees_all or project in self.projects


@dataclass(frozen=True)
class Holder:
    """What became of a token that was shown: an account, or why it opens nothing."""

    account: Account | None
    problem: str = ""
    """unknown, expired, revoked or disabled."""


def add(
    conn: Connection, name: str, *, role: str = MEMBER, projects: Iterable[str] = (), who: str
) -> None:
    """Make an account; raise `BadInput` for a name that cannot be one, `LedgerError` if it is
    there already."""
    if not _NAME.fullmatch(name):
        raise BadInput(
            f"account {name[:80]!r}",
            found="no name of an account",
            expected="up to 64 of A-Z a-z 0-9 . _ @ + -, a letter or digit first",
        )
    _must_be_role(name, role)
    row = {"name": name, "role": role, "created_mjd": now_mjd()}
    if not insert_once(conn, schema.account, row, ["name"]):
        raise LedgerError(
            f"account {name}",
            found="it exists already",
            expected="a new name",
            do="use it, or choose another name; `tesela user grant` adds projects",
        )
    events.record(conn, "account added", kind=KIND, key=name, detail=role, who=who)
    for project in dict.fromkeys(projects):
        grant(conn, name, project, who=who)


def set_role(conn: Connection, name: str, role: str, *, who: str) -> None:
    """Give an account another role; raise `LedgerError` if it has it already."""
    _must_be_role(name, role)
    if _must_be_there(conn, name)["role"] == role:
        raise _already(name, role, f"one of {', '.join(ROLES)} that it is not yet")
    table = schema.account
    conn.execute(table.update().where(table.c.name == name).values(role=role))
    events.record(conn, "role changed", kind=KIND, key=name, detail=role, who=who)


def _already(name: str, what: str, expected: str) -> LedgerError:
    return LedgerError(
        f"account {name}",
        found=f"it is {what} already",
        expected=expected,
        do="nothing needs to be done; see `tesela user list`",
    )


def _must_be_role(name: str, role: str) -> None:
    if role not in ROLES:
        raise BadInput(
            f"account {name}", found=f"role {role!r}", expected=f"one of {', '.join(ROLES)}"
        )


def grant(conn: Connection, name: str, project: str, *, who: str) -> bool:
    """Make an account a member of a project; returns whether frames of the project are known.

    Raises `LedgerError` if it is a member already.
    """
    _must_be_there(conn, name)
    if not project or len(project) > _LONGEST or not project.isprintable():
        raise BadInput(
            f"project {project[:80]!r}",
            found="no name of a project",
            expected=f"up to {_LONGEST} printable letters, as the frames' headers have it",
        )
    row = {"account": name, "project": project}
    if not insert_once(conn, schema.member, row, ["account", "project"]):
        raise LedgerError(
            f"account {name}",
            found=f"it is a member of {project} already",
            expected="a project that it is no member of",
            do="nothing needs to be done; see `tesela user list`",
        )
    events.record(conn, "project granted", kind=KIND, key=name, detail=project, who=who)
    return is_project(conn, project)


def revoke(conn: Connection, name: str, project: str, *, who: str) -> None:
    """Take a project from an account; raise `NotFound` if it is no member."""
    _must_be_there(conn, name)
    table = schema.member
    gone = conn.execute(
        table.delete().where(table.c.account == name, table.c.project == project)
    ).rowcount
    if not gone:
        raise NotFound(
            f"account {name}",
            found=f"it is no member of {project}",
            expected="a project that it is a member of",
            do="see `tesela user list`",
        )
    events.record(conn, "project revoked", kind=KIND, key=name, detail=project, who=who)


def disable(conn: Connection, name: str, *, who: str) -> None:
    """Refuse all tokens of an account, until it is enabled."""
    _set_disabled(conn, name, now_mjd(), who)


def enable(conn: Connection, name: str, *, who: str) -> None:
    """Let the tokens of an account be of use again."""
    _set_disabled(conn, name, None, who)


def _set_disabled(conn: Connection, name: str, at: float | None, who: str) -> None:
    word = "enabled" if at is None else "disabled"
    if (_must_be_there(conn, name)["disabled_mjd"] is None) == (at is None):
        other = "disabled" if at is None else "enabled"
        raise _already(name, word, f"an account that is {other}")
    table = schema.account
    conn.execute(table.update().where(table.c.name == name).values(disabled_mjd=at))
    events.record(conn, f"account {word}", kind=KIND, key=name, who=who)


def new_token(conn: Connection, name: str, *, label: str = "", days: float = 0.0, who: str) -> str:
    """Make a token and return it: nobody can ask for it again.

    Parameters
    ----------
    label : str
        What it is for; tells it from the account's other tokens.
    days : float
        It ends after so many; 0: never.
    """
    if _must_be_there(conn, name)["disabled_mjd"] is not None:
        raise LedgerError(
            f"account {name}",
            found="it is disabled",
            expected="an account that is enabled",
            do="`tesela user enable` it first",
        )
    if len(label) > _LONGEST or not label.isprintable():
        raise BadInput("label", found="no label", expected=f"at most {_LONGEST} printable letters")
    if not 0 <= days < 1e5:
        raise BadInput("days", found=f"{days:g}", expected="0 (it never ends) to 100 000")
    if any(row["label"] == label and _is_good(row) for row in tokens_of(conn, name)):
        raise LedgerError(
            f"account {name}",
            found=f"a token that is labelled {label!r}" if label else "a token without a label",
            expected="labels that tell its tokens apart",
            do="choose another --label, or `tesela user revoke-token` that one first",
        )
    token = f"tsl_{secrets.token_urlsafe(_BYTES)}"
    digest, now = hash_of(token), now_mjd()
    row = {"hash": digest, "account": name, "label": label, "created_mjd": now}
    ends = now + days if days else None
    conn.execute(schema.access_token.insert().values(**row, expires_mjd=ends))
    detail = f"{id_of(digest)} {label}".strip()
    events.record(conn, "token made", kind=KIND, key=name, detail=detail, who=who)
    return token


def revoke_tokens(
    conn: Connection, name: str, *, label: str | None = None, token_id: str = "", who: str
) -> int:
    """Revoke the tokens with this label or id, or all of an account; returns how many.

    Raises `NotFound` if there is none that is not revoked already.
    """
    _must_be_there(conn, name)
    chosen = [
        row["hash"]
        for row in tokens_of(conn, name)
        if row["revoked_mjd"] is None
        and (label is None or row["label"] == label)
        and (not token_id or id_of(row["hash"]) == token_id)
    ]
    if not chosen:
        raise NotFound(
            f"account {name}",
            found="no such token",
            expected="a token of it that is not revoked",
            do="see `tesela user list`",
        )
    table = schema.access_token
    conn.execute(table.update().where(table.c.hash.in_(chosen)).values(revoked_mjd=now_mjd()))
    for digest in chosen:
        events.record(conn, "token revoked", kind=KIND, key=name, detail=id_of(digest), who=who)
    return len(chosen)


def listing(conn: Connection) -> list[dict[str, Any]]:
    """Return every account with its `projects` and `tokens`; of tokens all but the hash."""
    projects: dict[str, list[str]] = {}
    for row in conn.execute(queries.MEMBERS):
        projects.setdefault(row.account, []).append(row.project)
    tokens: dict[str, list[dict[str, Any]]] = {}
    for found in conn.execute(queries.TOKENS).mappings():
        token = {name: found[name] for name in ("label", "created_mjd", "expires_mjd",
                                                "revoked_mjd")}  # fmt: skip
        named = {"id": id_of(found["hash"]), **token, "is_good": _is_good(found)}
        tokens.setdefault(found["account"], []).append(named)
    return [
        {
            **row,
            "projects": projects.get(row["name"], []),
            "tokens": tokens.get(row["name"], []),
        }
        for row in conn.execute(queries.ACCOUNTS).mappings()
    ]


def tokens_of(conn: Connection, name: str) -> list[dict[str, Any]]:
    """Return the rows of an account's tokens, the oldest first."""
    return [dict(row) for row in conn.execute(queries.TOKENS_OF_ACCOUNT, {"name": name}).mappings()]


def identify(conn: Connection, token: str) -> Holder:
    """Return whose token this is, or why it opens nothing."""
    if not TOKEN.fullmatch(token):
        return Holder(None, "unknown")
    digest = hash_of(token)
    row = conn.execute(queries.ACCOUNT_OF_TOKEN, {"hash": digest}).mappings().first()
    if row is None or not hmac.compare_digest(row["hash"], digest):
        return Holder(None, "unknown")
    if row["revoked_mjd"] is not None:
        return Holder(None, "revoked")
    if row["expires_mjd"] is not None and row["expires_mjd"] <= now_mjd():
        return Holder(None, "expired")
    if row["disabled_mjd"] is not None:
        return Holder(None, "disabled")
    projects = conn.execute(queries.PROJECTS_OF_ACCOUNT, {"name": row["name"]})
    return Holder(Account(row["name"], row["role"], tuple(one.project for one in projects)))


def is_project(conn: Connection, name: str) -> bool:
    """Whether a frame of a project was ever taken in."""
    return conn.execute(queries.IS_PROJECT, {"name": name}).first() is not None


def hash_of(token: str) -> str:
    """Return what is kept of a token."""
    return hashlib.sha256(token.encode("utf-8", "surrogateescape")).hexdigest()


def id_of(digest: str) -> str:
    """Return the beginning of a token's hash, by which people call it."""
    return digest[:_ID_LETTERS]


def _is_good(row: Any) -> bool:
    ends = row["expires_mjd"]
    return row["revoked_mjd"] is None and (ends is None or ends > now_mjd())


def _must_be_there(conn: Connection, name: str) -> dict[str, Any]:
    row = conn.execute(queries.ACCOUNT, {"name": name}).mappings().first()
    if row is None:
        raise NotFound(
            f"account {name}",
            found="no account of that name",
            expected="an account that was added",
            do="see `tesela user list`",
        )
    return dict(row)
