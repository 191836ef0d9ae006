"""The demonstration's pictures of its calibrations: taken from the pages of its masters."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tesela.products import paths

if TYPE_CHECKING:
    from tesela.flow.run.site import Site

PAGES = (
    ("FLAT", "ratio.png", "flat_ratio.png"),
    ("ILLUMINATION", "epochs.png", "illumination_epochs.png"),
    ("ILLUMINATION", "map.png", "illumination_map.png"),
    ("ILLUMINATION", "trumpet.png", "illumination_trumpet.png"),
    ("FRINGE", "example.png", "fringe_example.png"),
    ("LINEARITY", "linearity.png", "linearity.png"),
    ("CROSSTALK", "crosstalk.png", "crosstalk.png"),
)
"""Kind of master, its page, and the picture's name; of several masters the latest in r is shown."""
_BAND = "rSDSS"


def draw(folder: Path, site: Site) -> list[Path]:
    """Copy a page of each sort into `folder`, and draw the monitors of several nights beside them.

    Returns the pictures; what the night's masters do not have is left out.
    """
    from tesela.flow.run import monitors
    from tesela.ledger import masters, products

    folder.mkdir(parents=True, exist_ok=True)
    with site.ledger.read() as conn:
        rows = masters.listed(conn)
        files = {row["key"]: _files(products.current(conn, "master", row["key"])) for row in rows}
    made = []
    for kind, page, name in PAGES:
        latest = sorted(
            (row for row in rows if row["master_kind"] == kind),
            key=lambda row: (_BAND in row["configuration"], row["night"]),
            reverse=True,
        )
        for row in latest:
            wanted = str(paths.master_page(row["key"], row["version"], page))
            if wanted in files[row["key"]]:
                shutil.copyfile(site.folder / wanted, folder / name)
                made.append(folder / name)
                break
    followed = [one for one in monitors.overview(site).series if one["nights"] > 1]
    pages, _ = monitors.drawable(site, followed)
    for own in monitors.draw(site, pages, folder / "monitors"):
        made += sorted(own.glob("*.png"))
    return made


def _files(row: dict[str, Any] | None) -> set[str]:
    """Paths of a product's files, relative to the site."""
    return {path for path, _, _ in json.loads(row["files_json"])} if row else set()
