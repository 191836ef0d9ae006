"""`tesela user`: accounts from the command line."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from flow import toys
from tesela.ledger import accounts
from tesela.ledger.engine import Ledger
from tesela.ledger.place import place_of
from verbs import SMALL_SURVEY, tesela, well


@pytest.fixture
def site(tmp_path: Path) -> Path:
    toys.new_site(tmp_path).close()
    (tmp_path / "survey.toml").write_text(SMALL_SURVEY)
    return tmp_path


def test_from_account_to_token_and_back(site: Path) -> None:
    said = well("user", "add", "ana", "--project", "survey", "--site", site)
    assert "account ana: member of survey" in said.out
    assert "no frame of project survey has come in yet" in said.out
    made = well("user", "token", "ana", "--label", "laptop", "--days", 30, "--site", site)
    assert re.fullmatch(r"tsl_[\w-]{43}\n", made.out), "the token alone, for pipes"
    assert "shown this once" in made.err
    listed = well("user", "list", "--site", site).out
    assert re.search(r"^  token [0-9a-f]{8} laptop, made 2\S+, ends 2\S+$", listed, re.M)
    assert made.out.strip() not in listed
    well("user", "grant", "ana", "open time", "--site", site)
    well("user", "revoke", "ana", "survey", "--site", site)
    (row,) = well("user", "list", "--site", site, "--json").data
    assert row["projects"] == ["open time"]
    ledger = Ledger.open(place_of(site))
    with ledger.read() as conn:
        account = accounts.identify(conn, made.out.strip()).account
    ledger.close()
    assert account is not None
    assert account.projects == ("open time",)
    well("user", "role", "ana", "operator", "--site", site)
    assert "ana: operator of every project" in well("user", "list", "--site", site).out
    well("user", "role", "ana", "member", "--site", site)
    well("user", "disable", "ana", "--site", site)
    assert "disabled" in well("user", "list", "--site", site).out
    well("user", "enable", "ana", "--site", site)
    said = well("user", "revoke-token", "ana", "--id", row["tokens"][0]["id"], "--site", site)
    assert said.out == "1 token revoked\n"
    assert "revoked" in well("user", "list", "--site", site).out
    assert "account disabled by " in well("history", "ana", "--site", site).out


def test_for_programs(site: Path) -> None:
    made = well("user", "add", "op", "--role", "operator", "--site", site, "--json").data
    assert made == {"account": "op", "role": "operator", "projects": [], "not_yet_seen": []}
    token = well("user", "token", "op", "--days", 0, "--site", site, "--json").data
    assert token["token"].startswith("tsl_")
    (row,) = well("user", "list", "--site", site, "--json").data
    assert row["tokens"][0]["id"] == token["id"]
    assert row["tokens"][0]["expires_mjd"] is None
    assert "without end" in well("user", "list", "--site", site).out


def test_nobody_yet(site: Path) -> None:
    assert "tesela user add" in well("user", "list", "--site", site).out


@pytest.mark.parametrize(
    "words",
    [
        ("add", "a b"),
        ("add", "ana", "--role", "king"),
        ("role", "nobody", "operator"),
        ("add", "ana", "--project", ""),
        ("token", "nobody"),
        ("grant", "nobody", "survey"),
        ("disable", "nobody"),
        ("revoke-token", "nobody"),
        ("revoke-token", "nobody", "--all", "--label", "x"),
    ],
)
def test_what_cannot_be_is_one_sentence_and_changes_nothing(
    site: Path, words: tuple[str, ...]
) -> None:
    said = tesela("user", *words, "--site", site)
    assert said.code == 2
    assert said.err.startswith("tesela: ")
    assert said.err.count("\n") == 1
    assert well("user", "list", "--site", site, "--json").data == []
