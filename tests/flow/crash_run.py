"""A controller in a process of its own, to be killed: `python crash_run.py SITE`."""

from __future__ import annotations

import sys
from pathlib import Path

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parent.parent))
    from flow import toys
    from tesela.ledger.engine import Ledger
    from tesela.ledger.place import place_of

    site = Path(sys.argv[1])
    ledger = Ledger.open(place_of(site))
    toys.controller(ledger, site, workers=2, settings={"delay_s": 0.02}).run()
    ledger.close()
