"""`tesela serve archive | portal | setup`: the public archive and the internal portal."""

from __future__ import annotations

import ipaddress
import socket
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any
from urllib.parse import SplitResult, urlsplit

import typer

from tesela.cli.common import HERE, JsonOption, SiteOption, emit
from tesela.errors import ConfigError

if TYPE_CHECKING:
    from starlette.applications import Starlette

LOOPBACK = "127.0.0.1"
ARCHIVE_PORT, PORTAL_PORT = 8080, 8081
_LAST_PORT = 65535
_BACKLOG = 128

verbs = typer.Typer(
    no_args_is_help=True, help="Serve the public archive, or the internal portal, on this machine."
)

HostOption = Annotated[
    str,
    typer.Option(
        "--host",
        help="Address of this machine to listen on. Beyond 127.0.0.1 others can read what is "
        "served. All addresses at once (0.0.0.0, ::) need --base-url.",
    ),
]
PortOption = Annotated[int, typer.Option("--port", min=0, max=_LAST_PORT, help="0: any free one.")]
BaseUrlOption = Annotated[
    str,
    typer.Option(
        "--base-url",
        help="Address by which users reach it, such as https://archive.example. Without it, it "
        "answers to the address of --host and to this machine's loopback alone.",
    ),
]


def add_to(app: typer.Typer) -> None:
    """Add the verbs."""
    app.add_typer(verbs, name="serve")


@verbs.callback()
def _group() -> None:
    """Servers. Each runs until it is stopped with Ctrl-C."""


@verbs.command("archive")
def archive(
    site: SiteOption = HERE,
    releases: Annotated[
        Path | None,
        typer.Option("--releases", help="Folder of releases, where there is no site."),
    ] = None,
    host: HostOption = LOOPBACK,
    port: PortOption = ARCHIVE_PORT,
    base_url: BaseUrlOption = "",
) -> None:
    """Serve the published releases: pages, cone search, image survey, files.

    It reads the folder of releases alone and knows no ledger. A release that is published or
    withdrawn meanwhile is noticed.
    """
    from tesela.products import paths
    from tesela.vo.settings import VoSettings
    from tesela.web.archive.app import create_app
    from tesela.web.archive.settings import ArchiveSettings

    folder = releases or paths.releases_folder(site)
    if not folder.is_dir():
        raise ConfigError(
            str(folder),
            found="no such folder",
            expected="a folder of releases",
            do="pass --site or --releases; `tesela release build` makes the first release",
        )
    base_url = checked_base_url(base_url)
    listening = listen(host, port)
    hosts = _own_names(listening, host, base_url)
    settings = ArchiveSettings(base_url=base_url, hosts=hosts, vo=VoSettings(base_url))
    app = create_app(folder.resolve(), settings)
    url = base_url or address(listening.getsockname()[1], host)
    _serve(app, listening, f"archive of {folder}", url)


@verbs.command("portal")
def portal(
    site: SiteOption = HERE,
    host: HostOption = LOOPBACK,
    port: PortOption = PORTAL_PORT,
    base_url: BaseUrlOption = "",
    api_only: Annotated[
        bool,
        typer.Option("--api-only", help="No pages: only programs with a token are answered."),
    ] = False,
) -> None:
    """Serve the internal portal of a site: nights, frames, tiles. It changes nothing.

    Its pages ask nobody who they are: keep them on this machine, or behind a proxy that does. Raw
    frames are given to programs, under /api, each with the token of an account (`tesela user`).
    """
    from tesela.flow.run.site import open_site
    from tesela.web.portal import PortalSettings, create_app

    opened = open_site(site)
    opened.ledger.close()
    base_url = checked_base_url(base_url)
    listening = listen(host, port)
    hosts = _own_names(listening, host, base_url)
    settings = PortalSettings(base_url=base_url, hosts=hosts, pages=not api_only)
    app = create_app(opened.folder, settings)
    url = base_url or address(listening.getsockname()[1], host)
    _serve(app, listening, f"portal of {opened.folder}", url)


@verbs.command("setup")
def setup(as_json: JsonOption = False) -> None:
    """Fetch the packages that pages use in the browser, once, by exact pins, from npm.

    They are kept in the user's data folder. Without them all pages work, in their plain form.
    Ends with 1 if they could not be fetched.
    """
    from tesela.web.shared import assets

    def say(line: str) -> None:
        if not as_json:
            typer.echo(line)

    report = assets.fetch(say)
    data = {"ok": report.ok, "folder": str(report.folder), "message": report.message}
    emit(data, as_json, lambda: _said(data))
    if not report.ok:
        raise typer.Exit(1)


def _said(data: dict[str, Any]) -> Iterator[str]:
    yield str(data["message"])


def listen(host: str, port: int) -> socket.socket:
    """Take the port before anything is said of it: who connects at once waits, and is answered."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # asyncio switches Nagle's algorithm off only where the protocol is named; with it each answer
    # in two parts takes 40 ms longer.
    listening = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((host, port))
        listening.listen(_BACKLOG)
    except (OSError, OverflowError) as error:
        listening.close()
        raise ConfigError(
            f"{host}:{port}",
            found=getattr(error, "strerror", None) or str(error),
            expected="an address of this machine and a free port",
            do="choose another with --host and --port",
        ) from error
    return listening


def address(port: int, host: str = LOOPBACK) -> str:
    """Return the address by which a browser on this machine reaches a server."""
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def checked_base_url(text: str) -> str:
    """Return a stated address without its last slash; nothing if nothing was stated.

    Raises `ConfigError` if it is not the address of a whole server.
    """
    if not text:
        return ""
    try:
        parts = urlsplit(text)
        well = _is_whole_server(parts)
    except ValueError:  # brackets that do not close, a port that is no number
        well = False
    if not well:
        raise ConfigError(
            "--base-url",
            found=repr(text[:80]),
            expected="http:// or https://, a host and perhaps a port, without path or query",
            do="state such as https://archive.example",
        )
    return text.rstrip("/")


def _is_whole_server(parts: SplitResult) -> bool:
    """Whether an address has a scheme of the web, a host and perhaps a port, and nothing more."""
    host = parts.hostname or ""
    written = f"[{host}]" if ":" in host else host
    if parts.port is not None:
        written += f":{parts.port}"
    return (
        parts.scheme in ("http", "https")
        and host != ""
        and host.isprintable()
        and not any(sign in host for sign in " \\\"'<>*,;")
        and parts.netloc.lower() == written
        and parts.path in ("", "/")
        and not parts.query
        and not parts.fragment
    )


def _own_names(listening: socket.socket, host: str, base_url: str) -> tuple[str, ...]:
    """Host names under which a server is reached where it listens, beside the stated address.

    Raises `ConfigError`, and gives the port back, if it listens everywhere and nobody said by
    which name it is reached: it would refuse every request from outside.
    """
    taken = str(listening.getsockname()[0])
    if not ipaddress.ip_address(taken.partition("%")[0]).is_unspecified:
        return (host, taken)
    if not base_url:
        listening.close()
        raise ConfigError(
            f"--host {host}",
            found="all addresses of this machine, and no name to answer to",
            expected="one address, or --base-url beside it",
            do="state by which address users reach it, such as --base-url http://archive:8080",
        )
    return ()


def _serve(app: Starlette, listening: socket.socket, what: str, url: str) -> None:
    import uvicorn

    typer.echo(f"{what}: {url}/  (Ctrl-C ends it)")
    sys.stdout.flush()
    settings = uvicorn.Config(app, log_level="warning", access_log=False, server_header=False)
    uvicorn.Server(settings).run(sockets=[listening])
