"""`tesela pause`: hold work back."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, Annotated

import typer

from tesela.cli.common import HERE, JsonOption, SiteOption, emit, person, worded
from tesela.errors import ConfigError, NotFound

if TYPE_CHECKING:
    from sqlalchemy.engine import Connection

StepOption = Annotated[
    str,
    typer.Option(
        "--step",
        help="reduce, coadd ...; default: every step.",
        show_default=False,
        callback=worded,
    ),
]
ProjectOption = Annotated[
    str,
    typer.Option(
        "--project",
        help="Only the images of its frames.",
        show_default=False,
        callback=worded,
    ),
]


def add_to(app: typer.Typer) -> None:
    """Add the verb."""
    app.command("pause")(pause)


def pause(
    reason: Annotated[
        str, typer.Option("--reason", help="Why; `status` says so.", callback=worded)
    ],
    step: StepOption = "",
    project: ProjectOption = "",
    site: SiteOption = HERE,
    as_json: JsonOption = False,
) -> None:
    """Begin no more tasks: of any step, of one, or of a project's frames. What runs is ended, and
    planning goes on."""
    from tesela.ledger import pauses
    from tesela.ledger.place import open_ledger

    _check_step(step)
    with open_ledger(site).write() as conn:
        _check_project(conn, project)
        made = pauses.pause(
            conn, step or pauses.ALL, project or pauses.ALL, reason=reason, who=person()
        )
    data = {"step": made.step, "project": made.project, "reason": made.reason, "who": made.who}
    again = shlex.join(
        ["tesela", "resume", *(["--step", step] if step else []),
         *(["--project", project] if project else [])]
    )  # fmt: skip
    emit(data, as_json, lambda: iter([f"paused: {made.name}; `{again}` lets it go on"]))


def _check_step(step: str) -> None:
    from tesela.flow.plan.rules import STEPS

    if step and step not in STEPS.values():
        raise ConfigError(
            f"--step {step}", found="no such step", expected=f"one of {', '.join(STEPS.values())}"
        )


def _check_project(conn: Connection, project: str) -> None:
    from tesela.ledger import schema

    known = [row.name for row in conn.execute(schema.project.select())]
    if project and project not in known:
        raise NotFound(
            f"--project {project}",
            found="no frame of that project",
            expected=f"one of {', '.join(sorted(known)[:20])}" if known else "a project of frames",
        )
