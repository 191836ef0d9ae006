"""Does the watch over the detector wake for what matters, and sleep otherwise?

    python benchmarks/monitors.py

Three simulated months of biases and flats in one band go through the program's own verbs: a quiet
one, one in which an amplifier's gain drifts by 1 % from night 20 on, and one in which dust falls on
the filter in night 20. What is raised is counted; a quiet month has no alarm.
"""

from __future__ import annotations

import contextlib
import io
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pages
from pages import Result

from tesela.cli import ingest, init, run
from tesela.flow.run import monitors
from tesela.flow.run.site import open_site
from tesela.ledger import products
from tesela.simulate import campaign, night
from tesela.simulate.survey import survey_toml

NIGHTS, FAULT_FROM = 30, 20
FAULTS: Mapping[str, Mapping[str, Any]] = {
    "a quiet month": {},
    "gain of amplifier 5 up by 1 % from night 20": {"gain_drift": (5, 1.01)},
    "dust 2 % deep from night 20": {"dust": ((0.4, 0.6, 40.0, 0.02),)},
}


def measure(folder: Path) -> Iterator[Result]:
    """One month after the other."""
    for name, faults in FAULTS.items():
        print(f"... {name}", file=sys.stderr, flush=True)
        started = time.perf_counter()
        site = _process(folder / name.replace(" ", "_").replace("%", "pct"), faults)
        found = _raised(site)
        seconds = f"{time.perf_counter() - started:.0f} s for {NIGHTS} nights, simulated too"
        yield Result(name, found, seconds)


def _process(folder: Path, faults: Mapping[str, Any]) -> Path:
    nights = campaign.month(nights=NIGHTS, fault_from=FAULT_FROM if faults else 0, faults=faults)
    raws, site = folder / "nights", folder / "site"
    night.make(raws, nights, workers=2)
    text = survey_toml(nights).replace('refcat = "simulated"\n', "")
    (raws / "survey.toml").write_text(text)
    with contextlib.redirect_stdout(io.StringIO()):
        init.init(site, raws / "survey.toml", as_json=True)
        ingest.ingest([raws / "raw"], site, as_json=True)
        run.run(site, 2, as_json=True, dry_run=False)
    return site


def _raised(site: Path) -> str:
    """Alarms and warnings, of which night first, and what the flats' pages say of dust."""
    opened = open_site(site)
    found = monitors.overview(opened)
    first = min((row["night"] for row in found.alerts), default="")
    dust = _dusty_nights(opened)
    opened.ledger.close()
    alarms = sum(row["level"] == 2 for row in found.alerts)
    said = f"{alarms} alarms, {len(found.alerts) - alarms} warnings"
    if found.alerts:
        worst = max(found.alerts, key=lambda row: row["level"])
        said += f", first {first}: {worst['reason']}"
    return said + (f"; dust seen in {len(dust)} flats, first {dust[0]}" if dust else "")


def _dusty_nights(opened: Any) -> list[str]:
    with opened.ledger.read() as conn:
        rows = products.all_current(conn, "master")
    return sorted(row["key"][-8:] for row in rows if "dust" in row["warnings_json"])


def main() -> None:
    """Measure in a folder that goes away."""
    with tempfile.TemporaryDirectory(prefix="tesela-monitors-") as folder:
        print(pages.table(measure(Path(folder))))


if __name__ == "__main__":
    main()
