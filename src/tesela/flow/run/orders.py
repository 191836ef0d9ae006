"""From a claimed task to the order a worker gets: paths made absolute, facts attached."""

from __future__ import annotations

import json
import statistics
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy.engine import Connection

from tesela.flow.plan.reduced import mjd_mid
from tesela.flow.plan.rules import PROFILE_OF, Rules
from tesela.flow.run.steps import InputRef, Order, StepSpec
from tesela.ledger import calsets, frames, masters, products, steps, tasks
from tesela.ledger.keys import MasterKey
from tesela.products import paths
from tesela.products.frame import FrameFacts
from tesela.products.validity import Validity

_TAKEN = ("raw", "detrended")
_FACTS = tuple(FrameFacts.__dataclass_fields__)


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


def write_order(
    conn: Connection,
    rules: Rules,
    site: Path,
    claim: tasks.Claim,
    spec: StepSpec,
    patience: Patience | None = None,
) -> Order:
    """Describe one attempt completely: a worker asks nobody anything."""
    patience = patience or Patience()
    rows = tasks.inputs_of(conn, claim.task_id)
    mjd = None
    if claim.kind in PROFILE_OF:
        mjd = mjd_mid(frames.get(conn, claim.key))
    elif claim.kind == "master":
        taken = [frames.get(conn, row["key"])["mjd_start"] for row in rows if row["kind"] in _TAKEN]
        mjd = statistics.median(taken) if taken else rules.middle(MasterKey.parse(claim.key))
    scope = steps.scope_of(conn, claim.kind, claim.key)
    settings, settings_hash = spec.settings_in(scope)
    return Order(
        task_id=claim.task_id,
        attempt=claim.attempt_id,
        step=claim.step,
        kind=claim.kind,
        key=claim.key,
        version=products.next_version(conn, claim.kind, claim.key),
        inputs=tuple(input_ref(conn, rules, site, row, mjd) for row in rows),
        settings=settings,
        survey=str(paths.survey_file(site)),
        site=str(site),
        out_dir=str(paths.work_folder(site) / f"{claim.attempt_id}"),
        code_version=spec.code_version,
        settings_hash=settings_hash,
        scope="" if scope is None else str(scope),
        cores=spec.cores,
        memory_mb=spec.memory_mb * 2**claim.memory_faults,
        limit_mb=patience.limit_mb(spec.memory_mb * 2**claim.memory_faults),
        timeout_s=patience.timeout_s(spec.seconds_per_mpix * claim.megapixels),
    )


def input_ref(
    conn: Connection, rules: Rules, site: Path, row: dict[str, Any], mjd: float | None
) -> InputRef:
    """Describe one input (kind, key, version, id, path, role) of a product of an instant."""
    kind = row["kind"]
    members: tuple[InputRef, ...] = ()
    facts: dict[str, Any] = {}
    if kind == "raw":
        facts = frame_facts(conn, row["key"])
    elif kind == "master":
        facts = _master_facts(conn, rules, row["id"], mjd)
    elif kind == "calset":
        found = calsets.members(conn, row["id"])
        members = tuple(input_ref(conn, rules, site, member, mjd) for member in found)
    elif kind in PROFILE_OF:
        facts = {**frame_facts(conn, row["key"]), "metrics": _metrics(conn, row["id"])}
    elif kind == "coadd":
        facts = {"metrics": _metrics(conn, row["id"])}
    path = str(site / row["path"]) if row["path"] else ""
    return InputRef(kind, row["key"], row["version"], path, row["role"], facts, members)


def frame_facts(conn: Connection, name: str) -> dict[str, Any]:
    """Return a frame's facts as `FrameFacts.as_dict` gives them."""
    frame = frames.get(conn, name)
    return {field: frame[field] for field in _FACTS}


def _master_facts(
    conn: Connection, rules: Rules, product_id: int, mjd: float | None
) -> dict[str, Any]:
    row = masters.get(conn, product_id)
    names = ("master_kind", "configuration", "night", "valid_begin", "valid_end", "n_frames")
    facts: dict[str, Any] = {name: row[name] for name in names}
    facts["metrics"] = _metrics(conn, product_id)
    if mjd is not None:
        facts["distance_days"] = Validity(row["valid_begin"], row["valid_end"]).distance(mjd)
        facts["is_older"] = row["valid_begin"] <= mjd
        camera = row["configuration"].split(".")[1]
        facts["crosses"] = rules.calendar.crossed(
            row["master_kind"], camera, row["valid_begin"], mjd
        )
    return facts


def _metrics(conn: Connection, product_id: int) -> dict[str, Any]:
    quality = products.quality_of(conn, product_id)
    return {} if quality is None else dict(json.loads(quality["metrics_json"]))
