"""What the bodies of the steps tell the ledger of a product."""

from __future__ import annotations

from tesela.flow.run import bodies
from tesela.products.images import Operation, operation_cards


def test_what_was_left_out_is_recorded_as_such() -> None:
    cards = operation_cards(
        [
            Operation("bias"),
            Operation("linearity", {"source": "LINEARITY", "degree": 3}),
            Operation("dark", {"source": "none"}),
            Operation("crosstalk", {"matrix": "none known"}),
            Operation("flat", {"source": "DOMEFLAT"}),
            Operation("cosmic rays", {"enabled": False}),
            *(Operation("trails", {"threshold": 5.0, "found": n}) for n in range(3)),
        ]
    )
    assert bodies._operations_of([("EXPTIME", 1.0, ""), *cards]) == (
        "bias", "linearity", "no dark", "no crosstalk", "flat", "no cosmic rays",
        "trails", "trails", "trails",
    )  # fmt: skip
