"""The order of a quick look: what is at hand now, approximate masters among it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy.engine import Connection

from tesela import config
from tesela.flow.plan.approximate import nearest_masters
from tesela.flow.plan.reduced import mjd_mid
from tesela.flow.run.bodies import quicklook_step, registry
from tesela.flow.run.orders import Scribe
from tesela.flow.run.quick_body import USUAL_ZEROPOINT
from tesela.flow.run.site import Site
from tesela.flow.run.steps import InputRef, Order, Registry
from tesela.ledger import calsets, frames, products, quicklooks
from tesela.ledger.keys import Configuration, Scope
from tesela.products import paths
from tesela.products.masterkind import QUICK


@dataclass(frozen=True)
class QuickOrder:
    """What a worker gets, and what is to be said of the choice."""

    order: Order
    warnings: tuple[str, ...]


class QuickOrders:
    """Writes orders for a site, with the settings that its survey gives each frame."""

    def __init__(self, site: Site, cores: int) -> None:
        self.site = site
        self.step = quicklook_step(site.survey, cores)
        self._reduce = registry(site.survey, paths.cameras_folder(site.folder))["reduce"]

    def of_frame(self, name: str) -> QuickOrder:
        """Choose what a frame of the ledger is looked at with."""
        with self.site.ledger.write() as conn:  # a set of masters may be chosen for the first time
            frame = frames.get(conn, name)
            rows, warnings = self._rows(conn, frame)
            inputs = tuple(self._input(conn, row, frame) for row in rows if row is not None)
            version = products.next_version(conn, QUICK, name)
        scope = Scope.of(*(frame[field] for field in Scope._fields))
        return QuickOrder(self._order(name, version, inputs, scope), warnings)

    def of_nothing(self, name: str) -> Order:
        """An order without a frame, to get a worker going."""
        return self._order(name, 1, (), None)

    def _rows(
        self, conn: Connection, frame: dict[str, Any]
    ) -> tuple[list[dict[str, Any] | None], tuple[str, ...]]:
        """The products that the frame is looked at with, itself first."""
        raw = products.current(conn, "raw", frame["name"])
        if frame["obstype"] != "science":
            return [raw], ()
        configuration = Configuration(*frame["configuration"].split("."))
        chosen = nearest_masters(conn, self.site.rules, configuration, mjd_mid(frame))
        calset = None
        if chosen.masters:
            made = calsets.ensure(conn, configuration, QUICK, chosen.masters)
            calset = products.by_id(conn, made)
        refcat = products.current(conn, "refcat", self.site.rules.refcat)
        return [raw, calset, refcat], chosen.warnings

    def _input(self, conn: Connection, row: dict[str, Any], frame: dict[str, Any]) -> InputRef:
        of_order = {**row, "role": "input"}
        scribe = Scribe(conn, self.site.rules, self.site.folder, Registry(()))
        ref = scribe.input_ref(of_order, mjd_mid(frame))
        if row["kind"] != "raw":
            return ref
        usual = quicklooks.usual_zeropoint(conn, frame["configuration"], frame["mjd_start"])
        return replace(ref, facts={**ref.facts, USUAL_ZEROPOINT: usual})

    def _order(
        self, name: str, version: int, inputs: tuple[InputRef, ...], scope: Scope | None
    ) -> Order:
        settings, _ = self.step.settings_in(scope)
        reduce, _ = self._reduce.settings_in(scope)
        whole = {**settings, "reduce": reduce["stage"]}
        return Order(
            task_id=0,
            attempt=0,
            step=self.step.name,
            kind=QUICK,
            key=name,
            version=version,
            inputs=inputs,
            settings=whole,
            site=str(self.site.folder),
            out_dir=str(paths.quick_work_folder(self.site.folder) / name),
            code_version=self.step.code_version,
            settings_hash=config.fingerprint(whole),
            cores=self.step.cores,
        )
