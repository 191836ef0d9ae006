"""The program as its users call it, without the cost of a process."""

from __future__ import annotations

import contextlib
import io
import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

from tesela.cli import main

RUN_ENV = {**os.environ, "COLUMNS": "200"}

SMALL_SURVEY = """
name = "s"
cameras = ["mini80"]
refcat = "stars"
[filters.rSDSS]
names = ["r"]
[grid]
scheme = "list"
pixel_scale_arcsec = 0.55
size_px = [1200, 1200]
centres = { "T1" = [211.8, 55.1] }
"""
"""A survey of one band and one tile, that needs no file beside it."""


@dataclass(frozen=True)
class Said:
    """How a verb ended and what it said."""

    code: int
    out: str
    err: str

    @property
    def data(self) -> Any:
        """What `--json` printed."""
        return json.loads(self.out)


def tesela(*words: object) -> Said:
    """Run one verb in this process; whatever it does not catch is raised here."""
    out, err = io.StringIO(), io.StringIO()
    code: int | str | None = 0
    argv = ["tesela", *map(str, words)]
    with (
        mock.patch.object(sys, "argv", argv),
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
    ):
        try:
            main.main()
        except SystemExit as end:
            code = end.code
    return Said(int(code or 0), out.getvalue(), err.getvalue())


def well(*words: object) -> Said:
    """Run one verb that must end well."""
    said = tesela(*words)
    assert said.code == 0, f"{words}: {said.out}{said.err}"
    return said


def start(*words: object) -> subprocess.Popen[bytes]:
    """Start a verb as a process of its own, with a process group of its own."""
    return subprocess.Popen(
        [sys.executable, "-m", "tesela.cli.main", *map(str, words)],
        env=RUN_ENV,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )


def new_site(folder: Path, survey: Path) -> Path:
    """Make a site."""
    well("init", folder, "--survey", survey)
    return folder
