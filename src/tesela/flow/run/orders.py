"""From a claimed task to the order a worker gets: paths made absolute, facts attached."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from sqlalchemy.engine import Connection

from tesela.errors import LedgerError
from tesela.flow.plan.reduced import mjd_mid
from tesela.flow.plan.rules import PROFILE_OF, Rules
from tesela.flow.run.order_facts import OrderFacts
from tesela.flow.run.remake import Remake, recorded_settings
from tesela.flow.run.steps import InputRef, Order, Registry
from tesela.ledger import products, steps, tasks
from tesela.ledger.keys import MasterKey, Scope
from tesela.products import paths
from tesela.products.validity import Validity

_TAKEN = ("raw", "detrended")


@dataclass(frozen=True)
class Patience:
    """When a step is taken to hang, or to eat memory: far beyond what it declares."""

    least_s: float = 600.0
    times: float = 50.0
    """So many times the declared time, on top."""
    least_mb: float = 700.0
    memory_times: float = 1.5

    def timeout_s(self, seconds: float) -> float:
        """After how long a step is ended that declares so many seconds."""
        return self.least_s + self.times * seconds if self.least_s else 0.0

    def limit_mb(self, memory_mb: float) -> float:
        """With how much memory a step is ended that declares so much."""
        return self.least_mb + self.memory_times * memory_mb if self.least_mb else 0.0


@dataclass(frozen=True)
class Scribe:
    """Writes orders for one site: knows its rules, its steps and where its files are."""

    conn: Connection
    rules: Rules
    site: Path
    registry: Registry
    patience: Patience = field(default_factory=Patience)
    facts: OrderFacts = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "facts", OrderFacts(self.conn))

    def of_claims(
        self, claims: Sequence[tasks.Claim]
    ) -> tuple[list[tuple[tasks.Claim, Order]], list[tuple[tasks.Claim, LedgerError]]]:
        """Describe attempts completely: a worker asks nobody anything.

        Returns the orders, and why there is none for a claim: what it needs is gone for good.
        """
        inputs = tasks.inputs_of(self.conn, [claim.task_id for claim in claims])
        named = [claim.key for claim in claims if claim.kind in PROFILE_OF]
        self.facts.learn((row for rows in inputs.values() for row in rows), named)
        versions = products.last_versions(self.conn, [(one.kind, one.key) for one in claims])
        orders, refused = [], []
        for one in claims:
            version = 1 + versions.get((one.kind, one.key), 0)
            try:
                orders.append((one, self._order(one, inputs[one.task_id], version)))
            except LedgerError as error:
                refused.append((one, error))
        return orders, refused

    def _order(self, claim: tasks.Claim, rows: list[dict[str, Any]], version: int) -> Order:
        spec = self.registry[claim.step]
        scope = self._scope(claim.kind, claim.key)
        settings, settings_hash = spec.settings_in(scope)
        order = Order(
            task_id=claim.task_id,
            attempt=claim.attempt_id,
            step=claim.step,
            kind=claim.kind,
            key=claim.key,
            version=version,
            inputs=self._inputs(claim.kind, claim.key, rows),
            settings=settings,
            site=str(self.site),
            out_dir=str(paths.work_folder(self.site) / f"{claim.attempt_id}"),
            code_version=spec.code_version,
            settings_hash=settings_hash,
            scope="" if scope is None else str(scope),
            cores=spec.cores,
            memory_mb=spec.memory_mb * 2**claim.memory_faults,
        )
        remade = [ref.remake.order for ref in _flat(order.inputs) if ref.remake is not None]
        memory_mb = max([order.memory_mb, *(one.memory_mb for one in remade)])
        seconds = spec.seconds_per_mpix * claim.megapixels
        return replace(
            order,
            memory_mb=memory_mb,
            limit_mb=self.patience.limit_mb(memory_mb),
            timeout_s=(1 + len(remade)) * self.patience.timeout_s(seconds),
        )

    def as_recorded(self, product: dict[str, Any]) -> Remake:
        """Describe how a version was made, so that it can be made again.

        Raises `LedgerError` if it is of a kind that no step makes, or its settings were not kept.
        """
        kind, key = product["kind"], product["key"]
        spec = next((one for one in self.registry.specs.values() if one.kind == kind), None)
        if spec is None:
            raise LedgerError(
                f"{kind} {key} version {product['version']}",
                found="no step makes it",
                expected="a product of a step, whose files are there or can be made again",
                do="fetch it from another site: tesela audit --repair",
            )
        scope = Scope.parse(product["scope"]) if product["scope"] else None
        now, _ = spec.settings_in(scope)
        order = Order(
            task_id=0,
            attempt=0,
            step=spec.name,
            kind=kind,
            key=key,
            version=product["version"],
            inputs=self._inputs(kind, key, products.inputs(self.conn, product["id"])),
            settings=recorded_settings(self.conn, product, now),
            site=str(self.site),
            out_dir="",
            code_version=product["code_version"],
            settings_hash=product["settings_hash"],
            scope=product["scope"],
            cores=spec.cores,
            memory_mb=spec.memory_mb,
        )
        return Remake(spec.run, order, product["data_hash"], product["path"])

    def _scope(self, kind: str, key: str) -> Scope | None:
        if kind not in PROFILE_OF:
            return steps.scope_of(self.conn, kind, key)
        frame = self.facts.frame(key)
        return Scope.of(frame["camera"], frame["project"], frame["obstype"])

    def _inputs(self, kind: str, key: str, rows: list[dict[str, Any]]) -> tuple[InputRef, ...]:
        self.facts.learn(rows, [key] if kind in PROFILE_OF else [])
        mjd = None
        if kind in PROFILE_OF:
            mjd = mjd_mid(self.facts.frame(key))
        elif kind == "master":
            taken = {row["key"] for row in rows if row["kind"] in _TAKEN}
            starts = [self.facts.frame(name)["mjd_start"] for name in taken]
            own = MasterKey.parse(key)
            mjd = statistics.median(starts) if starts else self.rules.middle(own)
        return tuple(self._input_ref(row, mjd) for row in rows)

    def input_ref(self, row: dict[str, Any], mjd: float | None) -> InputRef:
        """Describe one input (a row of a product, with its role) of a product of an instant."""
        self.facts.learn([row])
        return self._input_ref(row, mjd)

    def _input_ref(self, row: dict[str, Any], mjd: float | None) -> InputRef:
        known, kind = self.facts, row["kind"]
        members: tuple[InputRef, ...] = ()
        facts: dict[str, Any] = {}
        if kind == "raw":
            facts = known.facts_of_frame(row["key"])
        elif kind == "master":
            facts = self._master_facts(row["id"], mjd)
        elif kind == "calset":
            members = tuple(self._input_ref(member, mjd) for member in known.members(row["id"]))
        elif kind in PROFILE_OF:
            facts = {**known.facts_of_frame(row["key"]), "metrics": known.metrics(row["id"])}
        elif kind == "coadd":
            facts = {"metrics": known.metrics(row["id"])}
        path = str(self.site / row["path"]) if row["path"] else ""
        remake = None
        if row.get("dropped_mjd") is not None:
            remake = self.as_recorded(products.by_id(self.conn, row["id"]))
        return InputRef(kind, row["key"], row["version"], path, row["role"], facts, members, remake)

    def _master_facts(self, product_id: int, mjd: float | None) -> dict[str, Any]:
        row = self.facts.master(product_id)
        names = ("master_kind", "configuration", "night", "valid_begin", "valid_end", "n_frames")
        facts: dict[str, Any] = {name: row[name] for name in names}
        facts["metrics"] = self.facts.metrics(product_id)
        if mjd is not None:
            facts["distance_days"] = Validity(row["valid_begin"], row["valid_end"]).distance(mjd)
            facts["is_older"] = row["valid_begin"] <= mjd
            camera = row["configuration"].split(".")[1]
            facts["crosses"] = self.rules.calendar.crossed(
                row["master_kind"], camera, row["valid_begin"], mjd
            )
        return facts


def _flat(refs: Iterable[InputRef]) -> Iterator[InputRef]:
    for ref in refs:
        yield ref
        yield from ref.members
