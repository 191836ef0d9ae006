"""What the benchmark of the ledger asks of the program: all its calls are here.

Nothing is measured with SQL of the benchmark's own.
"""

from __future__ import annotations

import contextlib
import hashlib
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import ledger_survey as survey
from sqlalchemy.engine import Connection

from tesela.flow.plan import downstream, flags, planner
from tesela.flow.plan.rules import STEPS, Rules
from tesela.flow.run import commit, controller, worker
from tesela.flow.run.engines.engine import Engine
from tesela.flow.run.orders import Scribe
from tesela.flow.run.steps import Order, Outcome, Registry, Report, StepSpec
from tesela.ledger import attempts, frames, leases, status, tallies, tasks
from tesela.ledger.engine import Ledger
from tesela.products.frame import FrameFacts

Target = tuple[str, str]

# A synthetic ledger names files that were never written, and these steps read none.
worker._check_inputs = lambda _: None

# ---------------------------------------------------------------- frames in


def take_in(ledger: Ledger, rules: Rules, facts: FrameFacts) -> None:
    """Take one frame in, as ingest does once it has read and copied the file."""
    with ledger.read() as conn:
        if frames.is_known(conn, facts):
            return
    tiles = rules.tiles_touching(facts.footprint, rules.margin_deg) if facts.footprint else []
    with ledger.write() as conn:
        frames.add(conn, facts, tiles)
        downstream.frame_arrived(conn, rules, facts)


def plan(ledger: Ledger, rules: Rules, *, at_once: bool = False) -> planner.Report:
    """Look at everything that is due, whatever its quiet period if `at_once`."""
    return planner.plan(ledger, rules, now=float("inf") if at_once else None)


def mark(ledger: Ledger, targets: Iterable[Target]) -> None:
    """Have the planner look at products."""
    with ledger.write() as conn:
        tasks.mark_dirty(conn, targets, "looked at again")


def count(ledger: Ledger) -> float:
    """Count, as controllers do on a timer; returns the seconds that it took."""
    return tallies.refresh(ledger)


def overview(ledger: Ledger) -> dict[str, Any]:
    """What `tesela status` shows."""
    with ledger.read() as conn:
        return status.overview(conn)


# ---------------------------------------------------------------- work out, results in


def claim(conn: Connection, limit: int) -> list[tasks.Claim]:
    """Take tasks, as a controller does."""
    rooms = dict.fromkeys(STEPS.values(), limit)
    return tasks.claim(conn, limit, now=leases.now(conn), rooms=rooms, controller="benchmark")


def claiming(ledger: Ledger) -> contextlib.AbstractContextManager[Connection]:
    """The transaction in which controllers claim and end attempts, beside each other."""
    return ledger.write(how="shared")


def end(conn: Connection, claimed: tasks.Claim) -> bool:
    """Close an attempt, without a product."""
    return tasks.end(conn, claimed, "done", attempts.Ending("done", seconds=1.0))


def orders(
    conn: Connection, rules: Rules, site: Path, claims: Iterable[tasks.Claim]
) -> list[tuple[tasks.Claim, Order]]:
    """Write what a worker gets."""
    scribe = Scribe(conn, rules, site, registry())
    found, refused = scribe.of_claims(list(claims))
    assert not refused, refused[0]
    return found


def deliver(ledger: Ledger, rules: Rules, site: Path, claimed: tasks.Claim, order: Order) -> None:
    """Commit a result: product, edges, quality and consequences."""
    report = Report(no_pixels(order), seconds=1.0, peak_memory_mb=100.0)
    commit.commit(ledger, rules, site, claimed, (order, report), registry().monitors)


# ---------------------------------------------------------------- verdicts


def flag(conn: Connection, rules: Rules, names: Iterable[str]) -> set[Target]:
    """Condemn raw frames; returns what is made again."""
    found = flags.flag(conn, rules, "raw", list(names), reason="trailed", who="benchmark")
    return set(found.targets)


def unflag(conn: Connection, rules: Rules, names: Iterable[str]) -> set[Target]:
    """Take the verdicts back; returns what is made again."""
    return set(flags.unflag(conn, rules, "raw", list(names), who="benchmark").targets)


# ---------------------------------------------------------------- controllers


def no_pixels(order: Order) -> Outcome:
    """The outcome of a step that does nothing."""
    digest = hashlib.sha256(f"{order.kind} {order.key}".encode()).hexdigest()
    return Outcome(files=(), data_hash=digest, metrics={"fwhm_arcsec": 1.0, "n_psf_stars": 200})


def small_file(order: Order) -> Outcome:
    """A step that takes a moment and writes a file."""
    time.sleep(float(order.settings.get("delay_s", 0.0)))
    temporary = order.out("result")
    temporary.write_text(f"{order.kind} {order.key}")
    final = f"products/{order.kind}/{order.key}.v{order.version}.txt"
    return Outcome(files=((str(temporary), final),), data_hash=no_pixels(order).data_hash)


def registry(
    run: Callable[[Order], Outcome] = no_pixels, settings: dict[str, Any] | None = None
) -> Registry:
    """The steps, all of them the same toy; they are those of the synthetic ledger."""
    return Registry(
        StepSpec(name, kind, run, survey.CODE, settings or {}, survey.SETTINGS)
        for kind, name in STEPS.items()
    )


def new_controller(
    ledger: Ledger, site: Path, rules: Rules, engine: Engine, known: Registry
) -> controller.Controller:
    """A controller of a site."""
    return controller.Controller(site, ledger, rules, known, engine)


@dataclass
class Timed:
    """Seconds and calls of parts of a run."""

    seconds: dict[str, float] = field(default_factory=dict)
    calls: dict[str, int] = field(default_factory=dict)


_PARTS = (
    ("plan", planner, "plan"),
    ("claim", tasks, "claim"),
    ("order", Scribe, "of_claims"),
    ("commit", commit, "commit"),
)


@contextlib.contextmanager
def timed() -> Iterator[Timed]:
    """Count what is spent in the parts of a controller's work while this lasts."""
    found = Timed()
    originals = [(module, name, getattr(module, name)) for _, module, name in _PARTS]
    for (part, module, name), (_, _, original) in zip(_PARTS, originals):
        setattr(module, name, _counted(found, part, original))
    try:
        yield found
    finally:
        for module, name, original in originals:
            setattr(module, name, original)


def _counted(found: Timed, part: str, original: Callable[..., Any]) -> Callable[..., Any]:
    def counted(*args: Any, **options: Any) -> Any:
        started = time.perf_counter()
        try:
            return original(*args, **options)
        finally:
            spent = time.perf_counter() - started
            found.seconds[part] = found.seconds.get(part, 0.0) + spent
            found.calls[part] = found.calls.get(part, 0) + 1

    return counted
