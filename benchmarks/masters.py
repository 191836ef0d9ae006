"""Masters of a simulated campaign against its truth.

    python benchmarks/masters.py [FOLDER]

Three nights over two epochs (`tesela simulate --preset calibration`, with 30 biases) go through the
program's own verbs; every kind of master is compared with what was simulated. With FOLDER the
campaign and its site are kept there, and what is there is not made again.
"""

from __future__ import annotations

import contextlib
import sqlite3
import sys
import tempfile
import time
from pathlib import Path

import pages
from pages import Result

from tesela.cli import ingest, init, refcat, run
from tesela.score import fringes, masters, table
from tesela.simulate import campaign, night
from tesela.simulate.survey import survey_toml


def make(folder: Path) -> tuple[Path, Path]:
    """Simulate the campaign and process it; returns (site, truth)."""
    nights, site = folder / "nights", folder / "site"
    settings = campaign.calibration(n_bias=30)
    if not nights.exists():
        _say("simulate the campaign")
        night.make(nights, settings, workers=2)
        (nights / "survey.toml").write_text(survey_toml(settings))
    if not site.exists():
        _say("process it")
        with contextlib.redirect_stdout(sys.stderr):
            init.init(site, nights / "survey.toml", as_json=True)
            refcat.add("simulated", nights / "refcat.parquet", site, as_json=True)
            ingest.ingest([nights / "raw"], site, as_json=True)
            run.run(site, 2, as_json=True, dry_run=False)
    return site, nights / "truth"


def current(site: Path, kind: str) -> dict[str, Path]:
    """Paths of what is served of a kind, of masters those that are certified."""
    query = f"""
        SELECT p.key, p.path FROM product p LEFT JOIN master m ON m.product_id = p.id
        WHERE p.kind = '{kind}' AND p.is_current AND (m.state IS NULL OR m.state = 'certified')
    """
    with contextlib.closing(sqlite3.connect(site / "ledger.sqlite")) as ledger:
        return {key: site / path for key, path in ledger.execute(query)}


def measure(folder: Path) -> list[Result]:
    """The rows of the table."""
    started = time.perf_counter()
    site, truth = make(folder)
    seconds = time.perf_counter() - started
    found, used = [], current(site, "master")
    corrected = {masters.band_of(key) for key in used if key.startswith("FRINGE.")}
    settings = night.read_settings(truth)[0]
    rows = [
        *masters.evaluate(used, truth),
        *fringes.rows(current(site, "reduced"), truth, settings, corrected),
    ]
    for row in rows:
        verdict = {True: f"{row.goal}: met", False: f"{row.goal}: MISSED", None: ""}[row.passed]
        what = f"{row.metric} {row.band}".strip()
        said = "; ".join(part for part in (verdict, row.note) if part)
        found.append(Result(what, f"{table.number(row)} {row.unit}".strip(), said))
    found.append(Result("the campaign, simulated and processed", f"{seconds:.0f} s", "2 workers"))
    return found


def _say(what: str) -> None:
    print(f"... {what}", file=sys.stderr, flush=True)


def main() -> None:
    """Measure in a folder that is kept, if one is given."""
    if len(sys.argv) > 1:
        print(pages.table(measure(Path(sys.argv[1]))))
        return
    with tempfile.TemporaryDirectory(prefix="tesela-masters-") as folder:
        print(pages.table(measure(Path(folder))))


if __name__ == "__main__":
    main()
