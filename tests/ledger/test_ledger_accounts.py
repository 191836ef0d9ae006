"""Accounts, projects and tokens."""

from __future__ import annotations

import re

import pytest
import sqlalchemy as sa

from tesela.errors import BadInput, LedgerError, NotFound
from tesela.ledger import accounts, events, schema
from tesela.ledger.engine import Ledger


@pytest.fixture
def token(ledger: Ledger) -> str:
    """Of ana, a member of the survey."""
    with ledger.write() as conn:
        accounts.add(conn, "ana", projects=["survey"], who="op")
        return accounts.new_token(conn, "ana", label="laptop", who="op")


def holder(ledger: Ledger, token: str) -> accounts.Holder:
    with ledger.read() as conn:
        return accounts.identify(conn, token)


def test_a_token_tells_whose_it_is_and_what_may_be_read(ledger: Ledger, token: str) -> None:
    account = holder(ledger, token).account
    assert account == accounts.Account("ana", "member", ("survey",))
    assert account.may_read("survey")
    assert not account.may_read("open time")
    assert not account.may_read("")


def test_an_operator_may_read_all(ledger: Ledger) -> None:
    with ledger.write() as conn:
        accounts.add(conn, "op", role="operator", who="root")
        made = accounts.new_token(conn, "op", who="root")
    account = holder(ledger, made).account
    assert account is not None
    assert account.may_read("whatever")


def test_a_token_is_long_random_and_kept_nowhere(ledger: Ledger, token: str) -> None:
    assert re.fullmatch(r"tsl_[A-Za-z0-9_-]{43}", token), "32 bytes"
    with ledger.write() as conn:
        other = accounts.new_token(conn, "ana", label="desk", who="op")
    assert other != token
    with ledger.read() as conn:
        for table in schema.metadata.sorted_tables:
            for row in conn.execute(sa.select(table)):
                assert token not in str(tuple(row))
                assert token.removeprefix("tsl_") not in str(tuple(row))


@pytest.mark.parametrize(
    "wrong", ["", "tsl_", "tsl_" + "A" * 43, "tsl_" + "A" * 44, "\N{SNOWMAN}" * 47, "' OR 1=1 --"]
)
def test_what_is_no_token_of_ours_opens_nothing(ledger: Ledger, token: str, wrong: str) -> None:
    assert holder(ledger, wrong) == accounts.Holder(None, "unknown")


def test_the_hash_of_a_token_is_no_token(ledger: Ledger, token: str) -> None:
    digest = accounts.hash_of(token)
    for word in (digest, digest[:47], f"tsl_{digest[:43]}"):
        assert holder(ledger, word).account is None


def test_a_token_ends(ledger: Ledger) -> None:
    with ledger.write() as conn:
        accounts.add(conn, "ana", who="op")
        short = accounts.new_token(conn, "ana", label="short", days=1e-9, who="op")
        long = accounts.new_token(conn, "ana", label="long", days=1.0, who="op")
    assert holder(ledger, short).problem == "expired"
    assert holder(ledger, long).account is not None


def test_revoking_concerns_the_one_token(ledger: Ledger, token: str) -> None:
    with ledger.write() as conn:
        other = accounts.new_token(conn, "ana", label="desk", who="op")
        assert accounts.revoke_tokens(conn, "ana", label="laptop", who="op") == 1
    assert holder(ledger, token).problem == "revoked"
    assert holder(ledger, other).account is not None
    with ledger.write() as conn:
        of_other = accounts.id_of(accounts.hash_of(other))
        assert accounts.revoke_tokens(conn, "ana", token_id=of_other, who="op") == 1
        with pytest.raises(NotFound, match="no such token"):
            accounts.revoke_tokens(conn, "ana", who="op")
    assert holder(ledger, other).problem == "revoked"


def test_revoking_all_leaves_the_tokens_of_others(ledger: Ledger, token: str) -> None:
    with ledger.write() as conn:
        accounts.add(conn, "ben", who="op")
        of_ben = accounts.new_token(conn, "ben", label="laptop", who="op")
        accounts.new_token(conn, "ana", label="desk", who="op")
        assert accounts.revoke_tokens(conn, "ana", who="op") == 2
    assert holder(ledger, of_ben).account is not None


def test_a_disabled_account_opens_nothing_until_it_is_enabled(ledger: Ledger, token: str) -> None:
    with ledger.write() as conn:
        accounts.disable(conn, "ana", who="op")
        with pytest.raises(LedgerError, match="disabled already"):
            accounts.disable(conn, "ana", who="op")
        with pytest.raises(LedgerError, match="user enable"):
            accounts.new_token(conn, "ana", label="x", who="op")
    assert holder(ledger, token).problem == "disabled"
    with ledger.write() as conn:
        accounts.enable(conn, "ana", who="op")
        with pytest.raises(LedgerError, match="enabled already"):
            accounts.enable(conn, "ana", who="op")
    assert holder(ledger, token).account is not None


def test_projects_are_granted_and_revoked(ledger: Ledger, token: str) -> None:
    with ledger.write() as conn:
        assert not accounts.grant(conn, "ana", "open time", who="op"), "no frame of it yet"
        accounts.revoke(conn, "ana", "survey", who="op")
    account = holder(ledger, token).account
    assert account is not None
    assert account.projects == ("open time",)
    with ledger.write() as conn:
        with pytest.raises(
            LedgerError, match="it is a member of open time already; expected a project"
        ):
            accounts.grant(conn, "ana", "open time", who="op")
        with pytest.raises(NotFound, match="it is no member of survey; expected"):
            accounts.revoke(conn, "ana", "survey", who="op")


def test_a_project_is_known_when_a_frame_of_it_came(ledger: Ledger, token: str) -> None:
    with ledger.write() as conn:
        conn.execute(schema.project.insert().values(name="open time"))
        assert accounts.grant(conn, "ana", "open time", who="op")


@pytest.mark.parametrize("name", ["", " ", "-x", "a b", "a/b", "../x", "a" * 65, "\u00e1na", "a\n"])
def test_names_that_cannot_be(ledger: Ledger, name: str) -> None:
    with ledger.write() as conn, pytest.raises(BadInput, match="no name of an account"):
        accounts.add(conn, name, who="op")


def test_what_makes_no_sense_is_refused(ledger: Ledger, token: str) -> None:
    with ledger.write() as conn:
        with pytest.raises(LedgerError, match="exists"):
            accounts.add(conn, "ana", who="op")
        with pytest.raises(BadInput, match="role 'king'"):
            accounts.add(conn, "ben", role="king", who="op")
        for project in ("", "a\nb", "x" * 101):
            with pytest.raises(BadInput, match="no name of a project"):
                accounts.grant(conn, "ana", project, who="op")
        for days in (-1.0, float("nan"), float("inf"), 1e6):
            with pytest.raises(BadInput, match="days"):
                accounts.new_token(conn, "ana", label="x", days=days, who="op")
        with pytest.raises(LedgerError, match="labels that tell"):
            accounts.new_token(conn, "ana", label="laptop", who="op")
        for act in (accounts.disable, accounts.revoke_tokens, accounts.new_token):
            with pytest.raises(NotFound, match="no account of that name"):
                act(conn, "nobody", who="op")


def test_a_label_is_free_again_when_its_token_is_over(ledger: Ledger, token: str) -> None:
    with ledger.write() as conn:
        accounts.revoke_tokens(conn, "ana", label="laptop", who="op")
        accounts.new_token(conn, "ana", label="laptop", days=1e-9, who="op")
        accounts.new_token(conn, "ana", label="laptop", who="op")


def test_who_did_what_stays(ledger: Ledger, token: str) -> None:
    with ledger.write() as conn:
        accounts.disable(conn, "ana", who="eva")
        accounts.revoke_tokens(conn, "ana", who="eva")
        found = events.history(conn, "ana")["events"]
    assert [(row["what"], row["who"]) for row in found] == [
        ("account added", "op"), ("project granted", "op"), ("token made", "op"),
        ("account disabled", "eva"), ("token revoked", "eva"),
    ]  # fmt: skip
    assert {row["kind"] for row in found} == {"account"}


def test_the_list_has_all_but_the_hashes(ledger: Ledger, token: str) -> None:
    with ledger.write() as conn:
        accounts.add(conn, "ben", who="op")
        accounts.new_token(conn, "ana", label="over", days=1e-9, who="op")
        ana, ben = accounts.listing(conn)
    assert (ana["name"], ana["projects"], ben["projects"]) == ("ana", ["survey"], [])
    assert [(one["label"], one["is_good"]) for one in ana["tokens"]] == [
        ("laptop", True), ("over", False),
    ]  # fmt: skip
    assert accounts.hash_of(token) not in str(ana)
    assert ben["tokens"] == []
