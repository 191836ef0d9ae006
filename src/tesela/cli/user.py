"""`tesela user`: who may read raw frames, of which projects, and with which tokens."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated, Any

import typer

from tesela.cli.common import HERE, JsonOption, SiteOption, emit, person, plural, worded
from tesela.errors import ConfigError

verbs = typer.Typer(
    no_args_is_help=True,
    help="Accounts: who may read raw frames through the portal, and with which tokens.",
)

NameArgument = Annotated[str, typer.Argument(help="Name of the account.", callback=worded)]
ProjectArgument = Annotated[
    str, typer.Argument(help="A project, as the headers of its frames have it.")
]
_YEAR = 365.0


def add_to(app: typer.Typer) -> None:
    """Add the verbs."""
    app.add_typer(verbs, name="user")


@verbs.callback()
def _group() -> None:
    """Accounts and tokens."""


@verbs.command("add")
def add(
    name: NameArgument,
    project: Annotated[
        list[str] | None,
        typer.Option("--project", help="A project whose frames it may read; as often as needed."),
    ] = None,
    role: Annotated[
        str, typer.Option("--role", help="member: of its projects; operator: of every project.")
    ] = "member",
    site: SiteOption = HERE,
    as_json: JsonOption = False,
) -> None:
    """Make an account. It can do nothing until it has a token."""
    from tesela.ledger import accounts

    projects = tuple(project or ())

    def change(conn: Any) -> list[str]:
        accounts.add(conn, name, role=role, projects=projects, who=person())
        return [one for one in projects if not accounts.is_project(conn, one)]

    unknown = _change(site, change)
    data = {"account": name, "role": role, "projects": list(projects), "not_yet_seen": unknown}
    emit(data, as_json, lambda: _added(data))


def _added(data: dict[str, Any]) -> Iterator[str]:
    of = ", ".join(data["projects"]) or "no project"
    of = "every project" if data["role"] == "operator" else of
    yield f"account {data['account']}: {data['role']} of {of}"
    yield from _unseen(data["not_yet_seen"])
    yield f"give it a token with `tesela user token {data['account']}`"


def _unseen(projects: list[str]) -> Iterator[str]:
    for project in projects:
        yield f"warning: no frame of project {project} has come in yet; is it spelled right?"


@verbs.command("list")
def list_(site: SiteOption = HERE, as_json: JsonOption = False) -> None:
    """List accounts, their projects and their tokens."""
    from tesela.ledger import accounts
    from tesela.ledger.place import open_ledger

    with open_ledger(site).read() as conn:
        data = accounts.listing(conn)
    emit(data, as_json, lambda: _listed(data))


def _listed(data: list[dict[str, Any]]) -> Iterator[str]:
    from tesela.ledger.clock import iso

    for row in data:
        off = f", disabled {iso(row['disabled_mjd'])}" if row["disabled_mjd"] else ""
        of = "every project" if row["role"] == "operator" else ", ".join(row["projects"])
        yield f"{row['name']}: {row['role']} of {of or 'no project'}{off}"
        for token in row["tokens"]:
            yield "  token " + _token_line(token, iso)
    if not data:
        yield "no accounts; `tesela user add NAME --project PROJECT` makes one"


def _token_line(token: dict[str, Any], iso: Callable[[float], str]) -> str:
    label = f" {token['label']}" if token["label"] else ""
    made = f"{token['id']}{label}, made {iso(token['created_mjd'])[:10]}"
    if token["revoked_mjd"] is not None:
        return f"{made}, revoked {iso(token['revoked_mjd'])[:10]}"
    if token["expires_mjd"] is None:
        return f"{made}, without end"
    word = "ends" if token["is_good"] else "ended"
    return f"{made}, {word} {iso(token['expires_mjd'])[:10]}"


@verbs.command("grant")
def grant(
    name: NameArgument, project: ProjectArgument, site: SiteOption = HERE,
    as_json: JsonOption = False,
) -> None:  # fmt: skip
    """Let an account read the frames of a project."""
    from tesela.ledger import accounts

    seen = _change(site, lambda conn: accounts.grant(conn, name, project, who=person()))
    data = {"account": name, "project": project, "not_yet_seen": [] if seen else [project]}

    def lines() -> Iterator[str]:
        yield f"account {name} may read frames of {project}"
        yield from _unseen([] if seen else [project])

    emit(data, as_json, lines)


@verbs.command("revoke")
def revoke(
    name: NameArgument, project: ProjectArgument, site: SiteOption = HERE,
    as_json: JsonOption = False,
) -> None:  # fmt: skip
    """Take the frames of a project from an account."""
    from tesela.ledger import accounts

    _change(site, lambda conn: accounts.revoke(conn, name, project, who=person()))
    data = {"account": name, "project": project}
    emit(data, as_json, lambda: iter([f"account {name} may not read frames of {project}"]))


@verbs.command("role")
def role(
    name: NameArgument,
    new: Annotated[
        str, typer.Argument(metavar="ROLE", help="member: of its projects; operator: of all.")
    ],
    site: SiteOption = HERE,
    as_json: JsonOption = False,
) -> None:
    """Give an account another role. Its projects and tokens stay."""
    from tesela.ledger import accounts

    _change(site, lambda conn: accounts.set_role(conn, name, new, who=person()))
    data = {"account": name, "role": new}
    emit(data, as_json, lambda: iter([f"account {name} is {new}"]))


@verbs.command("token")
def token(
    name: NameArgument,
    label: Annotated[str, typer.Option("--label", help="What it is for.")] = "",
    days: Annotated[
        float, typer.Option("--days", help="It ends after so many days; 0: never.")
    ] = _YEAR,
    site: SiteOption = HERE,
    as_json: JsonOption = False,
) -> None:
    """Make a token for an account and print it, this once: only its SHA-256 is kept."""
    from tesela.ledger import accounts

    made = _change(
        site, lambda conn: accounts.new_token(conn, name, label=label, days=days, who=person())
    )
    data = {"account": name, "label": label, "days": days, "token": made,
            "id": accounts.id_of(accounts.hash_of(made))}  # fmt: skip
    emit(data, as_json, lambda: iter([made]))
    if not as_json:
        typer.echo("keep it secret: it is shown this once", err=True)


@verbs.command("revoke-token")
def revoke_token(
    name: NameArgument,
    label: Annotated[str | None, typer.Option("--label", help="The one of this label.")] = None,
    token_id: Annotated[str, typer.Option("--id", help="The one that `user list` calls so.")] = "",
    every: Annotated[bool, typer.Option("--all", help="All tokens of the account.")] = False,
    site: SiteOption = HERE,
    as_json: JsonOption = False,
) -> None:
    """Revoke tokens: they open nothing from then on."""
    from tesela.ledger import accounts

    if [label is not None, bool(token_id), every].count(True) != 1:
        raise ConfigError(
            f"tokens of {name}",
            found="no token named, or several ways at once",
            expected="one of --label, --id and --all",
            do="see `tesela user list`",
        )
    n = _change(
        site,
        lambda conn: accounts.revoke_tokens(
            conn, name, label=label, token_id=token_id, who=person()
        ),
    )
    emit({"account": name, "revoked": n}, as_json, lambda: iter([f"{plural(n, 'token')} revoked"]))


@verbs.command("disable")
def disable(name: NameArgument, site: SiteOption = HERE, as_json: JsonOption = False) -> None:
    """Refuse all tokens of an account, until it is enabled again."""
    from tesela.ledger import accounts

    _change(site, lambda conn: accounts.disable(conn, name, who=person()))
    data = {"account": name, "disabled": True}
    emit(data, as_json, lambda: iter([f"account {name} is disabled"]))


@verbs.command("enable")
def enable(name: NameArgument, site: SiteOption = HERE, as_json: JsonOption = False) -> None:
    """Let the tokens of a disabled account be of use again."""
    from tesela.ledger import accounts

    _change(site, lambda conn: accounts.enable(conn, name, who=person()))
    data = {"account": name, "disabled": False}
    emit(data, as_json, lambda: iter([f"account {name} is enabled"]))


def _change(site: Path, change: Callable[[Any], Any]) -> Any:
    """Do it in one transaction."""
    from tesela.ledger.place import open_ledger

    with open_ledger(site).write() as conn:
        return change(conn)
