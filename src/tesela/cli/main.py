"""The program: its verbs in the order of the data, and what its exit codes mean.

0 all well    1 something failed or is dead    2 bad usage or bad input    3 lock held
"""

from __future__ import annotations

import importlib
import json
import sys

import typer

from tesela import __version__
from tesela.errors import BadInput, Busy, ConfigError, LedgerError, TeselaError

VERBS = (
    "init",
    "upgrade",
    "backup",
    "user",
    "simulate",
    "refcat",
    "camera",
    "ingest",
    "quicklook",
    "masters",
    "plan",
    "run",
    "status",
    "why",
    "history",
    "lineage",
    "flag",
    "unflag",
    "retry",
    "reprocess",
    "drop",
    "restore",
    "pause",
    "resume",
    "query",
    "release",
    "serve",
    "transfer",
    "audit",
    "doctor",
    "demo",
)

OK, FAILED, BAD_USAGE, LOCK_HELD, INTERRUPTED = 0, 1, 2, 3, 130


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"tesela {__version__}")
        raise typer.Exit


def _program(
    version: bool = typer.Option(
        False, "--version", callback=_version, is_eager=True, help="Print the version and end."
    ),
) -> None:
    """From the raw CCD frames of a many-filter sky survey to a public archive."""


def build() -> typer.Typer:
    """Put the verbs together; each module adds its own."""
    app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)
    app.callback()(_program)
    for verb in VERBS:
        importlib.import_module(f"tesela.cli.{verb}").add_to(app)
    return app


def exit_code(error: TeselaError) -> int:
    """Return the exit code that an error of ours ends the program with."""
    if isinstance(error, Busy):
        return LOCK_HELD
    if isinstance(error, (ConfigError, BadInput, LedgerError)):
        return BAD_USAGE
    return FAILED


def said(error: TeselaError, as_json: bool) -> str:
    """Return an error as a sentence, or for programs as one JSON object with its four answers."""
    if not as_json:
        return f"tesela: {error}"
    names = ("what", "found", "expected", "do")
    parts = {name: getattr(error, name) for name in names}
    return json.dumps({"error": {"type": type(error).__name__, "message": str(error), **parts}})


def _run_for_programs() -> None:
    """Run it; what the command-line library finds wrong becomes an error of ours, not a box."""
    try:
        code = build()(standalone_mode=False)
    except Exception as error:
        # By what it has: newer versions of typer bring a click of their own along.
        if not hasattr(error, "format_message"):
            raise
        raise ConfigError(
            "command line",
            found=error.format_message().rstrip("."),
            expected="a command as in --help",
        ) from None
    sys.exit(code if isinstance(code, int) else OK)


def main() -> None:
    """Run the program; errors of ours are one sentence, not a traceback."""
    try:
        _run_for_programs() if "--json" in sys.argv[1:] else build()()
    except TeselaError as error:
        typer.echo(said(error, "--json" in sys.argv[1:]), err=True)
        sys.exit(exit_code(error))
    except SystemExit as end:  # typer makes one of Ctrl-C
        if end.code == INTERRUPTED:
            typer.echo("tesela: stopped; `tesela run` goes on from here", err=True)
        raise


if __name__ == "__main__":
    main()
