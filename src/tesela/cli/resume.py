"""`tesela resume`: let work go on that was paused."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any

import typer

from tesela.cli.common import HERE, JsonOption, SiteOption, emit, person, plural
from tesela.cli.pause import ProjectOption, StepOption
from tesela.errors import ConfigError


def add_to(app: typer.Typer) -> None:
    """Add the verb."""
    app.command("resume")(resume)


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
