"""What the verbs share: options, output, progress."""

from __future__ import annotations

import contextlib
import getpass
import json
import math
import sys
from collections.abc import Callable, Collection, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tesela.errors import ConfigError

if TYPE_CHECKING:
    from rich.progress import Progress


def worded(ctx: typer.Context, param: typer.CallbackParam, value: Any) -> Any:
    """Refuse a word that is given but empty; a callback of options and arguments.

    A script whose variable is not set gives such words. They would pass for words that were left
    out, and mean everything.
    """
    # By its name: newer versions of typer bring a click of their own along.
    source = ctx.get_parameter_source(param.name or "")
    is_given = source is not None and source.name == "COMMANDLINE"
    words = value if isinstance(value, (list, tuple)) else [value]
    if is_given and any(isinstance(word, str) and not word.strip() for word in words):
        name = param.opts[-1]
        raise ConfigError(
            name if name.startswith("-") else name.upper(),
            found="an empty word",
            expected="something in it",
            do="leave it out, or look whether a variable of the script is not set",
        )
    return value


def refuse_unknown(option: str, name: str, known: Collection[str]) -> None:
    """Refuse what is none of the known names; an empty one was left out.

    What nothing has would give an all-clear about nothing.
    """
    if name and name not in known:
        raise ConfigError(
            option, found=repr(name), expected=f"one of {', '.join(known)}", do="correct it"
        )


SiteOption = Annotated[
    Path, typer.Option("--site", envvar="TESELA_SITE", help="Folder of the site.")
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON.")]
DryRunOption = Annotated[bool, typer.Option("--dry-run", help="Say what would happen, do nothing.")]
WhereOption = Annotated[
    str,
    typer.Option(
        "--where",
        help="A condition: 'night = 2017-07-03 and band = rSDSS and fwhm_arcsec > 2.5'.",
        show_default=False,
        callback=worded,
    ),
]
YesOption = Annotated[bool, typer.Option("--yes", help="Go on without asking.")]
HERE = Path()


def emit(data: Any, as_json: bool, lines: Callable[[], Iterator[str]]) -> None:
    """Print `data` as JSON, or the lines for people."""
    if as_json:
        typer.echo(json.dumps(finite(data), indent=2, default=str, allow_nan=False))
        return
    for line in lines():
        typer.echo(line)


def finite(data: Any) -> Any:
    """Return the data with null for NaN and infinity, which JSON does not know: the programs that
    read it would refuse all of it."""
    if isinstance(data, Mapping):
        return {name: finite(value) for name, value in data.items()}
    if isinstance(data, (list, tuple)):
        return [finite(value) for value in data]
    if isinstance(data, float) and not math.isfinite(data):
        return None
    return data


def person() -> str:
    """Return who is at the keyboard, for verdicts and events."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a user without a name
        return "unknown"


def confirm(
    n_targets: int, limit: int, yes: bool, what: str = "product would be made again"
) -> None:
    """Above a set number of targets a change wants --yes."""
    if n_targets > limit and not yes:
        noun, _, rest = what.partition(" ")
        raise ConfigError(
            f"{plural(n_targets, noun)} {rest}",
            found="no --yes",
            expected=f"--yes above {limit} (flow.confirm_above)",
            do="look at the list with --dry-run first",
        )


@contextlib.contextmanager
def progress_bar(as_json: bool) -> Iterator[Progress | None]:
    """Give a progress bar on a terminal, None elsewhere."""
    if as_json or not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
    from rich.progress import Progress as Bar

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    with Bar(*columns, console=Console(stderr=True), transient=True) as bar:
        yield bar


def some(sentences: list[str], limit: int = 10, of: int = 0) -> Iterator[str]:
    """Give the first sentences, and how many more there are; `of` where these are not all."""
    yield from sentences[:limit]
    every = max(of, len(sentences))
    if every > limit:
        listed = "all" if len(sentences) == every else f"{len(sentences)} of them"
        yield f"  ... and {every - limit} more (--json lists {listed})"


def warning_lines(groups: list[dict[str, Any]]) -> Iterator[str]:
    """Say grouped warnings of products, a line each."""
    yield from some(
        [
            f"warning: {group['kind']} {group['example']}"
            + (f" and {group['n'] - 1} more" if group["n"] > 1 else "")
            + f": {group['text']}"
            for group in groups
        ]
    )


def waiting_lines(rows: list[dict[str, Any]]) -> Iterator[str]:
    """Say what waits for what, and where an old version is served that no longer should be."""
    for row in rows:
        yield f"waiting: {row['n']} {row['kind']} ({row['example']}): {row['reason']}" + (
            f"; of {row['served']} the old version is served meanwhile" if row["served"] else ""
        )


def stale_lines(groups: list[dict[str, Any]]) -> Iterator[str]:
    """Say what is stale and why, and what that means."""
    yield from some([f"stale: {row['n']} {row['kind']}: {row['why']}" for row in groups])
    if groups:
        yield "  stale: sound and served, but a newer choice exists; remade by `tesela reprocess`"


def duration(seconds: float) -> str:
    """Return '40 s', '3 min', '5.5 h' or '12 d'."""
    if seconds < 100.0:
        return f"{seconds:.0f} s"
    if seconds < 100.0 * 60.0:
        return f"{seconds / 60.0:.0f} min"
    hours = seconds / 3600.0
    return f"{hours:.1f} h" if hours < 72.0 else f"{hours / 24.0:.0f} d"


def core_time(core_seconds: float) -> str:
    """Return '12 core seconds', '3 core minutes', '40 core hours'."""
    if core_seconds < 90.0:
        return f"{core_seconds:.0f} core seconds"
    if core_seconds < 90.0 * 60.0:
        return f"{core_seconds / 60.0:.0f} core minutes"
    return f"{core_seconds / 3600.0:.0f} core hours"


def plural(number: int, word: str) -> str:
    """Return '1 frame', '2 frames'."""
    return f"{number} {word}" if number == 1 else f"{number} {word}s"
