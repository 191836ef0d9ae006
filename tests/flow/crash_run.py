"""A controller in a process of its own, to be killed: `python crash_run.py SITE`."""

from __future__ import annotations

import sys
from pathlib import Path

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parent.parent))
    from flow import toys
    from tesela.ledger.engine import Ledger
    from tesela.products import paths

    site = Path(sys.argv[1])
    ledger = Ledger.open(paths.ledger_file(site))
    toys.controller(ledger, site, workers=2, settings={"delay_s": 0.02}).run()
    ledger.close()
