"""Carrying files with rsync: to an inbox, and back from it. What came is for others to verify."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import subprocess
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import Final

from tesela.config import Send
from tesela.errors import ConfigError, SiteAway, TransferError
from tesela.sites.receipt import RECEIPTS

PARTIAL: Final = ".partial"
"""Folder beside a file in which the part of it that came is kept."""
_TIMEOUT_S: Final = 120
_REMOTE = re.compile(r"[^/]*:")

_MEANING = {
    3: "its folder cannot be used",
    5: "it refused the connection",
    10: "it cannot be reached",
    11: "it cannot write",
    12: "the connection broke off",
    13: "rsync there failed",
    14: "rsync there failed",
    20: "it was stopped",
    21: "rsync there failed",
    22: "there is not enough memory",
    30: "nothing came for too long",
    35: "it does not answer",
    127: "there is no rsync there",
    255: "it cannot be reached",
}
"""Exit codes that may be others next time; what is not here is a fault of the command."""
_SOME_LEFT = (23, 24, 25)
_NOTHING = "No such file"
_THEIRS = re.compile(r"\[(receiver|generator)[=\]]", re.IGNORECASE)
"""In what rsync says when it sends: trouble at the other end."""


def push(source: Path, send: Send, sender: str) -> bool:
    """Send a shipment, a folder, into our folder of another site's inbox; whether all of it went.

    What is there already is not sent again, and of a file that was cut its rest only. Raises
    `SiteAway` if the site cannot be reached or takes nothing, `TransferError` if trying again is
    useless.
    """
    _check_there(send.where, send.to)
    limit = [f"--bwlimit={send.limit_kib_s}"] if send.limit_kib_s else []
    # Of a file that was cut the part stays in a hidden folder, so a name in the inbox is a whole
    # file; and blocks are compared also on one machine, or a cut file would begin anew.
    words = ["-rLtO", "--no-whole-file", "--partial", f"--partial-dir={PARTIAL}", *limit]
    left = _run([*words, "--", str(source), _join(send.where, f"{sender}/")], send)
    theirs = [line for line in left.splitlines() if _THEIRS.search(line)]
    if theirs:
        raise _away(send.to, "it cannot write", theirs[0])
    return not left


def fetch_receipts(send: Send, sender: str, target: Path) -> None:
    """Move the receipts that another site has for us into the folder RECEIPTS of `target`.

    Raises as `push`.
    """
    _check_there(send.where, send.to)
    words = ["-rtO", "--remove-source-files", "--ignore-missing-args", "--exclude=.*"]
    try:
        left = _run([*words, "--", _join(send.where, f"{sender}/{RECEIPTS}"), f"{target}/"], send)
    except SiteAway as error:
        left = str(error)
        if _NOTHING not in left or RECEIPTS not in left:
            raise
    if left and _NOTHING not in left:  # before our first shipment there is no such folder
        raise _away(send.to, "its receipts cannot be read", left)


def fetch(send: Send, path: str, target: Path) -> bool:
    """Copy one file of another site, by its path there, to a name here; whether it was there.

    Raises as `push`.
    """
    base = send.base or _folder_of(send.where)
    _check_there(base, send.to)
    return not _run(["-tO", "--", _join(base, path), str(target)], send)


def _folder_of(inbox: str) -> str:
    """The folder that an inbox lies in, in rsync's words."""
    found = _REMOTE.match(inbox)
    host = found.group() if found else ""
    return f"{host}{PurePosixPath(inbox[len(host) :]).parent}"


def is_remote(where: str) -> bool:
    """Whether rsync takes a place for one on another machine."""
    return bool(_REMOTE.match(where))


def _check_there(where: str, to: str) -> None:
    """A disk that is not mounted must not be filled where it should be."""
    if not is_remote(where) and not Path(where).is_dir():
        raise SiteAway(
            f"site {to}",
            found=f"no folder {where}",
            expected="its inbox",
            do="make the folder there, mount its disk, or correct [[send]] in site.toml",
        )


def _join(where: str, path: str) -> str:
    return f"{where}{path}" if where.endswith((":", "/")) else f"{where}/{path}"


def _run(words: Sequence[str], send: Send) -> str:
    """What rsync says of files that it left out, '' if it did all.

    Raises what it may do later, and what it never will.
    """
    program = shutil.which("rsync")
    if program is None:
        raise ConfigError("rsync", found="no such program", expected="rsync", do="install it")
    shell = ["-e", send.shell] if send.shell else []
    command = [program, *shell, f"--timeout={_TIMEOUT_S}", *words]
    code, said = _call(command)
    if code == 0:
        return ""
    if code in _SOME_LEFT:
        return said or "some files were left out"
    if code in _MEANING:
        raise _away(send.to, _MEANING[code], said)
    raise TransferError(
        f"site {send.to}",
        found=f"rsync ended with {code}: {_first_words(said)}",
        expected="a transfer",
        do="correct [[send]] in site.toml, or look at rsync on both machines",
    )


def _away(to: str, meaning: str, said: str) -> SiteAway:
    return SiteAway(f"site {to}", found=f"{meaning} ({_first_words(said)})")


def _call(command: Sequence[str]) -> tuple[int, str]:
    """Run a program to its end, which no terminal reaches: ssh must fail rather than ask."""
    process = subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
        start_new_session=True,
        env={**os.environ, "LC_ALL": "C"},
    )
    try:
        _, said = process.communicate()
    except BaseException:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGTERM)
        process.communicate()
        raise
    return process.returncode, said


def _first_words(said: str) -> str:
    """The first line that says something; rsync's last one only repeats its exit code."""
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    own = [line for line in lines if line.startswith(("rsync:", "ssh:")) or "rrsync" in line]
    return (own or lines or ["it said nothing"])[0][:300]
