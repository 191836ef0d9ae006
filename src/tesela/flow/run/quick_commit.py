"""Making a quick look permanent: names, then product, quality and edges in one transaction."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from sqlalchemy.engine import Connection

from tesela.flow.run.quick_orders import QuickOrder
from tesela.flow.run.site import Site
from tesela.flow.run.steps import Outcome, Report
from tesela.ledger import events, products, provenance
from tesela.products.environment import environment_now
from tesela.products.files import publish
from tesela.products.masterkind import QUICK


def outcome_of(report: Report) -> Outcome:
    """What was seen; of a fault an outcome without anything, which does not pass."""
    if report.outcome is not None:
        return report.outcome
    return Outcome((), "", rejections=(f"the quick look failed: {report.message}",))


def commit(site: Site, made: QuickOrder, report: Report, seconds: float) -> None:
    """Publish the files of a report and enter it; a fault is a product that did not pass.

    Every edge is evidence: neither verdicts nor new masters touch what was seen that night.
    """
    for file in report.files:
        final = site.folder / file.final
        final.unlink(missing_ok=True)  # without a row: left by a look that died before it
        publish(Path(file.temporary), final)
    outcome = outcome_of(report)
    with site.ledger.write() as conn:
        edges = [
            (int(products.version(conn, ref.kind, ref.key, ref.version)["id"]), "evidence")
            for ref in made.order.inputs
        ]
        provenance.put_settings(conn, made.order.settings_hash, made.order.settings)
        # Its worker is a process of this machine and this interpreter.
        environment = provenance.put_environment(conn, environment_now().versions)
        row = replace(_row(made, report, outcome), environment=environment)
        product_id = products.insert(conn, row, edges)
        products.add_quality(
            conn,
            product_id,
            outcome.metrics,
            rejections=outcome.rejections,
            seconds=seconds,
            peak_memory_mb=report.peak_memory_mb or None,
        )
        if report.outcome is None:
            failed(conn, made.order.key, f"{report.message}\n{report.log}".strip())


def failed(conn: Connection, frame: str, log: str) -> None:
    """Keep where our code stumbled."""
    events.record(conn, "quick look failed", kind=QUICK, key=frame, detail=log)


def _row(made: QuickOrder, report: Report, outcome: Outcome) -> products.NewProduct:
    main = report.files[0] if report.files else None
    return products.NewProduct(
        kind=QUICK,
        key=made.order.key,
        version=made.order.version,
        path=main.final if main else "",
        files=tuple((file.final, file.sha256, file.size) for file in report.files),
        checksum=main.sha256 if main else "",
        data_hash=outcome.data_hash,
        code_version=made.order.code_version,
        settings_hash=made.order.settings_hash,
        warnings=(*made.warnings, *outcome.warnings),
        operations=outcome.operations,
    )
