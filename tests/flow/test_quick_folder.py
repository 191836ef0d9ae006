"""What looks that were interrupted leave in a site, and what becomes of it."""

from __future__ import annotations

from pathlib import Path

from tesela.flow.run.quicklook import QuickLook
from tesela.flow.run.site import init_site
from tesela.products import paths

from . import toys

SURVEY = """
name = "s"
cameras = ["mini80"]
refcat = "stars"
[filters.r]
names = ["r"]
[grid]
scheme = "list"
pixel_scale_arcsec = 0.55
size_px = [1200, 1200]
centres = { "T1" = [211.8, 55.1] }
"""


def test_only_frames_that_were_taken_in_are_known_by_their_folders(tmp_path: Path) -> None:
    (tmp_path / "survey.toml").write_text(SURVEY)
    site = init_site(tmp_path / "site", tmp_path / "survey.toml")
    toys.add_frames(site.ledger, site.folder, [toys.facts("taken", "science")], toys.rules())
    work = paths.quick_work_folder(site.folder)
    for name in ("taken", "never", "warm up"):
        (work / name).mkdir(parents=True)
        (work / name / "part.fits").touch()
    quick = QuickLook(site, cores=1)
    quick._sweep()
    assert [path.relative_to(work) for path in work.rglob("*")] == [Path("taken")]
    files = [tmp_path / "taken.fits", tmp_path / "never.fits"]
    assert quick.known(files) == set(), "both are looked at, the one again"
    site.ledger.close()
