"""`tesela pause` and `tesela resume`: hold work back, and let it go on."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tesela.cli.common import HERE, JsonOption, SiteOption, emit, person, plural
from tesela.errors import ConfigError, NotFound

if TYPE_CHECKING:
    from sqlalchemy.engine import Connection

StepOption = Annotated[
    str, typer.Option("--step", help="reduce, coadd ...; default: every step.", show_default=False)
]
ProjectOption = Annotated[
    str,
    typer.Option("--project", help="Only the images of its frames.", show_default=False),
]


def add_to(app: typer.Typer) -> None:
    """Add the verbs."""
    app.command("pause")(pause)
    app.command("resume")(resume)


def pause(
    reason: Annotated[str, typer.Option("--reason", help="Why; `status` says so.")],
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
    emit(data, as_json, lambda: iter([f"paused: {made.name}; `tesela resume` lets it go on"]))


def resume(
    step: StepOption = "",
    project: ProjectOption = "",
    everything: Annotated[bool, typer.Option("--all", help="Every pause there is.")] = False,
    site: SiteOption = HERE,
    as_json: JsonOption = False,
) -> None:
    """Take back the pause that was made with the same options, or all."""
    from tesela.ledger import pauses
    from tesela.ledger.place import open_ledger

    if everything and (step or project):
        raise ConfigError("resume", found="--all and more", expected="--all alone, or no --all")
    ledger = open_ledger(site)
    released = pauses.release(ledger)  # what a resumption that was interrupted left
    with ledger.write() as conn:
        before = pauses.in_force(conn)
        wanted = [(p.step, p.project) for p in before]
        if not everything:
            wanted = [(step or pauses.ALL, project or pauses.ALL)]
        for one in wanted:
            pauses.resume(conn, *one, who=person())
    released += pauses.release(ledger)
    gone = [p for p in before if (p.step, p.project) in wanted]
    data = {
        "resumed": [{"step": p.step, "project": p.project, "reason": p.reason} for p in gone],
        "released": released,
    }
    emit(data, as_json, lambda: _resumed([p.name for p in gone], data))


def _resumed(names: list[str], data: dict[str, Any]) -> Iterator[str]:
    yield f"resumed: {', '.join(names) or 'nothing was paused'}"
    if data["released"]:
        yield f"{plural(data['released'], 'task')} that waited for it may run"


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
