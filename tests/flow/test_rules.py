"""What the planner takes from a survey and its cameras."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from tesela import cameras, config
from tesela.cameras import Camera
from tesela.flow.plan.rules import Rules
from tesela.ledger.keys import Configuration

SURVEY = """
name = "s"
cameras = ["mini80"]
[filters.rSDSS]
names = ["r"]
[grid]
scheme = "list"
pixel_scale_arcsec = 0.55
size_px = [1200, 1200]
centres = { "T1" = [211.8, 55.1] }
"""


def test_amplifiers_of_several_sizes_have_no_crosstalk_master(tmp_path: Path) -> None:
    (tmp_path / "survey.toml").write_text(SURVEY)
    survey = config.load_survey(tmp_path / "survey.toml")
    camera = cameras.load("mini80")
    first = camera.amplifiers[0]
    narrow = replace(first, dest=replace(first.dest, x1=first.dest.x1 - 1))
    uneven = replace(camera, amplifiers=(narrow, *camera.amplifiers[1:]))
    alone = replace(camera, amplifiers=(first,))
    configuration = Configuration.of("T80", camera.name, "01", "-", "fast")

    def is_made(one: Camera) -> bool:
        return Rules.of(survey, lambda *_: [], [one]).is_made("CROSSTALK", configuration)

    assert is_made(camera)
    assert not is_made(uneven)
    assert not is_made(alone)
