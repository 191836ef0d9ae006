"""What the monitors raised, as lines of a table."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from tesela.ledger.keys import NO_FILTER
from tesela.products.monitor import QUANTITIES, WHOLE_CCD
from tesela.web.portal import links
from tesela.web.portal.configured import Configured
from tesela.web.portal.queries import Row
from tesela.web.portal.states import LEVELS


def name_of(amp: int) -> str:
    """An amplifier in words."""
    return "whole CCD" if amp == WHOLE_CCD else f"amplifier {amp}"


def shown_alerts(rows: Iterable[Row]) -> list[dict[str, Any]]:
    """Alerts as lines of a table."""
    return [
        {
            **row,
            "state": LEVELS[min(max(row["level"], 0), 2)],
            "of": Configured(row["detector"]),
            "amplifier": name_of(row["amp"]),
            "quantity": row["metric"].replace("_", " "),
            "unit": QUANTITIES[row["metric"]].unit if row["metric"] in QUANTITIES else "",
            "url": links.product(row["kind"], row["key"]),
            "detector_url": links.detector(
                row["detector"], until=row["night"],
                filter="" if row["filter"] == NO_FILTER else row["filter"],
            ),
        }
        for row in rows
    ]  # fmt: skip
